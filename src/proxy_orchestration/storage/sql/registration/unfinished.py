"""
What is known of claimed work without an outcome: told by drivers, read by the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Connection,
    Dialect,
    Insert,
    Row,
    Select,
    and_,
    bindparam,
    select,
    true,
    update,
)

from proxy_orchestration.registration.runs import UnfinishedItem, WorkItem
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.inserts import upserting
from proxy_orchestration.storage.sql.dialect.lookups import looked_up
from proxy_orchestration.storage.sql.dialect.moments import remaining
from proxy_orchestration.storage.sql.registration.outcomes import SETTLED_IN_RUN
from proxy_orchestration.storage.sql.registration.rows import work_columns, work_item
from proxy_orchestration.storage.sql.schema import items, runs, unfinished, work

_ITEM_OF_WORK = and_(items.c.batch == work.c.batch, items.c.position == work.c.item)
_OF_WORK = and_(
    unfinished.c.batch == work.c.batch,
    unfinished.c.run == work.c.run,
    unfinished.c.position == work.c.position,
)
_OF_RUN = and_(unfinished.c.batch == bindparam("b"), unfinished.c.run == bindparam("r"))
_KEY = ("batch", "run", "position")
_WORK_WIDTH = len(work_columns(items))
_TOLD = ("due_at", "waits", "calls", "rounds", "in_doubt", "not_seen", "is_called", "reason")
_DUE_IN = remaining(unfinished.c.due_at, unfinished.c.waits)

_DOUBT_ALL = update(unfinished).where(_OF_RUN).values(is_called=True, in_doubt=True)
_FORGET_ALONE = (
    update(runs).where(runs.c.batch == bindparam("b"), runs.c.run == bindparam("r")).values(alone=None)
)
_IS_OPEN = select(work.c.item).where(
    work.c.batch == bindparam("b"),
    work.c.run == bindparam("r"),
    work.c.position == bindparam("place"),
    ~SETTLED_IN_RUN,
)


@lru_cache(maxsize=8)
def _work_without_outcome(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    joined, item = looked_up(work, items, _ITEM_OF_WORK, dialect)
    return (
        select(
            *work_columns(item),
            _DUE_IN.label("due_in"),
            unfinished.c.calls,
            unfinished.c.rounds,
            unfinished.c.in_doubt.label("doubted"),
            unfinished.c.not_seen,
            unfinished.c.is_called,
            unfinished.c.deaths,
            unfinished.c.reason,
        )
        .select_from(joined.outerjoin(unfinished, _OF_WORK))
        .where(
            work.c.batch == bindparam("b"),
            work.c.run == bindparam("r"),
            work.c.position <= bindparam("high"),
            ~SETTLED_IN_RUN,
        )
        .order_by(work.c.position)
    )


@lru_cache(maxsize=8)
def _tell(dialect: Dialect) -> Insert:
    insert = upserting(unfinished, dialect).values(
        due_at=store_now() + bindparam("due_in"), waits=bindparam("due_in")
    )
    told = {name: insert.excluded[name] for name in _TOLD}
    return insert.on_conflict_do_update(index_elements=_KEY, set_=told)


@lru_cache(maxsize=8)
def _count_death(dialect: Dialect) -> Insert:
    insert = upserting(unfinished, dialect)
    counted = {"deaths": unfinished.c.deaths + 1, "is_called": true()}
    return insert.on_conflict_do_update(index_elements=_KEY, set_=counted)


class PartsOfLease(NamedTuple):
    """
    The claimed work without an outcome, by what is known of it.
    """

    begun: tuple[WorkItem, ...]
    uncalled: tuple[WorkItem, ...]
    unfinished: tuple[UnfinishedItem, ...]


NOTHING_LEFT: Final = PartsOfLease((), (), ())
"""Of a run that nobody drove before."""


def tell(connection: Connection, known: Sequence[UnfinishedItem], *, batch: int, run: int) -> None:
    """
    Keep what a driver tells of items without an outcome; their deaths stay.
    """
    if known:
        rows = [
            {
                "batch": batch,
                "run": run,
                "position": one.work.place,
                "due_in": float(one.due_in),
                "calls": one.calls,
                "rounds": one.rounds,
                "in_doubt": one.in_doubt,
                "not_seen": one.not_seen,
                "is_called": one.is_called,
                "reason": one.reason,
            }
            for one in known
        ]
        connection.execute(_tell(connection.dialect), rows)


def count_death(connection: Connection, run: Row[Any]) -> None:
    """
    Note that the driver before ended while it called an item alone, unless it had stored its outcome.
    """
    key = {"b": run.batch, "r": run.run}
    connection.execute(_FORGET_ALONE, key)
    if connection.execute(_IS_OPEN, {**key, "place": run.alone}).one_or_none() is not None:
        row = {"batch": run.batch, "run": run.run, "position": run.alone, "due_at": 0.0, "calls": 0}
        told = {"rounds": 0, "in_doubt": True, "not_seen": False, "is_called": True, "deaths": 1}
        connection.execute(_count_death(connection.dialect), row | told)


def doubt_all(connection: Connection, run: Row[Any]) -> None:
    """
    Doubt everything that was claimed: code that tells nothing of its calls drove the run in between.
    """
    connection.execute(_DOUBT_ALL, {"b": run.batch, "r": run.run})


def parts_of_lease(connection: Connection, run: Row[Any], *, called: int) -> PartsOfLease:
    """
    Return what a driver is told of the work that others claimed.
    """
    if not run.claimed:
        return NOTHING_LEFT
    key = {"b": run.batch, "r": run.run, "high": run.claimed}
    begun: list[WorkItem] = []
    uncalled: list[WorkItem] = []
    known: list[UnfinishedItem] = []
    for row in connection.execute(_work_without_outcome(connection.dialect), key).all():
        one = work_item(row[:_WORK_WIDTH])
        if row.calls is not None:
            known.append(_unfinished(one, row))
        elif one.place > called:
            uncalled.append(one)
        else:
            begun.append(one)
    return PartsOfLease(tuple(begun), tuple(uncalled), tuple(known))


def _unfinished(work_item: WorkItem, row: Row[Any]) -> UnfinishedItem:
    return UnfinishedItem(
        work=work_item,
        due_in=row.due_in,
        calls=row.calls,
        rounds=row.rounds,
        in_doubt=row.doubted,
        not_seen=row.not_seen,
        is_called=row.is_called,
        deaths=row.deaths,
        reason=row.reason,
    )
