"""
Between notices, messages and their rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Dialect, Row
from sqlalchemy.exc import DataError, IntegrityError

from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.notification.notices import (
    Audience,
    CertificateExpiryNotification,
    NoticeKey,
    NoticeStatus,
    PushMessage,
    PushState,
)
from proxy_orchestration.notification.records import DeadPush, Digest, NoticeDraft, digest_message
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.storage.sql.dialect.types import stored_date, stored_instant

TIERS: Final = {tier.value: tier for tier in NotificationThresholdTier}
AUDIENCES: Final = {audience.value: audience for audience in Audience}
STATUSES: Final = {status.value: status for status in NoticeStatus}

_UNUSED: Final = (None,) * 6
"""What a new notice's row ends with: no digest has told it, and nobody has read it."""

# Texts stand as they are, so that the driver sees what it cannot keep.
_encode: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


@contextmanager
def refusals() -> Iterator[None]:
    """
    Turn what only this call's values can be the cause of into the error that says so.

    Raises:
        RecordRefusedError: a rule of the schema is broken, or a text cannot be kept.
    """
    try:
        yield
    except (
        IntegrityError,
        DataError,
        UnicodeEncodeError,
        OverflowError,
    ):  # the last two are drivers' own
        raise RecordRefusedError from None  # their texts may show the row, and names are in notices


def json_list(values: Iterable[object]) -> str:
    """
    Return the values as one JSON parameter.
    """
    return _encode(list(values))


def key_texts(key: NoticeKey) -> tuple[str, str, str, str, str, str]:
    """
    Return the key as texts, as JSON takes them.
    """
    return (
        key.mentor_id,
        key.certificate_type,
        key.tier.value,
        key.window_start.isoformat(),
        key.audience.value,
        key.recipient_id,
    )


def notice_row(
    notice: CertificateExpiryNotification,
    ends_at: Any,  # noqa: ANN401 - as stored
    dialect: Dialect,
) -> tuple[Any, ...]:
    """
    Return a new notice's row, in the order of the table's columns.
    """
    acknowledged_at = notice.acknowledged_at
    return (
        notice.notification_id,
        notice.mentor_id,
        notice.certificate_type,
        notice.tier.value,
        stored_date(notice.window_start, dialect),
        notice.audience.value,
        notice.recipient_id,
        notice.status.value,
        notice.title,
        notice.body,
        notice.deep_link,
        ends_at,
        stored_instant(notice.created_at, dialect),
        None if acknowledged_at is None else stored_instant(acknowledged_at, dialect),
        notice.acknowledged_by,
        notice.note,
        notice.organization_id,
        *_UNUSED,
        None if notice.expires is None else stored_date(notice.expires, dialect),
        notice.holder_name,
        notice.locale,
    )


def notice_of(row: Row[Any]) -> CertificateExpiryNotification:
    """
    Return the notice of a row.
    """
    return CertificateExpiryNotification(
        notification_id=row.notification_id,
        mentor_id=row.mentor_id,
        certificate_type=row.certificate_type,
        tier=TIERS[row.threshold_tier],
        window_start=row.notification_window_start,
        audience=AUDIENCES[row.audience],
        recipient_id=row.recipient_id,
        status=STATUSES[row.status],
        title=row.title,
        body=row.body,
        deep_link=row.deep_link,
        created_at=row.created_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        note=row.note,
        organization_id=row.organization_id,
        expires=row.last_valid_day,
        holder_name=row.holder_name or "",
        locale=row.locale,
    )


def push_row(
    push: PushMessage,
    draft: NoticeDraft,
    ends_at: Any,  # noqa: ANN401 - as stored
    waits_for: tuple[datetime, str | None],
    dialect: Dialect,
) -> tuple[Any, ...]:
    """
    Return a new message's row, in the order of the table's columns.
    """
    notice = draft.notice
    about = (notice.mentor_id, notice.certificate_type, ends_at)
    due_at, run_id = waits_for
    return _queued(push, about, stored_instant(due_at, dialect), (None, None, run_id), dialect)


def digest_row(  # noqa: PLR0913 - a digest's columns
    *,
    recipient_id: str,
    opened_by: str,
    tier: NotificationThresholdTier,
    due_at: datetime,
    opened_at: datetime,
    run_id: str | None,
    dialect: Dialect,
) -> tuple[Any, ...]:
    """
    Return the row of the digest that the notice `opened_by` opens.
    """
    push = digest_message(recipient_id, opened_by, tier, due_at)
    of_digest = (stored_date(opened_at.date(), dialect), stored_instant(opened_at, dialect), run_id)
    return _queued(push, (None, None, None), stored_instant(due_at, dialect), of_digest, dialect)


def _queued(
    push: PushMessage,
    about: tuple[Any, Any, Any],
    due_at: Any,  # noqa: ANN401 - as stored
    of_digest: tuple[Any, Any, str | None],
    dialect: Dialect,
) -> tuple[Any, ...]:
    digest_date, opened_at, run_id = of_digest
    return (
        push.message_id,
        *about,
        push.recipient_id,
        PushState.QUEUED.value,
        due_at,
        None,
        0,
        0,
        _payload(push),
        stored_instant(push.expires_at, dialect),
        "",
        digest_date,
        None,
        opened_at,
        None,
        run_id,
        0,
        None,
    )


def _payload(push: PushMessage) -> str:
    words = (push.notification_id, push.tier.value, push.title, push.body, push.collapse_key, dict(push.data))
    return _encode(words)


def message_of(row: Row[Any], digest: Digest | None) -> PushMessage:
    """
    Return the message of a row; a digest has the closest tier in it.
    """
    notification_id, tier, title, body, collapse_key, data = json.loads(row.payload)
    closest = [found for found in NotificationThresholdTier if digest and found in digest.counts]
    expires_at: datetime = row.expires_at
    return PushMessage(
        message_id=row.message_id,
        notification_id=notification_id,
        recipient_id=row.recipient_id,
        tier=closest[-1] if closest else TIERS[tier],
        title=title,
        body=body,
        data=data,
        collapse_key=collapse_key,
        expires_at=expires_at,
        owed=None if row.owed is None else tuple(json.loads(row.owed)),
    )


def dead_push_of(row: Row[Any]) -> DeadPush:
    """
    Return the dead message of a row that has its notice's organization.
    """
    return DeadPush(
        message_id=row.message_id,
        recipient_id=row.recipient_id,
        mentor_id=row.mentor_id,
        certificate_type=row.certificate_type,
        tier=TIERS[json.loads(row.payload)[1]],
        code=row.code,
        attempts=row.attempts,
        claimed_at=row.claimed_at,
        expires_at=row.expires_at,
        organization_id=row.organization_id,
    )
