"""
What an orchestrator, a dispatcher and a store say to each other. Immutable, no I/O.
"""

from __future__ import annotations

import enum
import uuid
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
"""The code of a cancelled digest without notices; the recipient's next notice opens another digest."""

RENEWED: Final = "renewed"
"""The code of a cancelled message about an end that no longer counts."""

NO_TARGET: Final = "no_target"
"""The code of a dead message whose recipient has no device; a digest covers its notices nevertheless."""

NO_ANSWER: Final = "no_answer"
"""Why a message is repeated that its sender said nothing about; it is handed over alone then."""

IN_DOUBT: Final = "in_doubt"
"""Why a message is repeated that may have been taken."""

MOST_NEAREST: Final = 3
"""The most certificates that a digest names."""

DIGEST_PREFIX_LENGTH: Final = len("digest-") + 32 + 1
"""Where in a digest's id that of the notice begins which opened it."""

DIGEST_COLLAPSE_KEY: Final = "certificate-expiry-digest"
"""A digest replaces the one before on the device."""


@attrs.frozen(kw_only=True)
class CertificateEnd(PlainModel):
    """
    The known end of a mentor's certificate of one type.

    Attributes:
        mentor_id: the mentor.
        certificate_type: the type, in the form of `type_code`.
        ends_at: the time from which it is not valid; aware, UTC. `None` for a revoked or withdrawn
            certificate, which no longer counts. In an answer about the end that counts, `None`
            means that none does.
        certificate_id: the host's id of the certificate, never in a repr or a log; empty if it is
            not known, or if no certificate counts.
        organization_id: the organization that gave this id, or `None`.
    """

    mentor_id: str
    certificate_type: str
    ends_at: datetime | None
    certificate_id: str = attrs.field(default="", repr=False)
    organization_id: str | None = None


@attrs.frozen(kw_only=True)
class NoticeDraft:
    """
    The notices and the push about one certificate.

    Attributes:
        notice: the mentor's own notice.
        push: its message, or `None` if none is to be sent.
        others: the notices of a coordinator or of chapter admins.
        ends_at: the time from which the certificate is not valid; aware, UTC.
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
    One write of a run; all or nothing.

    Attributes:
        as_of: the time for which the run was made; aware, UTC.
        guard: the time after a notice during which the same mentor and type get no other.
        run_id: the id of the run; `NoticeBook.log_run` ends the run.
        written_at: the time of the write, by the run's clock; aware, UTC.
        due_at: when its messages are due if the run is killed; aware, UTC.
        drafts: at most one for each mentor and type.
        ends: the end of each certificate in the chunk, those of the drafts included, each once.
        complete: whether the run's feed is complete, so that the store must remember for
            `CertificateEnds.withdraw` that each certificate was seen.
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
        Return when its messages to mentors are due, and the id of the run whose end makes them due earlier.

        Messages of a run for a later day wait for that day, whenever the run ends.
        """
        if self.as_of > self.due_at:
            return self.as_of, None
        return self.due_at, self.run_id


class DraftState(enum.Enum):
    """
    The store's answer for one draft.
    """

    CREATED = "created"  # the mentor's notice is new
    DUPLICATE = "duplicate"  # the mentor's notice already exists
    DEFERRED = "deferred"  # the resend guard stops it for now; its key is not used up
    STALE = "stale"  # a later certificate of the same mentor and type counts


@attrs.frozen(kw_only=True)
class DraftFate:
    """
    The store's answer for one draft.

    Attributes:
        state: what happened to the mentor's notice.
        missed: for a created notice, the earlier tiers for which there was no notice.
        others: the number of new notices of the other recipients.
        reopened: whether a cleared duplicate is pending again.
    """

    state: DraftState
    missed: tuple[NotificationThresholdTier, ...] = ()
    others: int = 0
    reopened: bool = False


@attrs.frozen(kw_only=True)
class RecordedChunk:
    """
    The store's answer for a chunk.

    Attributes:
        fates: the answer for each draft, in order.
        ends: for each mentor and type in the chunk, the end that counts now.
    """

    fates: tuple[DraftFate, ...]
    ends: tuple[CertificateEnd, ...] = ()


@attrs.frozen(kw_only=True)
class NotedRenewals:
    """
    The store's answer to ends that the host reported outside of a run.

    Attributes:
        cancelled: the number of cancelled messages about ends that no longer count.
        ends: for each reported mentor and type, the end that counts now.
    """

    cancelled: int
    ends: tuple[CertificateEnd, ...] = ()


@attrs.frozen(kw_only=True)
class WholeFeed:
    """
    What a run with a complete feed has seen.

    Attributes:
        scope: the pairs of organization (or `None`) and type of its certificates.
        since: certificates in this scope that were last seen before this time are not in the feed;
            aware, UTC.
    """

    scope: frozenset[tuple[str | None, str]]
    since: datetime


@attrs.frozen(kw_only=True)
class FeedCount:
    """
    How many of the known certificates a complete feed lacks.

    Attributes:
        known: the number of certificates of its organizations and types that count.
        unseen: the number of those that the feed lacks.
    """

    known: int
    unseen: int


@attrs.frozen(kw_only=True)
class Digest:
    """
    The content of a coordinator's digest, as of the time when it was claimed.

    Attributes:
        opened_at: when its first notice was written; aware, UTC.
        counts: the number of the recipient's notices that no digest has covered yet, by tier.
        nearest: the certificates among them that end first, at most `MOST_NEAREST`, each once.
        told_at: when the recipient's last sent digest was claimed, or `None`.
    """

    opened_at: datetime
    counts: Mapping[NotificationThresholdTier, int]
    nearest: tuple[CertificateEnd, ...] = ()
    told_at: datetime | None = None


@attrs.frozen(kw_only=True)
class LeasedPush:
    """
    A message that is leased to a dispatcher.

    Attributes:
        message: the message to send; a digest has no text yet, which is made from `digest`.
        token: identifies the lease; a completion with an older one changes nothing.
        attempts: the number of times it was claimed, including this one; the wait grows with it.
        digest: the content of a coordinator's digest; `None` for any other message.
        mentor_id, certificate_type: the mentor and type that it is about; `None` for a digest.
        lost: the number of earlier leases in a row that ended without a completion. Their
            dispatchers were killed, perhaps because of this message.
        code: why it was put back the last time; empty if it never was.
        notice: the current notice of the message; `None` for a digest, or if the notice was purged.
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
    Return the message of a digest that a notice opens; its words are found when it is sent.

    Each has an id of its own, which ends with that of the notice: a notice that was cleared and waits
    again opens another.
    """
    name = f"digest-{uuid.uuid4().hex}:{opened_by}"
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
    The result of an attempt to send a message.

    Attributes:
        message_id, token: the message and token of the lease.
        state: SENT, DEAD, CANCELLED, EXPIRED, or QUEUED for another attempt.
        due_at: when that attempt is due; aware, UTC.
        code: the reason, a code in `snake_case`; empty without one.
        counted: whether the attempt counts; false takes the count back.
        owed: the fingerprints of the devices that have not received it, if others have; `None`:
            unchanged.
        untried: whether the dispatcher did not try the message, so that its lost leases stay
            counted.
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
        Return whether a digest with this result has covered its notices, or can never do so.
        """
        return self.state is PushState.SENT or (self.state is PushState.DEAD and self.code == NO_TARGET)


@attrs.frozen(kw_only=True)
class DeadPush(PlainModel):
    """
    A message that was given up.

    Attributes:
        message_id: the id with which it can be replayed.
        recipient_id: whose devices.
        mentor_id, certificate_type: the mentor and type that it is about; `None` for a
            coordinator's digest.
        tier: the tier of its notice.
        code: why it was given up, a code in `snake_case`.
        attempts: the number of times it was claimed.
        claimed_at: when it was last claimed; aware, UTC.
        expires_at: the time from which it is not sent; aware, UTC. A digest does not expire.
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
    A provider's recent answers about devices.

    Attributes:
        answered: the number of devices for which it accepted a message, or that it reported as
            gone.
        gone: the number of devices that it reported as gone.
    """

    answered: int = 0
    gone: int = 0

    def plus(self, *, answered: int, gone: int, window: int) -> DeviceAnswers:
        """
        Return the sums with these answers added.

        Above `window` answers both are halved, so that newer ones count more.
        """
        total, lost = self.answered + answered, self.gone + gone
        return (
            DeviceAnswers(answered=total // 2, gone=lost // 2)
            if total > window
            else DeviceAnswers(answered=total, gone=lost)
        )


class Acknowledged(enum.Enum):
    """
    The result of an acknowledgement in the store.
    """

    NOW = "now"  # this call acknowledged it
    BEFORE = "before"  # it was acknowledged before; nothing changed


@attrs.frozen(kw_only=True)
class AcknowledgementEvent(PlainModel):
    """
    The one audit row of an acknowledgement.

    Attributes:
        notification_id, mentor_id, certificate_type, tier: the notice.
        acknowledged_by, acknowledged_at, note: by whom and when it was acknowledged, and that
            person's note.
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
        coordinator_id: the id of the coordinator.
        is_primary: whether the directory calls this coordinator the primary one.
        since: the first day of the membership or the assignment, or `None`.
        is_active: whether the assignment is still active; others are ignored.
    """

    coordinator_id: str
    is_primary: bool = False
    since: date | None = None
    is_active: bool = True


@attrs.frozen(kw_only=True)
class MentorRecipients:
    """
    The recipients of notices about a mentor, besides the mentor.

    Attributes:
        coordinator_id: the assigned coordinator, or `None`.
        chapter_admin_ids: the chapter admins who are notified if no coordinator is assigned.
        assignments: the coordinators, if there are several and `coordinator_id` is `None`. Only one
            of the active ones is notified, always the same: a primary one before others, then the
            one that was assigned first, then the first by id.
    """

    coordinator_id: str | None = None
    chapter_admin_ids: tuple[str, ...] = ()
    assignments: tuple[CoordinatorAssignment, ...] = ()


@attrs.frozen(kw_only=True)
class Eligibility:
    """
    Whether and when a recipient wants pushes.

    Attributes:
        opted_out: whether the recipient wants no pushes; queued ones are then cancelled.
        timezone: the recipient's zone for quiet hours and digests, an IANA name or a zone with one;
            `None`: the zone of the settings.
    """

    opted_out: bool = False
    timezone: str | None = attrs.field(default=None, converter=as_optional_zone_name)
