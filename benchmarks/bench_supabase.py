"""
Records over PostgREST beside one direct call, and the ledger through a pooler beside a direct connection.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio
from _harness import Case, Story, Table, Target, medians, tell
from _scene import COORDINATOR, SilentAuditLogger

_CHECKOUT: Final = Path(__file__).parents[1]
sys.path[:0] = [str(_CHECKOUT / "tests" / folder) for folder in ("support", "postgresql/support")]

from pooler import running_pooler  # noqa: E402 - from the tests, which start the servers
from postgres_server import find_programs, running_server  # noqa: E402 - as above
from postgres_server.databases import Databases  # noqa: E402 - as above
from supabase_project import Project, running_project  # noqa: E402 - as above

from proxy_orchestration import (  # noqa: E402 - after the path
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    ProxyActivity,
    StandardRegistrationService,
)
from proxy_orchestration.registration.activities import ActivityRecord  # noqa: E402 - as above
from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: E402 - as above
from proxy_orchestration.testing.contracts.registration.samples import activity_record  # noqa: E402 - as above

RECORDS: Final = 500
SINGLE: Final = 50
"""Calls of the slow way; what one costs does not depend on their number."""

ITEMS: Final = 2000
ROUNDS: Final = 7

_numbers: Final = count()


def fresh_records(size: int) -> list[ActivityRecord]:
    """
    Return records of a new batch.
    """
    batch_id = f"batch-{next(_numbers)}"
    return [
        activity_record(f"{batch_id}-{n}", f"mentor-{n}", batch_id, key=f"{batch_id}-{n}")
        for n in range(size)
    ]


async def _seconds(store: Any, size: int, *, per_call: int) -> float:
    """
    Return what it takes to add so many records in calls of that size, after a first one.
    """
    await store.add_activities(fresh_records(1), atomic=False)
    records = fresh_records(size)
    begin = time.perf_counter()
    for first in range(0, size, per_call):
        await store.add_activities(records[first : first + per_call], atomic=False)
    return time.perf_counter() - begin


def over_postgrest(project: Project, *, size: int, per_call: int) -> float:
    """
    Return seconds for `RECORDS` over PostgREST.
    """

    async def measure() -> float:
        async with project.records() as records:
            return await _seconds(records, size, per_call=per_call) * RECORDS / size

    return anyio.run(measure)


def directly(project: Project) -> float:
    """
    Return seconds for the same records in one call of the SQL store, without a server in between.
    """

    async def measure() -> float:
        async with SqlActivityRepository.open(project.url) as repository:
            return await _seconds(repository, RECORDS, per_call=RECORDS)

    return anyio.run(measure)


def durable_batch(url: Any) -> float:
    """
    Return seconds for a batch whose ledger and records are on that address.
    """

    async def measure() -> float:
        async with SqlActivityRepository.open(url) as repository:
            orchestrator = BulkRegistrationOrchestrator(
                registration_service=StandardRegistrationService(repository=repository),
                repository=repository,
                audit_logger=SilentAuditLogger(),
            )
            await orchestrator.submit_bulk_registration(_request(10), actor=COORDINATOR)
            request = _request(ITEMS)
            begin = time.perf_counter()
            result = await orchestrator.submit_bulk_registration(request, actor=COORDINATOR)
            took = time.perf_counter() - begin
            assert len(result.succeeded) == result.total
            return took

    return anyio.run(measure)


def _request(size: int) -> Any:
    number = next(_numbers)
    walk = ProxyActivity(activity_type="walk", activity_date=datetime.now(UTC).date(), duration_minutes=60)
    return BulkRegistrationRequest.for_mentors([f"mentor-{number}-{each}" for each in range(size)], walk)


def cases(project: Project, ways: dict[str, Any]) -> dict[str, Case]:
    """
    Return what is measured, by its name.
    """
    found: dict[str, Callable[[], float]] = {
        "500 records, one direct SQL call": lambda: directly(project),
        "500 records, one call over PostgREST": lambda: over_postgrest(
            project, size=RECORDS, per_call=RECORDS
        ),
        "500 records, 500 calls over PostgREST": lambda: over_postgrest(project, size=SINGLE, per_call=1),
    }
    for name, url in ways.items():
        found[f"{ITEMS:,} durable registrations, {name}"] = lambda url=url: durable_batch(url)  # type: ignore[misc]  # bound when it is made
    return found


def _row(name: str, seconds: float) -> list[str]:
    size = ITEMS if "durable" in name else RECORDS
    return [name, f"{1e3 * seconds:,.0f}", f"{1e6 * seconds / size:,.0f}"]


def measure() -> Story:
    """
    Measure all of it in turns.
    """
    with ExitStack() as running:
        server = running.enter_context(running_server(find_programs()))
        project = running.enter_context(running_project(Databases(server.folder)))
        pooled = {
            f"PgBouncer in {mode} mode": running.enter_context(
                running_pooler(server.folder, pool_mode=mode, default_pool_size=3)
            ).front(project.url)
            for mode in ("session", "transaction")
        }
        took = medians(cases(project, {"direct": project.url, **pooled}), rounds=ROUNDS)
    one, page, single, direct, _, transaction = took.values()
    return Story(
        title=f"Records over PostgREST, and the ledger through PgBouncer: ms, medians of {ROUNDS} rounds",
        tables=[
            Table(
                heading=["", "ms", "µs per record"],
                rows=[_row(name, seconds) for name, seconds in took.items()],
            )
        ],
        targets=[
            Target(
                what="time of one call over PostgREST, ratio to one direct SQL call",
                figure=page / one,
                at_most=2,
            ),
            Target(what="time of 500 calls, ratio to one call of 500", figure=single / page, at_least=25),
            Target(
                what="time of a durable batch through PgBouncer in transaction mode, ratio to direct",
                figure=transaction / direct,
                at_most=1.3,
            ),
        ],
    )


if __name__ == "__main__":
    tell(measure)
