"""
Settled runs of which the host is not known to have been told.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, bindparam, func, null, select, update

from proxy_orchestration.registration.batches import BatchSummary
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.moments import is_over, remaining
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.registration.batches import read_settled
from proxy_orchestration.storage.sql.schema import batches, runs

_UNTOLD = runs.c.untold_until.is_not(None)  # in the partial index's own words
_RUN = and_(runs.c.batch == bindparam("b"), runs.c.run == bindparam("r"))

_CLAIM = (
    select(runs.c.batch, runs.c.run)
    .where(_UNTOLD, is_over(runs.c.untold_until, runs.c.untold_hold))
    .order_by(runs.c.untold_until)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_HOLD = (
    update(runs)
    .where(_RUN)
    .values(untold_until=store_now() + bindparam("length"), untold_hold=bindparam("length"))
)
_WAIT = select(func.min(remaining(runs.c.untold_until, runs.c.untold_hold))).where(_UNTOLD)
_TOLD = (
    update(runs)
    .where(
        runs.c.batch
        == select(batches.c.id).where(batches.c.batch_id == bindparam("wanted")).scalar_subquery(),
        runs.c.run == bindparam("r"),
    )
    .values(untold_until=null(), untold_hold=null())
)


def claim_endings(connection: Connection, *, limit: int, hold: float) -> Sequence[BatchSummary]:
    """
    Return untold runs that nobody holds, and hold them.
    """
    keys = [{"b": row.batch, "r": row.run} for row in connection.execute(_CLAIM, {"most": limit})]
    if keys:
        connection.execute(_HOLD, [{**key, "length": float(hold)} for key in keys])
    return [read_settled(connection, key) for key in keys]


def endings_wait(connection: Connection) -> float | None:
    """
    Return the seconds until an untold run is free, or `None` without any.
    """
    seconds: float | None = connection.execute(_WAIT).scalar()
    return seconds


def mark_told(connection: Connection, batch_id: str, run: int, /) -> None:
    """
    Note that the host was told.
    """
    connection.execute(_TOLD, {"wanted": findable(batch_id), "r": run})
