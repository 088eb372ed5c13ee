"""
What a host implements for notification. The docstrings are law.

Every port speaks this library's values only and may raise
`RepositoryUnavailableError` where it stands on a store. Any number of tasks
and processes may call it at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from proxy_orchestration.notification.ends_port import CertificateEnds
from proxy_orchestration.notification.erasure import NoticeErasure, NoticeExport
from proxy_orchestration.notification.inbox_pages import InboxPlace, InboxRows, InboxScope
from proxy_orchestration.notification.notices import (
    CertificateExpiryNotification,
    PushMessage,
    PushOutcome,
    PushState,
    PushTarget,
)
from proxy_orchestration.notification.records import (
    Acknowledged,
    AcknowledgementEvent,
    CertificateEnd,
    DeadPush,
    DeviceAnswers,
    Eligibility,
    LeasedPush,
    MentorRecipients,
    NotedRenewals,
    NoticeChunk,
    PushCompletion,
    RecordedChunk,
)
from proxy_orchestration.notification.run_log import RunPlace, RunRecord


class NoticeBook(Protocol):
    """
    Notices, their guard, and the log of runs.

    A text with a NUL character or an unpaired surrogate raises a `RecordRefusedError`, and the call
    writes nothing.
    """

    async def record(self, chunk: NoticeChunk, /) -> RecordedChunk:
        """
        Write the notices and pushes of the chunk's drafts, and return an answer for each in order.

        All or nothing.

        The ends come first: each replaces the known end of its certificate (organization and id),
        whether earlier or later. Of a mentor's certificates of one type that are not revoked or
        withdrawn, the one that ends last counts; the answer tells which. Of two simultaneous calls,
        the second sees the ends of the first.

        Then each draft gets the first answer that applies. It is STALE if a later end counts. It is
        a DUPLICATE if the mentor's notice with this key exists. If that notice was cleared and the
        guard allows it, it becomes PENDING again, together with the draft's notices to others; its
        message is queued again unless it was sent, and `reopened` is true. Otherwise the guard
        decides, by one conditional upsert of a row per mentor and type in `as_of` time: if less
        than `guard` has passed since the last notice, the draft is DEFERRED and nothing of it is
        written; exactly `guard` is enough. Otherwise notice and push are inserted, and the draft is
        CREATED. The push is QUEUED for `due_at` and belongs to this run, whose end makes it due
        earlier; a push of a run for a later time is due at that time. Of two simultaneous calls
        with one key, one creates the notice.

        For CREATED and DUPLICATE drafts, the notices to others are inserted unless they exist, so a
        later run completes what an earlier one could not write. For each new notice to a
        coordinator or chapter admin, the outbox then has exactly one open digest of the recipient:
        one that is QUEUED, LEASED or DEAD. A new digest is QUEUED for `due_at`, and so is a DEAD
        one, with no attempt counted. A digest that waits for a later time than `due_at` becomes due
        at `due_at`. It belongs to this run, whose end makes it due; see `log_run`.

        If an end of a mentor and type has changed, their messages for an end that does not count
        are cancelled unless they are finished; dead ones are cancelled, too, so that no replay
        sends them. PENDING notices for such an end are CLEARED, and no digest includes such a
        notice. If no end counts, this applies to all of them.

        If the store has an id in another Unicode spelling, composed or decomposed, the two count as
        the same id, and the stored spelling is kept; of two spellings in the chunk, the first. An
        id that is stored in a mixture of both need not be found.

        The number of statements does not depend on the chunk's size. Rows are written in the order
        of their keys, so that overlapping runs do not deadlock.
        """
        ...

    async def weigh(self, chunk: NoticeChunk, /) -> RecordedChunk:
        """
        Return what `record` would return now, and write nothing.
        """
        ...

    async def renew(self, ends: Sequence[CertificateEnd], /, *, at: datetime) -> NotedRenewals:
        """
        Store new ends or revocations of these certificates, with the same effects as `record`.

        All or nothing.

        The host's statement is final: an end of a mentor and type without a known certificate id,
        stored by an older version, no longer counts.
        """
        ...

    async def notifications_for(
        self, recipient_id: str, /, *, unacknowledged_only: bool = False
    ) -> Sequence[CertificateExpiryNotification]:
        """
        Return a recipient's notices, for each spelling of the id, oldest first.

        `unacknowledged_only` selects those that are PENDING.
        """
        ...

    async def notification(self, notification_id: str, /) -> CertificateExpiryNotification | None:
        """
        Return a notice, or `None`.
        """
        ...

    async def acknowledge(self, event: AcknowledgementEvent, /) -> Acknowledged:
        """
        Acknowledge the notice and write its only audit row, all or nothing; a repeated call changes nothing.

        All PENDING notices of the same mentor, type, tier and window are acknowledged with it: one
        recipient acknowledges for all. Of two simultaneous calls about them, one returns NOW. For a
        notice that does not exist, or was cleared, the answer is BEFORE.
        """
        ...

    async def acknowledgements(
        self, organization_id: str | None, /, *, limit: int
    ) -> Sequence[AcknowledgementEvent]:
        """
        Return the newest audit rows of an organization, newest first.
        """
        ...

    async def log_run(self, run: RunRecord, /) -> None:
        """
        Add an ended run to the log, once per `run_id`, and make its messages due.

        These are its QUEUED messages, and its digests for which no later run wrote. They become due
        at the end of the run, or earlier. A run that was stopped early has ended, too.
        """
        ...


class NoticeInbox(Protocol):
    """
    The inboxes of recipients.
    """

    async def read_inbox(self, scope: InboxScope, /, *, after: InboxPlace | None, limit: int) -> InboxRows:
        """
        Return at most `limit` notices of the scope, newest first.

        Notices of the same time are ordered by descending id.

        They follow the given place, whether or not its notice still exists. `unread` counts, over
        the whole scope, the notices that are PENDING and were never marked as read.
        """
        ...

    async def mark_read(
        self, scope: InboxScope, notification_ids: Collection[str] | None, /, *, at: datetime
    ) -> int:
        """
        Mark these notices of the scope, or all, as read; return how many PENDING ones were unread before.

        The time of the first reading is kept.
        """
        ...

    async def put_off(self, scope: InboxScope, notification_id: str, /, *, until: datetime) -> bool:
        """
        Store until when a PENDING notice of the scope is postponed; return false if there is no such notice.
        """
        ...


class RunLog(Protocol):
    """
    Reading the log of runs.
    """

    async def list_runs(
        self, organization_id: str | None, /, *, after: RunPlace | None, limit: int
    ) -> Sequence[RunRecord]:
        """
        Return at most `limit` runs after the given place, those that started last first, without `shares`.

        With an organization: only runs with mentors of it, with the counts for these mentors. With
        `None`: all runs, with all counts. Runs of the same time are ordered by descending id.
        """
        ...


class NoticeRetention(Protocol):
    """
    Deleting old data, and exporting and erasing the data of one mentor.
    """

    async def purge_notices(self, /, *, created_before: datetime) -> int:
        """
        Remove the content of notices created before this time, which are no longer returned; return how many.

        Their keys are kept, so that none is sent again. A notice is left alone if it is pending and
        the recipient's latest about that certificate, if no digest has covered it yet, or if its
        own message is QUEUED or LEASED.
        """
        ...

    async def purge_pushes(self, /, *, due_before: datetime) -> int:
        """
        Delete messages that were due before this time and are SENT, CANCELLED or EXPIRED; return how many.

        DEAD messages that had expired by this time are deleted, too, except digests. A CANCELLED
        message whose attempt may still be completed is kept until its lease ends, and so is the
        last SENT digest of a recipient.
        """
        ...

    async def purge_runs(self, /, *, started_before: datetime) -> int:
        """
        Delete the runs that started before this time from the log; return how many.
        """
        ...

    async def export_mentor(self, mentor_id: str, /) -> NoticeExport:
        """
        Return everything stored about this mentor, as of one moment.
        """
        ...

    async def erase_mentor(self, mentor_id: str, /) -> NoticeErasure:
        """
        Replace this mentor's id by a pseudonym, and delete the texts about the mentor; all or nothing.

        The mentor's QUEUED, LEASED and DEAD messages are CANCELLED. PENDING notices about the
        mentor are CLEARED, and no digest includes them. A later draft whose key or guard is stored
        under the pseudonym is answered as if it were stored under the id, also after newer notices.
        """
        ...


class PushOutbox(Protocol):
    """
    The messages that wait to be sent.

    Due times and expiries are in the caller's time. Leases use the store's clock; a lease of 0
    seconds ends at once.
    """

    async def claim_pushes(self, /, *, now: datetime, limit: int, hold: float) -> Sequence[LeasedPush]:
        """
        Lease due messages, in the order of their due times, and count the attempt.

        `lost` counts the leases that ended without a completion. A completion resets it to 0,
        unless it is `untried`.

        A message is due if it is QUEUED with a due time not after `now`, or LEASED with a lease
        that has ended. Of two simultaneous callers only one gets a message. A dead message does not
        delay others.

        For a digest, the call counts the recipient's notices that no digest has covered yet, and
        whose certificates have no other known end. Any other message has its current notice.
        """
        ...

    async def complete_pushes(self, completions: Sequence[PushCompletion], /) -> int:
        """
        Store the results of attempts, all or nothing; return how many leases were still valid.

        A completion with an old token changes nothing. The same holds if it asks to send a message
        again that was cancelled in the meantime.

        A digest's completion with `covers` covers exactly the notices that its claim counted. If
        other notices were added or became PENDING again since the claim, also of a digest that ends
        with `NOTHING_LEFT`, the recipient has an open digest again, with the same due time. The
        notices of a digest that ends otherwise wait for the next digest.
        """
        ...

    async def push_wait(self, /, *, now: datetime) -> float | None:
        """
        Return the seconds until a message is due; 0 if one is due, `None` if there is none.
        """
        ...

    async def replay_dead(self, message_ids: Collection[str] | None, /, *, now: datetime) -> int:
        """
        Queue dead messages again, these or all, with their attempts set to 0; return how many.

        A digest that died because of a missing device includes again the notices that it had
        covered; those that are CLEARED when they become PENDING again.
        """
        ...

    async def dead_pushes(
        self, /, *, organization_id: str | None, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[DeadPush]:
        """
        Return dead messages, in the order of their last claim, the oldest first.

        Args:
            organization_id: only those about mentors of this organization, or of no known
                organization; `None`: all.
            after: only those after this `claimed_at` and `message_id`.
            limit: the most messages to return.
        """
        ...

    async def count_pushes(self, /) -> Mapping[PushState, int]:
        """
        Return the number of messages by state, without states that have none.
        """
        ...


@runtime_checkable
class SupportsCompleteAndClaim(Protocol):
    """
    An outbox that can complete and claim in one transaction; an optional ability.

    Without it, a dispatcher calls `complete_pushes` and `claim_pushes`, one after the other. The
    ability only saves transactions.
    """

    async def complete_and_claim(
        self, completions: Sequence[PushCompletion], /, *, now: datetime, limit: int, hold: float
    ) -> Sequence[LeasedPush]:
        """
        Do the same as `complete_pushes` and then `claim_pushes`, all or nothing.

        Messages that become due by these completions may be among the leased ones.
        """
        ...


class DeviceAnswerCounts(Protocol):
    """
    Counts a provider's answers about devices, over all processes and restarts.
    """

    async def count_device_answers(
        self, channel: str, /, *, answered: int, gone: int, window: int
    ) -> DeviceAnswers:
        """
        Add these answers to the channel's sums as `DeviceAnswers.plus` does, atomically, and return the sums.

        Of two simultaneous calls, the second sees the answers of the first.
        """
        ...


class SupportsSendLimit(Protocol):
    """
    A `PushSender` that tells how long a call may take; an optional ability.
    """

    @property
    def send_limit(self) -> float:
        """
        Return the longest time, in seconds, that `send` takes.

        Making a dispatcher whose `send_timeout` is not longer raises an error.
        """
        ...


class NotificationRecords(NoticeBook, CertificateEnds, NoticeInbox, RunLog, NoticeRetention, Protocol):
    """
    Notices, and all data about them and their runs.
    """


class NotificationRepository(NotificationRecords, PushOutbox, Protocol):
    """
    The complete store of notification.
    """


class RecipientDirectory(Protocol):
    """
    Knows who is responsible for a mentor.
    """

    async def resolve(self, mentor_ids: Collection[str], /) -> Mapping[str, MentorRecipients]:
        """
        Return the recipients for these mentors by mentor id; an absent mentor has none.

        Called once per chunk.
        """
        ...


@runtime_checkable
class RecipientLocales(Protocol):
    """
    Knows the languages of recipients; a `RecipientDirectory` may implement this, too.
    """

    async def locales_of(self, recipient_ids: Collection[str], /) -> Mapping[str, str]:
        """
        Return the locales of these mentors, coordinators and chapter admins by id, such as `nb-NO`.

        An absent person has none. Called once per chunk of a run, and again for each batch of
        messages that is sent. A failure stops neither.
        """
        ...


class PushSender(Protocol):
    """
    Delivers messages to devices.
    """

    async def send(self, messages: Sequence[PushMessage], /) -> Sequence[PushOutcome]:
        """
        Send the messages, and return one outcome per message, in any order.

        A message without an outcome is sent again later, with the same message id and collapse key.
        After an exception, all of them are.
        """
        ...


class PushTargetDirectory(Protocol):
    """
    Knows the devices of recipients.
    """

    async def targets_of(self, recipient_ids: Collection[str], /) -> Mapping[str, Sequence[PushTarget]]:
        """
        Return the devices of these recipients by id; an absent recipient has none.
        """
        ...

    async def prune(self, recipient_id: str, target: PushTarget, /) -> None:
        """
        Remove a device that the provider no longer knows, unless it has reported its address since then.
        """
        ...


class PushEligibility(Protocol):
    """
    Knows who wants no pushes.
    """

    async def check(self, recipient_ids: Collection[str], /) -> Mapping[str, Eligibility]:
        """
        Return the wishes of these recipients by id; an absent recipient wants pushes at any hour.
        """
        ...
