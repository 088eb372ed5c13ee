"""
Registrations through the standard service on SQLite: one by one, many at once, and what sqlite3 alone can do.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import attrs
from _harness import Case, Story, Table, Target, medians, tell
from _scene import COORDINATOR, SilentAuditLogger, new_database, warm_store
from sqlalchemy import insert
from sqlalchemy.dialects import sqlite

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    BulkStatus,
    ProxyActivity,
    ProxyRegistration,
    RegistrationReceipt,
    StandardRegistrationService,
)
from proxy_orchestration.ports import ActivityRecord, ActivityRecords, ProxyRegistrationService
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.storage.sql.schema import activities

ITEMS: Final = 10_000
PER_CALL: Final = 200
WORKERS: Final = 20
ROUNDS: Final = 5
GROUP: Final = 50
ROUND_TRIP: Final = 0.02

_TODAY: Final = ProxyActivity(
    activity_type="group_meeting", activity_date=datetime.now(UTC).date(), duration_minutes=90, notes="Group"
)


@attrs.define(eq=False)
class OneByOne:
    """
    The standard service without its bulk write and its check: what a host has that writes `register` only.
    """

    inner: StandardRegistrationService

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Hand the call on.
        """
        return await self.inner.register(registration)


def _registrations() -> list[ProxyRegistration]:
    return [
        ProxyRegistration(
            registration_id=f"batch-1:mentor-{number}",
            idempotency_key=f"batch-1:mentor-{number}:0",
            batch_id="batch-1",
            mentor_id=f"mentor-{number}",
            activity=_TODAY,
            registered_by=COORDINATOR,
        )
        for number in range(ITEMS)
    ]


def _timed(copy: Callable[[], Path], work: Callable[[SqlActivityRepository], object]) -> float:
    async def run() -> float:
        async with warm_store(copy()) as repository:
            begin = time.perf_counter()
            await work(repository)  # type: ignore[misc] # every work is a coroutine function
            return ITEMS / (time.perf_counter() - begin)

    return anyio.run(run)


async def singly(repository: SqlActivityRepository) -> None:
    """
    Call `register` for each from concurrent workers.
    """
    service = StandardRegistrationService(repository=repository)
    todo = iter(_registrations())

    async def work() -> None:
        for registration in todo:
            await service.register(registration)

    async with anyio.create_task_group() as crew:
        for _ in range(WORKERS):
            crew.start_soon(work)


async def many_at_once(repository: SqlActivityRepository) -> None:
    """
    Call `register_many` for pages.
    """
    service = StandardRegistrationService(repository=repository)
    registrations = _registrations()
    for first in range(0, ITEMS, PER_CALL):
        await service.register_many(registrations[first : first + PER_CALL], atomic=False)


async def submitted(repository: SqlActivityRepository, *, bulk: bool) -> None:
    """
    Submit a whole batch: check, accept, claim, register, store outcomes, audit.
    """
    standard = StandardRegistrationService(repository=repository)
    service: ProxyRegistrationService = standard if bulk else OneByOne(standard)
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=service,
        repository=repository,
        audit_logger=SilentAuditLogger(),
        settings=BulkSettings(max_concurrency=WORKERS),
    )
    request = BulkRegistrationRequest.for_mentors((f"mentor-{number}" for number in range(ITEMS)), _TODAY)
    result = await orchestrator.submit_bulk_registration(request, actor=COORDINATOR)
    assert result.status is BulkStatus.SUCCESS


def raw(copy: Callable[[], Path]) -> float:
    """
    Insert the same rows into the same table in one thread that does nothing else; return rows per second.
    """
    file = copy()
    text = str(insert(activities).compile(dialect=sqlite.dialect()))
    rows = list(_rows())
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        begin = time.perf_counter()
        for first in range(0, ITEMS, PER_CALL):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(text, rows[first : first + PER_CALL])
            connection.execute("COMMIT")
        return ITEMS / (time.perf_counter() - begin)


def _rows() -> Iterator[tuple[object, ...]]:
    now, day = datetime.now(UTC).isoformat(), _TODAY.activity_date.isoformat()
    for number, registration in enumerate(_registrations()):
        yield (
            f"00000000-0000-5000-8000-{number:012}",
            registration.registration_id,
            registration.idempotency_key,
            registration.batch_id,
            COORDINATOR.organization_id,
            COORDINATOR.user_id,
            "coordinator",
            registration.mentor_id,
            _TODAY.activity_type,
            day,
            _TODAY.duration_minutes,
            _TODAY.notes,
            "{}",
            None,
            now,
            f"{day}:{len(registration.mentor_id)}:{registration.mentor_id}:{_TODAY.activity_type}",
            None,
        )


@attrs.define(eq=False)
class FarAway:
    """
    Records behind a network: every call is a round trip, and is counted.
    """

    inner: ActivityRecords
    trips: int = 0

    async def _travel(self) -> None:
        self.trips += 1
        await anyio.sleep(ROUND_TRIP)

    async def add_activities(
        self, records: Sequence[ActivityRecord], /, *, atomic: bool
    ) -> Sequence[ActivityRecord]:
        """
        Travel, and hand the call on.
        """
        await self._travel()
        return await self.inner.add_activities(records, atomic=atomic)

    async def find_activities(self, registration_ids: Collection[str], /) -> Sequence[ActivityRecord]:
        """
        Travel, and hand the question on.
        """
        await self._travel()
        return await self.inner.find_activities(registration_ids)

    async def find_duplicates(
        self, organization_id: str, duplicate_keys: Collection[str], /
    ) -> Mapping[str, ActivityRecord]:
        """
        Travel, and hand the question on.
        """
        await self._travel()
        return await self.inner.find_duplicates(organization_id, duplicate_keys)

    async def activities_of_batch(self, batch_id: str, /) -> Sequence[ActivityRecord]:
        """
        Travel, and hand the question on.
        """
        await self._travel()
        return await self.inner.activities_of_batch(batch_id)

    async def void_activity(self, activity_id: str, /, *, voided_at: datetime) -> bool:
        """
        Travel, and hand the call on.
        """
        await self._travel()
        return await self.inner.void_activity(activity_id, voided_at=voided_at)


def far_away(*, bulk: bool) -> tuple[int, float]:
    """
    Submit a group over a slow network; return the round trips and the milliseconds.
    """

    async def run() -> tuple[int, float]:
        store = MemoryActivityRepository()
        records = FarAway(store)
        standard = StandardRegistrationService(repository=records)
        orchestrator = BulkRegistrationOrchestrator(
            registration_service=standard if bulk else OneByOne(standard),
            repository=store,
            audit_logger=SilentAuditLogger(),
        )
        request = BulkRegistrationRequest.for_mentors((f"mentor-{number}" for number in range(GROUP)), _TODAY)
        begin = time.perf_counter()
        result = await orchestrator.submit_bulk_registration(request, actor=COORDINATOR)
        assert result.status is BulkStatus.SUCCESS
        return records.trips, (time.perf_counter() - begin) * 1000

    return anyio.run(run)


def _cases(folder: Path) -> dict[str, Case]:
    empty = new_database(folder, "empty")
    return {
        f"raw limit: executemany of the same rows, {PER_CALL} per commit": partial(raw, empty),
        "the service, many at once": partial(_timed, empty, many_at_once),
        "the service, one by one": partial(_timed, empty, singly),
        "a whole batch, many at once": partial(_timed, empty, partial(submitted, bulk=True)),
        "a whole batch, one by one": partial(_timed, empty, partial(submitted, bulk=False)),
    }


def measure() -> Story:
    """
    Let each way register, in turns; then count round trips.
    """
    with tempfile.TemporaryDirectory() as folder:
        speeds = medians(_cases(Path(folder)), rounds=ROUNDS)
    limit, many, one, batch_many, batch_one = speeds
    rows = [(name, f"{speed:,.0f}", f"{speed / speeds[limit]:.2f}") for name, speed in speeds.items()]
    trips, milliseconds = far_away(bulk=True)
    trips_singly, milliseconds_singly = far_away(bulk=False)
    return Story(
        title=f"{ITEMS:,} registrations through the standard service on SQLite FULL",
        tables=[
            Table(heading=("", "registrations/s", "ratio to the raw limit"), rows=rows),
            Table(
                heading=(f"{GROUP} mentors, {ROUND_TRIP * 1000:.0f} ms per round trip", "round trips", "ms"),
                rows=[
                    ("many at once, including the conflict check", f"{trips}", f"{milliseconds:.0f}"),
                    ("one by one, five at a time", f"{trips_singly}", f"{milliseconds_singly:.0f}"),
                ],
            ),
        ],
        targets=[
            Target(
                what="the service: many at once, ratio to one by one",
                figure=speeds[many] / speeds[one],
                at_least=5,
                digits=1,
            ),
            Target(
                what="the service: many at once, ratio to the raw limit",
                figure=speeds[many] / speeds[limit],
                at_least=0.3,
            ),
            Target(
                what="a whole batch: many at once, ratio to one by one",
                figure=speeds[batch_many] / speeds[batch_one],
                at_least=5,
                digits=1,
            ),
            Target(what=f"round trips for {GROUP} mentors", figure=trips, at_most=4, digits=0),
        ],
    )


if __name__ == "__main__":
    tell(measure)
