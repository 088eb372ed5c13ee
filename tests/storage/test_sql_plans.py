"""
By which way the SQL store's statements reach their rows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from small_batches import (
    accept_together,
    commit_together,
    ending_of,
    finish_together,
    new_batch,
    parts_of,
)
from sqlalchemy import Connection, Engine, event

from proxy_orchestration.access import Visibility
from proxy_orchestration.registration.records import CorrectionNote, RecordFilter
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    NOON,
    OVER,
    accepted,
    activity_record,
    batch_of,
    claim,
    ended,
    lease_of,
    mentors,
    override,
    rerun,
    settled_batch,
)

# What a database plans does not depend on the event loop.
pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])


def _plan_of(connection: Connection, statement: str, parameters: Any) -> str:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    return "; ".join(row[3] for row in rows)


async def _recorded_plans(
    engine: Engine,
    repository: SqlActivityRepository,
    use: Callable[[SqlActivityRepository], Awaitable[None]] | None = None,
) -> dict[str, str]:
    """
    Run every kind of statement, or those of that use, and return the plan of each that reads or changes rows.
    """
    seen: dict[str, Any] = {}

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection: Connection, _cursor: object, statement: str, values: Any, *rest: object) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            seen[statement] = values[0] if rest[-1] else values

    await (use or _use_everything)(repository)
    event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        return {statement: _plan_of(connection, statement, values) for statement, values in seen.items()}


async def _use_everything(repository: SqlActivityRepository) -> None:
    batch_id = await settled_batch(
        repository, ItemState.FAILED, ItemState.SUCCEEDED, ItemState.FAILED, hold=OVER, idempotency_key="k"
    )
    await accepted(repository, batch_of(3, idempotency_key="k"))
    await settled_batch(repository, ItemState.SUCCEEDED, overrides={mentors(1)[0]: override("x")})
    await repository.open_run(rerun(batch_id, mentors(3)[2:], overrides={mentors(3)[2]: override("x")}))
    lease = await lease_of(repository, batch_id, 2)
    (work,) = await claim(repository, lease, 1)
    await repository.commit(lease, Commit(outcomes=(ended(work),), ttl=LONG))
    await repository.acquire(batch_id, 2, ttl=LONG)
    await repository.cancel_run(batch_id, reason=None, wished_at=NOON)
    await repository.read_result(batch_id)
    await repository.read_items(batch_id)
    await repository.read_updates(batch_id, after=0, limit=9)
    await repository.find_drivable(limit=9)
    for visibility in (
        Visibility(organization_id="org-1"),
        Visibility(organization_id="org-1", coordinator_id="coordinator-1"),
    ):
        await repository.list_batches(visibility, page=1, limit=9, statuses=[BulkStatus.RUNNING])
    await repository.claim_audit_events(limit=9, hold=LONG)
    await repository.audit_wait()
    await repository.mark_audited("no-such-event")
    await repository.release(lease)
    await repository.relabel(batch_id, None)
    await _use_activities(repository)
    await _drive_at_once(repository)
    _drive_small_ones(repository.engine)
    await repository.delete("no-such-batch")


async def _drive_at_once(repository: SqlActivityRepository) -> None:
    """
    Accept, begin and end a run with as few statements as there can be, and what serves many at once.
    """
    new = batch_of(2, overrides={mentors(2)[1]: override("x")})
    _, lease = await repository.accept_and_begin(new, ttl=LONG, claim=2, called=2)
    assert lease is not None
    outcomes = tuple(map(ended, lease.claimed_now))
    event = await repository.finish(
        lease, Commit(outcomes=outcomes, ttl=LONG), settled_at=NOON, audit_hold=OVER
    )
    await repository.mark_all_audited([event.event_id])
    for number in range(2):
        await accepted(repository, batch_of(2, idempotency_key=f"free-{number}"))
    taken = await repository.take_free_runs(limit=9, ttl=LONG, claim=2, called=2)
    await repository.get_many([lease.batch_id])
    for lease in taken:
        await repository.give_back(lease)


def _drive_small_ones(engine: Engine) -> None:
    """
    Accept several batches together, and end them together.
    """
    new = [new_batch(number, idempotency_key=f"small-{number}") for number in range(3)]
    accept_together(engine, new)
    finish_together(engine, list(map(ending_of, new[:2])))
    begun, last = parts_of(ending_of(new[2]), 4)
    commit_together(engine, [begun])
    finish_together(engine, [last])


async def _use_activities(repository: SqlActivityRepository) -> None:
    """
    Add a record twice, so that what stands for it is looked for too.
    """
    for atomic in (False, True):
        await repository.add_activities([activity_record(1, key="a day")], atomic=atomic)
    await repository.find_activities(["no-such-registration"])
    await repository.find_duplicates("org-1", ["a day", "another"])
    await repository.activities_of_batch("batch-1")
    await repository.void_activity("no-such-activity", voided_at=NOON)


def _walks(plan: str, table: str = "") -> bool:
    """
    Tell whether a plan reads a whole table.

    That of what is open only, by its partial index, is no walk, nor is a list of values that was handed over,
    nor what a part of the statement itself found.
    """
    return any(
        step.startswith((f"SCAN {table}", f"SEARCH {table}"))
        and not step.startswith("SCAN runs USING INDEX ix_runs_open")
        and not step.startswith(("SCAN CONSTANT ROW", "SCAN chosen", "SCAN anon_"))
        and "VIRTUAL TABLE" not in step
        and (step.startswith("SCAN") or "USING" not in step)
        for step in plan.split("; ")
    )


async def test_no_statement_walks_through_a_table_that_grows(engine: Engine) -> None:
    """
    Every search goes by an index.
    """
    plans = await _recorded_plans(engine, SqlActivityRepository(engine))
    walks = [statement for statement, plan in plans.items() if _walks(plan)]

    small = ("audit_events", "proxy_orchestration_version")  # told by its own test; one row

    assert [] == [statement for statement in walks if not any(name in statement for name in small)]


async def _look_through_records(repository: SqlActivityRepository) -> None:
    note = CorrectionNote(
        note_id="n", activity_id="activity-1", text="Wrong.", written_by="coordinator-1", written_at=NOON
    )
    await repository.add_activities(
        [activity_record(number, f"m-{number}") for number in range(3)], atomic=False
    )
    for coordinator_id in ("coordinator-1", None):
        visibility = Visibility(organization_id="org-1", coordinator_id=coordinator_id)
        await repository.add_correction(visibility, note)
        page = await repository.list_activities(visibility, limit=1, found_by=RecordFilter())
        for cursor in (None, page.next_cursor):
            for mentor_ids in (None, {"m-1"}):
                found_by = RecordFilter(mentor_ids=mentor_ids and frozenset(mentor_ids), cursor=cursor)
                await repository.list_activities(visibility, limit=9, found_by=found_by)


# Statistics of one row for each organization would let any index do.
@pytest.mark.parametrize("engine", ["no rows"], indirect=True)
async def test_a_list_of_records_is_read_in_its_order(engine: Engine) -> None:
    """
    By its index, from the cursor on; what is sorted is at most what was registered at one moment.
    """
    plans = await _recorded_plans(engine, SqlActivityRepository(engine), _look_through_records)
    lists = {text: plan for text, plan in plans.items() if "ORDER BY activities.activity_date" in text}

    assert 6 <= len(lists)
    assert not any(_walks(plan, table) for plan in plans.values() for table in ("activities", "correction"))
    for statement, plan in lists.items():
        assert "activity_date<?" in plan or "activity_date <=" not in statement
        assert "TEMP B-TREE FOR ORDER BY" not in plan


async def test_the_outbox_reads_only_what_is_not_delivered(engine: Engine) -> None:
    """
    Events that were taken stay for ever, and every poll would walk through them.
    """
    plans = await _recorded_plans(engine, SqlActivityRepository(engine))

    assert not any(_walks(plan, "audit_events") for plan in plans.values())


_STEPS = [
    ("AND work.position > ?", "SEARCH work USING PRIMARY KEY (batch=? AND run=? AND position>?"),
    ("FROM work JOIN items", "SEARCH items USING PRIMARY KEY (batch=? AND position=?)"),
    ("FROM work JOIN items", "SEARCH work USING PRIMARY KEY"),
    ("FROM outcomes JOIN items", "SEARCH outcomes USING PRIMARY KEY (batch=? AND sequence>? AND sequence<?)"),
    ("FROM outcomes JOIN items", "SEARCH runs USING PRIMARY KEY (batch=? AND run=?)"),
    ("UPDATE runs SET tail", "SEARCH runs USING PRIMARY KEY (batch=? AND run=?)"),
    ("UPDATE work SET override_of", "SEARCH work USING PRIMARY KEY (batch=? AND run=? AND position=?)"),
    ("FROM activities", "SEARCH activities USING INDEX"),
]


async def test_the_hot_statements_use_their_keys(engine: Engine) -> None:
    """
    Claims, the log and the fenced update read as many rows as they return.
    """
    plans = await _recorded_plans(engine, SqlActivityRepository(engine))

    for fragment, step in _STEPS:
        found = [plan for statement, plan in plans.items() if fragment in " ".join(statement.split())]

        assert found, fragment
        assert all(step in plan for plan in found), fragment
        assert not any("TEMP B-TREE" in plan for plan in found), fragment
