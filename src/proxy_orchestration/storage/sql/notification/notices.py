"""
Notices, written in chunks and read by recipient.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    CompoundSelect,
    Connection,
    Dialect,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    union,
    update,
)

from proxy_orchestration._pseudonyms import mentor_pseudonym
from proxy_orchestration.notification.erasure import erased_key
from proxy_orchestration.notification.notices import (
    Audience,
    CertificateExpiryNotification,
    NoticeKey,
    NoticeStatus,
)
from proxy_orchestration.notification.records import (
    CertificateEnd,
    DraftFate,
    DraftState,
    NoticeChunk,
    NoticeDraft,
    texts_of,
)
from proxy_orchestration.notification.resend import (
    Certificate,
    Consequence,
    IsThere,
    Standing,
    certificate_of,
    consequence_of,
    states_of,
)
from proxy_orchestration.notification.spellings import (
    by_form,
    ids_in,
    respelled,
    respelled_ends,
    spellings_of,
)
from proxy_orchestration.storage.sql.dialect.differences import is_any_of, listed
from proxy_orchestration.storage.sql.dialect.inserts import insert_rows_or_ignore
from proxy_orchestration.storage.sql.dialect.json_tables import json_date, json_instant, json_rows, json_text
from proxy_orchestration.storage.sql.dialect.texts import check_texts, findable, keepable
from proxy_orchestration.storage.sql.dialect.types import stored_instant
from proxy_orchestration.storage.sql.notification import digests, outbox, resend_guard
from proxy_orchestration.storage.sql.notification.resend_guard import Ends
from proxy_orchestration.storage.sql.notification.rows import (
    digest_row,
    json_list,
    key_texts,
    notice_of,
    notice_row,
    push_row,
)
from proxy_orchestration.storage.sql.notification.schema import expiry_guards, notifications

Ended: TypeAlias = tuple[str, str, str | None]
"""Mentor, type, and the end before which all is over; `None`: all of it."""

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
_IS_PENDING = notifications.c.status == NoticeStatus.PENDING.value
_UNKNOWN = Standing()
OVER: Final = "over"
"""Stands for the digest of a notice that no digest is to tell of."""

_CLEAR = (
    update(notifications)
    .where(
        or_(_IS_PENDING, notifications.c.digest_id.is_(None)),
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
    .values(
        status=case((_IS_PENDING, NoticeStatus.CLEARED.value), else_=notifications.c.status),
        digest_id=func.coalesce(notifications.c.digest_id, OVER),
    )
)
_INBOX = (
    select(notifications)
    .where(notifications.c.recipient_id == bindparam("recipient"), notifications.c.purged_at.is_(None))
    .order_by(notifications.c.created_at, notifications.c.notification_id)
)
_UNACKNOWLEDGED = _INBOX.where(notifications.c.status == NoticeStatus.PENDING.value)
_ONE = select(notifications).where(
    notifications.c.notification_id == bindparam("wanted"), notifications.c.purged_at.is_(None)
)


def record(connection: Connection, chunk: NoticeChunk, /) -> Sequence[DraftFate]:
    """
    Write what the chunk's drafts tell, and answer each in order.
    """
    check_texts(text for draft in chunk.drafts for text in texts_of(draft))
    chunk = respelled(chunk, _known_spellings(connection, ids_in(chunk)))
    ends = resend_guard.ends_of(chunk.ends, chunk.drafts)
    # Ends first, since that locks: what is read from here on is what another call left.
    advanced = resend_guard.note_ends(connection, ends)
    standing = resend_guard.known(connection, ends.latest)
    # What was never told has nothing queued.
    told = [certificate for certificate in advanced if standing[certificate].notified_at is not None]
    outbox.cancel(connection, ended(ends, told))
    # What is only revoked stays: another certificate of that type may be the one that counts.
    _clear(connection, _before(ends, told))
    erased = _erased(connection, chunk.drafts, standing)
    is_there = _existing(connection, chunk.drafts, standing | erased, erased)
    states = states_of(chunk, standing | erased, is_there)
    passing = {
        certificate_of(draft)
        for draft, state in zip(chunk.drafts, states, strict=True)
        if state is DraftState.CREATED
    }
    # Again, by a conditional statement: another run may have told the same mentor since the look.
    taken = resend_guard.take(connection, passing, at=chunk.as_of, guard=chunk.guard)
    states = [
        DraftState.DEFERRED if state is DraftState.CREATED and certificate_of(draft) not in taken else state
        for draft, state in zip(chunk.drafts, states, strict=True)
    ]
    consequences = _consequences(chunk, states, is_there)
    _insert(connection, chunk, consequences)
    return [consequence.fate for consequence in consequences]


def weigh(connection: Connection, chunk: NoticeChunk, /) -> Sequence[DraftFate]:
    """
    Return what `record` would answer now, and write nothing.
    """
    check_texts(text for draft in chunk.drafts for text in texts_of(draft))
    chunk = respelled(chunk, _known_spellings(connection, ids_in(chunk)))
    ends = resend_guard.ends_of(chunk.ends, chunk.drafts)
    standing = resend_guard.known(connection, ends.latest)
    erased = _erased(connection, chunk.drafts, standing)
    standing |= erased
    is_there = _existing(connection, chunk.drafts, standing, erased)
    states = states_of(chunk, standing, is_there)
    return [consequence.fate for consequence in _consequences(chunk, states, is_there)]


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
    ends = respelled_ends(ends, _known_spellings(connection, (end.mentor_id for end in ends)))
    latest = resend_guard.ends_of(ends)
    resend_guard.note_ends(connection, latest, corrected=True)
    over = ended(latest, latest.latest)
    _clear(connection, over)
    return outbox.cancel(connection, over)


def notifications_for(
    connection: Connection, recipient_id: str, /, *, unacknowledged_only: bool = False
) -> Sequence[CertificateExpiryNotification]:
    """
    Return a recipient's notices, oldest first.
    """
    query = _UNACKNOWLEDGED if unacknowledged_only else _INBOX
    asked = {recipient_id, *spellings_of([recipient_id])}
    found = [
        notice_of(row) for each in asked for row in connection.execute(query, {"recipient": findable(each)})
    ]
    return sorted(found, key=lambda notice: (notice.created_at, notice.notification_id))


def notification(connection: Connection, notification_id: str, /) -> CertificateExpiryNotification | None:
    """
    Return a notice, or `None`.
    """
    row = connection.execute(_ONE, {"wanted": findable(notification_id)}).one_or_none()
    return None if row is None else notice_of(row)


def _known_spellings(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    """
    Return the spelling that the store has of those ids that may have several, by form.
    """
    wanted = keepable(spellings_of(ids))
    if not wanted:
        return {}
    values = {"spellings": listed(wanted, connection.dialect)}
    return by_form(connection.execute(_spelled(connection.dialect), values).scalars())


@lru_cache(maxsize=8)
def _spelled(dialect: Dialect) -> CompoundSelect[Any]:
    mentors, recipients = expiry_guards.c.mentor_id, notifications.c.recipient_id
    return union(
        select(mentors).where(is_any_of(mentors, "spellings", dialect)),
        select(recipients).where(is_any_of(recipients, "spellings", dialect)),
    )


def ended(ends: Ends, renewed: Iterable[Certificate]) -> list[Ended]:
    """
    Return the rows that tell what is over: all before the new end, or all of a revoked one.
    """
    rows: list[Ended] = [(*one, None) for one in ends.revoked]
    return sorted([*rows, *_before(ends, renewed)], key=lambda row: row[:2])


def _before(ends: Ends, renewed: Iterable[Certificate]) -> list[Ended]:
    return [(*one, ends.latest[one].astimezone(UTC).isoformat()) for one in sorted(renewed)]


def _clear(connection: Connection, over: Sequence[Ended]) -> None:
    if over:
        connection.execute(_CLEAR, {"ended": json_list(over)})


def _erased(
    connection: Connection, drafts: Sequence[NoticeDraft], standing: Mapping[Certificate, Standing]
) -> dict[Certificate, Standing]:
    """
    Return what is known under a pseudonym of those of whom nothing was told under their own id.
    """
    new = {
        certificate_of(draft)
        for draft in drafts
        if standing.get(certificate_of(draft), _UNKNOWN).notified_at is None
    }
    # A glance first: where nobody was ever erased, no pseudonym is made; decision 251.
    if not new or not resend_guard.knows_pseudonyms(connection):
        return {}
    by_pseudonym = {(mentor_pseudonym(mentor_id), code): (mentor_id, code) for mentor_id, code in new}
    known = resend_guard.known(connection, sorted(by_pseudonym))
    return {
        by_pseudonym[found]: Standing(told.notified_at, standing.get(by_pseudonym[found], _UNKNOWN).ends_at)
        for found, told in known.items()
    }


def _existing(
    connection: Connection,
    drafts: Sequence[NoticeDraft],
    standing: Mapping[Certificate, Standing],
    erased: Collection[Certificate],
) -> IsThere:
    """
    Return which of the drafts' notices, earlier ones included, are there.

    None is where the guard was never taken, since nobody writes one without it.
    """
    told = {about for about, known in standing.items() if known.notified_at is not None}
    keys = [key_texts(key) for draft in drafts if certificate_of(draft) in told for key in _keys(draft)]
    # Where it may stand under a pseudonym; seldom, since it costs as much again.
    keys += [
        key_texts(erased_key(key))
        for draft in drafts
        if certificate_of(draft) in erased
        for key in _keys(draft)
    ]
    rows = connection.execute(_EXISTING, {"keys": json_list(keys)}).all() if keys else ()
    found = {(*row[:3], row[3].isoformat(), *row[4:]) for row in rows}
    if not erased:
        return lambda key: bool(found) and key_texts(key) in found
    return lambda key: key_texts(key) in found or key_texts(erased_key(key)) in found


def _keys(draft: NoticeDraft) -> Iterable[NoticeKey]:
    yield draft.notice.key
    yield from draft.earlier
    for notice in draft.others:
        yield notice.key


def _insert(connection: Connection, chunk: NoticeChunk, consequences: Sequence[Consequence]) -> None:
    dialect = connection.dialect
    due_at = stored_instant(chunk.as_of, dialect)
    notice_rows: list[tuple[Any, ...]] = []
    push_rows: dict[str, tuple[Any, ...]] = {}
    digests_of: dict[str, tuple[Any, ...]] = {}
    for draft, (fate, others) in zip(chunk.drafts, consequences, strict=True):
        ends_at = stored_instant(draft.ends_at, dialect)
        if fate.state is DraftState.CREATED:
            notice_rows.append(notice_row(draft.notice, ends_at, dialect))
            if draft.push is not None:
                push_rows[draft.push.message_id] = push_row(draft.push, draft, ends_at, due_at, dialect)
        for notice in others:
            notice_rows.append(notice_row(notice, ends_at, dialect))
            if notice.audience is not Audience.MENTOR and notice.recipient_id not in digests_of:
                digests_of[notice.recipient_id] = _opened_by(notice, chunk, dialect)
    if notice_rows:
        insert_rows_or_ignore(connection, notifications, notice_rows)
    outbox.queue(connection, [*push_rows.values()])
    digests.open_digests(connection, digests_of.values())


def _opened_by(
    notice: CertificateExpiryNotification, chunk: NoticeChunk, dialect: Dialect
) -> tuple[Any, ...]:
    return digest_row(
        recipient_id=notice.recipient_id,
        opened_by=notice.notification_id,
        tier=notice.tier,
        due_at=chunk.digest_due_at,
        opened_at=chunk.written_at,
        run_id=chunk.run_id,
        dialect=dialect,
    )


def _consequences(chunk: NoticeChunk, states: Sequence[DraftState], is_there: IsThere) -> list[Consequence]:
    return [consequence_of(draft, state, is_there) for draft, state in zip(chunk.drafts, states, strict=True)]
