"""
How the SQL store counts a batch's items: the same as its outcomes say, and without reading earlier runs.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import Connection, Engine, event, update

from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema
from proxy_orchestration.storage.sql.schema import runs
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    NOON,
    accepted,
    batch_of,
    claim,
    ended,
    lease_of,
    mentors,
    rerun,
    result_of,
    settle,
    settled_batch,
    store,
)

FAILED, SUCCEEDED = ItemState.FAILED, ItemState.SUCCEEDED


@pytest.fixture
def repository(engine: Engine) -> SqlActivityRepository:
    """
    Return a store over the host's own engine.
    """
    create_schema(engine)
    return SqlActivityRepository(engine)


async def _counted(repository: SqlActivityRepository, batch_id: str) -> dict[ItemState, int]:
    """
    Return the counts of the summary, which have to be those of the outcomes.
    """
    summary = await repository.read_summary(batch_id)
    assert summary is not None
    told = Counter(outcome.state for outcome in (await result_of(repository, batch_id)).outcomes)
    assert dict(told) == dict(summary.counts)
    return dict(summary.counts)


async def test_an_open_batch_is_counted_by_its_watermark(repository: SqlActivityRepository) -> None:
    """
    What is above it waits, what is below it and without an outcome is under way.
    """
    batch_id = await accepted(repository, batch_of(10))
    assert {ItemState.PENDING: 10} == await _counted(repository, batch_id)

    lease = await lease_of(repository, batch_id)
    work = await claim(repository, lease, 6)
    await store(repository, lease, ended(work[0]), ended(work[3], FAILED))
    expected = {SUCCEEDED: 1, FAILED: 1, ItemState.RUNNING: 4, ItemState.PENDING: 4}

    assert expected == await _counted(repository, batch_id)
    await claim(repository, lease, 100)
    assert expected | {ItemState.RUNNING: 8} == {
        **await _counted(repository, batch_id),
        ItemState.PENDING: 4,
    }


async def test_a_cancelling_batch_is_counted_by_what_is_left(repository: SqlActivityRepository) -> None:
    """
    Above the watermark only what is in doubt has no outcome yet.
    """
    states = [ItemState.UNKNOWN, FAILED, ItemState.UNKNOWN, FAILED]
    batch_id = await settled_batch(repository, *states)
    await repository.open_run(rerun(batch_id, mentors(4)))
    lease = await lease_of(repository, batch_id, 2)
    await claim(repository, lease, 1)
    await repository.cancel_run(batch_id, reason=None, wished_at=NOON)

    assert {ItemState.CANCELLED: 2, ItemState.RUNNING: 1, ItemState.PENDING: 1} == await _counted(
        repository, batch_id
    )
    await claim(repository, lease, 1)
    assert {ItemState.CANCELLED: 2, ItemState.RUNNING: 2} == await _counted(repository, batch_id)


async def test_items_outside_a_run_are_counted_once(
    engine: Engine, repository: SqlActivityRepository
) -> None:
    """
    However many runs there were, and also in a run that older code opened.
    """
    batch_id = await settled_batch(repository, SUCCEEDED, FAILED, FAILED, ItemState.SKIPPED)
    for run in range(2, 5):
        await repository.open_run(rerun(batch_id, mentors(4)[1:3], expected_run=run - 1))
        opened = {SUCCEEDED: 1, ItemState.PENDING: 2, ItemState.SKIPPED: 1}
        assert opened == await _counted(repository, batch_id)
        if run == 3:
            with engine.begin() as connection:
                connection.execute(update(runs).values(counts_outside=None))
            assert opened == await _counted(repository, batch_id)
        event_ = await settle(repository, batch_id, [FAILED, FAILED], run=run)
        assert {"succeeded": 1, "failed": 2, "skipped": 1} == event_.counts
        assert {SUCCEEDED: 1, FAILED: 2, ItemState.SKIPPED: 1} == await _counted(repository, batch_id)


async def test_a_status_reads_the_current_run_s_outcomes_only(
    engine: Engine, repository: SqlActivityRepository
) -> None:
    """
    One place of work, and the log from where the run began: neither grows with what waits or was.
    """
    batch_id = await settled_batch(repository, FAILED, FAILED)
    await repository.open_run(rerun(batch_id, mentors(2)))
    lease = await lease_of(repository, batch_id, 2)
    (work,) = await claim(repository, lease, 1)
    await repository.commit(lease, Commit(outcomes=(ended(work),), ttl=LONG))
    seen: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection: Connection, _cursor: object, statement: str, values: Any, *_: object) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, values))

    await repository.read_summary(batch_id)
    event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        plans = [
            row[3]
            for statement, values in seen
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    of_log = [plan for plan in plans if "outcomes" in plan]

    assert [
        "SEARCH outcomes USING COVERING INDEX ix_outcomes_not_succeeded (batch=? AND sequence>?)"
    ] == of_log
    assert [] == [statement for statement, _ in seen if "work" in statement and "max(" not in statement]
