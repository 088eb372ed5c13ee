"""
What an orchestrator, a dispatcher and a store say to each other. Immutable, no I/O.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Final

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration.notification.notices import (
    CertificateExpiryNotification,
    NoticeKey,
    PushMessage,
    PushState,
)
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.notification.zones import as_optional_zone_name

NOTHING_LEFT: Final = "nothing_left"
"""Why a digest is cancelled that has no notice to tell of; the recipient's next notice opens another."""

RENEWED: Final = "renewed"
"""Why a message is cancelled that is about an end that does not count any more."""

NO_TARGET: Final = "no_target"
"""Why a message is dead whose recipient has no device; a digest covers its notices all the same."""

NO_ANSWER: Final = "no_answer"
"""Why a message is repeated that its sender said nothing about; it is handed over alone then."""

IN_DOUBT: Final = "in_doubt"
"""Why a message is repeated that may have been taken."""

MOST_NEAREST: Final = 3
"""How many certificates a digest names."""

DIGEST_COLLAPSE_KEY: Final = "certificate-expiry-digest"
"""A digest replaces the one before on the device."""


@attrs.frozen(kw_only=True)
class CertificateEnd(PlainModel):
    """
    When a mentor's certificate of one type ends, as known now.

    Attributes:
        mentor_id: the mentor.
        certificate_type: as `type_code` spells it.
        ends_at: the moment from which on it is not valid, aware and in UTC; `None`
            for a revoked or withdrawn one, which counts no more. Where it says which
            end counts: `None` if none does.
        certificate_id: the host's id of the certificate, never in a repr or a log;
            empty where it is not known, or where none counts.
        organization_id: the organization whose id that is, or `None`.
    """

    mentor_id: str
    certificate_type: str
    ends_at: datetime | None
    certificate_id: str = attrs.field(default="", repr=False)
    organization_id: str | None = None


@attrs.frozen(kw_only=True)
class NoticeDraft:
    """
    What one certificate is to tell.

    Attributes:
        notice: the mentor's own.
        push: its message, or `None` where none is to be sent.
        others: the same for a coordinator or chapter admins.
        ends_at: the moment from which on the certificate is not valid; aware, UTC.
        earlier: the keys that the mentor's notices of earlier tiers would have.
    """

    notice: CertificateExpiryNotification
    push: PushMessage | None
    others: tuple[CertificateExpiryNotification, ...] = ()
    ends_at: datetime
    earlier: tuple[NoticeKey, ...] = ()


def texts_of(draft: NoticeDraft) -> Iterator[str]:
    """
    Yield all that a draft would have a store keep as text.
    """
    for notice in (draft.notice, *draft.others):
        yield (
            f"{notice.notification_id}{notice.mentor_id}{notice.certificate_type}{notice.recipient_id}"
            f"{notice.title}{notice.body}{notice.deep_link}{notice.note}{notice.organization_id}"
            f"{notice.acknowledged_by}{notice.holder_name}{notice.locale}"
        )
    if draft.push is not None:
        push = draft.push
        yield f"{push.message_id}{push.recipient_id}{push.title}{push.body}{push.collapse_key}"
        yield "".join(push.data.values())


def texts_of_end(end: CertificateEnd) -> Iterator[str]:
    """
    Yield all that an end would have a store keep as text.
    """
    yield f"{end.mentor_id}{end.certificate_type}{end.certificate_id}{end.organization_id}"


@attrs.frozen(kw_only=True)
class NoticeChunk:
    """
    One write of a run, all or nothing.

    Attributes:
        as_of: the run's moment; aware, UTC.
        guard: how long after a notice the same mentor and type get no other.
        run_id: the run, which `NoticeBook.log_run` ends.
        written_at: when the run writes it, by its clock; aware, UTC.
        due_at: when its messages are due, should the run be killed; aware, UTC.
        drafts: at most one for each mentor and type.
        ends: the end of each certificate that the chunk speaks of, drafts included; each once.
        complete: whether the run's feed is whole, so that each sighting is noted for
            `CertificateEnds.withdraw`.
    """

    as_of: datetime
    guard: timedelta
    run_id: str
    written_at: datetime
    due_at: datetime
    drafts: tuple[NoticeDraft, ...]
    ends: tuple[CertificateEnd, ...] = ()
    complete: bool = False

    @property
    def pushes_wait_for(self) -> tuple[datetime, str | None]:
        """
        Return when its messages to mentors are due, and the run whose end makes them due earlier.

        Those of a run for a later day wait for that day, whenever the run ends.
        """
        if self.as_of > self.due_at:
            return self.as_of, None
        return self.due_at, self.run_id


class DraftState(enum.Enum):
    """
    What a store made of one draft.
    """

    CREATED = "created"  # the mentor's notice is new
    DUPLICATE = "duplicate"  # it exists
    DEFERRED = "deferred"  # the guard does not let it pass; its key is not consumed
    STALE = "stale"  # another certificate of that mentor and type ends later, and counts


@attrs.frozen(kw_only=True)
class DraftFate:
    """
    What a store made of one draft.

    Attributes:
        state: the mentor's notice.
        missed: tiers of `earlier` without a notice, for a created one.
        others: how many of the other recipients' notices are new.
        reopened: whether a duplicate was cleared before, and waits again.
    """

    state: DraftState
    missed: tuple[NotificationThresholdTier, ...] = ()
    others: int = 0
    reopened: bool = False


@attrs.frozen(kw_only=True)
class RecordedChunk:
    """
    What a store made of a chunk.

    Attributes:
        fates: of each draft, in order.
        ends: for each mentor and type that the chunk speaks of, the one end that counts now.
    """

    fates: tuple[DraftFate, ...]
    ends: tuple[CertificateEnd, ...] = ()


@attrs.frozen(kw_only=True)
class NotedRenewals:
    """
    What came of ends that a host told by itself.

    Attributes:
        cancelled: messages about ends that do not count any more.
        ends: for each mentor and type that was told of, the one end that counts now.
    """

    cancelled: int
    ends: tuple[CertificateEnd, ...] = ()


@attrs.frozen(kw_only=True)
class WholeFeed:
    """
    What a run that read a whole feed has seen.

    Attributes:
        scope: the organizations, or `None`, and types of its certificates.
        since: certificates of these that were last seen before that are not in the feed; aware, UTC.
    """

    scope: frozenset[tuple[str | None, str]]
    since: datetime


@attrs.frozen(kw_only=True)
class FeedCount:
    """
    How much of what a store knows a whole feed lacks.

    Attributes:
        known: certificates of its organizations and types that count.
        unseen: those of them that it lacks.
    """

    known: int
    unseen: int


@attrs.frozen(kw_only=True)
class Digest:
    """
    What a coordinator's digest is to tell, as it was when it was claimed.

    Attributes:
        opened_at: when the first notice that it tells of was written; aware, UTC.
        counts: the recipient's notices that no digest has covered yet, by tier.
        nearest: the certificates among them that end first, up to `MOST_NEAREST`,
            each once.
        told_at: when the recipient's last digest was claimed that was sent, or `None`.
    """

    opened_at: datetime
    counts: Mapping[NotificationThresholdTier, int]
    nearest: tuple[CertificateEnd, ...] = ()
    told_at: datetime | None = None


@attrs.frozen(kw_only=True)
class LeasedPush:
    """
    A message that a dispatcher holds.

    Attributes:
        message: what to send; of a digest without a text, which is made of `digest`.
        token: proves the lease; a completion under an older one changes nothing.
        attempts: how often it was claimed, this time included; the wait grows with it.
        digest: what a coordinator's digest is to tell; `None` for any other message.
        mentor_id, certificate_type: what it is about; `None` for a digest.
        lost: its leases in a row that ended without a word, this one aside. Who held
            them was killed, maybe by this message.
        code: why it was put back the last time; empty where it never was.
        notice: what the message tells of, as it is now; `None` for a digest, and where it is gone.
    """

    message: PushMessage
    token: int
    attempts: int
    digest: Digest | None = None
    mentor_id: str | None = None
    certificate_type: str | None = None
    lost: int = 0
    code: str = ""
    notice: CertificateExpiryNotification | None = None


def digest_message(
    recipient_id: str, opened_by: str, tier: NotificationThresholdTier, due_at: datetime
) -> PushMessage:
    """
    Return the message of the digest that a notice opens; its words are found when it is sent.

    No notice opens two: what one digest did not cover is counted by the next, and opens none.
    """
    name = f"digest:{opened_by}"
    return PushMessage(
        message_id=name,
        notification_id=name,
        recipient_id=recipient_id,
        tier=tier,
        title="",
        body="",
        collapse_key=DIGEST_COLLAPSE_KEY,
        expires_at=due_at,
    )


@attrs.frozen(kw_only=True)
class PushCompletion:
    """
    How an attempt to send ended.

    Attributes:
        message_id, token: of the lease.
        state: SENT, DEAD, CANCELLED, EXPIRED, or QUEUED for another attempt.
        due_at: when that is; aware, UTC.
        code: why, `snake_case`; empty where there is nothing to say.
        counted: false gives the attempt back.
        owed: the fingerprints of the devices that have not got it, while others have;
            `None`: those that were owed stay so.
        untried: whether the message was not looked at, so that its lost leases stay counted.
    """

    message_id: str
    token: int
    state: PushState
    due_at: datetime | None = None
    code: str = ""
    counted: bool = True
    owed: tuple[str, ...] | None = None
    untried: bool = False

    @property
    def covers(self) -> bool:
        """
        Return whether a digest that ends so has told its notices, or never can.
        """
        return self.state is PushState.SENT or (self.state is PushState.DEAD and self.code == NO_TARGET)


@attrs.frozen(kw_only=True)
class DeadPush(PlainModel):
    """
    A message that was given up.

    Attributes:
        message_id: by which it can be replayed.
        recipient_id: whose devices.
        mentor_id, certificate_type: what it is about; `None` for a coordinator's digest.
        tier: how close the end was.
        code: why it was given up, `snake_case`.
        attempts: how often it was claimed.
        claimed_at: when that was last; aware, UTC.
        expires_at: when it is too late to be sent; aware, UTC. A digest never is.
        organization_id: the mentor's organization, or `None`.
    """

    message_id: str
    recipient_id: str
    mentor_id: str | None
    certificate_type: str | None
    tier: NotificationThresholdTier
    code: str
    attempts: int
    claimed_at: datetime
    expires_at: datetime
    organization_id: str | None


@attrs.frozen(kw_only=True)
class DeviceAnswers:
    """
    What a provider said lately about the devices that it was handed messages for.

    Attributes:
        answered: devices that it took a message for, or called gone.
        gone: those that it called gone.
    """

    answered: int = 0
    gone: int = 0

    def plus(self, *, answered: int, gone: int, window: int) -> DeviceAnswers:
        """
        Return the sums with these; beyond `window` answers both are halved, so that newer ones weigh more.
        """
        total, lost = self.answered + answered, self.gone + gone
        return (
            DeviceAnswers(answered=total // 2, gone=lost // 2)
            if total > window
            else DeviceAnswers(answered=total, gone=lost)
        )


class Acknowledged(enum.Enum):
    """
    What an acknowledgement found.
    """

    NOW = "now"  # this call acknowledged it
    BEFORE = "before"  # it was acknowledged before; nothing changed


@attrs.frozen(kw_only=True)
class AcknowledgementEvent(PlainModel):
    """
    The one audit row of an acknowledgement.

    Attributes:
        notification_id, mentor_id, certificate_type, tier: the notice.
        acknowledged_by, acknowledged_at, note: who, when, and in what words.
        organization_id: the mentor's organization, or `None`.
    """

    notification_id: str
    mentor_id: str
    certificate_type: str
    tier: NotificationThresholdTier
    acknowledged_by: str
    acknowledged_at: datetime
    note: str = attrs.field(default="", repr=False)
    organization_id: str | None = None


@attrs.frozen(kw_only=True)
class CoordinatorAssignment:
    """
    One of several coordinators of a mentor, for example in one of several chapters.

    Attributes:
        coordinator_id: who.
        is_primary: whether the directory says that this is the one.
        since: the first day of the membership or the assignment, or `None`.
        is_active: whether the coordinator is one still; others are passed over.
    """

    coordinator_id: str
    is_primary: bool = False
    since: date | None = None
    is_active: bool = True


@attrs.frozen(kw_only=True)
class MentorRecipients:
    """
    Who is told about a mentor besides the mentor.

    Attributes:
        coordinator_id: the one assigned coordinator, or `None`.
        chapter_admin_ids: who is told instead where no coordinator is assigned.
        assignments: where the directory knows several coordinators, and `coordinator_id`
            is `None`. One is told, always the same: of the active ones a primary one, then
            the one assigned first, then the first by id.
    """

    coordinator_id: str | None = None
    chapter_admin_ids: tuple[str, ...] = ()
    assignments: tuple[CoordinatorAssignment, ...] = ()


@attrs.frozen(kw_only=True)
class Eligibility:
    """
    Whether and when a recipient wants pushes.

    Attributes:
        opted_out: wants none; what is queued is cancelled.
        timezone: the recipient's zone, for quiet hours and digests; a name or a zone, kept as
            its IANA name; `None` for the settings'.
    """

    opted_out: bool = False
    timezone: str | None = attrs.field(default=None, converter=as_optional_zone_name)
