"""
Removes old notices, messages and runs, except those that still have work to do.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, delete, exists, or_, update

from proxy_orchestration.notification.notices import Audience, NoticeStatus, PushState
from proxy_orchestration.storage.sql.dialect.moments import is_over
from proxy_orchestration.storage.sql.notification.inbox import HAS_LATER
from proxy_orchestration.storage.sql.notification.schema import (
    notification_run_shares,
    notification_runs,
    notifications,
    push_outbox,
)
from proxy_orchestration.storage.sql.schema import Instant

_BEFORE = bindparam("before", type_=Instant)
_WAITS_TO_BE_SENT = exists().where(
    push_outbox.c.message_id == notifications.c.notification_id,
    push_outbox.c.state.in_([PushState.QUEUED.value, PushState.LEASED.value]),
)
_EMPTY_NOTICES = (
    update(notifications)
    .where(
        notifications.c.created_at < _BEFORE,
        notifications.c.purged_at.is_(None),
        or_(notifications.c.status != NoticeStatus.PENDING.value, HAS_LATER),
        or_(notifications.c.digest_id.is_not(None), notifications.c.audience == Audience.MENTOR.value),
        ~_WAITS_TO_BE_SENT,
    )
    .values(
        status=NoticeStatus.CLEARED.value,
        title="",
        body="",
        deep_link=None,
        note="",
        holder_name=None,
        acknowledged_by=None,
        purged_at=_BEFORE,
    )
)
_newer = push_outbox.alias("newer")
_IS_LAST_DIGEST = and_(
    push_outbox.c.digest_date.is_not(None),
    push_outbox.c.state == PushState.SENT.value,
    ~exists().where(
        _newer.c.digest_date.is_not(None),
        _newer.c.recipient_id == push_outbox.c.recipient_id,
        _newer.c.state == PushState.SENT.value,
        or_(
            _newer.c.claimed_at > push_outbox.c.claimed_at,
            and_(
                _newer.c.claimed_at == push_outbox.c.claimed_at,
                _newer.c.message_id > push_outbox.c.message_id,
            ),
        ),
    ),
)
_DONE = push_outbox.c.state.in_([PushState.SENT.value, PushState.CANCELLED.value, PushState.EXPIRED.value])
_PAST_REPLAY = and_(
    push_outbox.c.state == PushState.DEAD.value,
    push_outbox.c.digest_date.is_(None),
    push_outbox.c.expires_at < _BEFORE,
)
_OLD_PUSHES = delete(push_outbox).where(
    push_outbox.c.due_at < _BEFORE,
    # Of a cancelled one: an attempt that its dispatcher was killed with is not waited for.
    or_(push_outbox.c.lease_until.is_(None), is_over(push_outbox.c.lease_until, push_outbox.c.lease_ttl)),
    or_(_DONE, _PAST_REPLAY),
    ~_IS_LAST_DIGEST,
)
_OLD_SHARES = delete(notification_run_shares).where(notification_run_shares.c.started_at < _BEFORE)
_OLD_RUNS = delete(notification_runs).where(notification_runs.c.started_at < _BEFORE)


def purge_notices(connection: Connection, /, *, created_before: datetime) -> int:
    """
    Empty old notices that wait for nobody, and show them no more; return how many.
    """
    return connection.execute(_EMPTY_NOTICES, {"before": created_before}).rowcount


def purge_pushes(connection: Connection, /, *, due_before: datetime) -> int:
    """
    Delete old messages that are done with; return how many.
    """
    return connection.execute(_OLD_PUSHES, {"before": due_before}).rowcount


def purge_runs(connection: Connection, /, *, started_before: datetime) -> int:
    """
    Delete old runs from the log; return how many.
    """
    connection.execute(_OLD_SHARES, {"before": started_before})
    return connection.execute(_OLD_RUNS, {"before": started_before}).rowcount
