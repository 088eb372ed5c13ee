"""
Given-up messages by organization, and the counts of a provider's answers about devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, func, or_, select

from proxy_orchestration.notification.records import DIGEST_PREFIX_LENGTH, DeadPush, DeviceAnswers
from proxy_orchestration.storage.sql.dialect.inserts import upserting
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.notification.rows import dead_push_of
from proxy_orchestration.storage.sql.notification.schema import (
    DEAD,
    device_answers,
    notifications,
    push_outbox,
)
from proxy_orchestration.storage.sql.schema import Instant

_MESSAGE = push_outbox.c.message_id
# A mentor's message has its notice's id, a digest's ends with that of the notice which opened it.
_NOTICE = case(
    (push_outbox.c.digest_date.is_(None), _MESSAGE),
    (_MESSAGE.like("digest:%"), func.substr(_MESSAGE, len("digest:") + 1)),  # by an earlier version
    else_=func.substr(_MESSAGE, DIGEST_PREFIX_LENGTH + 1),
)
_ALL = (
    select(push_outbox, notifications.c.organization_id)
    .join_from(push_outbox, notifications, notifications.c.notification_id == _NOTICE, isouter=True)
    .where(DEAD, push_outbox.c.claimed_at.is_not(None))
    .order_by(push_outbox.c.claimed_at, push_outbox.c.message_id)
    .limit(bindparam("most"))
)
_OF_ORGANIZATION = and_(
    notifications.c.notification_id.is_not(
        None
    ),  # whose a digest is that no notice is known of, nobody knows
    or_(
        notifications.c.organization_id == bindparam("organization"),
        notifications.c.organization_id.is_(None),
    ),
)
_BEHIND = or_(
    push_outbox.c.claimed_at > bindparam("at", type_=Instant),
    and_(
        push_outbox.c.claimed_at == bindparam("at", type_=Instant),
        push_outbox.c.message_id > bindparam("message"),
    ),
)


def dead_pushes(
    connection: Connection,
    *,
    organization_id: str | None,
    after: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[DeadPush]:
    """
    Return dead messages, those claimed longest ago first.
    """
    asked = _ALL
    values: dict[str, Any] = {"most": limit}
    if organization_id is not None:
        asked = asked.where(_OF_ORGANIZATION)
        values |= {"organization": findable(organization_id)}
    if after is not None:
        asked = asked.where(_BEHIND)
        values |= {"at": after[0], "message": findable(after[1])}
    return [dead_push_of(row) for row in connection.execute(asked, values)]


def count_device_answers(
    connection: Connection, channel: str, /, *, answered: int, gone: int, window: int
) -> DeviceAnswers:
    """
    Add these to the channel's sums, and return the sums.
    """
    first = DeviceAnswers().plus(answered=answered, gone=gone, window=window)
    values = {"channel": channel, "answered": first.answered, "gone": first.gone}
    # One statement, so that of calls at once none loses the other's; as `DeviceAnswers.plus` adds.
    total = device_answers.c.answered + answered
    lost = device_answers.c.gone + gone
    upsert = (
        upserting(device_answers, connection.dialect)
        .values(values)
        .on_conflict_do_update(
            index_elements=["channel"],
            set_={
                "answered": case((total > window, total // 2), else_=total),
                "gone": case((total > window, lost // 2), else_=lost),
            },
        )
        .returning(device_answers.c.answered, device_answers.c.gone)
    )
    row = connection.execute(upsert).one()
    return DeviceAnswers(answered=row.answered, gone=row.gone)
