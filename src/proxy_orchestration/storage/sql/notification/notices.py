"""
Notices, written in chunks and read by recipient.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import attrs
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
from proxy_orchestration.notification.ends import Certificate, NotedEnds, certificate_about, note_ends
from proxy_orchestration.notification.erasure import erased_key
from proxy_orchestration.notification.notices import (
    Audience,
    CertificateExpiryNotification,
    NoticeKey,
    NoticeStatus,
)
from proxy_orchestration.notification.records import (
    CertificateEnd,
    DraftState,
    NotedRenewals,
    NoticeChunk,
    NoticeDraft,
    RecordedChunk,
    WholeFeed,
    texts_of,
)
from proxy_orchestration.notification.resend import (
    Consequence,
    IsThere,
    Standing,
    certificate_of,
    consequence_of,
    reopened,
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
from proxy_orchestration.storage.sql.notification import ends as known_ends
from proxy_orchestration.storage.sql.notification.rows import (
    digest_row,
    json_list,
    key_texts,
    notice_of,
    notice_row,
    push_row,
)
from proxy_orchestration.storage.sql.notification.schema import certificate_ends, expiry_guards, notifications

_KEY = (
    notifications.c.mentor_id,
    notifications.c.certificate_type,
    notifications.c.threshold_tier,
    notifications.c.notification_window_start,
    notifications.c.audience,
    notifications.c.recipient_id,
)
_KEYS, _EACH = json_rows("keys", json_text, json_text, json_text, json_date, json_text, json_text)
_PURGED: Final = "purged"
_STATUS = case((notifications.c.purged_at.is_not(None), _PURGED), else_=notifications.c.status)
_EXISTING = select(*_KEY, _STATUS, notifications.c.ends_at).join_from(
    _KEYS, notifications, and_(*(column == wanted for column, wanted in zip(_KEY, _EACH, strict=True)))
)
_COUNTING, (_MENTOR, _TYPE, _END) = json_rows("counting", json_text, json_text, json_instant)
_IS_PENDING = notifications.c.status == NoticeStatus.PENDING.value
_CLEAR = (
    update(notifications)
    .where(
        or_(_IS_PENDING, notifications.c.digest_id.is_(None)),
        notifications.c.notification_id.in_(
            select(notifications.c.notification_id)
            .join_from(
                _COUNTING,
                notifications,
                and_(notifications.c.mentor_id == _MENTOR, notifications.c.certificate_type == _TYPE),
            )
            .where(or_(_END.is_(None), notifications.c.ends_at != _END))
        ),
    )
    .values(
        status=case((_IS_PENDING, NoticeStatus.CLEARED.value), else_=notifications.c.status),
        digest_id=func.coalesce(notifications.c.digest_id, digests.OVER),
    )
)
_REOPENED, (_ID, _ENDS_AT) = json_rows("reopened", json_text, json_instant)
_ITS_END = (
    select(_ENDS_AT).select_from(_REOPENED).where(notifications.c.notification_id == _ID).scalar_subquery()
)
_IS_OVER = notifications.c.digest_id == digests.OVER
_REOPEN = (
    update(notifications)
    .where(
        notifications.c.status == NoticeStatus.CLEARED.value,
        notifications.c.purged_at.is_(None),
        notifications.c.notification_id.in_(select(_ID).select_from(_REOPENED)),
    )
    .values(
        status=NoticeStatus.PENDING.value,
        digest_id=case((_IS_OVER, None), else_=notifications.c.digest_id),
        # A digest under way did not count it, whatever an earlier one of that token did.
        digest_token=case((_IS_OVER, None), else_=notifications.c.digest_token),
        ends_at=_ITS_END,
    )
    .returning(notifications.c.notification_id, notifications.c.digest_id)
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


@attrs.frozen
class _Seen:
    """
    What is known of a chunk's certificates.

    Attributes:
        chunk: what is written, in the spellings that the store has.
        notified: when those were told last that were, under their own id; they alone have notices
            and messages.
        erased: the same of those that were told under a pseudonym, before an erasure.
        noted: their ends, the chunk's included.
    """

    chunk: NoticeChunk
    notified: Mapping[Certificate, datetime]
    erased: Mapping[Certificate, datetime | None]
    noted: NotedEnds

    @property
    def standing(self) -> Mapping[Certificate, Standing]:
        """
        Return the last notice and the end that counts of each that is drafted.
        """
        told = {**self.erased, **self.notified}
        return {
            about: Standing(told.get(about), self.noted.known(about))
            for about in map(certificate_of, self.chunk.drafts)
        }


@attrs.frozen
class _Statuses:
    """
    Where notices stand that are there, by their keys, and whether some may be there under a pseudonym.
    """

    found: Mapping[tuple[str, ...], str]
    has_erased: bool

    def is_there(self, key: NoticeKey) -> bool:
        """
        Return whether the notice of that key is there.
        """
        if not self.found:
            return False
        return key_texts(key) in self.found or (self.has_erased and key_texts(erased_key(key)) in self.found)

    def is_cleared(self, key: NoticeKey) -> bool:
        """
        Return whether it was cleared, and may be shown again: not what was purged, or has a pseudonym.
        """
        return self.found.get(key_texts(key)) == NoticeStatus.CLEARED.value


def record(connection: Connection, chunk: NoticeChunk, /) -> RecordedChunk:
    """
    Write what the chunk's drafts tell, and answer each in order.
    """
    seen = _look(connection, chunk, locked=True)
    chunk = seen.chunk
    known_ends.keep(connection, seen.noted)
    _void(connection, seen.noted, seen.notified)
    found, standing = _statuses(connection, seen), seen.standing
    states = states_of(chunk, standing, found.is_there)
    again = reopened(chunk, states, standing, found.is_cleared)
    passing = again | {
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
    consequences = _consequences(chunk, states, found.is_there, again & taken)
    _insert(connection, chunk, consequences)
    _guard_others(connection, seen, consequences)
    return _recorded(consequences, seen.noted)


def _guard_others(connection: Connection, seen: _Seen, consequences: Sequence[Consequence]) -> None:
    """
    Take the guard of erased mentors of whom only others are told, as of when they were told themselves.

    Without it those notices would not be looked for again; decision 395.
    """
    if not seen.erased:
        return
    told: defaultdict[datetime, set[Certificate]] = defaultdict(set)
    for draft, consequence in zip(seen.chunk.drafts, consequences, strict=True):
        about = certificate_of(draft)
        told_at = None if about in seen.notified else seen.erased.get(about)
        if consequence.others and told_at is not None:
            told[told_at].add(about)
    for told_at, certificates in sorted(told.items()):
        resend_guard.take(connection, certificates, at=told_at, guard=timedelta(0))


def weigh(connection: Connection, chunk: NoticeChunk, /) -> RecordedChunk:
    """
    Return what `record` would answer now, and write nothing.
    """
    seen = _look(connection, chunk, locked=False)
    chunk = seen.chunk
    found, standing = _statuses(connection, seen), seen.standing
    states = states_of(chunk, standing, found.is_there)
    again = reopened(chunk, states, standing, found.is_cleared)
    return _recorded(_consequences(chunk, states, found.is_there, again), seen.noted)


def renew(connection: Connection, ends: Sequence[CertificateEnd], /, *, at: datetime) -> NotedRenewals:
    """
    Note new ends, cancel and clear what is about those that do not count any more.
    """
    known_ends.check(ends)
    ends = respelled_ends(ends, _known_spellings(connection, (end.mentor_id for end in ends)))
    known = known_ends.known(connection, map(certificate_about, ends), locked=True)
    noted = note_ends(known.ends, ends, at=at, by_host=True)
    known_ends.keep(connection, noted)
    cancelled = _void(connection, noted, known.notified)
    return NotedRenewals(cancelled=cancelled, ends=tuple(noted.counting.values()))


def withdraw(connection: Connection, feed: WholeFeed, /, *, limit: int) -> Sequence[CertificateEnd]:
    """
    Withdraw what the feed lacks, of up to so many mentors and types at once.
    """
    noted = known_ends.withdrawn(connection, feed, limit=limit)
    known_ends.keep(connection, noted)
    _void(connection, noted, noted.changed)
    return list(noted.counting.values())


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
    columns = expiry_guards.c.mentor_id, certificate_ends.c.mentor_id, notifications.c.recipient_id
    return union(*(select(column).where(is_any_of(column, "spellings", dialect)) for column in columns))


def _look(connection: Connection, chunk: NoticeChunk, *, locked: bool) -> _Seen:
    """
    Return what is known of the chunk's certificates, with what it tells of them.
    """
    check_texts(text for draft in chunk.drafts for text in texts_of(draft))
    known_ends.check(chunk.ends)
    chunk = respelled(chunk, _known_spellings(connection, ids_in(chunk)))
    pairs = {*map(certificate_about, chunk.ends), *map(certificate_of, chunk.drafts)}
    # Ends first, since that locks: what is read from here on is what another call left.
    known = known_ends.known(connection, pairs, locked=locked)
    noted = note_ends(known.ends, chunk.ends, at=chunk.written_at, complete=chunk.complete)
    # Where nobody was ever erased, no pseudonym is made; decision 251.
    erased = _erased(connection, chunk.drafts) if known.has_pseudonyms else {}
    return _Seen(chunk, known.notified, erased, noted)


def _erased(connection: Connection, drafts: Sequence[NoticeDraft]) -> dict[Certificate, datetime | None]:
    """
    Return when those were told who were erased since, also those who were told again; decision 395.
    """
    drafted = set(map(certificate_of, drafts))
    if not drafted:
        return {}
    by_pseudonym = {(mentor_pseudonym(mentor_id), code): (mentor_id, code) for mentor_id, code in drafted}
    return {by_pseudonym[about]: at for about, at in resend_guard.last_told(connection, by_pseudonym).items()}


def _void(connection: Connection, noted: NotedEnds, told: Collection[Certificate]) -> int:
    """
    Cancel and clear what is about another end than the one that counts; return how many messages.

    What was never told has nothing queued.
    """
    rows = [(*about, _moment(noted.known(about))) for about in sorted(noted.changed) if about in told]
    if not rows:
        return 0
    connection.execute(_CLEAR, {"counting": json_list(rows)})
    return outbox.cancel(connection, rows)


def _moment(ends_at: datetime | None) -> str | None:
    return None if ends_at is None else ends_at.astimezone(UTC).isoformat()


def _statuses(connection: Connection, seen: _Seen) -> _Statuses:
    """
    Return where the drafts' notices stand, earlier ones included.

    None is there where the guard was never taken, since nobody writes one without it.
    """
    drafts, told = seen.chunk.drafts, seen.notified
    keys = [key_texts(key) for draft in drafts if certificate_of(draft) in told for key in _keys(draft)]
    # Where it may stand under a pseudonym; seldom, since it costs as much again.
    keys += [
        key_texts(erased_key(key))
        for draft in drafts
        if certificate_of(draft) in seen.erased
        for key in _keys(draft)
    ]
    rows = connection.execute(_EXISTING, {"keys": json_list(keys)}).all() if keys else ()
    found: dict[tuple[str, ...], str] = {}
    for mentor_id, code, tier, start, audience, recipient_id, status, ends_at in rows:
        # `weigh` writes nothing: what the chunk's ends clear is not cleared yet.
        is_over = seen.noted.voids((mentor_id, code), ends_at) and status == NoticeStatus.PENDING.value
        key = mentor_id, code, tier, start.isoformat(), audience, recipient_id
        found[key] = NoticeStatus.CLEARED.value if is_over else status
    return _Statuses(found, has_erased=bool(seen.erased))


def _keys(draft: NoticeDraft) -> Iterable[NoticeKey]:
    yield draft.notice.key
    yield from draft.earlier
    for notice in draft.others:
        yield notice.key


def _insert(connection: Connection, chunk: NoticeChunk, consequences: Sequence[Consequence]) -> None:
    dialect = connection.dialect
    notice_rows: list[tuple[Any, ...]] = []
    push_rows: dict[str, tuple[Any, ...]] = {}
    for draft, (fate, others) in zip(chunk.drafts, consequences, strict=True):
        is_created = fate.state is DraftState.CREATED
        if not (is_created or others):
            continue
        ends_at = stored_instant(draft.ends_at, dialect)
        if is_created:
            notice_rows.append(notice_row(draft.notice, ends_at, dialect))
            if draft.push is not None:
                push_rows[draft.push.message_id] = push_row(
                    draft.push, draft, ends_at, chunk.pushes_wait_for, dialect
                )
        notice_rows.extend(notice_row(notice, ends_at, dialect) for notice in others)
    if notice_rows:
        insert_rows_or_ignore(connection, notifications, notice_rows)
    outbox.queue(connection, [*push_rows.values()])
    again = _reopen(connection, chunk, consequences)
    _leave_to_digests(connection, chunk, consequences, again)


def _leave_to_digests(
    connection: Connection,
    chunk: NoticeChunk,
    consequences: Sequence[Consequence],
    again: Collection[str],
) -> None:
    """
    Let a digest tell each recipient of what is new, and of those that wait `again`.
    """
    opened: dict[str, tuple[Any, ...]] = {}
    for draft, (_, others) in zip(chunk.drafts, consequences, strict=True):
        waiting = [notice for notice in draft.others if notice.notification_id in again] if again else ()
        for notice in (*others, *waiting):
            if notice.audience is not Audience.MENTOR and notice.recipient_id not in opened:
                opened[notice.recipient_id] = _opened_by(notice, chunk, connection.dialect)
    digests.open_digests(connection, opened.values())


def _reopen(connection: Connection, chunk: NoticeChunk, consequences: Sequence[Consequence]) -> set[str]:
    """
    Let notices wait again that were cleared; return which of them no digest has told of.
    """
    rows = [
        (notice.notification_id, draft.ends_at.astimezone(UTC).isoformat())
        for draft, (fate, _) in zip(chunk.drafts, consequences, strict=True)
        if fate.reopened
        for notice in (draft.notice, *draft.others)
    ]
    if not rows:
        return set()
    reopened_now = connection.execute(_REOPEN, {"reopened": json_list(rows)}).all()
    outbox.queue_again(connection, rows, chunk.pushes_wait_for)
    return {row.notification_id for row in reopened_now if row.digest_id is None}


def _opened_by(
    notice: CertificateExpiryNotification, chunk: NoticeChunk, dialect: Dialect
) -> tuple[Any, ...]:
    return digest_row(
        recipient_id=notice.recipient_id,
        opened_by=notice.notification_id,
        tier=notice.tier,
        due_at=chunk.due_at,
        opened_at=chunk.written_at,
        run_id=chunk.run_id,
        dialect=dialect,
    )


def _consequences(
    chunk: NoticeChunk, states: Sequence[DraftState], is_there: IsThere, again: Collection[Certificate]
) -> list[Consequence]:
    return [
        consequence_of(draft, state, is_there, is_reopened=certificate_of(draft) in again)
        for draft, state in zip(chunk.drafts, states, strict=True)
    ]


def _recorded(consequences: Sequence[Consequence], noted: NotedEnds) -> RecordedChunk:
    return RecordedChunk(
        fates=tuple(consequence.fate for consequence in consequences), ends=tuple(noted.counting.values())
    )
