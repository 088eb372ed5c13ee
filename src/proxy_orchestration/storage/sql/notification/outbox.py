"""
The outbox: messages are queued, claimed, completed, cancelled and replayed.

A row keeps `lease_until` until its attempt is completed, also when it is
cancelled meanwhile: what became of that attempt is still to be stored.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, case, func, or_, select, update

from proxy_orchestration.notification.notices import CertificateExpiryNotification, PushState
from proxy_orchestration.notification.records import NOTHING_LEFT, RENEWED, Digest, LeasedPush, PushCompletion
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.inserts import insert_rows_or_ignore
from proxy_orchestration.storage.sql.dialect.json_tables import json_instant, json_rows, json_text
from proxy_orchestration.storage.sql.dialect.moments import is_found, is_over, remaining
from proxy_orchestration.storage.sql.dialect.texts import as_text, keepable
from proxy_orchestration.storage.sql.notification import digests
from proxy_orchestration.storage.sql.notification.rows import json_list, message_of, notice_of
from proxy_orchestration.storage.sql.notification.schema import (
    LEASED,
    QUEUED,
    UNSENT,
    notifications,
    push_outbox,
)
from proxy_orchestration.storage.sql.schema import Instant

_COUNTING, (_MENTOR, _TYPE, _END) = json_rows("counting", json_text, json_text, json_instant)
_CANCEL = (
    update(push_outbox)
    .where(
        UNSENT,
        push_outbox.c.message_id.in_(
            select(push_outbox.c.message_id)
            .join_from(
                _COUNTING,
                push_outbox,
                and_(push_outbox.c.mentor_id == _MENTOR, push_outbox.c.certificate_type == _TYPE),
            )
            .where(UNSENT, or_(_END.is_(None), push_outbox.c.ends_at != _END))
            .order_by(push_outbox.c.message_id)
            .with_for_update(of=push_outbox)
        ),
    )
    .values(state=PushState.CANCELLED.value, code=RENEWED)
)
_REOPENED, (_MESSAGE, _ENDS_AT) = json_rows("reopened", json_text, json_instant)
_QUEUE_AGAIN = (
    update(push_outbox)
    .where(
        push_outbox.c.message_id.in_(select(_MESSAGE).select_from(_REOPENED)),
        push_outbox.c.state == PushState.CANCELLED.value,
        push_outbox.c.code == RENEWED,
    )
    .values(
        state=PushState.QUEUED.value,
        due_at=bindparam("due", type_=Instant),
        ends_at=select(_ENDS_AT)
        .select_from(_REOPENED)
        .where(push_outbox.c.message_id == _MESSAGE)
        .scalar_subquery(),
        run_id=bindparam("run"),
        token=push_outbox.c.token + 1,
        attempts=0,
        lost=0,
        lease_until=None,
        code="",
    )
)
_DUE = (
    select(push_outbox)
    .where(QUEUED, push_outbox.c.due_at <= bindparam("now", type_=Instant))
    .order_by(push_outbox.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_LEFT_OVER = (
    select(push_outbox)
    .where(LEASED, is_over(push_outbox.c.lease_until, push_outbox.c.lease_ttl))
    .order_by(push_outbox.c.lease_until)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_LEASE = (
    update(push_outbox)
    .where(push_outbox.c.message_id == bindparam("message"))
    .values(
        state=PushState.LEASED.value,
        lease_until=store_now() + bindparam("hold"),
        lease_ttl=bindparam("hold"),
        token=push_outbox.c.token + 1,
        attempts=push_outbox.c.attempts + 1,
        claimed_at=bindparam("now", type_=Instant),
        run_id=None,
        # A lease that is taken over ended without a completion.
        lost=push_outbox.c.lost + case((LEASED, 1), else_=0),
    )
)
_COMPLETE = (
    update(push_outbox)
    .where(
        push_outbox.c.message_id == bindparam("message"),
        push_outbox.c.token == bindparam("held"),
        push_outbox.c.lease_until.is_not(None),
        or_(
            push_outbox.c.state == PushState.LEASED.value,
            and_(
                push_outbox.c.state == PushState.CANCELLED.value,
                bindparam("reached") == PushState.SENT.value,
            ),
        ),
    )
    .values(
        state=bindparam("reached"),
        code=bindparam("why"),
        due_at=func.coalesce(bindparam("due", type_=Instant), push_outbox.c.due_at),
        attempts=push_outbox.c.attempts - bindparam("given_back"),
        lost=push_outbox.c.lost * bindparam("untried"),
        owed=func.coalesce(bindparam("still_owed"), push_outbox.c.owed),
        lease_until=None,
    )
)
_WAIT = select(
    select(func.min(push_outbox.c.due_at)).where(QUEUED).scalar_subquery(),
    select(func.min(remaining(push_outbox.c.lease_until, push_outbox.c.lease_ttl)))
    .where(LEASED, is_found(push_outbox.c.lease_until))
    .scalar_subquery(),
)
_IDS, (_ID,) = json_rows("ids", json_text)
_REPLAY_ALL = (
    update(push_outbox)
    .where(push_outbox.c.state == PushState.DEAD.value)
    .values(
        state=PushState.QUEUED.value,
        due_at=bindparam("due", type_=Instant),
        attempts=0,
        lost=0,
        lease_until=None,
        code="",
    )
)
_REPLAY = _REPLAY_ALL.where(push_outbox.c.message_id.in_(select(_ID).select_from(_IDS)))
_TOLD = select(notifications).join_from(_IDS, notifications, notifications.c.notification_id == _ID)
_COUNT = select(push_outbox.c.state, func.count()).group_by(push_outbox.c.state)


def cancel(connection: Connection, counting: Sequence[tuple[str, str, str | None]]) -> int:
    """
    Cancel what may still be sent about other ends than these, which count; return how many messages.
    """
    return connection.execute(_CANCEL, {"counting": json_list(counting)}).rowcount


def queue_again(
    connection: Connection, rows: Sequence[tuple[str, str]], waits_for: tuple[datetime, str | None]
) -> None:
    """
    Queue messages again that a renewal cancelled which does not count any more, each with its end.
    """
    connection.execute(_QUEUE_AGAIN, {"reopened": json_list(rows), "due": waits_for[0], "run": waits_for[1]})


def queue(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """
    Add messages, each a row in the table's order, unless they are there.
    """
    if rows:
        insert_rows_or_ignore(connection, push_outbox, sorted(rows, key=itemgetter(0)))


def claim_pushes(connection: Connection, *, now: datetime, limit: int, hold: float) -> Sequence[LeasedPush]:
    """
    Lease messages that are due, the longest due first, and count the attempt.
    """
    due = connection.execute(_DUE, {"now": now, "most": limit}).all()
    left_over = connection.execute(_LEFT_OVER, {"most": limit}).all()
    rows = sorted([*due, *left_over], key=lambda row: (row.due_at, row.message_id))[:limit]
    if not rows:
        return []
    connection.execute(_LEASE, [{"message": row.message_id, "hold": float(hold), "now": now} for row in rows])
    counted, told = digests.count(connection, rows), _told(connection, rows)
    return [_leased(row, counted.get(row.message_id), told.get(row.message_id)) for row in rows]


def _told(connection: Connection, rows: Sequence[Row[Any]]) -> Mapping[str, CertificateExpiryNotification]:
    """
    Return the notices that these messages tell of; a message has its notice's id.
    """
    ids = [[row.message_id] for row in rows if row.digest_date is None]
    found = connection.execute(_TOLD, {"ids": json_list(ids)}) if ids else ()
    return {row.notification_id: notice_of(row) for row in found}


def _leased(row: Row[Any], digest: Digest | None, notice: CertificateExpiryNotification | None) -> LeasedPush:
    return LeasedPush(
        message=message_of(row, digest),
        token=row.token + 1,
        attempts=row.attempts + 1,
        digest=digest,
        mentor_id=row.mentor_id,
        certificate_type=row.certificate_type,
        lost=row.lost + (row.state == PushState.LEASED.value),
        code=row.code,
        notice=notice,
    )


def complete_pushes(connection: Connection, completions: Sequence[PushCompletion], /) -> int:
    """
    Store how the attempts ended; return how many leases still held.
    """
    ordered = sorted(completions, key=lambda completion: completion.message_id)
    # One at a time: not every driver tells how many rows a list of statements changed.
    held = [one for one in ordered if connection.execute(_COMPLETE, _completion(one)).rowcount]
    digests.settle(connection, [one for one in held if one.covers or one.code == NOTHING_LEFT])
    return len(held)


def _completion(completion: PushCompletion) -> dict[str, Any]:
    return {
        "message": completion.message_id,
        "held": completion.token,
        "reached": completion.state.value,
        "why": as_text(completion.code),
        "due": completion.due_at,
        "given_back": 0 if completion.counted else 1,
        "untried": int(completion.untried),
        "still_owed": None if completion.owed is None else json_list(completion.owed),
    }


def push_wait(connection: Connection, *, now: datetime) -> float | None:
    """
    Return the seconds until a message is due; 0 if one is, `None` without any.
    """
    due_at, lease = connection.execute(_WAIT).one()
    waits: list[float] = [] if lease is None else [lease]
    if due_at is not None:
        waits.append((due_at - now).total_seconds())
    return max(0.0, min(waits)) if waits else None


def replay_dead(connection: Connection, message_ids: Collection[str] | None, /, *, now: datetime) -> int:
    """
    Queue dead messages again, these or all; return how many.
    """
    named = None if message_ids is None else keepable(message_ids)
    digests.uncover(connection, named)
    if named is None:
        return connection.execute(_REPLAY_ALL, {"due": now}).rowcount
    ids = json_list([one] for one in sorted(named))
    return connection.execute(_REPLAY, {"due": now, "ids": ids}).rowcount


def count_pushes(connection: Connection) -> Mapping[PushState, int]:
    """
    Return the messages by state; states without any are absent.
    """
    return {PushState(state): number for state, number in connection.execute(_COUNT)}
