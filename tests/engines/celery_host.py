"""
A host on Celery, as its worker imports it: the guide's recipe over SQLite and a Redis.

The environment says where they are: `STORE` is a SQLAlchemy address, `BROKER` the socket of a Redis.
It says how far away the service is after a few calls, too: `PAUSE`, in seconds.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs
from celery import Celery

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkSettings,
    DriveEnding,
    ProxyRegistration,
    RegistrationReceipt,
    StandardRegistrationService,
)
from proxy_orchestration.blocking import BlockingOrchestrator
from proxy_orchestration.storage.sql import SqlActivityRepository

FEW = 6


@attrs.define(eq=False)
class RemoteService:
    """
    The standard service, as far away as a remote one.
    """

    standard: StandardRegistrationService

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Register, and say so in a file beside the store, where it is awaited.
        """
        receipt = await self.standard.register(registration)
        with open(os.environ["CALLED"], "a", encoding="utf-8") as file:  # noqa: ASYNC230, PTH123 - a line
            file.write("called\n")
            calls = file.tell() // len("called\n")
        await anyio.sleep(float(os.environ["PAUSE"]) if calls > FEW else 0.05)
        return receipt


@asynccontextmanager
async def open_orchestrator() -> AsyncIterator[BulkRegistrationOrchestrator]:
    """
    Open an orchestrator, in each process anew.
    """
    async with SqlActivityRepository.open(os.environ["STORE"]) as repository:
        yield BulkRegistrationOrchestrator(
            registration_service=RemoteService(StandardRegistrationService(repository=repository)),
            repository=repository,
            # Whoever stands still for a second counts as dead: no item is to end as lost for that.
            settings=BulkSettings(lease_ttl=1.0, max_concurrency=2, max_takeovers=1000),
        )


bulk = BlockingOrchestrator(open_orchestrator)
celery = Celery("registrations", broker=f"redis+socket://{os.environ['BROKER']}")


@celery.task(name="registrations.drive", ignore_result=True)
def drive(batch_id: str, run: int) -> None:
    """
    Drive a run unless somebody does.
    """
    report = bulk.drive_if_free(batch_id, run=run)
    if report.ending is DriveEnding.WAITING:
        drive.apply_async((batch_id, run), countdown=report.retry_after)


@celery.task(name="registrations.sweep", ignore_result=True)
def sweep() -> dict[str, Any]:
    """
    Wake a worker for each run that nobody drives.
    """
    runs = bulk.waiting_runs(limit=200)
    for run in runs:
        drive.delay(run.batch_id, run.run)
    return {"runs": len(runs), "audit_events": bulk.deliver_audit()}
