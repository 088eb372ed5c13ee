"""
Ours on PostgreSQL against what the database itself can do, and with statistics that are out of date.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import _job
import _postgresql
import psycopg
from peer_ours import COORDINATOR, opened, request_for

from proxy_orchestration import BulkRegistrationOrchestrator, ItemState
from proxy_orchestration.registration.runs import Commit, ItemOutcome, Lease, WorkItem
from proxy_orchestration.storage.sql import SqlActivityRepository

ITEMS: Final = 20_000
PER_COMMIT: Final = 500
OUTCOMES: Final = 20
COMMITS: Final = 90
BATCHES: Final = (2_000, 100_000)
GROWN: Final = (2_000, 8_000)
_TTL: Final = 300.0
_BATCH: Final = "3f0c9e5d1b7a4c2e8d6f0a9b8c7d6e5f"

_TABLE: Final = (
    "CREATE TABLE registrations (batch_id text NOT NULL, mentor_id text NOT NULL, activity text NOT NULL,"
    " state text NOT NULL, activity_id text, attempts integer NOT NULL, settled_at timestamptz,"
    " PRIMARY KEY (batch_id, mentor_id))"
)
_FILL: Final = (
    "INSERT INTO registrations SELECT %s, 'mentor-' || n, '{}', 'pending', NULL, 0, NULL"
    " FROM generate_series(0, %s) AS n"
)
_UPDATE: Final = (
    "UPDATE registrations AS r SET state = 'succeeded', activity_id = u.activity_id, attempts = 1,"
    " settled_at = u.settled_at FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[])"
    " AS u (batch_id, mentor_id, activity_id, settled_at)"
    " WHERE r.batch_id = u.batch_id AND r.mentor_id = u.mentor_id"
)
_OUR_TABLES: Final = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


def raw(url: str) -> float:
    """
    Update rows that are there, 500 per commit, and nothing else; return rows per second.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLE)
        connection.execute(_FILL, (_BATCH, ITEMS - 1))
        connection.execute("VACUUM ANALYZE registrations")
        begin = time.perf_counter()
        for first in range(0, ITEMS, PER_COMMIT):
            numbers = range(first, first + PER_COMMIT)
            mentors = [f"mentor-{number}" for number in numbers]
            moments = [datetime.now(UTC)] * PER_COMMIT
            answers = [f"activity-{number}" for number in numbers]
            connection.execute(_UPDATE, ([_BATCH] * PER_COMMIT, mentors, answers, moments))
        return ITEMS / (time.perf_counter() - begin)


def ours(url: str, *, with_result: bool) -> float:
    """
    Accept, drive, look at every update, settle, and perhaps read the result; return items per second.
    """

    async def stream(orchestrator: BulkRegistrationOrchestrator, size: int) -> float:
        request = request_for(range(size))
        begin = time.perf_counter()
        async with orchestrator.stream_bulk_registration(request, actor=COORDINATOR) as run:
            seen = sum([1 async for _update in run])
            end = time.perf_counter()
        if with_result:
            end = time.perf_counter()
        assert seen == size == len(run.result.succeeded)
        return size / (end - begin)

    async def warmed(orchestrator: BulkRegistrationOrchestrator) -> float:
        await stream(orchestrator, 200)
        return await stream(orchestrator, ITEMS)

    return _with_store(url, warmed, largest=ITEMS)


def after_growth(url: str, size: int) -> tuple[float, float]:
    """
    Return the seconds to drive a batch, and to read its result, by the statistics of a batch of two.
    """

    async def timed(orchestrator: BulkRegistrationOrchestrator) -> tuple[float, float]:
        await _accept(orchestrator, 2, drive=True)
        _freeze_statistics(url)
        request = request_for(range(size))
        begin = time.perf_counter()
        async with orchestrator.stream_bulk_registration(request, actor=COORDINATOR) as run:
            assert size == sum([1 async for _update in run])
            driven = time.perf_counter()
        return driven - begin, time.perf_counter() - driven

    return _with_store(url, timed, largest=size)


def _with_store(
    url: str, work: Callable[[BulkRegistrationOrchestrator], Awaitable[Any]], largest: int
) -> Any:
    async def stored() -> Any:
        scene = _job.Scene(folder="", delay=0.0, postgresql=url)
        async with opened(scene, 1, max_concurrency=scene.cap, max_batch_size=largest) as orchestrator:
            return await work(orchestrator)

    return asyncio.run(stored())


def commit_cost(url: str, size: int) -> float:
    """
    Return the median milliseconds of a commit of 20 outcomes that claims 20 items.

    The statistics are taken when the tables hold a settled batch of two, and stay
    so: the planner is told that a batch is tiny. What is committed are the last
    items, so that going through the batch for each of them would show.
    """
    left = OUTCOMES * (COMMITS + 1)

    async def timed(orchestrator: BulkRegistrationOrchestrator) -> float:
        await _accept(orchestrator, 2, drive=True)
        _freeze_statistics(url)
        batch_id = await _accept(orchestrator, size)
        store = orchestrator.repository
        assert isinstance(store, SqlActivityRepository)
        lease = await store.acquire(batch_id, 1, ttl=_TTL)
        assert isinstance(lease, Lease)
        work = (await store.commit(lease, Commit(claim=size - left, ttl=_TTL))).claimed
        outcomes = tuple(map(_succeeded, work))
        work = (await store.commit(lease, Commit(outcomes=outcomes, claim=OUTCOMES, ttl=_TTL))).claimed
        costs = []
        for _ in range(COMMITS):
            outcomes = tuple(map(_succeeded, work))
            begin = time.perf_counter()
            work = (await store.commit(lease, Commit(outcomes=outcomes, claim=OUTCOMES, ttl=_TTL))).claimed
            costs.append(time.perf_counter() - begin)
        return 1_000 * statistics.median(costs)

    return _with_store(url, timed, largest=size)


async def _accept(orchestrator: BulkRegistrationOrchestrator, size: int, *, drive: bool = False) -> str:
    request = request_for(range(size))
    result = await orchestrator.submit_bulk_registration(request, actor=COORDINATOR, drive=drive)
    return result.batch_id


def _freeze_statistics(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for (table,) in connection.execute(_OUR_TABLES).fetchall():
            name = psycopg.sql.Identifier(table)
            connection.execute(
                psycopg.sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = false)").format(name)
            )
        connection.execute("ANALYZE")


def _succeeded(work: WorkItem) -> ItemOutcome:
    return ItemOutcome(
        work,
        ItemState.SUCCEEDED,
        datetime.now(UTC),
        attempts=1,
        activity_id=f"activity-{work.mentor_id}",
    )


def measure(server: _postgresql.Server, *, rounds: int) -> dict[str, Any]:
    """
    Return the medians, everybody taking turns in new databases.
    """
    cases: dict[str, Callable[[str], float]] = {
        "raw": raw,
        "ours": lambda url: ours(url, with_result=False),
        "ours, result read": lambda url: ours(url, with_result=True),
        **{f"commit at {size}": lambda url, size=size: commit_cost(url, size) for size in BATCHES},
    }
    found: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        for place, (name, case) in enumerate(cases.items()):
            database = f"limits_{number}_{place}"
            found[name].append(case(server.create(database)))
            server.drop(database)
            print("limits", name, f"{found[name][-1]:,.2f}", flush=True)
    medians = {name: statistics.median(values) for name, values in found.items()}
    return {**medians, "grown": {str(size): _grown(server, size, rounds) for size in GROWN}}


def _grown(server: _postgresql.Server, size: int, rounds: int) -> tuple[float, float]:
    pairs = []
    for number in range(rounds):
        database = f"grown_{size}_{number}"
        pairs.append(after_growth(server.create(database), size))
        server.drop(database)
        print("grown", size, *(f"{seconds:.2f}" for seconds in pairs[-1]), flush=True)
    driven, read = zip(*pairs, strict=True)
    return statistics.median(driven), statistics.median(read)
