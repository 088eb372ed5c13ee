"""
Lists of batches on the SQL store: read by an index, and right whoever settled a batch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, case, create_engine, event, select, true

from proxy_orchestration.access import Visibility
from proxy_orchestration.registration.batches import BatchFilter, cursor_of
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema
from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS
from proxy_orchestration.storage.sql.database.versions import REVISIONS, VERSION_TABLE
from proxy_orchestration.storage.sql.schema import batches
from proxy_orchestration.testing.contracts.registration.samples import (
    accepted,
    batch_of,
    later,
    lease_of,
    mentors,
    rerun,
    settle,
    settled_batch,
)

pytestmark = pytest.mark.one_loop


_WITH_LISTS: Final = "0017"
_BEFORE: Final = REVISIONS[REVISIONS.index(_WITH_LISTS) - 1]
_VISIBILITIES: Final = {
    "all": Visibility(organization_id="org-1"),
    "own": Visibility(organization_id="org-1", coordinator_id="coordinator-1"),
    "another's": Visibility(organization_id="org-1", coordinator_id="coordinator-2"),
}
_FILTERS: Final = {
    "any": BatchFilter(),
    "reviews": BatchFilter(needs_review=True),
    "no reviews": BatchFilter(needs_review=False),
    "label": BatchFilter(label="Spring"),
    "day": BatchFilter(submitted_from=later(2), submitted_before=later(5)),
    "coordinator": BatchFilter(coordinator_id="coordinator-1"),
}
_Answers: TypeAlias = dict[tuple[str, ...], tuple[list[str], int]]


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql(asyncio_only=True))]
)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """
    Yield a host's own engine over a database without any table.
    """
    url: Any = f"sqlite:///{tmp_path / 'store.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("bare_postgresql_url")
    engine = create_engine(url)
    yield engine
    engine.dispose()


async def _fill(repository: SqlActivityRepository) -> None:
    """
    Accept batches of every status, of which some settled once more and some are open again.
    """
    done, failed, waits = ItemState.SUCCEEDED, ItemState.FAILED, ItemState.NEEDS_REVIEW
    for number, states in enumerate(
        ([done], [failed], [done, failed], [waits], [failed, waits], [ItemState.CANCELLED], [failed], [waits])
    ):
        label = "Spring" if number % 2 else None
        batch_id = await settled_batch(repository, *states, label=label, submitted_at=later(number))
        if number > 5:
            await repository.open_run(rerun(batch_id, mentors(1)))
    settled_twice = await settled_batch(repository, failed, waits, submitted_at=later(3))
    await repository.open_run(rerun(settled_twice, mentors(1)))
    await settle(repository, settled_twice, [done], run=2)
    running, paused, cancelling, _ = [
        await accepted(repository, batch_of(2, submitted_at=later(number))) for number in range(4)
    ]
    for batch_id in (running, paused, cancelling):
        await lease_of(repository, batch_id)
    await repository.pause_run(paused, 1, paused_at=later(9))
    await repository.cancel_run(cancelling, reason=None, wished_at=later(9))


async def _answers(repository: SqlActivityRepository) -> _Answers:
    """
    Return what the lists show: everything in pages of three, what is looked for on one, others' more roughly.
    """
    statuses = {status.value: {status} for status in BulkStatus} | {"none": None, "every": set(BulkStatus)}
    answers: _Answers = {}
    for whose, what, which in product(_VISIBILITIES, _FILTERS, statuses):
        everybody_s = whose == "all"
        if not (everybody_s or what == "any" or which in {"none", "every"}):
            continue
        seen: list[str] = []
        pages, limit = ((1, 2, 3, 4, 5), 3) if everybody_s and what == "any" else ((1,), 100)
        for page in pages:
            found = await repository.list_batches(
                _VISIBILITIES[whose],
                page=page,
                limit=limit,
                statuses=statuses[which],
                found_by=_FILTERS[what],
            )
            seen += [batch.batch_id for batch in found.batches]
        answers[whose, what, which] = seen, found.total
    return answers


def _migrate(engine: Engine, revision: str, *, at_once: int | None = None) -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    if at_once is not None:
        script.get_revision(_WITH_LISTS).module._AT_ONCE = at_once

    def steps(now: Any, _context: MigrationContext) -> Any:
        back = now == (REVISIONS[-1],)
        return script._downgrade_revs(revision, now) if back else script._upgrade_revs(revision, now)

    options = {"version_table": VERSION_TABLE, "fn": steps}
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts=options)
        with Operations.context(context):
            context.run_migrations()


async def test_a_batch_that_older_code_settled_is_listed_as_it_is(empty: Engine) -> None:
    """
    Such code leaves the columns as they were: of no run, or of one before; of every second batch, and of all.
    """
    create_schema(empty)
    repository = SqlActivityRepository(empty)
    await _fill(repository)
    before = await _answers(repository)
    stale = {"settled_status": "success", "needs_review": True}
    earlier = case((batches.c.run > 1, 1), else_=0)
    with empty.connect() as connection:
        written = connection.execute(
            select(batches.c.run).where(batches.c.settled_run == batches.c.run, batches.c.run == 2)
        ).all()

    assert [(2,)] == written
    assert ("all", "any", "none") in before
    assert 13 == before["all", "any", "none"][1]
    for forgotten in (batches.c.id % 2 == 0, true()):
        with empty.begin() as connection:
            connection.execute(batches.update().values(settled_run=earlier, **stale).where(forgotten))
        assert before == await _answers(repository)


async def test_what_settled_before_the_upgrade_is_listed_by_its_columns(empty: Engine) -> None:
    """
    They are filled in pages, of which the last is not full; what is open is left out.
    """
    create_schema(empty)
    repository = SqlActivityRepository(empty)
    await _fill(repository)
    before = await _answers(repository)
    told = select(batches.c.id, batches.c.settled_run, batches.c.settled_status, batches.c.needs_review)
    current = told.where(batches.c.settled_run == batches.c.run).order_by(batches.c.id)
    with empty.connect() as connection:
        written = connection.execute(current).all()
    assert 7 == len(written)
    for at_once in (10_000, 2):
        _migrate(empty, _BEFORE)
        _migrate(empty, "head", at_once=at_once)
        with empty.connect() as connection:
            assert written == connection.execute(current).all()

    assert before == await _answers(repository)


def _watched(engine: Engine) -> list[tuple[str, Any]]:
    seen: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection: Connection, _cursor: object, statement: str, values: Any, *_rest: object) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, values))

    return seen


# A planner that knows of few rows would take any index.
@pytest.mark.parametrize("engine", ["no rows"], indirect=True)
async def test_a_page_of_batches_is_read_in_its_order(engine: Engine) -> None:
    """
    From the cursor on, whoever asks for which status; nothing is sorted but what a page holds.
    """
    repository = SqlActivityRepository(engine)
    batch_id = await settled_batch(repository, ItemState.FAILED)
    first = await repository.list_batches(_VISIBILITIES["all"], page=1, limit=1, statuses=None)
    await accepted(repository, batch_of(1))
    seen = _watched(engine)
    cursors, reviews = (None, cursor_of(first.batches[0].submitted_at, 1)), (None, True, False)
    for visibility, status in product(_VISIBILITIES.values(), [None, *BulkStatus]):
        for cursor, needs_review in product(cursors, reviews):
            found_by = BatchFilter(needs_review=needs_review, cursor=cursor)
            await repository.list_batches(
                visibility, page=1, limit=9, statuses=status and [status], found_by=found_by
            )
    pages = [one for one in seen if "AS chosen" in one[0]]

    assert batch_id == first.batches[0].batch_id
    assert 6 * len(_VISIBILITIES) * (1 + len(BulkStatus)) == len(pages)
    with engine.connect() as connection:
        for statement, values in pages:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
            steps = [row[3] for row in plan]
            assert not [step for step in steps if re.match("SCAN (batches|runs)", step)]
            searched = [step for step in steps if re.match("SEARCH batches USING (COVERING )?INDEX", step)]
            assert searched
            assert all("submitted_at<?" in step or "<= ?" not in statement for step in searched)
            parts = pairwise(steps[: steps.index("SCAN chosen")])
            assert not [after for step, after in parts if step.startswith("SEARCH") and "B-TREE" in after]


async def test_a_page_of_batches_that_nobody_drove_is_two_statements(empty: Engine) -> None:
    """
    However many are on it: their own rows tell what is pending.
    """
    create_schema(empty)
    repository = SqlActivityRepository(empty)
    for _ in range(20):
        await accepted(repository, batch_of(3))
    retried = await settled_batch(repository, ItemState.FAILED, ItemState.SUCCEEDED)
    await repository.open_run(rerun(retried, mentors(1)))
    await repository.list_batches(_VISIBILITIES["all"], page=1, limit=1, statuses=None)
    seen = _watched(empty)
    page = await repository.list_batches(
        _VISIBILITIES["all"], page=1, limit=50, statuses=[BulkStatus.PENDING]
    )
    asked = [statement for statement, _ in seen if "FROM batches" in statement or "outcomes" in statement]

    assert 2 == len(asked)
    assert [{ItemState.SUCCEEDED: 1, ItemState.PENDING: 1}] + 20 * [{ItemState.PENDING: 3}] == [
        dict(batch.counts) for batch in page.batches
    ]
