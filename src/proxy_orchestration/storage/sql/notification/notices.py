"""
Notices, written in chunks and read by recipient.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, and_, bindparam, or_, select, update

from proxy_orchestration.notification.notices import CertificateExpiryNotification, NoticeKey, NoticeStatus
from proxy_orchestration.notification.records import (
    CertificateEnd,
    DraftFate,
    DraftState,
    NoticeChunk,
    NoticeDraft,
)
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.storage.sql.dialect.inserts import insert_rows_or_ignore
from proxy_orchestration.storage.sql.dialect.json_tables import json_date, json_instant, json_rows, json_text
from proxy_orchestration.storage.sql.dialect.texts import check_texts, findable
from proxy_orchestration.storage.sql.dialect.types import stored_date, stored_instant
from proxy_orchestration.storage.sql.notification import outbox, resend_guard
from proxy_orchestration.storage.sql.notification.resend_guard import Certificate, Ends, Guard
from proxy_orchestration.storage.sql.notification.rows import (
    digest_row,
    json_list,
    key_texts,
    notice_of,
    notice_row,
    push_row,
    texts_of,
)
from proxy_orchestration.storage.sql.notification.schema import notifications

KeyTexts: TypeAlias = tuple[str, str, str, str, str, str]

_NEW: Final = Guard(None, None)

_KEY = (
    notifications.c.mentor_id,
    notifications.c.certificate_type,
    notifications.c.threshold_tier,
    notifications.c.notification_window_start,
    notifications.c.audience,
    notifications.c.recipient_id,
)
_KEYS, _EACH = json_rows("keys", json_text, json_text, json_text, json_date, json_text, json_text)
_EXISTING = select(*_KEY).join_from(
    _KEYS, notifications, and_(*(column == wanted for column, wanted in zip(_KEY, _EACH, strict=True)))
)
_ENDED, (_MENTOR, _TYPE, _END) = json_rows("ended", json_text, json_text, json_instant)
_CLEAR = (
    update(notifications)
    .where(
        notifications.c.status == NoticeStatus.PENDING.value,
        notifications.c.notification_id.in_(
            select(notifications.c.notification_id)
            .join_from(
                _ENDED,
                notifications,
                and_(notifications.c.mentor_id == _MENTOR, notifications.c.certificate_type == _TYPE),
            )
            .where(or_(_END.is_(None), notifications.c.ends_at < _END))
        ),
    )
    .values(status=NoticeStatus.CLEARED.value)
)
_INBOX = (
    select(notifications)
    .where(notifications.c.recipient_id == bindparam("recipient"))
    .order_by(notifications.c.created_at, notifications.c.notification_id)
)
_UNACKNOWLEDGED = _INBOX.where(notifications.c.status == NoticeStatus.PENDING.value)
_ONE = select(notifications).where(notifications.c.notification_id == bindparam("wanted"))


def record(connection: Connection, chunk: NoticeChunk, /) -> Sequence[DraftFate]:
    """
    Write what the chunk's drafts tell, and answer each in order.
    """
    check_texts(text for draft in chunk.drafts for text in texts_of(draft))
    ends = resend_guard.ends_of(chunk.ends, chunk.drafts)
    advanced = resend_guard.note_ends(connection, ends)  # first, since it locks
    standing = resend_guard.known(connection, ends.latest)
    # What was never told has nothing queued.
    told = [certificate for certificate in advanced if standing[certificate].notified_at is not None]
    outbox.cancel(connection, ended(ends, told))
    existing = _existing(connection, chunk.drafts, standing)
    states = _states(chunk, ends, standing, existing)
    passing = {
        _about(draft)
        for draft, state in zip(chunk.drafts, states, strict=True)
        if state is DraftState.CREATED
    }
    taken = resend_guard.take(connection, passing, at=chunk.as_of, guard=chunk.guard)
    states = [
        DraftState.DEFERRED if state is DraftState.CREATED and _about(draft) not in taken else state
        for draft, state in zip(chunk.drafts, states, strict=True)
    ]
    _insert(connection, chunk, states, existing)
    return _fates(chunk, states, existing)


def weigh(connection: Connection, chunk: NoticeChunk, /) -> Sequence[DraftFate]:
    """
    Return what `record` would answer now, and write nothing.
    """
    check_texts(text for draft in chunk.drafts for text in texts_of(draft))
    ends = resend_guard.ends_of(chunk.ends, chunk.drafts)
    standing = resend_guard.known(connection, ends.latest)
    existing = _existing(connection, chunk.drafts, standing)
    return _fates(chunk, _states(chunk, ends, standing, existing), existing)


def renew(
    connection: Connection,
    ends: Sequence[CertificateEnd],
    /,
    *,
    at: datetime,  # noqa: ARG001 - the port's
) -> int:
    """
    Note new ends, clear notices of earlier ones; return how many messages were cancelled.
    """
    latest = resend_guard.ends_of(ends)
    resend_guard.note_ends(connection, latest, corrected=True)
    over = ended(latest, latest.latest)
    if over:
        connection.execute(_CLEAR, {"ended": json_list(over)})
    return outbox.cancel(connection, over)


def notifications_for(
    connection: Connection, recipient_id: str, /, *, unacknowledged_only: bool = False
) -> Sequence[CertificateExpiryNotification]:
    """
    Return a recipient's notices, oldest first.
    """
    query = _UNACKNOWLEDGED if unacknowledged_only else _INBOX
    return [notice_of(row) for row in connection.execute(query, {"recipient": findable(recipient_id)})]


def notification(connection: Connection, notification_id: str, /) -> CertificateExpiryNotification | None:
    """
    Return a notice, or `None`.
    """
    row = connection.execute(_ONE, {"wanted": findable(notification_id)}).one_or_none()
    return None if row is None else notice_of(row)


def ended(ends: Ends, renewed: Iterable[Certificate]) -> list[tuple[str, str, str | None]]:
    """
    Return the rows that tell what is over: all before the new end, or all of a revoked one.
    """
    rows: list[tuple[str, str, str | None]] = [(*one, None) for one in ends.revoked]
    rows += [(*one, ends.latest[one].astimezone(UTC).isoformat()) for one in renewed]
    return sorted(rows, key=lambda row: row[:2])


def _about(draft: NoticeDraft) -> Certificate:
    return draft.notice.mentor_id, draft.notice.certificate_type


def _existing(
    connection: Connection, drafts: Sequence[NoticeDraft], standing: Mapping[Certificate, Guard]
) -> set[KeyTexts]:
    """
    Return the keys of those of the drafts' notices, earlier ones included, that are there.

    None is where the guard was never taken, since nobody writes one without it.
    """
    told = (draft for draft in drafts if standing.get(_about(draft), _NEW).notified_at is not None)
    keys = [key_texts(key) for draft in told for key in _keys(draft)]
    if not keys:
        return set()
    rows = connection.execute(_EXISTING, {"keys": json_list(keys)}).all()
    return {(*row[:3], row[3].isoformat(), *row[4:]) for row in rows}


def _keys(draft: NoticeDraft) -> Iterable[NoticeKey]:
    yield draft.notice.key
    yield from draft.earlier
    for notice in draft.others:
        yield notice.key


def _states(
    chunk: NoticeChunk,
    ends: Ends,
    standing: Mapping[Certificate, Guard],
    existing: Collection[KeyTexts],
) -> list[DraftState]:
    limit = resend_guard.last_allowed(chunk.as_of, chunk.guard)

    def state(draft: NoticeDraft) -> DraftState:
        about = _about(draft)
        notified_at, known_end = standing.get(about, _NEW)
        if max(ends.latest[about], known_end or draft.ends_at) > draft.ends_at:
            return DraftState.STALE
        if _is_in(existing, draft.notice.key):
            return DraftState.DUPLICATE
        passes = notified_at is None or notified_at <= limit
        return DraftState.CREATED if passes else DraftState.DEFERRED

    return [state(draft) for draft in chunk.drafts]


def _insert(
    connection: Connection, chunk: NoticeChunk, states: Sequence[DraftState], existing: Collection[KeyTexts]
) -> None:
    dialect = connection.dialect
    due_at = stored_instant(chunk.as_of, dialect)
    day = stored_date(chunk.digest_date, dialect)
    notice_rows: list[tuple[Any, ...]] = []
    push_rows: dict[str, tuple[Any, ...]] = {}
    for draft, state in zip(chunk.drafts, states, strict=True):
        ends_at = stored_instant(draft.ends_at, dialect)
        if state is DraftState.CREATED:
            notice_rows.append(notice_row(draft.notice, ends_at, day, dialect))
            if draft.push is not None:
                push_rows[draft.push.message_id] = push_row(draft.push, draft, ends_at, due_at, dialect)
        for notice in _new_others(draft, state, existing):
            notice_rows.append(notice_row(notice, ends_at, day, dialect))
            digest = digest_row(notice, chunk, dialect)
            push_rows.setdefault(digest[0], digest)
    if notice_rows:
        insert_rows_or_ignore(connection, notifications, notice_rows)
    outbox.queue(connection, [*push_rows.values()])


def _new_others(
    draft: NoticeDraft, state: DraftState, existing: Collection[KeyTexts]
) -> list[CertificateExpiryNotification]:
    if not draft.others or state not in {DraftState.CREATED, DraftState.DUPLICATE}:
        return []
    others = {notice.key: notice for notice in draft.others}
    return [notice for key, notice in others.items() if not _is_in(existing, key)]


def _is_in(existing: Collection[KeyTexts], key: NoticeKey) -> bool:
    return bool(existing) and key_texts(key) in existing


def _fates(
    chunk: NoticeChunk, states: Sequence[DraftState], existing: Collection[KeyTexts]
) -> list[DraftFate]:
    return [_fate(draft, state, existing) for draft, state in zip(chunk.drafts, states, strict=True)]


def _fate(draft: NoticeDraft, state: DraftState, existing: Collection[KeyTexts]) -> DraftFate:
    missed: tuple[NotificationThresholdTier, ...] = ()
    if state is DraftState.CREATED:
        missed = tuple(key.tier for key in draft.earlier if not _is_in(existing, key))
    return DraftFate(state=state, missed=missed, others=len(_new_others(draft, state, existing)))
