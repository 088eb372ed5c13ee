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

    A text that holds NUL or half a surrogate pair is a `RecordRefusedError`, and
    nothing of its call is written.
    """

    async def record(self, chunk: NoticeChunk, /) -> RecordedChunk:
        """
        Write what the chunk's drafts tell, and answer each in order; all or nothing.

        Its ends first: each replaces what was known of its certificate, by
        organization and id, up or down. Of a mentor's certificates of one
        type the one that ends last counts, of those that are not revoked or
        withdrawn; the answer says which. Of two calls at once one sees the
        other's ends.

        For each draft: where another end counts, a later one, it is STALE.
        Where the mentor's notice of that key exists, it is a DUPLICATE; if
        that one was cleared and the guard lets it pass, it is PENDING again,
        as the others' of the draft are, its message is queued again unless it
        was sent, and that is `reopened`. Else the guard is taken, by one conditional upsert of a
        row per mentor and type in `as_of` time: where less than `guard` went
        by since its last notice, the draft is DEFERRED and nothing of it is
        written; exactly `guard` passes. Else notice and push are inserted,
        and it is CREATED. The push is QUEUED for `due_at`, and is this run's,
        whose end makes it due; one of a run for a later moment is due then. Of
        two calls at once with one key one creates.

        The others' notices are inserted unless they exist, for CREATED and
        DUPLICATE drafts, so that a later run completes what an earlier one
        could not tell. Each new one of a coordinator or chapter admin makes
        sure that the recipient has an open digest, one that is QUEUED, LEASED
        or DEAD, in the outbox; there is at most one. A new one is QUEUED for
        `due_at`, and so is a DEAD one, with no attempt counted. One that
        waits for later than `due_at` is due then. It is this run's,
        whose end makes it due; see `log_run`.

        Where an end of a mentor and type has changed, their messages for
        another end than the one that counts are cancelled unless they are done
        with, dead ones included, so that no replay sends them. PENDING notices
        for another end are CLEARED, and no digest tells of any such notice.
        Where none counts, that is all of them.

        An id that the store has in another spelling, composed or decomposed, is
        taken for that one in all of this, and kept as the store has it; of two
        spellings in the chunk the first. What it keeps in a mixture of both need
        not be found.

        A constant number of statements, whatever the chunk's size. Rows are
        written in the order of their keys, so that overlapping runs do not
        block each other for ever.
        """
        ...

    async def weigh(self, chunk: NoticeChunk, /) -> RecordedChunk:
        """
        Return what `record` would answer now, and write nothing.
        """
        ...

    async def renew(self, ends: Sequence[CertificateEnd], /, *, at: datetime) -> NotedRenewals:
        """
        Note that these certificates have new ends, or are revoked, all or nothing, as `record` does.

        It is the host's own word: an end of a mentor and type of which no id
        is known, since it was stored before ends had ids, counts no more.
        """
        ...

    async def notifications_for(
        self, recipient_id: str, /, *, unacknowledged_only: bool = False
    ) -> Sequence[CertificateExpiryNotification]:
        """
        Return a recipient's notices, by any spelling of the id, oldest first.

        Unacknowledged ones are those that are PENDING.
        """
        ...

    async def notification(self, notification_id: str, /) -> CertificateExpiryNotification | None:
        """
        Return a notice, or `None`.
        """
        ...

    async def acknowledge(self, event: AcknowledgementEvent, /) -> Acknowledged:
        """
        Mark the notice and write its one audit row, all or nothing; a repetition changes nothing.

        All PENDING notices of that mentor, type, tier and window are marked with
        it: whoever of those who were told takes note, takes note for all. Of two
        calls at once about any of them one is NOW. A notice that is not there, or was
        cleared, is BEFORE.
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
        Add a run that has ended to the log, once per `run_id`, and make its messages due.

        Those are the QUEUED ones, and of digests those that no later run wrote
        for. They are due when the run ended, or earlier. A run that was cut
        short has ended too.
        """
        ...


class NoticeInbox(Protocol):
    """
    Notices as their recipients read them.
    """

    async def read_inbox(self, scope: InboxScope, /, *, after: InboxPlace | None, limit: int) -> InboxRows:
        """
        Return up to so many notices of the scope, the newest first, and those of one moment by descending id.

        Those that follow the place, whether or not its notice is still there. The
        unread ones are counted over the whole scope: PENDING, and never marked as read.
        """
        ...

    async def mark_read(
        self, scope: InboxScope, notification_ids: Collection[str] | None, /, *, at: datetime
    ) -> int:
        """
        Note that these notices of the scope, or all, were read; return how many PENDING ones were not.

        When a notice was read first stays.
        """
        ...

    async def put_off(self, scope: InboxScope, notification_id: str, /, *, until: datetime) -> bool:
        """
        Note until when a PENDING notice of the scope is put off; false where there is none.
        """
        ...


class RunLog(Protocol):
    """
    The log of runs, as it is read.
    """

    async def list_runs(
        self, organization_id: str | None, /, *, after: RunPlace | None, limit: int
    ) -> Sequence[RunRecord]:
        """
        Return up to so many runs behind the place, those that started last first, without `shares`.

        Of an organization those that dealt with a mentor of it, with the counts of
        its mentors alone; `None`: all, with all counts. Runs of one moment come by
        descending id.
        """
        ...


class NoticeRetention(Protocol):
    """
    Letting go of what is old, and of one mentor.
    """

    async def purge_notices(self, /, *, created_before: datetime) -> int:
        """
        Empty the notices that were created before that moment, and answer no more with them; return how many.

        Their keys stay, so that none is told again. Not those that wait and are the
        recipient's latest about that certificate, nor those that no digest has covered
        yet, nor those whose own message is QUEUED or LEASED.
        """
        ...

    async def purge_pushes(self, /, *, due_before: datetime) -> int:
        """
        Delete messages that were due before that moment and are SENT, CANCELLED or EXPIRED; return how many.

        DEAD ones too, once their time is over by that moment, except digests. Not those
        whose attempt is still to be completed, nor the last digest of a recipient that was SENT.
        """
        ...

    async def purge_runs(self, /, *, started_before: datetime) -> int:
        """
        Delete the runs that started before that moment from the log; return how many.
        """
        ...

    async def export_mentor(self, mentor_id: str, /) -> NoticeExport:
        """
        Return what is known of that mentor, as of one moment.
        """
        ...

    async def erase_mentor(self, mentor_id: str, /) -> NoticeErasure:
        """
        Put pseudonyms in the place of that mentor, and delete what was written about them, all or nothing.

        What is QUEUED, LEASED or DEAD of theirs is CANCELLED. PENDING notices about
        them are CLEARED, and no digest tells of them. A draft whose key or guard
        stands under the pseudonym is answered as if it stood under the id.
        """
        ...


class PushOutbox(Protocol):
    """
    Messages that wait to be sent.

    Due times and ends are in the caller's time; leases live on the store's
    own clock, a lease of 0 seconds is over at once.
    """

    async def claim_pushes(self, /, *, now: datetime, limit: int, hold: float) -> Sequence[LeasedPush]:
        """
        Lease messages that are due, those due first first, and count the attempt.

        Of a lease that ended without a completion `lost` counts one; a completion
        sets it back to 0, unless it is `untried`.

        Due is: QUEUED with a due time not after `now`, or LEASED under a lease
        that is over. Of two callers at once only one gets a message. A dead
        one keeps no other waiting.

        Of a digest the call counts the recipient's notices that no digest has
        covered yet, and whose certificates are not known to have another end.
        Any other message brings its notice along, as that is now.
        """
        ...

    async def complete_pushes(self, completions: Sequence[PushCompletion], /) -> int:
        """
        Store how the attempts ended, all or nothing; return how many leases still held.

        A completion under an old token, or of a message that was cancelled
        meanwhile and is to be sent again, changes nothing.

        A digest's completion that `covers` covers exactly the notices that its
        claim counted. Where others came since then, or since the claim of one
        that ends with `NOTHING_LEFT`, the recipient has an open digest again,
        due as that one was. What a digest counted that ends otherwise waits
        for the next one.
        """
        ...

    async def push_wait(self, /, *, now: datetime) -> float | None:
        """
        Return the seconds until a message is due; 0 if one is, `None` without any.
        """
        ...

    async def replay_dead(self, message_ids: Collection[str] | None, /, *, now: datetime) -> int:
        """
        Queue dead messages again, these or all, with no attempt counted; return how many.

        A digest without a target tells again of what it covered.
        """
        ...

    async def dead_pushes(
        self, /, *, organization_id: str | None, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[DeadPush]:
        """
        Return dead messages, those claimed longest ago first.

        Args:
            organization_id: only those about its mentors, and about mentors whose
                organization is not known; `None`: everybody's.
            after: only those behind this `claimed_at` and `message_id`.
            limit: how many at the most.
        """
        ...

    async def count_pushes(self, /) -> Mapping[PushState, int]:
        """
        Return the messages by state; states without any are absent.
        """
        ...


@runtime_checkable
class SupportsCompleteAndClaim(Protocol):
    """
    An outbox that completes and claims in one transaction; found by this Protocol.

    Where it is missing a dispatcher calls `complete_pushes` and `claim_pushes`,
    one after the other. Fewer transactions are all that it gains.
    """

    async def complete_and_claim(
        self, completions: Sequence[PushCompletion], /, *, now: datetime, limit: int, hold: float
    ) -> Sequence[LeasedPush]:
        """
        Do what `complete_pushes` does, and then what `claim_pushes` does, all or nothing.

        What these completions make due may be among the messages that it leases.
        """
        ...


class DeviceAnswerCounts(Protocol):
    """
    Counts what a provider says about devices, over all processes and restarts.
    """

    async def count_device_answers(
        self, channel: str, /, *, answered: int, gone: int, window: int
    ) -> DeviceAnswers:
        """
        Add these to the channel's sums as `DeviceAnswers.plus` does, at once, and return the sums.

        Of two calls at once each sees the other's, or the other sees its.
        """
        ...


class SupportsSendLimit(Protocol):
    """
    What a `PushSender` may offer beyond: it says how long it takes.
    """

    @property
    def send_limit(self) -> float:
        """
        Return the seconds within which `send` has answered.

        A dispatcher whose `send_timeout` is not longer is refused when it is made.
        """
        ...


class NotificationRecords(NoticeBook, CertificateEnds, NoticeInbox, RunLog, NoticeRetention, Protocol):
    """
    Notices, and all that is kept about them and their runs.
    """


class NotificationRepository(NotificationRecords, PushOutbox, Protocol):
    """
    All that notification stores.
    """


class RecipientDirectory(Protocol):
    """
    Knows who answers for a mentor.
    """

    async def resolve(self, mentor_ids: Collection[str], /) -> Mapping[str, MentorRecipients]:
        """
        Return the recipients of these mentors; a mentor who is absent has none. Asked once per chunk.
        """
        ...


@runtime_checkable
class RecipientLocales(Protocol):
    """
    Knows which language recipients read; a `RecipientDirectory` may be one too.
    """

    async def locales_of(self, recipient_ids: Collection[str], /) -> Mapping[str, str]:
        """
        Return the locales of these mentors, coordinators and chapter admins, such as `nb-NO`.

        Who is absent has none of their own. Asked once per chunk of a run, and
        again for each batch that is sent; a failure stops neither.
        """
        ...


class PushSender(Protocol):
    """
    Delivers messages to devices.
    """

    async def send(self, messages: Sequence[PushMessage], /) -> Sequence[PushOutcome]:
        """
        Send each, and answer each, in any order, one outcome per message.

        A message without an answer, and all of them after an exception, are
        sent again later under the same message id and collapse key.
        """
        ...


class PushTargetDirectory(Protocol):
    """
    Knows the devices of recipients.
    """

    async def targets_of(self, recipient_ids: Collection[str], /) -> Mapping[str, Sequence[PushTarget]]:
        """
        Return the devices of these recipients; who is absent has none.
        """
        ...

    async def prune(self, recipient_id: str, target: PushTarget, /) -> None:
        """
        Forget a device that the provider does not know any more, unless it told its address since.
        """
        ...


class PushEligibility(Protocol):
    """
    Knows who wants no pushes.
    """

    async def check(self, recipient_ids: Collection[str], /) -> Mapping[str, Eligibility]:
        """
        Return how these recipients want it; who is absent wants pushes at any hour.
        """
        ...
