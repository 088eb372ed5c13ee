"""
Reads inboxes, and marks notices as read or postponed.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, Row, and_, bindparam, case, exists, func, or_, select, update

from proxy_orchestration.notification.inbox_pages import InboxPlace, InboxRow, InboxRows, InboxScope
from proxy_orchestration.notification.notices import NoticeStatus
from proxy_orchestration.storage.sql.dialect.json_tables import json_rows, json_text
from proxy_orchestration.storage.sql.dialect.texts import findable, keepable
from proxy_orchestration.storage.sql.notification.rows import json_list, notice_of
from proxy_orchestration.storage.sql.notification.schema import notifications
from proxy_orchestration.storage.sql.schema import Instant

_IS_PENDING = notifications.c.status == NoticeStatus.PENDING.value
_IN_SCOPE = and_(
    notifications.c.purged_at.is_(None),
    notifications.c.recipient_id == bindparam("recipient"),
    or_(
        notifications.c.organization_id == bindparam("organization"),
        and_(notifications.c.organization_id.is_(None), bindparam("unassigned", type_=Integer) == 1),
    ),
)
_later = notifications.alias("later")
# Whether the recipient has a later notice about that certificate.
# By the key's index, which begins with mentor and type: an inbox may be long.
HAS_LATER = exists().where(
    _later.c.mentor_id == notifications.c.mentor_id,
    _later.c.certificate_type == notifications.c.certificate_type,
    _later.c.recipient_id == notifications.c.recipient_id,
    or_(
        _later.c.created_at > notifications.c.created_at,
        and_(
            _later.c.created_at == notifications.c.created_at,
            _later.c.notification_id > notifications.c.notification_id,
        ),
    ),
)
_PAGE = (
    select(notifications, case((HAS_LATER, 0), else_=1).label("is_latest"))
    .where(_IN_SCOPE)
    .order_by(notifications.c.created_at.desc(), notifications.c.notification_id.desc())
    .limit(bindparam("most"))
)
_moment = bindparam("moment", type_=Instant)
_PAGE_AFTER = _PAGE.where(
    notifications.c.created_at <= _moment,
    or_(notifications.c.created_at < _moment, notifications.c.notification_id < bindparam("last")),
)
_IS_UNREAD = and_(_IS_PENDING, notifications.c.read_at.is_(None))
_UNREAD = select(func.count()).select_from(notifications).where(_IN_SCOPE, _IS_UNREAD)
_IDS, (_ID,) = json_rows("ids", json_text)
_MARK_ALL = (
    update(notifications)
    .where(_IN_SCOPE, notifications.c.read_at.is_(None))
    .values(read_at=bindparam("at", type_=Instant))
    .returning(notifications.c.status)
)
_MARK_THESE = _MARK_ALL.where(notifications.c.notification_id.in_(select(_ID).select_from(_IDS)))
_PUT_OFF = (
    update(notifications)
    .where(_IN_SCOPE, _IS_PENDING, notifications.c.notification_id == bindparam("wanted"))
    .values(remind_at=bindparam("until", type_=Instant))
)


def read_inbox(
    connection: Connection, scope: InboxScope, /, *, after: InboxPlace | None, limit: int
) -> InboxRows:
    """
    Return up to so many notices of the scope, the newest first, and how many are unread.
    """
    asked = _asked(scope)
    if after is None:
        rows = connection.execute(_PAGE, asked | {"most": limit + 1}).all()
    else:
        place = {"moment": after.created_at, "last": findable(after.notification_id)}
        rows = connection.execute(_PAGE_AFTER, asked | place | {"most": limit + 1}).all()
    return InboxRows(
        rows=tuple(map(_inbox_row, rows[:limit])),
        unread=connection.execute(_UNREAD, asked).scalar_one(),
        has_more=len(rows) > limit,
    )


def mark_read(
    connection: Connection, scope: InboxScope, notification_ids: Collection[str] | None, /, *, at: datetime
) -> int:
    """
    Note of these notices, or of all, that they were read; return how many pending ones were not.
    """
    asked = _asked(scope) | {"at": at}
    if notification_ids is None:
        marked = connection.execute(_MARK_ALL, asked).scalars().all()
    else:
        ids = json_list([one] for one in sorted(keepable(notification_ids)))
        marked = connection.execute(_MARK_THESE, asked | {"ids": ids}).scalars().all()
    return marked.count(NoticeStatus.PENDING.value)


def put_off(connection: Connection, scope: InboxScope, notification_id: str, /, *, until: datetime) -> bool:
    """
    Note until when a pending notice is put off; false where there is none.
    """
    wanted = {"wanted": findable(notification_id), "until": until}
    return connection.execute(_PUT_OFF, _asked(scope) | wanted).rowcount > 0


def _asked(scope: InboxScope) -> dict[str, Any]:
    return {
        "recipient": findable(scope.recipient_id),
        "organization": findable(scope.organization_id),
        "unassigned": int(scope.with_unassigned),
    }


def _inbox_row(row: Row[Any]) -> InboxRow:
    return InboxRow(
        notice=notice_of(row),
        ends_at=row.ends_at,
        read_at=row.read_at,
        remind_at=row.remind_at,
        is_latest=bool(row.is_latest),
    )
