"""
Example notices, and helpers that many checks share.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from proxy_orchestration.notification.notices import (
    Audience,
    CertificateExpiryNotification,
    NoticeKey,
    NoticeStatus,
    PushMessage,
    PushState,
    notification_id_of,
)
from proxy_orchestration.notification.ports import NoticeBook, PushOutbox
from proxy_orchestration.notification.records import (
    AcknowledgementEvent,
    CertificateEnd,
    DraftState,
    LeasedPush,
    NoticeChunk,
    NoticeDraft,
    PushCompletion,
)
from proxy_orchestration.notification.run_log import RunRecord
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.testing.contracts.checks import broken, expect

MORNING: Final = datetime(2026, 3, 4, 6, 0, 0, 250_000, tzinfo=UTC)
GUARD: Final = timedelta(hours=20)
HOLD: Final = timedelta(hours=1)
INSTANT: Final = timedelta(microseconds=1)
ENDS: Final = datetime(2026, 4, 1, tzinfo=UTC)
RENEWED: Final = datetime(2028, 4, 1, tzinfo=UTC)
LONG: Final = 600.0  # seconds that no check lasts
OVER: Final = 0.0  # a lease of no seconds is over at once
MINUTE: Final = timedelta(minutes=1)
TYPE: Final = "first_aid"
CERTIFICATE: Final = "certificate-1"  # each mentor's own
ANOTHER: Final = "certificate-2"
OTHER_TYPE: Final = "driving"

ADVANCE: Final = NotificationThresholdTier.ADVANCE_60
WARNING: Final = NotificationThresholdTier.WARNING_30
URGENT: Final = NotificationThresholdTier.URGENT_7


def notice_of(  # noqa: PLR0913 - every part of a sample may vary
    mentor_id: str = "mentor-1",
    tier: NotificationThresholdTier = WARNING,
    to: tuple[Audience, str] | None = None,
    *,
    of_type: str = TYPE,
    ends_at: datetime = ENDS,
    at: datetime = MORNING,
) -> CertificateExpiryNotification:
    """
    Return a notice to that recipient, the mentor if `None`, as a run at that moment makes it.
    """
    audience, recipient_id = to or (Audience.MENTOR, mentor_id)
    window = ends_at.date() - timedelta(days=30)
    key = NoticeKey(mentor_id, of_type, tier, window, audience, recipient_id)
    return CertificateExpiryNotification(
        notification_id=notification_id_of(key),
        mentor_id=mentor_id,
        certificate_type=of_type,
        tier=tier,
        window_start=window,
        audience=audience,
        recipient_id=recipient_id,
        title=f"Fornyes snart «{of_type}»",
        body=f"{tier.value}: æøå 🎓",
        deep_link="https://courses.example.org/renew?a=1&b=%C3%A5",
        created_at=at,
        organization_id="org-1",
    )


def coordinator(name: str = "coordinator-1") -> tuple[Audience, str]:
    """
    Return a coordinator as a recipient.
    """
    return Audience.COORDINATOR, name


def push_of(notice: CertificateExpiryNotification) -> PushMessage:
    """
    Return the message of a notice.
    """
    return PushMessage(
        message_id=notice.notification_id,
        notification_id=notice.notification_id,
        recipient_id=notice.recipient_id,
        tier=notice.tier,
        title=notice.title,
        body=notice.body,
        data={"route": "/certificate/renew/æ", "threshold_tier": notice.tier.value},
        collapse_key=f"certificate-expiry-{notice.certificate_type}",
        expires_at=MORNING + timedelta(days=20),
    )


def draft_of(  # noqa: PLR0913 - every part of a sample may vary
    mentor_id: str = "mentor-1",
    tier: NotificationThresholdTier = WARNING,
    *others: tuple[Audience, str],
    of_type: str = TYPE,
    ends_at: datetime = ENDS,
    at: datetime = MORNING,
    earlier: Sequence[NotificationThresholdTier] = (),
    pushed: bool = True,
) -> NoticeDraft:
    """
    Return what a run at that moment tells that mentor and those others.
    """

    def notice(
        to: tuple[Audience, str] | None = None, of: NotificationThresholdTier = tier
    ) -> CertificateExpiryNotification:
        return notice_of(mentor_id, of, to, of_type=of_type, ends_at=ends_at, at=at)

    own = notice()
    return NoticeDraft(
        notice=own,
        push=push_of(own) if pushed else None,
        others=tuple(notice(other) for other in others),
        ends_at=ends_at,
        earlier=tuple(notice(of=each).key for each in earlier),
    )


def chunk_of(
    *drafts: NoticeDraft,
    at: datetime = MORNING,
    ends: Sequence[CertificateEnd] = (),
    run_id: str = "run-1",
    complete: bool = False,
) -> NoticeChunk:
    """
    Return a chunk of a run at that moment; it speaks of its drafts' ends and of these.
    """
    own = tuple(
        CertificateEnd(
            mentor_id=draft.notice.mentor_id,
            certificate_type=draft.notice.certificate_type,
            ends_at=draft.ends_at,
            certificate_id=CERTIFICATE,
        )
        for draft in drafts
    )
    return NoticeChunk(
        as_of=at,
        guard=GUARD,
        run_id=run_id,
        written_at=at,
        due_at=at + HOLD,
        drafts=drafts,
        ends=(*own, *ends),
        complete=complete,
    )


def run_that_ended(run_id: str = "run-1", *, at: datetime = MORNING) -> RunRecord:
    """
    Return the log of a run that ended at that moment.
    """
    return RunRecord(
        run_id=run_id,
        as_of=at,
        started_at=at - MINUTE,
        duration=MINUTE.total_seconds(),
        by_tier={},
        processed=0,
        created=0,
        skipped=0,
        failed=0,
        error_codes={},
    )


def end_of(
    mentor_id: str = "mentor-1",
    ends_at: datetime | None = RENEWED,
    of_type: str = TYPE,
    *,
    of: str = CERTIFICATE,
    organization_id: str | None = None,
) -> CertificateEnd:
    """
    Return an end of the mentor's certificate, or of the one that is named; revoked if it is `None`.
    """
    return CertificateEnd(
        mentor_id=mentor_id,
        certificate_type=of_type,
        ends_at=ends_at,
        certificate_id=of,
        organization_id=organization_id,
    )


def acknowledgement(
    notice: CertificateExpiryNotification, *, by: str = "mentor-1", at: datetime = MORNING, note: str = ""
) -> AcknowledgementEvent:
    """
    Return the audit row of an acknowledgement.
    """
    return AcknowledgementEvent(
        notification_id=notice.notification_id,
        mentor_id=notice.mentor_id,
        certificate_type=notice.certificate_type,
        tier=notice.tier,
        acknowledged_by=by,
        acknowledged_at=at,
        note=note,
        organization_id=notice.organization_id,
    )


async def run_with(store: NoticeBook, chunk: NoticeChunk) -> None:
    """
    Record the chunk in a run that ends with it, so that its messages are due.
    """
    await store.record(chunk)
    await store.log_run(run_that_ended(chunk.run_id, at=chunk.written_at))


async def states_of(book: NoticeBook, chunk: NoticeChunk) -> list[DraftState]:
    """
    Record the chunk; return what became of its drafts.
    """
    return [result.state for result in (await book.record(chunk)).fates]


async def inbox_of(book: NoticeBook, recipient_id: str = "mentor-1") -> list[CertificateExpiryNotification]:
    """
    Return a recipient's notices.
    """
    return list(await book.notifications_for(recipient_id))


async def status_of(book: NoticeBook, notice: CertificateExpiryNotification) -> NoticeStatus:
    """
    Return where a notice stands that must be there.
    """
    found = await book.notification(notice.notification_id)
    if found is None:
        broken("a notice that was recorded is not there")
    return found.status


async def claimed(
    outbox: PushOutbox, *, at: datetime = MORNING, limit: int = 9, hold: float = LONG
) -> list[LeasedPush]:
    """
    Return the messages that are due at that moment.
    """
    return list(await outbox.claim_pushes(now=at, limit=limit, hold=hold))


async def the_push(outbox: PushOutbox, *, at: datetime = MORNING, hold: float = LONG) -> LeasedPush:
    """
    Return the one message that is due at that moment.
    """
    found = await claimed(outbox, at=at, hold=hold)
    if len(found) != 1:
        broken(f"one message is due: expected 1, got {len(found)}")
    return found[0]


def ended(push: LeasedPush, state: PushState = PushState.SENT, *, code: str = "") -> PushCompletion:
    """
    Say that the attempt ended so, for good.
    """
    return PushCompletion(message_id=push.message.message_id, token=push.token, state=state, code=code)


def retried(push: LeasedPush, at: datetime, *, counted: bool = True) -> PushCompletion:
    """
    Say that the message is to be sent again at that moment.
    """
    return attrs.evolve(ended(push, PushState.QUEUED, code="retry"), due_at=at, counted=counted)


async def expect_counts(rule: str, outbox: PushOutbox, **expected: int) -> None:
    """
    Complain unless the outbox holds so many messages, by state.
    """
    actual = {state.value: number for state, number in (await outbox.count_pushes()).items()}
    expect(rule, expected=expected, actual=actual)
