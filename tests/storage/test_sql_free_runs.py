"""
How a server finds its work, and two servers theirs: by few statements, of free runs alone, each run once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, Final

import anyio
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import Connection, Engine, event

from proxy_orchestration import (
    Actor,
    BatchSummary,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    ItemState,
    ProxyActivity,
    Role,
)
from proxy_orchestration.registration.runs import Lease
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing import FaultyActivityRepository, ScriptedRegistrationService, WritePoint
from proxy_orchestration.testing.contracts.registration.samples import LONG, OVER, accepted, batch_of

_ANNA: Final = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
_VISIT: Final = ProxyActivity(activity_type="visit", activity_date=date(2025, 12, 30), duration_minutes=45)
_SOON: Final = BulkSettings(poll_interval=0.01)


@contextmanager
def _statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    seen: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection: Connection, _cursor: object, statement: str, values: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "UPDATE", "INSERT", "DELETE")) and "pragma" not in statement:
            seen.append((statement, values))

    yield seen
    event.remove(engine, "before_cursor_execute", note)


async def _take(store: SqlActivityRepository, limit: int, *, ttl: float = LONG) -> Sequence[Lease]:
    return await store.take_free_runs(limit=limit, ttl=ttl, claim=10, called=5)


async def test_fifty_runs_are_taken_by_three_statements(engine: Engine) -> None:
    """
    As many as for one; and what is read of runs is what is free, in the order of an index.
    """
    store = SqlActivityRepository(engine)
    for _ in range(61):
        await accepted(store, batch_of(2))
    await _take(store, 1)
    await _take(store, 9, ttl=OVER)
    for lease in await _take(store, 9, ttl=LONG):  # those that a dead driver left
        await store.release(lease)
    with _statements(engine) as seen:
        taken = await _take(store, 50)
    with engine.connect() as connection:
        plans = [
            "; ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values))
            for text, values in seen
        ]

    assert 3 + 9 == len(seen)  # and what was left of each run that somebody drove before
    assert [2] * 41 == [len(lease.claimed_now) for lease in taken if lease.fence == 1]
    assert 50 == len({lease.batch_id for lease in taken})
    assert "ix_runs_unheld (lease_until=? AND due_at=?)" in plans[0]
    assert "ix_runs_unheld (lease_until=? AND due_at>? AND due_at<?)" in plans[0]
    assert "ix_runs_open (lease_until>? AND lease_until<?)" in plans[0]
    assert not any("SCAN runs" in plan or "SCAN work" in plan or "SCAN items" in plan for plan in plans)


async def test_a_store_of_one_service_hands_out_that_services_runs_alone(engine: Engine) -> None:
    """
    Whatever name whoever takes them goes by.
    """
    store = SqlActivityRepository(engine)
    for name in (None, "b", "a"):
        last = await accepted(store, batch_of(1, service_name=name))
    scoped = store.only_accepted_by("a")
    taken = await scoped.take_free_runs(limit=9, ttl=LONG, claim=1, called=1, service_name="a")

    assert [last] == [lease.batch_id for lease in taken]


async def _accept(
    store: SqlActivityRepository, service: ScriptedRegistrationService, batches: int
) -> list[str]:
    orchestrator = BulkRegistrationOrchestrator(registration_service=service, repository=store)
    request = BulkRegistrationRequest.for_mentors(["mentor-1", "mentor-2"], _VISIT)
    results = [
        await orchestrator.submit_bulk_registration(request, actor=_ANNA, drive=False) for _ in range(batches)
    ]
    return [result.batch_id for result in results]


async def test_two_servers_share_the_work_and_never_race_for_a_run(tmp_path: Any) -> None:
    """
    More batches than both have places for: each is taken once, by one of them, and by nothing but taking.
    """
    service, url = ScriptedRegistrationService(), f"sqlite:///{tmp_path / 'two.db'}"
    async with SqlActivityRepository.open(url) as first, SqlActivityRepository.open(url) as second:
        batch_ids = await _accept(first, service, 130)
        stores = [FaultyActivityRepository(store) for store in (first, second)]
        left, over = {*batch_ids}, anyio.Event()

        async def note(settled: BatchSummary) -> None:
            left.discard(settled.batch_id)
            if not left:
                over.set()

        async with anyio.create_task_group() as crew:
            for store in stores:
                server = BulkRegistrationOrchestrator(
                    registration_service=service,
                    repository=store,
                    settings=_SOON,
                    on_run_settled=note,
                )
                crew.start_soon(server.serve)
            with anyio.fail_after(60):
                await over.wait()
            crew.cancel_scope.cancel()
        records = [await first.get(batch_id) for batch_id in batch_ids]

    methods = {point.method for store in stores for point in store.writes}
    assert "take_free_runs" in methods
    assert "begin" not in methods
    assert 260 == len(service.calls)
    assert all(record is not None and record.settled_at is not None for record in records)


async def test_runs_that_nobody_drives_any_more_are_given_back(tmp_path: Any) -> None:
    """
    The host left while they were taken: nobody was called, so nobody is claimed, and all are free at once.
    """
    scope, service = anyio.CancelScope(), ScriptedRegistrationService()

    def leave(point: WritePoint) -> None:
        if point.method == "take_free_runs":
            scope.cancel()

    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'late.db'}") as store:
        batch_ids = await _accept(store, service, 3)
        late = FaultyActivityRepository(store, after=leave)
        with scope:
            await BulkRegistrationOrchestrator(registration_service=service, repository=late).serve()
        results = [await store.read_result(batch_id) for batch_id in batch_ids]
        leases = await _take(store, 9)

    assert ["give_back"] * 3 == [point.method for point in late.writes if point.method != "take_free_runs"]
    assert [{ItemState.PENDING: 2}] * 3 == [dict(result.counts) for result in results if result is not None]
    assert [(2, ())] * 3 == [(lease.fence, lease.begun) for lease in leases]
    assert [] == service.calls
