"""
Which runs may be driven, by whoever is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, case, or_, select

from proxy_orchestration._moments import CLOCK_SLACK
from proxy_orchestration.registration.runs import DrivableRun
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.moments import lies_ahead
from proxy_orchestration.storage.sql.registration.pausing import is_paused
from proxy_orchestration.storage.sql.schema import batches, runs

# Written by a clock that was set back since. Code of revision 0005 keeps no ttl; decision 125.
IS_FROM_A_LATER_CLOCK: Final = and_(
    runs.c.called_fence == runs.c.fence, runs.c.lease_until > store_now() + runs.c.lease_ttl + CLOCK_SLACK
)
_REMAINING = case(
    (IS_FROM_A_LATER_CLOCK, 0.0),
    (runs.c.lease_until > store_now(), runs.c.lease_until - store_now()),
    else_=0.0,
)
# A driver of older code acquires and leaves the due time of the one before where it was.
_WAITS = and_(lies_ahead(runs.c.due_at, runs.c.waits), runs.c.lease_until == 0.0)
_DUE_IN = case((_WAITS, runs.c.due_at - store_now()), else_=0.0)
_DRIVABLE = (
    select(
        batches.c.batch_id,
        runs.c.run,
        runs.c.fence,
        _REMAINING.label("remaining"),
        _DUE_IN.label("due_in"),
    )
    .join(batches, batches.c.id == runs.c.batch)
    .where(runs.c.settled_at.is_(None), ~is_paused(runs))
    .order_by("remaining", batches.c.submitted_at, batches.c.id)
    .limit(bindparam("most"))
)
_DUE = _DRIVABLE.where(~_WAITS)
ALONE: Final = batches.c.service_name == bindparam("accepted_by")
OWN_OR_NAMELESS: Final = or_(
    batches.c.service_name.is_(None), batches.c.service_name == bindparam("service_name")
)


def find_drivable(
    connection: Connection,
    *,
    limit: int,
    due_only: bool = False,
    service_name: str | None = None,
    accepted_by: str | None = None,
) -> Sequence[DrivableRun]:
    """
    Return runs that are not settled, the free ones first.

    With `service_name` those of batches that were accepted under it or under none, with
    `accepted_by` those under it alone.
    """
    wanted: dict[str, Any] = {"most": limit}
    statement = _DUE if due_only else _DRIVABLE
    if service_name is not None:
        statement, wanted["service_name"] = statement.where(OWN_OR_NAMELESS), service_name
    if accepted_by is not None:
        statement, wanted["accepted_by"] = statement.where(ALONE), accepted_by
    return [
        DrivableRun(
            batch_id=row.batch_id,
            run=row.run,
            fence=row.fence,
            lease_remaining=row.remaining,
            due_in=row.due_in,
        )
        for row in connection.execute(statement, wanted)
    ]
