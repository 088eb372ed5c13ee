"""
The outbox: messages are queued, claimed, completed, cancelled and replayed.

A row keeps `lease_until` until its attempt is completed, also when it is
cancelled meanwhile: what became of that attempt is still to be stored.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Row,
    and_,
    bindparam,
    case,
    func,
    label,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from proxy_orchestration.notification.notices import CertificateExpiryNotification, PushState
from proxy_orchestration.notification.records import RENEWED, LeasedPush, PushCompletion
from proxy_orchestration.storage.sql.dialect.differences import locks_rows, store_now
from proxy_orchestration.storage.sql.dialect.inserts import insert_rows_or_ignore
from proxy_orchestration.storage.sql.dialect.json_tables import (
    json_instant,
    json_integer,
    json_rows,
    json_text,
)
from proxy_orchestration.storage.sql.dialect.moments import is_found, is_over, remaining
from proxy_orchestration.storage.sql.dialect.texts import as_text, keepable
from proxy_orchestration.storage.sql.notification import digests
from proxy_orchestration.storage.sql.notification.rows import json_list, leased_of, notice_of
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
    select(push_outbox.c.message_id, push_outbox.c.due_at)
    .where(QUEUED, push_outbox.c.due_at <= bindparam("now", type_=Instant))
    .order_by(push_outbox.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    .cte("due")
)
_LEFT_OVER = (
    select(push_outbox.c.message_id, push_outbox.c.due_at)
    .where(LEASED, is_over(push_outbox.c.lease_until, push_outbox.c.lease_ttl))
    .order_by(push_outbox.c.lease_until)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    .cte("left_over")
)
_EITHER = union_all(select(_DUE), select(_LEFT_OVER)).subquery("either")
# Kept apart, or PostgreSQL may choose anew for each row that it looks at; decision 271.
_CHOSEN = (
    select(_EITHER.c.message_id)
    .order_by(_EITHER.c.due_at, _EITHER.c.message_id)
    .limit(bindparam("most"))
    .cte("chosen")
    .prefix_with("MATERIALIZED")
)
_LEASE = (
    update(push_outbox)
    .where(push_outbox.c.message_id.in_(select(_CHOSEN.c.message_id)))
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
    .returning(push_outbox)
)
_ENDED, (_ENDED_ID, _TOKEN, *_HOW) = json_rows(
    "ended",
    json_text,
    json_integer,
    json_text,
    json_text,
    json_instant,
    json_integer,
    json_integer,
    json_text,
)
_IS_HELD = and_(
    push_outbox.c.message_id == _ENDED_ID,
    push_outbox.c.token == _TOKEN,
    push_outbox.c.lease_until.is_not(None),
    or_(
        push_outbox.c.state == PushState.LEASED.value,
        and_(push_outbox.c.state == PushState.CANCELLED.value, _HOW[0] == PushState.SENT.value),
    ),
)
_ENDED_ROWS, (_ITS_ID, _ITS_TOKEN) = json_rows("ended", json_text, json_integer)
_LET_GO = (
    update(push_outbox)
    .where(
        push_outbox.c.message_id.in_(
            select(push_outbox.c.message_id)
            .join_from(
                _ENDED_ROWS,
                push_outbox,
                and_(
                    push_outbox.c.message_id == _ITS_ID,
                    push_outbox.c.token == _ITS_TOKEN,
                    push_outbox.c.state == PushState.CANCELLED.value,
                    push_outbox.c.lease_until.is_not(None),
                ),
            )
            .order_by(push_outbox.c.message_id)
            # What another call holds goes when its lease ends. To wait for it could be a deadlock: that call
            # may wait for a digest, which was locked here before.
            .with_for_update(of=push_outbox, skip_locked=True)
        ),
    )
    .values(lease_until=None)
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
_TOLD = (
    select(notifications)
    .join_from(_IDS, notifications, notifications.c.notification_id == _ID)
    .where(notifications.c.purged_at.is_(None))
)
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
    found = connection.execute(_LEASE, {"now": now, "most": limit, "hold": float(hold)}).all()
    if not found:
        return []
    rows = sorted(found, key=lambda row: (row.due_at, row.message_id))
    counted, told = digests.count(connection, rows), _told(connection, rows)
    return [leased_of(row, counted.get(row.message_id), told.get(row.message_id)) for row in rows]


def _told(connection: Connection, rows: Sequence[Row[Any]]) -> Mapping[str, CertificateExpiryNotification]:
    """
    Return the notices that these messages tell of; a message has its notice's id.
    """
    ids = [[row.message_id] for row in rows if row.digest_date is None]
    found = connection.execute(_TOLD, {"ids": json_list(ids)}).all() if ids else ()
    return {notice.notification_id: notice for notice in map(notice_of, found)}


def complete_pushes(connection: Connection, completions: Sequence[PushCompletion], /) -> int:
    """
    Store how the attempts ended; return how many leases still held.
    """
    # Of two for one lease the first counts.
    each = {(one.message_id, one.token): one for one in reversed(completions)}
    if not each:
        return 0
    rows = [_ended(each[lease]) for lease in sorted(each)]
    held = connection.execute(_complete(connection.dialect), {"ended": json_list(rows)}).all()
    told = [row for row in held if row.digest_date is not None]
    if told:
        digests.settle(connection, [(row, each[row.message_id, row.token]) for row in told])
    _let_go(connection, each.keys() - {(row.message_id, row.token) for row in held})
    return len(held)


def _let_go(connection: Connection, leases: Collection[tuple[str, int]]) -> None:
    """
    Note that the attempts at those of these messages are over which were cancelled meanwhile.
    """
    if leases:
        connection.execute(_LET_GO, {"ended": json_list(sorted(leases))})


@lru_cache(maxsize=8)
def _complete(dialect: Dialect) -> ReturningUpdate[*tuple[Any, ...]]:
    """
    Return the statement that ends those of the attempts whose leases still hold.
    """
    is_held: ColumnElement[bool] = _IS_HELD
    how: Sequence[ColumnElement[Any]] = _HOW
    if locks_rows(dialect):
        # Locked in the order in which a renewal locks what it cancels, since an update has no order.
        names = "reached", "why", "due_again", "given_back", "untried", "still_owed"
        held = (
            select(push_outbox.c.message_id, *map(label, names, _HOW))
            .join_from(_ENDED, push_outbox, _IS_HELD)
            .order_by(push_outbox.c.message_id)
            .with_for_update(of=push_outbox)
            .cte("held")
        )
        is_held, how = push_outbox.c.message_id == held.c.message_id, [held.c[name] for name in names]
    reached, why, due_again, given_back, untried, still_owed = how
    return (
        update(push_outbox)
        .where(is_held)
        .values(
            state=reached,
            code=why,
            due_at=func.coalesce(due_again, push_outbox.c.due_at),
            attempts=push_outbox.c.attempts - given_back,
            lost=push_outbox.c.lost * untried,
            owed=func.coalesce(still_owed, push_outbox.c.owed),
            lease_until=None,
        )
        .returning(
            push_outbox.c.message_id,
            push_outbox.c.recipient_id,
            push_outbox.c.token,
            push_outbox.c.due_at,
            push_outbox.c.claimed_at,
            push_outbox.c.run_id,
            push_outbox.c.digest_date,
        )
    )


def complete_and_claim(
    connection: Connection,
    completions: Sequence[PushCompletion],
    /,
    *,
    now: datetime,
    limit: int,
    hold: float,
) -> Sequence[LeasedPush]:
    """
    Store how the attempts ended, and lease the next messages that are due, all or nothing.
    """
    complete_pushes(connection, completions)
    return claim_pushes(connection, now=now, limit=limit, hold=hold)


def _ended(completion: PushCompletion) -> tuple[Any, ...]:
    due_at, owed = completion.due_at, completion.owed
    return (
        completion.message_id,
        completion.token,
        completion.state.value,
        as_text(completion.code),
        None if due_at is None else due_at.astimezone(UTC).isoformat(),
        0 if completion.counted else 1,
        int(completion.untried),
        None if owed is None else json_list(owed),
    )


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
