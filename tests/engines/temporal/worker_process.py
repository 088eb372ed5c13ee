"""
A worker in a process of its own, over a SQLite file: it is killed, paused and started again.

It says `ready` once it listens, `called` with the first call of its service, and
stops in order when its standard input ends.
"""

from __future__ import annotations

import sys
from datetime import timedelta

import anyio
import attrs
from anyio import to_thread
from temporalio.client import Client
from temporalio.worker import Worker

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkSettings,
    ProxyRegistration,
    RegistrationReceipt,
    RetryPolicy,
    StandardRegistrationService,
)
from proxy_orchestration.engines.temporal import TemporalRegistrations
from proxy_orchestration.storage.sql import SqlActivityRepository

SETTINGS = BulkSettings(
    max_concurrency=2,
    max_undurable=4,
    lease_ttl=1.0,
    poll_interval=0.05,
    # Whoever stands still for a second counts as dead: no item is to end as lost for that.
    max_takeovers=1000,
    retry=RetryPolicy(initial=0.01),
)


@attrs.define(eq=False)
class SlowService:
    """
    The standard service, a moment before each record.
    """

    inner: StandardRegistrationService
    pause: float
    called: bool = False

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Say so at the first call.
        """
        if not self.called:
            self.called = True
            print("called", flush=True)
        await anyio.sleep(self.pause)
        return await self.inner.register(registration)


async def work(address: str, url: str, task_queue: str, pause: str) -> None:
    """
    Listen until the standard input ends.
    """
    client = await Client.connect(address)
    async with SqlActivityRepository.open(url) as repository:
        service = SlowService(StandardRegistrationService(repository=repository), float(pause))
        orchestrator = BulkRegistrationOrchestrator(
            registration_service=service, repository=repository, settings=SETTINGS
        )
        engine = TemporalRegistrations(
            orchestrator, client, task_queue=task_queue, prefix=task_queue, heartbeat=1.0
        )
        async with Worker(
            client,
            task_queue=task_queue,
            workflows=engine.workflows,
            activities=engine.activities,
            graceful_shutdown_timeout=timedelta(seconds=10),
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        ):
            print("ready", flush=True)
            await to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    anyio.run(work, *sys.argv[1:])
