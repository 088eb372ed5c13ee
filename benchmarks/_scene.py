"""
The same coordinator, request and services for every benchmark.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Final

import anyio
import attrs

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    ProxyActivity,
    ProxyRegistration,
    RegistrationReceipt,
    Role,
)
from proxy_orchestration.ports import ActivityRepository, AuditEvent
from proxy_orchestration.storage.sql import SqlActivityRepository

COORDINATOR: Final = Actor(user_id="coord-119", roles={Role.COORDINATOR}, organization_id="chapter-oslo")
ACTIVITY: Final = ProxyActivity(
    activity_type="group_meeting", activity_date=date(2026, 11, 3), duration_minutes=90, notes="Tuesday group"
)
SETTLED_BATCHES: Final = 100
SETTLED_BATCH_SIZE: Final = 1000


@attrs.define(eq=False)
class PacedService:
    """
    Registers by answering, at once or after a pause in seconds.
    """

    pause: float | None = None

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Answer with a receipt.
        """
        if self.pause is not None:
            await anyio.sleep(self.pause)
        return RegistrationReceipt(
            registration_id=registration.registration_id, activity_id=f"activity-{registration.mentor_id}"
        )


@attrs.define(eq=False)
class SilentAuditLogger:
    """
    Takes every event and keeps how many there were.
    """

    taken: int = 0

    async def log_bulk_submission(self, _event: AuditEvent, /) -> None:
        """
        Count the event.
        """
        self.taken += 1


def request_for(size: int) -> BulkRegistrationRequest:
    """
    Return a request over that many mentors.
    """
    return BulkRegistrationRequest.for_mentors((f"mentor-{number}" for number in range(size)), ACTIVITY)


def orchestrator_over(
    repository: ActivityRepository, *, pause: float | None = None, concurrency: int = 20
) -> BulkRegistrationOrchestrator:
    """
    Return an orchestrator whose settings are the standard ones but for the concurrency and the largest batch.
    """
    return BulkRegistrationOrchestrator(
        registration_service=PacedService(pause),
        repository=repository,
        audit_logger=SilentAuditLogger(),
        settings=BulkSettings(
            max_concurrency=concurrency,
            max_calls_in_flight=max(50, concurrency),
            max_batch_size=1_000_000,
        ),
    )


def url_of(file: Path) -> str:
    """
    Return where SQLAlchemy finds the file.
    """
    return f"sqlite:///{file}"


async def accept_batch(repository: ActivityRepository, size: int) -> str:
    """
    Have a batch accepted that nobody drives; return its id.
    """
    result = await orchestrator_over(repository).submit_bulk_registration(
        request_for(size), actor=COORDINATOR, drive=False
    )
    return result.batch_id


async def _fill(file: Path, batches: int, size: int) -> None:
    async with SqlActivityRepository.open(url_of(file)) as repository:
        orchestrator = orchestrator_over(repository)
        for _ in range(batches):
            await orchestrator.submit_bulk_registration(request_for(size), actor=COORDINATOR)


async def _accept_into(file: Path, size: int) -> None:
    async with SqlActivityRepository.open(url_of(file)) as repository:
        await accept_batch(repository, size)


@asynccontextmanager
async def warm_store(file: Path) -> AsyncIterator[SqlActivityRepository]:
    """
    Open a database as a process that has driven a batch before: every statement is compiled once.
    """
    async with SqlActivityRepository.open(url_of(file)) as repository:
        orchestrator = orchestrator_over(repository)
        warm_up = await accept_batch(repository, 2)
        async with orchestrator.drive_batch(warm_up) as run:
            async for _update in run:
                pass
        await orchestrator.get_bulk_submission_status(warm_up, actor=COORDINATOR)
        yield repository


def new_database(
    folder: Path, name: str, *, settled: int = 0, accepted: int | None = None
) -> Callable[[], Path]:
    """
    Make a database with settled batches and perhaps one that waits; return what makes copies of it.
    """
    original = folder / f"{name}.db"
    anyio.run(_fill, original, settled, SETTLED_BATCH_SIZE)
    if accepted is not None:
        anyio.run(_accept_into, original, accepted)
    numbers = iter(range(1_000_000))

    def copy() -> Path:
        return Path(shutil.copy(original, folder / f"{name}-{next(numbers)}.db"))

    return copy


def items_in_doubt(file: Path) -> tuple[int, int]:
    """
    Return how many items were claimed and have no outcome, and how many have one.
    """
    connection = sqlite3.connect(file)
    try:
        (open_items,) = connection.execute(
            "SELECT count(*) FROM work JOIN runs USING (batch, run) WHERE position <= claimed AND NOT EXISTS"
            " (SELECT 1 FROM outcomes AS o WHERE (o.batch, o.item, o.run) = (work.batch, work.item, work.run))"
        ).fetchone()
        (settled,) = connection.execute("SELECT count(*) FROM outcomes").fetchone()
    finally:
        connection.close()
    return open_items, settled
