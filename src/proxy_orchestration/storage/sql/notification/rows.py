"""
Converts notices and messages to rows and back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Dialect, Row, Table
from sqlalchemy.exc import DBAPIError

from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.notification.notices import (
    Audience,
    CertificateExpiryNotification,
    NoticeKey,
    NoticeStatus,
    PushMessage,
    PushState,
)
from proxy_orchestration.notification.records import DeadPush, Digest, LeasedPush, NoticeDraft, digest_message
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.storage.sql.database.errors import refuses_row
from proxy_orchestration.storage.sql.dialect.types import stored_date, stored_instant
from proxy_orchestration.storage.sql.notification.schema import notifications, push_outbox

TIERS: Final = {tier.value: tier for tier in NotificationThresholdTier}
AUDIENCES: Final = {audience.value: audience for audience in Audience}
STATUSES: Final = {status.value: status for status in NoticeStatus}


def _places(table: Table, *names: str) -> Callable[[Row[Any]], tuple[Any, ...]]:
    """
    Return what takes these columns of a row: to ask a row for each by its name takes four times as long.
    """
    return itemgetter(*map(table.columns.keys().index, names))


_NOTICE: Final = _places(
    notifications,
    "notification_id",
    "mentor_id",
    "certificate_type",
    "threshold_tier",
    "notification_window_start",
    "audience",
    "recipient_id",
    "status",
    "title",
    "body",
    "deep_link",
    "created_at",
    "acknowledged_at",
    "acknowledged_by",
    "note",
    "organization_id",
    "last_valid_day",
    "holder_name",
    "locale",
)
_MESSAGE: Final = _places(push_outbox, "message_id", "recipient_id", "payload", "expires_at", "owed")
_LEASE: Final = _places(push_outbox, "token", "attempts", "mentor_id", "certificate_type", "lost", "code")

_UNUSED: Final = (None,) * 6
"""What a new notice's row ends with: no digest has told it, and nobody has read it."""

# Texts stand as they are, so that the driver sees what it cannot keep.
_encode: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


@contextmanager
def refusals() -> Iterator[None]:
    """
    Turn what only this call's values can be the cause of into the error that says so.

    Raises:
        RecordRefusedError: a rule of the schema or of the host's is broken, or a text cannot be kept.
    """
    try:
        yield
    except (UnicodeEncodeError, OverflowError):  # drivers' own
        raise RecordRefusedError from None  # their texts may show the row, and names are in notices
    except DBAPIError as error:
        if not refuses_row(error):
            raise
        raise RecordRefusedError from None  # as above


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
    Return the notice of a row that begins with the table's columns.
    """
    notification_id, mentor_id, certificate_type, tier, start, audience, recipient_id, status, *rest = (
        _NOTICE(row)
    )
    title, body, deep_link, created_at, acknowledged_at, acknowledged_by, note, *of_mentor = rest
    organization_id, expires, holder_name, locale = of_mentor
    return CertificateExpiryNotification(
        notification_id=notification_id,
        mentor_id=mentor_id,
        certificate_type=certificate_type,
        tier=TIERS[tier],
        window_start=start,
        audience=AUDIENCES[audience],
        recipient_id=recipient_id,
        status=STATUSES[status],
        title=title,
        body=body,
        deep_link=deep_link,
        created_at=created_at,
        acknowledged_at=acknowledged_at,
        acknowledged_by=acknowledged_by,
        note=note,
        organization_id=organization_id,
        expires=expires,
        holder_name=holder_name or "",
        locale=locale,
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
    words = (push.notification_id, push.tier.value, push.title, push.body, push.collapse_key, push.data)
    return _encode(words)


def message_of(row: Row[Any], digest: Digest | None) -> PushMessage:
    """
    Return the message of a row that begins with the table's columns; a digest has the closest tier in it.
    """
    message_id, recipient_id, payload, expires_at, owed = _MESSAGE(row)
    notification_id, tier, title, body, collapse_key, data = json.loads(payload)
    return PushMessage(
        message_id=message_id,
        notification_id=notification_id,
        recipient_id=recipient_id,
        tier=TIERS[tier] if digest is None else _closest(digest, TIERS[tier]),
        title=title,
        body=body,
        data=data,
        collapse_key=collapse_key,
        expires_at=expires_at,
        owed=None if owed is None else tuple(json.loads(owed)),
    )


def _closest(digest: Digest, default: NotificationThresholdTier) -> NotificationThresholdTier:
    return ([default] + [tier for tier in NotificationThresholdTier if tier in digest.counts])[-1]


def leased_of(
    row: Row[Any], digest: Digest | None, notice: CertificateExpiryNotification | None
) -> LeasedPush:
    """
    Return the message of a row that was just leased.
    """
    token, attempts, mentor_id, certificate_type, lost, code = _LEASE(row)
    return LeasedPush(
        message=message_of(row, digest),
        token=token,
        attempts=attempts,
        digest=digest,
        mentor_id=mentor_id,
        certificate_type=certificate_type,
        lost=lost,
        code=code,
        notice=notice,
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
