"""
Acknowledgements of notices, and their audit rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, insert, select, update

from proxy_orchestration.notification.notices import NoticeStatus
from proxy_orchestration.notification.records import Acknowledged, AcknowledgementEvent
from proxy_orchestration.storage.sql.dialect.texts import check_texts, findable
from proxy_orchestration.storage.sql.notification import schema
from proxy_orchestration.storage.sql.notification.rows import TIERS
from proxy_orchestration.storage.sql.notification.schema import notifications

_AUDIT = schema.acknowledgements
_one = notifications.alias("one")
_COPIES = (
    select(notifications.c.notification_id)
    .join(
        _one,
        and_(
            *(
                notifications.c[name] == _one.c[name]
                for name in ("mentor_id", "certificate_type", "threshold_tier", "notification_window_start")
            )
        ),
    )
    .where(
        _one.c.notification_id == bindparam("wanted"),
        _one.c.status == NoticeStatus.PENDING.value,
        notifications.c.status == NoticeStatus.PENDING.value,
    )
    # In one order, so that two who take note of two copies do not wait for each other for ever.
    .order_by(notifications.c.notification_id)
    .with_for_update(of=notifications)
)
_MARK = (
    update(notifications)
    .where(notifications.c.notification_id.in_(bindparam("copies", expanding=True)))
    .values(
        status=NoticeStatus.ACKNOWLEDGED.value,
        acknowledged_at=bindparam("at"),
        acknowledged_by=bindparam("by"),
        note=bindparam("words"),
    )
)
_NEWEST = (
    select(_AUDIT)
    .where(_AUDIT.c.organization_id.is_not_distinct_from(bindparam("organization")))
    .order_by(_AUDIT.c.acknowledged_at.desc(), _AUDIT.c.id.desc())
    .limit(bindparam("most"))
)


def acknowledge(connection: Connection, event: AcknowledgementEvent, /) -> Acknowledged:
    """
    Mark the notice and its copies to others, and write its one audit row.
    """
    row = {
        "notification_id": event.notification_id,
        "mentor_id": event.mentor_id,
        "certificate_type": event.certificate_type,
        "threshold_tier": event.tier.value,
        "acknowledged_by": event.acknowledged_by,
        "acknowledged_at": event.acknowledged_at,
        "note": event.note,
        "organization_id": event.organization_id,
    }
    check_texts(map(str, row.values()))
    # By themselves: an update that joined them would read every notice on a server that has not counted them.
    copies = connection.execute(_COPIES, {"wanted": event.notification_id}).scalars().all()
    if event.notification_id not in copies:
        return Acknowledged.BEFORE
    noted = {"at": event.acknowledged_at, "by": event.acknowledged_by, "words": event.note}
    connection.execute(_MARK, {"copies": copies, **noted})
    connection.execute(insert(_AUDIT), row)
    return Acknowledged.NOW


def acknowledgements(
    connection: Connection, organization_id: str | None, /, *, limit: int
) -> Sequence[AcknowledgementEvent]:
    """
    Return the newest audit rows of an organization, newest first.
    """
    rows = connection.execute(
        _NEWEST, {"organization": organization_id and findable(organization_id), "most": limit}
    )
    return list(map(event_of, rows))


def event_of(row: Row[Any]) -> AcknowledgementEvent:
    """
    Return the audit row of a row.
    """
    return AcknowledgementEvent(
        notification_id=row.notification_id,
        mentor_id=row.mentor_id,
        certificate_type=row.certificate_type,
        tier=TIERS[row.threshold_tier],
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=row.acknowledged_at,
        note=row.note,
        organization_id=row.organization_id,
    )
