"""
The one rule of what becomes of a drafted notice; every store asks it, and none decides by itself.

A store looks up what it knows, asks here, and writes what it is told. A
durable store takes the guard once more as it writes, by a conditional
statement: two runs at once may both have been told to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

from proxy_orchestration.notification.notices import CertificateExpiryNotification, NoticeKey
from proxy_orchestration.notification.records import (
    CertificateEnd,
    DraftFate,
    DraftState,
    NoticeChunk,
    NoticeDraft,
)
from proxy_orchestration.notification.tiers import NotificationThresholdTier

Certificate: TypeAlias = tuple[str, str]
"""Mentor and type: what a notice is about."""

IsThere: TypeAlias = Callable[[NoticeKey], bool]
"""Whether a store has the notice of that key."""


class Standing(NamedTuple):
    """
    What a store knows of a certificate: its last notice and its latest end; `None` where there is none.
    """

    notified_at: datetime | None = None
    ends_at: datetime | None = None


class Consequence(NamedTuple):
    """
    What a run is told of a draft, and the notices for others that a store has to write.
    """

    fate: DraftFate
    others: Sequence[CertificateExpiryNotification]


_UNKNOWN: Final = Standing()


def certificate_of(draft: NoticeDraft) -> Certificate:
    """
    Return what the draft is about.
    """
    return draft.notice.mentor_id, draft.notice.certificate_type


def told_ends(
    ends: Iterable[CertificateEnd], drafts: Iterable[NoticeDraft] = ()
) -> dict[Certificate, datetime]:
    """
    Return the latest end that is told of each certificate; none of one that is only revoked.
    """
    told = [((end.mentor_id, end.certificate_type), end.ends_at) for end in ends]
    told += [(certificate_of(draft), draft.ends_at) for draft in drafts]
    latest: dict[Certificate, datetime] = {}
    for certificate, ends_at in told:
        if ends_at is not None and (certificate not in latest or ends_at > latest[certificate]):
            latest[certificate] = ends_at
    return latest


def last_allowed(at: datetime, guard: timedelta) -> datetime:
    """
    Return the latest moment of an earlier notice that lets another pass now: exactly the guard ago.
    """
    try:
        return at.astimezone(UTC) - guard
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def states_of(
    chunk: NoticeChunk, standing: Mapping[Certificate, Standing], is_there: IsThere
) -> list[DraftState]:
    """
    Return what becomes of each draft of the chunk, in order.

    Args:
        chunk: the ends that it tells count as known.
        standing: what the store knows of the drafts' certificates.
        is_there: asked for the mentors' notices.
    """
    told = told_ends(chunk.ends, chunk.drafts)
    limit = last_allowed(chunk.as_of, chunk.guard)
    return [_state(draft, told, standing, is_there, limit) for draft in chunk.drafts]


def _state(
    draft: NoticeDraft,
    told: Mapping[Certificate, datetime],
    standing: Mapping[Certificate, Standing],
    is_there: IsThere,
    limit: datetime,
) -> DraftState:
    certificate = certificate_of(draft)
    notified_at, known_end = standing.get(certificate, _UNKNOWN)
    if max(told[certificate], known_end or draft.ends_at) > draft.ends_at:
        return DraftState.STALE
    # Before the guard: a repeated run meets its own notice, whose others may be missing yet; decision 39.
    if is_there(draft.notice.key):
        return DraftState.DUPLICATE
    passes = notified_at is None or notified_at <= limit
    return DraftState.CREATED if passes else DraftState.DEFERRED


def consequence_of(draft: NoticeDraft, state: DraftState, is_there: IsThere) -> Consequence:
    """
    Return what else follows from what becomes of a draft.

    Others are told beside a duplicate too: theirs may have failed when it was new (decision 39).
    """
    others: Sequence[CertificateExpiryNotification] = ()
    if draft.others and state in {DraftState.CREATED, DraftState.DUPLICATE}:
        named = {notice.key: notice for notice in draft.others}
        others = [notice for key, notice in named.items() if not is_there(key)]
    missed: tuple[NotificationThresholdTier, ...] = ()
    if draft.earlier and state is DraftState.CREATED:
        missed = tuple(key.tier for key in draft.earlier if not is_there(key))
    return Consequence(DraftFate(state=state, missed=missed, others=len(others)), others)
