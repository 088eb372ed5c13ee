"""
Many free runs at once, for those who serve: found by an index, skipped where another one takes them.

What is looked for is selected and locked first, and then changed by its key: an
update over a limited selection may take more than was asked for, since
PostgreSQL may run the selection again (decision 291).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    case,
    literal_column,
    select,
    union_all,
    update,
)

from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.runs import Lease, WorkItem
from proxy_orchestration.storage.sql.dialect.differences import is_any_of, listed, store_now
from proxy_orchestration.storage.sql.dialect.json_tables import json_integer, json_rows
from proxy_orchestration.storage.sql.dialect.lookups import looked_up, one_by_one
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.registration.drivable import ALONE, OWN_OR_NAMELESS
from proxy_orchestration.storage.sql.registration.pausing import is_paused
from proxy_orchestration.storage.sql.registration.rows import work_columns, work_item
from proxy_orchestration.storage.sql.registration.runs import LEASED, TAKEN, lease_on
from proxy_orchestration.storage.sql.schema import IS_DUE_AT_ANY_TIME, IS_UNHELD, batches, items, runs, work

_NOW: Final = select(store_now()).scalar_subquery()  # read once, so that an index is searched by it
_NOTHING: Final[ColumnElement[int]] = literal_column("0", Integer)
_COLUMNS: Final = (runs.c.batch, runs.c.run, runs.c.claimed)
_WITHIN: Final = and_(runs.c.due_at > _NOTHING, runs.c.due_at <= _NOW)
_IS_LEFT: Final = and_(
    runs.c.settled_at.is_(None), ~is_paused(runs), runs.c.lease_until > _NOTHING, runs.c.lease_until <= _NOW
)
_KINDS: Final = (
    select(*_COLUMNS).where(IS_UNHELD, IS_DUE_AT_ANY_TIME).order_by(runs.c.batch, runs.c.run),
    select(*_COLUMNS).where(IS_UNHELD, _WITHIN).order_by(runs.c.due_at),
    select(*_COLUMNS).where(_IS_LEFT).order_by(runs.c.lease_until),
)
"""What nobody drove or waited with, what waited for its time, and what a dead driver left."""

_FRESH: Final = and_(
    runs.c.claimed == 0,
    runs.c.cancel_wished_at.is_(None),
    select(batches.c.mode).where(batches.c.id == runs.c.batch).scalar_subquery()
    != SubmissionMode.ATOMIC.value,
)
"""Runs of which the first items are claimed at once; as `begin` has it."""


def _least(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    return case((one < other, one), else_=other)


_CLAIM: Final = _least(bindparam("claim", type_=Integer), runs.c.base + runs.c.run_items - runs.c.tail)
_CALLED: Final = _least(bindparam("called", type_=Integer), _CLAIM)
_CHOSEN, (_BATCH, _RUN) = json_rows("chosen", json_integer, json_integer)
_TAKE: Final = (
    update(runs)
    .where(runs.c.batch == _BATCH, runs.c.run == _RUN)
    .values(
        TAKEN
        | {
            "claimed": case((_FRESH, _CLAIM), else_=runs.c.claimed),
            "called": case((_FRESH, _CALLED), else_=runs.c.called),
            "called_fence": case((_FRESH, runs.c.fence + 1), else_=TAKEN["called_fence"]),
        }
    )
    .returning(
        *LEASED,
        select(batches.c.batch_id).where(batches.c.id == runs.c.batch).scalar_subquery().label("batch_id"),
    )
)


@lru_cache(maxsize=32)
def _free(
    dialect: Dialect, *, leaves_out: bool, names_service: bool, is_scoped: bool
) -> Select[*tuple[Any, ...]]:
    conditions: list[ColumnElement[bool]] = []
    if leaves_out:
        left_out = select(batches.c.id).where(is_any_of(batches.c.batch_id, "except_for", dialect))
        conditions.append(runs.c.batch.not_in(left_out))
    if names_service:
        conditions.append(one_by_one(batches.c.id == runs.c.batch, OWN_OR_NAMELESS))
    if is_scoped:
        conditions.append(one_by_one(batches.c.id == runs.c.batch, ALONE))
    kinds = [
        kind.where(*conditions).limit(bindparam("most")).with_for_update(skip_locked=True).subquery()
        for kind in _KINDS
    ]
    found = union_all(*map(select, kinds)).subquery("found")
    return select(found).order_by(found.c.batch, found.c.run).limit(bindparam("most"))


@lru_cache(maxsize=8)
def _claimed(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    table, (batch, run, high) = json_rows("fresh", json_integer, json_integer, json_integer)
    of_run = and_(work.c.batch == batch, work.c.run == run, work.c.position <= high)
    with_work, piece = looked_up(table, work, of_run, dialect)
    of_work = and_(items.c.batch == piece.c.batch, items.c.position == piece.c.item)
    joined, item = looked_up(with_work, items, of_work, dialect)
    return (
        select(*work_columns(item, piece), piece.c.batch)
        .select_from(joined)
        .order_by(piece.c.batch, piece.c.position)
    )


def take_free_runs(  # noqa: PLR0913 - the port's arguments, and the connection
    connection: Connection,
    *,
    limit: int,
    ttl: float,
    claim: int,
    called: int,
    except_for: Collection[str] = (),
    service_name: str | None = None,
    accepted_by: str | None = None,
) -> Sequence[Lease]:
    """
    Take the leases of free and due runs, those of the batches that were accepted first, with first claims.

    With `accepted_by` only of batches that were accepted under that name.
    """
    dialect = connection.dialect
    found = connection.execute(
        _free(
            dialect,
            leaves_out=bool(except_for),
            names_service=service_name is not None,
            is_scoped=accepted_by is not None,
        ),
        {
            "most": limit,
            "except_for": listed(map(findable, except_for), dialect),
            "service_name": service_name,
            "accepted_by": accepted_by,
        },
    ).all()
    if not found:
        return ()
    chosen = json.dumps([(one.batch, one.run) for one in found])
    limits = {"ttl": float(ttl), "claim": claim, "called": called}
    taken = {row.batch: row for row in connection.execute(_TAKE, {"chosen": chosen, **limits})}
    fresh = [row for one in found if not one.claimed and (row := taken[one.batch]).claimed]
    claimed = _claimed_items(connection, fresh)
    # An update returns its rows in any order.
    return [
        lease_on(connection, row.batch_id, row, claimed.get(row.batch))
        for row in (taken[one.batch] for one in found)
    ]


def _claimed_items(connection: Connection, fresh: Sequence[Row[Any]]) -> dict[int, tuple[WorkItem, ...]]:
    if not fresh:
        return {}
    wanted = json.dumps([(run.batch, run.run, run.claimed) for run in fresh])
    found: dict[int, list[WorkItem]] = defaultdict(list)
    for *piece, batch in connection.execute(_claimed(connection.dialect), {"fresh": wanted}):
        found[batch].append(work_item(piece))
    return {batch: tuple(pieces) for batch, pieces in found.items()}
