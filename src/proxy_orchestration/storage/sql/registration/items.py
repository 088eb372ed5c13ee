"""
The items of a batch, as a further run would find them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Select, and_, bindparam, func, select

from proxy_orchestration.errors import UnknownMentorError
from proxy_orchestration.registration.activities import decode_activity
from proxy_orchestration.registration.conflicts import Override
from proxy_orchestration.registration.ledger import NewRun, StoredItem, next_key
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.dialect.lookups import narrowed, scoped
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.registration.outcomes import SETTLED_IN_RUN
from proxy_orchestration.storage.sql.registration.rows import STATES
from proxy_orchestration.storage.sql.schema import (
    ACTIVITY,
    ITEM_KEY,
    batches,
    edits,
    items,
    outcomes,
    runs,
    work,
)

_CURRENT_RUN = (
    select(runs.c.batch, runs.c.run, runs.c.claimed)
    .join(batches, and_(batches.c.id == runs.c.batch, batches.c.run == runs.c.run))
    .where(batches.c.batch_id == bindparam("wanted"))
)
_ITEMS = (
    select(items.c.position, items.c.mentor_id, ACTIVITY.label("activity"), items.c.item_key)
    .where(items.c.batch == bindparam("b"))
    .order_by(items.c.position)
)
_POSITIONS = select(ITEM_KEY.label("item_key"), items.c.position).where(items.c.batch == bindparam("b"))
_LOG = (
    select(
        outcomes.c.item,
        outcomes.c.state,
        outcomes.c.in_doubt,
        outcomes.c.code,
        outcomes.c.conflicting_activity_id,
    )
    .where(outcomes.c.batch == bindparam("b"))
    .order_by(outcomes.c.sequence)
)
_OPEN = select(work.c.item, work.c.position, work.c.in_doubt).where(
    work.c.batch == bindparam("b"),
    work.c.run == bindparam("r"),
    ~SETTLED_IN_RUN,
)
_EDITED = (
    select(edits.c.item, func.max(edits.c.run).label("newest"))
    .where(edits.c.batch == bindparam("b"))
    .group_by(edits.c.item)
)
_OVERRIDES = (
    select(work.c.item, work.c.run, work.c.override_of, work.c.override_by, work.c.override_at)
    .where(work.c.batch == bindparam("b"), work.c.override_by.is_not(None))
    .order_by(work.c.run)
)


@lru_cache(maxsize=8)
def _outcomes_of(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    order = (outcomes.c.item, outcomes.c.run)
    found = select(*order, outcomes.c.state, outcomes.c.epoch, outcomes.c.in_doubt)
    return narrowed(found, outcomes.c.batch, outcomes.c.item, dialect, order_by=order)


def read_items(connection: Connection, batch_id: str, /) -> Sequence[StoredItem]:
    """
    Return every item of the batch in request order; none of an unknown batch.
    """
    run = connection.execute(_CURRENT_RUN, {"wanted": findable(batch_id)}).one_or_none()
    if run is None:
        return ()
    key = {"b": run.batch, "r": run.run}
    edited = {row.item: row.newest for row in connection.execute(_EDITED, key)}
    overrides = {
        row.item: Override(
            activity_id=row.override_of, decided_by=row.override_by, decided_at=row.override_at
        )
        for row in connection.execute(_OVERRIDES, key)
        if row.run >= edited.get(row.item, 0)
    }
    newest = {row.item: (STATES[row.state], *row[2:]) for row in connection.execute(_LOG, key)}
    for item, position, in_doubt in connection.execute(_OPEN, key):
        state = ItemState.RUNNING if position <= run.claimed else ItemState.PENDING
        newest[item] = (state, in_doubt, None, None)
    found = []
    for position, mentor_id, activity, own_key in connection.execute(_ITEMS, key):
        state, in_doubt, code, conflicting = newest[position]
        found.append(
            StoredItem(
                mentor_id=mentor_id,
                activity=decode_activity(activity),
                state=state,
                in_doubt=in_doubt,
                code=code,
                conflicting_activity_id=conflicting,
                override=overrides.get(position),
                item_key=own_key or mentor_id,
            )
        )
    return found


def next_keys(
    connection: Connection, batch: int, run: NewRun
) -> Iterator[tuple[str, int, ItemState, int, bool]]:
    """
    Yield in request order each named item of a settled batch, its state, and epoch and doubt of its next key.

    Raises:
        UnknownMentorError: an item is not in the batch.
    """
    positions = {row.item_key: row.position for row in connection.execute(_POSITIONS, {"b": batch})}
    if strangers := [item_key for item_key in run.mentor_ids if item_key not in positions]:
        raise UnknownMentorError(strangers)
    named = {positions[item_key]: item_key for item_key in run.mentor_ids}
    asked = scoped(batch, named, connection.dialect)
    rows = connection.execute(_outcomes_of(connection.dialect), asked)
    newest: dict[int, Any] = {row[0]: row[2:] for row in rows}
    for item, (state, epoch, in_doubt) in newest.items():
        is_edited = named[item] in run.activities
        following = next_key(STATES[state], epoch=epoch, in_doubt=in_doubt, is_edited=is_edited)
        yield named[item], item, STATES[state], *following
