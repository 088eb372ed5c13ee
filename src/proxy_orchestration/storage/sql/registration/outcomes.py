"""
The append-only log of outcomes: written in order, read by cursor, counted by newest entry.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Dialect,
    Select,
    and_,
    bindparam,
    func,
    insert,
    literal,
    select,
    true,
)

from proxy_orchestration.registration.batches import CANCELLED, BulkProgressUpdate, MentorOutcome
from proxy_orchestration.registration.runs import ItemOutcome
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.dialect.inserts import insert_rows
from proxy_orchestration.storage.sql.dialect.lookups import looked_up, one_by_one
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.registration.rows import mentor_outcome, outcome_row
from proxy_orchestration.storage.sql.schema import LARGEST, Instant, batches, items, outcomes, runs, work

LOG_COLUMNS: Final = (
    outcomes.c.sequence,
    outcomes.c.state,
    outcomes.c.activity_id,
    outcomes.c.code,
    outcomes.c.message,
    outcomes.c.retryable,
    outcomes.c.conflicting_activity_id,
    outcomes.c.attempts,
    outcomes.c.settled_at,
)
_LOG_WIDTH: Final = len(LOG_COLUMNS)
_PAGE: Final = 1_000

_ITEMS = select(items.c.position, items.c.mentor_id, items.c.item_key).where(items.c.batch == bindparam("b"))
_LOG = (
    select(*LOG_COLUMNS, outcomes.c.item)
    .where(outcomes.c.batch == bindparam("b"))
    .order_by(outcomes.c.sequence)
)
SETTLED_IN_RUN = one_by_one(
    outcomes.c.batch == work.c.batch, outcomes.c.item == work.c.item, outcomes.c.run == work.c.run
)
"""Whether a piece of work has its outcome."""

_OPEN = select(work.c.item, work.c.position).where(
    work.c.batch == bindparam("b"),
    work.c.run == bindparam("r"),
    ~SETTLED_IN_RUN,
)

_UNCLAIMED = and_(
    work.c.batch == bindparam("b"),
    work.c.run == bindparam("r"),
    work.c.position > bindparam("claimed"),
    work.c.in_doubt.is_(False),
    ~SETTLED_IN_RUN,
)
_CANCEL_UNCLAIMED = (
    insert(outcomes)
    .from_select(
        [
            "batch",
            "sequence",
            "run",
            "item",
            "state",
            "code",
            "message",
            "retryable",
            "attempts",
            "settled_at",
            "epoch",
            "in_doubt",
        ],
        select(
            work.c.batch,
            bindparam("tail") + func.row_number().over(order_by=work.c.position),
            work.c.run,
            work.c.item,
            literal(ItemState.CANCELLED.value),
            literal(CANCELLED.code),
            literal(CANCELLED.message),
            true(),
            literal(0),
            bindparam("at", type_=Instant()),
            work.c.epoch,
            work.c.in_doubt,
        ).where(_UNCLAIMED),
    )
    .execution_options(preserve_rowcount=True)
)


@lru_cache(maxsize=8)
def _updates(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    # The log has no gaps: a page has two ends, where a limit would let the planner sort all that follows;
    # decision 57.
    wanted = batches.c.batch_id == bindparam("wanted")
    batch, total = (
        select(column).where(wanted).scalar_subquery() for column in (batches.c.id, batches.c.total)
    )
    of_entry = and_(items.c.batch == outcomes.c.batch, items.c.position == outcomes.c.item)
    with_item, item = looked_up(outcomes, items, of_entry, dialect)
    of_run = and_(runs.c.batch == outcomes.c.batch, runs.c.run == outcomes.c.run)
    joined, run = looked_up(with_item, runs, of_run, dialect)
    return (
        select(
            *LOG_COLUMNS,
            item.c.mentor_id,
            item.c.item_key,
            outcomes.c.run,
            run.c.run_items,
            run.c.base,
            total,
        )
        .select_from(joined)
        .where(outcomes.c.batch == batch, outcomes.c.sequence.between(bindparam("first"), bindparam("last")))
        .order_by(outcomes.c.sequence)
    )


def append(
    connection: Connection, settled: Sequence[ItemOutcome], *, batch: int, run: int, after: int
) -> None:
    """
    Append the outcomes to the log, from the sequence that follows `after`.
    """
    rows = log_rows(settled, batch=batch, run=run, after=after, dialect=connection.dialect)
    insert_rows(connection, outcomes, rows)


def log_rows(
    settled: Sequence[ItemOutcome], *, batch: int, run: int, after: int, dialect: Dialect
) -> list[tuple[Any, ...]]:
    """
    Return the log's rows of these outcomes, from the sequence that follows `after`.
    """
    return [
        outcome_row(outcome, batch=batch, run=run, sequence=sequence, dialect=dialect)
        for sequence, outcome in enumerate(settled, start=after + 1)
    ]


def cancel_unclaimed(connection: Connection, values: Mapping[str, Any]) -> int:
    """
    Cancel what lies above the watermark and is not in doubt; return how many items.
    """
    return connection.execute(_CANCEL_UNCLAIMED, values).rowcount


def read_updates(
    connection: Connection, batch_id: str, /, *, after: int, limit: int
) -> Sequence[BulkProgressUpdate]:
    """
    Return at most `limit` entries of the batch's log that follow `after`.
    """
    last = min(after + limit, LARGEST)
    asked = {"wanted": findable(batch_id), "first": after + 1, "last": last}
    rows = connection.execute(_updates(connection.dialect), asked).all()
    return [_update(batch_id, row) for row in rows]


def _update(batch_id: str, row: Any) -> BulkProgressUpdate:  # noqa: ANN401 - SQLAlchemy's row
    mentor_id, own_key, run, run_items, base, total = row[_LOG_WIDTH:]
    outcome = mentor_outcome(mentor_id, own_key, row[:_LOG_WIDTH])
    return BulkProgressUpdate(
        batch_id=batch_id,
        run=run,
        sequence=row[0],
        outcome=outcome,
        settled=total - run_items + row[0] - base,
        total=total,
    )


def newest_outcomes(
    connection: Connection, *, batch: int, run: int, claimed: int, settled: bool
) -> tuple[MentorOutcome, ...]:
    """
    Return every item's newest outcome, or that it is open, in request order; in a settled run none is.
    """
    key = {"b": batch, "r": run}
    mentors: dict[int, tuple[str, str | None]] = {
        position: (mentor_id, own_key)
        for position, mentor_id, own_key in _in_pages(connection.execute(_ITEMS, key))
    }
    newest: dict[int, MentorOutcome] = {}
    for row in _in_pages(connection.execute(_LOG, key)):
        item = row[_LOG_WIDTH]
        newest[item] = mentor_outcome(*mentors[item], row[:_LOG_WIDTH])
    for item, position in () if settled else connection.execute(_OPEN, key).all():
        state = ItemState.RUNNING if position <= claimed else ItemState.PENDING
        mentor_id, own_key = mentors[item]
        newest[item] = MentorOutcome(mentor_id=mentor_id, state=state, item_key=own_key or mentor_id)
    return tuple(newest[item] for item in sorted(mentors))


def _in_pages(result: Any) -> Iterator[Any]:  # noqa: ANN401 - rows of any width, as the two type checkers read them
    """
    Return the rows; of a large batch there are never many at once.

    The garbage collector stops every thread for as long as it looks at them.
    """
    return itertools.chain.from_iterable(result.partitions(_PAGE))
