"""
The items of a batch, as a further run would find them.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, bindparam, exists, select

from proxy_orchestration.registration.activities import decode_activity
from proxy_orchestration.registration.conflicts import Override
from proxy_orchestration.registration.openings import StoredItem
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.rows import STATES
from proxy_orchestration.storage.sql.schema import batches, items, outcomes, runs, work

_CURRENT_RUN = (
    select(runs.c.batch, runs.c.run, runs.c.claimed)
    .join(batches, and_(batches.c.id == runs.c.batch, batches.c.run == runs.c.run))
    .where(batches.c.batch_id == bindparam("wanted"))
)
_ITEMS = (
    select(items.c.position, items.c.mentor_id, items.c.activity)
    .where(items.c.batch == bindparam("b"))
    .order_by(items.c.position)
)
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
    ~exists().where(
        outcomes.c.batch == work.c.batch, outcomes.c.item == work.c.item, outcomes.c.run == work.c.run
    ),
)
_OVERRIDES = (
    select(work.c.item, work.c.override_of, work.c.override_by, work.c.override_at)
    .where(work.c.batch == bindparam("b"), work.c.override_by.is_not(None))
    .order_by(work.c.run)
)


def read_items(connection: Connection, batch_id: str) -> Sequence[StoredItem]:
    """
    Return every item of the batch in request order; none of an unknown batch.
    """
    run = connection.execute(_CURRENT_RUN, {"wanted": batch_id}).one_or_none()
    if run is None:
        return ()
    key = {"b": run.batch, "r": run.run}
    overrides = {
        row.item: Override(
            activity_id=row.override_of, decided_by=row.override_by, decided_at=row.override_at
        )
        for row in connection.execute(_OVERRIDES, key)
    }
    newest = {row.item: (STATES[row.state], *row[2:]) for row in connection.execute(_LOG, key)}
    for item, position, in_doubt in connection.execute(_OPEN, key):
        state = ItemState.RUNNING if position <= run.claimed else ItemState.PENDING
        newest[item] = (state, in_doubt, None, None)
    found = []
    for position, mentor_id, activity in connection.execute(_ITEMS, key):
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
            )
        )
    return found
