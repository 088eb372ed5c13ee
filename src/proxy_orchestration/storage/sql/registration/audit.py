"""
Audit events that wait to be delivered.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache

from sqlalchemy import (
    Connection,
    Delete,
    Dialect,
    Update,
    bindparam,
    delete,
    false,
    func,
    insert,
    select,
    true,
    update,
)

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.storage.sql.dialect.differences import is_any_of, listed, store_now
from proxy_orchestration.storage.sql.dialect.moments import is_found, is_over, remaining
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.registration.rows import event_of, event_text, further_text
from proxy_orchestration.storage.sql.schema import audit_events, batches

_PENDING = audit_events.c.delivered == false()  # in the partial index's own words

_CLAIM = (
    select(audit_events.c.id, audit_events.c.payload, audit_events.c.further)
    .where(_PENDING, is_over(audit_events.c.held_until, audit_events.c.hold))
    .order_by(audit_events.c.held_until, audit_events.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_OF_SERVICE = audit_events.c.service_name == bindparam("service")
_CLAIM_OF_SERVICE = _CLAIM.where(_OF_SERVICE)
_HOLD = (
    update(audit_events)
    .where(audit_events.c.id == bindparam("event"))
    .values(held_until=store_now() + bindparam("length"), hold=bindparam("length"))
)
_STORE = insert(audit_events).values(
    event_id=bindparam("event_id"),
    payload=bindparam("payload"),
    further=bindparam("further"),
    service_name=select(batches.c.service_name)
    .where(batches.c.batch_id == bindparam("of_batch"))
    .scalar_subquery(),
    held_until=store_now() + bindparam("length"),
    hold=bindparam("length"),
    delivered=False,
)
# Those that are free come first; of those that are held there are as many as deliverers.
_SOON = (
    select(remaining(audit_events.c.held_until, audit_events.c.hold).label("seconds"))
    .where(_PENDING, is_found(audit_events.c.held_until))
    .order_by(audit_events.c.held_until)
    .limit(100)
)
_FIRST, _FIRST_OF_SERVICE = _SOON.subquery(), _SOON.where(_OF_SERVICE).subquery()
_WAIT = select(func.min(_FIRST.c.seconds))
_WAIT_OF_SERVICE = select(func.min(_FIRST_OF_SERVICE.c.seconds))
_DELIVERED = update(audit_events).where(audit_events.c.event_id == bindparam("taken")).values(delivered=True)
_TAKEN = (
    select(audit_events.c.id, audit_events.c.payload)
    .where(audit_events.c.delivered == true(), audit_events.c.id > bindparam("after"))
    .order_by(audit_events.c.id)
    .limit(bindparam("most"))
)


def store_event(connection: Connection, event: AuditEvent, *, hold: float) -> None:
    """
    Store an event, held for whoever settles the run.
    """
    connection.execute(
        _STORE,
        {
            "event_id": event.event_id,
            "payload": event_text(event),
            "further": further_text(event),
            "of_batch": event.batch_id,
            "length": float(hold),
        },
    )


def claim_audit_events(
    connection: Connection, *, limit: int, hold: float, accepted_by: str | None = None
) -> Sequence[AuditEvent]:
    """
    Return undelivered events that nobody holds, and hold them; of one service's batches where one is named.
    """
    if accepted_by is None:
        rows = connection.execute(_CLAIM, {"most": limit}).all()
    else:
        rows = connection.execute(_CLAIM_OF_SERVICE, {"most": limit, "service": accepted_by}).all()
    if rows:
        connection.execute(_HOLD, [{"event": row.id, "length": float(hold)} for row in rows])
    return [event_of(row.payload, row.further) for row in rows]


def audit_wait(connection: Connection, *, accepted_by: str | None = None) -> float | None:
    """
    Return the seconds until an undelivered event is free, or `None` without any; likewise of one service.
    """
    if accepted_by is None:
        return connection.execute(_WAIT).scalar()
    return connection.execute(_WAIT_OF_SERVICE, {"service": accepted_by}).scalar()


def mark_audited(connection: Connection, event_id: str, /) -> None:
    """
    Note that the logger took the event.
    """
    connection.execute(_DELIVERED, {"taken": findable(event_id)})


def mark_all_audited(connection: Connection, event_ids: Collection[str], /) -> None:
    """
    Note that the logger took these events.
    """
    taken = sorted(map(findable, event_ids))  # in one order, so that two of them never wait for each other
    if taken:
        dialect = connection.dialect
        connection.execute(_all_delivered(dialect), {"taken": listed(taken, dialect)})


@lru_cache(maxsize=8)
def _all_delivered(dialect: Dialect) -> Update:
    return (
        update(audit_events)
        .where(is_any_of(audit_events.c.event_id, "taken", dialect))
        .values(delivered=True)
    )


def purge_audit_events(
    connection: Connection, *, settled_before: datetime, after: int, limit: int
) -> tuple[int, int | None]:
    """
    Remove those of the next `limit` taken events that tell of a run settled before that moment.

    Returns:
        how many, and the row after which to go on; `None` when none are left.
    """
    rows = connection.execute(_TAKEN, {"after": after, "most": limit}).all()
    old = [row.id for row in rows if _settled_at(row.payload) < settled_before]
    if old:
        connection.execute(_remove(connection.dialect), {"wanted": listed(old, connection.dialect)})
    return len(old), rows[-1].id if len(rows) == limit else None


def _settled_at(payload: str) -> datetime:
    return datetime.fromisoformat(json.loads(payload)["settled_at"])


@lru_cache(maxsize=8)
def _remove(dialect: Dialect) -> Delete:
    return delete(audit_events).where(is_any_of(audit_events.c.id, "wanted", dialect))
