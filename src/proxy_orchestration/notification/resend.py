"""
The one rule of what becomes of a drafted notice; every store asks it, and none decides by itself.

A store looks up what it knows, asks here, and writes what it is told. A
durable store takes the guard once more as it writes, by a conditional
statement: two runs at once may both have been told to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

from proxy_orchestration.notification.ends import Certificate
from proxy_orchestration.notification.notices import CertificateExpiryNotification, NoticeKey
from proxy_orchestration.notification.records import (
    DraftFate,
    DraftState,
    NoticeChunk,
    NoticeDraft,
)
from proxy_orchestration.notification.tiers import NotificationThresholdTier

IsThere: TypeAlias = Callable[[NoticeKey], bool]
"""Whether a store has the notice of that key."""


class Standing(NamedTuple):
    """
    What a store knows of a mentor and type: the last notice and the end that counts, or `None`.
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
        chunk: what the run tells.
        standing: what the store knows of the drafts' mentors and types, the chunk's ends included.
        is_there: asked for the mentors' notices.
    """
    return [_state(draft, standing, is_there, chunk) for draft in chunk.drafts]


def _state(
    draft: NoticeDraft,
    standing: Mapping[Certificate, Standing],
    is_there: IsThere,
    chunk: NoticeChunk,
) -> DraftState:
    known = standing.get(certificate_of(draft), _UNKNOWN)
    if known.ends_at is not None and known.ends_at > draft.ends_at:
        return DraftState.STALE
    # Before the guard: a repeated run meets its own notice, whose others may be missing yet; decision 39.
    if is_there(draft.notice.key):
        return DraftState.DUPLICATE
    return DraftState.CREATED if _passes(known, chunk) else DraftState.DEFERRED


def _passes(known: Standing, chunk: NoticeChunk) -> bool:
    return known.notified_at is None or known.notified_at <= last_allowed(chunk.as_of, chunk.guard)


def reopened(
    chunk: NoticeChunk,
    states: Sequence[DraftState],
    standing: Mapping[Certificate, Standing],
    is_cleared: IsThere,
) -> set[Certificate]:
    """
    Return whose notices were cleared and wait again: the certificate counts again, and the guard lets pass.
    """
    return {
        certificate_of(draft)
        for draft, state in zip(chunk.drafts, states, strict=True)
        if state is DraftState.DUPLICATE
        and is_cleared(draft.notice.key)
        and _passes(standing.get(certificate_of(draft), _UNKNOWN), chunk)
    }


def consequence_of(
    draft: NoticeDraft, state: DraftState, is_there: IsThere, *, is_reopened: bool = False
) -> Consequence:
    """
    Return what else follows from what becomes of a draft.

    Others are told beside a duplicate too: theirs may have failed when it was new (decision 39).
    """
    others: Sequence[CertificateExpiryNotification] = ()
    if draft.others and state in {DraftState.CREATED, DraftState.DUPLICATE}:
        named = {
            notice.notification_id: notice for notice in draft.others
        }  # of the key, and told apart faster
        others = [notice for notice in named.values() if not is_there(notice.key)]
    missed: tuple[NotificationThresholdTier, ...] = ()
    if draft.earlier and state is DraftState.CREATED:
        missed = tuple(key.tier for key in draft.earlier if not is_there(key))
    fate = DraftFate(state=state, missed=missed, others=len(others), reopened=is_reopened)
    return Consequence(fate, others)
