"""
What the orchestrator stores: batches, runs and audit events.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from proxy_orchestration.access import Actor, Visibility
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.registration.batches import (
    BatchFilter,
    BatchPage,
    BatchSummary,
    BulkProgressUpdate,
    BulkSubmissionResult,
    ItemPage,
    PurgedBatches,
)
from proxy_orchestration.registration.erasure import MentorErasure, MentorExport
from proxy_orchestration.registration.ledger import Acceptance, BatchRecord, NewBatch, NewRun, StoredItem
from proxy_orchestration.registration.runs import (
    Acquisition,
    CancelMark,
    Commit,
    Committed,
    DrivableRun,
    Lease,
)
from proxy_orchestration.registration.states import BulkStatus, ItemState


class BatchCatalogue(Protocol):
    """
    The batches: accepting, reading, naming and removing them.
    """

    async def new_batch_id(self, /) -> str:
        """
        Return an id that no batch has or ever gets otherwise; stores nothing.

        At most 200 printable characters, since the ids of registrations begin with it.
        """
        ...

    async def accept(self, batch: NewBatch, /) -> Acceptance:
        """
        Store the batch, its items, its run 1 and the outcomes of items with a verdict, all or nothing.

        Those enter the log in request order, from sequence 1. The
        pair of coordinator and organization owns the idempotency key, for
        ever, also after the batch is deleted. Of two calls at once with one
        key, one creates and the other returns the created batch.

        Raises:
            IdempotencyKeyReusedError: the key came with another fingerprint
                before, or its batch was deleted.
            RecordRefusedError: a text holds NUL or half a surrogate pair.
        """
        ...

    async def find_by_key(self, actor: Actor, idempotency_key: str, fingerprint: str, /) -> str | None:
        """
        Return the id of the batch that the actor's key and this fingerprint became; `None`: the key is new.

        Raises:
            IdempotencyKeyReusedError: as `accept` would.
        """
        ...

    async def get(self, batch_id: str, /) -> BatchRecord | None:
        """
        Return the batch's header and current run, or `None`.
        """
        ...

    async def read_result(self, batch_id: str, /) -> BulkSubmissionResult | None:
        """
        Return the batch with all outcomes in request order, as of one moment, or `None`.

        An item that the current run has to settle is RUNNING when claimed and
        PENDING when not; every other item shows its newest outcome.
        """
        ...

    async def read_summary(self, batch_id: str, /) -> BatchSummary | None:
        """
        Return what `read_result` would, without the outcomes, or `None`.
        """
        ...

    async def read_item_page(
        self, batch_id: str, /, *, states: Collection[ItemState] | None, after: int, limit: int
    ) -> ItemPage:
        """
        Return at most `limit` items that follow the place `after`, in request order, as of one moment.

        With `states` those that are in one of them now. An unknown batch has no items.
        """
        ...

    async def read_updates(self, batch_id: str, /, *, after: int, limit: int) -> Sequence[BulkProgressUpdate]:
        """
        Return at most `limit` entries of the batch's log that follow `after`, in order.

        Sequences are gapless from 1. An unknown batch has no entries.
        """
        ...

    async def list_batches(
        self,
        visibility: Visibility,
        /,
        *,
        page: int,
        limit: int,
        statuses: Collection[BulkStatus] | None,
        found_by: BatchFilter = BatchFilter(),  # noqa: B008 - frozen
    ) -> BatchPage:
        """
        Return one page of the visible batches, newest first, of these statuses or of all.

        Raises:
            InvalidValueError: the cursor is none.
        """
        ...

    async def relabel(self, batch_id: str, label: str | None, /) -> bool:
        """
        Change the label; return whether the batch exists.

        Raises:
            RecordRefusedError: the label holds NUL or half a surrogate pair.
        """
        ...

    async def delete(self, batch_id: str, /) -> bool:
        """
        Remove the batch, its items and its log; return whether it existed.

        Audit events stay, and so does the idempotency key as a tombstone.

        Raises:
            BatchStateError: its current run is not settled; nothing changed.
        """
        ...

    async def purge(
        self, /, *, settled_before: datetime, with_open_reviews: bool = False, with_untold: bool = False
    ) -> PurgedBatches:
        """
        Delete the batches whose current run settled before that moment; return what became of them.

        One in which an item is NEEDS_REVIEW stays unless `with_open_reviews`, and one
        of which a run waits in the `EndingsOutbox` unless `with_untold`. What stays for
        both reasons counts for the review.
        """
        ...


class RunLedger(Protocol):
    """
    The runs: who drives them, what they claim, how their items end.

    Leases, due times and holds live on the store's own clock. One that ends
    later than its own length from now, by more than a second, is over: it was
    written by a clock that has been set back since. A driver's writes carry its fence;
    under an old fence they change nothing and raise `LeaseLostError`. One
    driver calls `commit` from one task at a time.
    """

    async def open_run(self, run: NewRun, /) -> int:
        """
        Open the next run over these items, in request order, and return its number.

        Each item's key follows `next_key` from its newest outcome. Items with
        a verdict get their outcome at once: as it says, or UNKNOWN where their
        key is in doubt, and the key stays as it is then. All or nothing.

        Raises:
            StaleRunError: another run than the expected one is current.
            BatchStateError: the expected run is not settled, or the batch is gone.
            UnknownMentorError: a mentor is not in the batch.
        """
        ...

    async def read_items(self, batch_id: str, /) -> Sequence[StoredItem]:
        """
        Return every item of the batch in request order, as of one moment; none of an unknown batch.
        """
        ...

    async def acquire(
        self, batch_id: str, run: int, /, *, ttl: float, take_over: bool = False
    ) -> Acquisition:
        """
        Take the run's lease for `ttl` seconds if it is free, by one atomic compare-and-set.

        Free is: not settled, not paused, and no lease that the store's clock has not
        passed; a lease of 0 seconds is over at once. Every success raises the
        run's fence by one, from 0 before the first. A run that is not current
        counts as settled.

        A lease that ends later than its own ttl from now, by more than
        a second, is over too: it was written by a clock that has been set back
        since. Its own ttl counts, not the caller's. With `take_over` a
        lease that lasts is taken as well, and that of a paused run; its driver's fence is old then.

        Each claimed item without an outcome stands in one part of the lease:
        in `unfinished` if a commit said more about it, else in `uncalled` if
        it lies above what commits allowed to be called, else in `begun`. A
        lease that ended without `release` while an item was called `alone`
        counts as one more death of that item; it is `is_called` then.
        """
        ...

    async def commit(self, lease: Lease, commit: Commit, /) -> Committed:
        """
        Append the outcomes to the log, claim further items and renew the lease, all or nothing.

        Claimed are the run's next items in request order that have no outcome
        in this run; fewer than asked for only when no more are left, and none
        of a paused run, in which `called` passes nothing that is not claimed. What is
        told of unfinished items replaces what was told before, except their
        deaths. When it returns, all of it survives a crash.

        Raises:
            LeaseLostError: the fence is old, the run is settled, or the batch gone.
        """
        ...

    async def settle(
        self, lease: Lease, /, *, settled_at: datetime, audit_hold: float, tell: bool = False
    ) -> AuditEvent:
        """
        Close the run: store its counts and its audit event, and give up the lease, all or nothing.

        The event names every override that this run was told to send. It
        counts as held by the caller for `audit_hold` seconds. With `tell` the
        run waits in the `EndingsOutbox` from then on.

        Raises:
            LeaseLostError: the fence is old, or the run is settled already.
            BatchStateError: an item of the run has no outcome yet.
        """
        ...

    async def release(self, lease: Lease, /, *, due_in: float = 0.0) -> None:
        """
        Give up the lease so that another driver may acquire at once; no-op under an old fence.

        Nothing of the run is due before `due_in` seconds have passed, which
        `find_drivable` tells; who acquires it all the same may. An item that
        was called alone is not.
        """
        ...

    async def cancel_run(
        self,
        batch_id: str,
        /,
        *,
        reason: str | None,
        wished_at: datetime,
        cancelled_by: str | None = None,
    ) -> CancelMark:
        """
        Store the request to cancel the current run and cancel what was not claimed, all or nothing.

        Unclaimed items that are not in doubt become CANCELLED with code
        `cancelled`, in request order; unclaimed ones in doubt stay for the
        driver, for whom the run is due now. A second request changes nothing
        and returns the first one's mark. Reason and person stay with the batch
        until a later run is cancelled, and stand in the run's audit event.

        Raises:
            BatchStateError: the run settled without a cancel request, or
                the batch is gone.
        """
        ...

    async def pause_run(
        self,
        batch_id: str,
        run: int,
        /,
        *,
        paused_at: datetime,
        paused_by: str | None = None,
        code: str | None = None,
    ) -> None:
        """
        Have nothing more of an open run claimed or acquired until it is resumed or cancelled.

        Its driver goes on committing. The moment, the person and the code stand in
        the summary until then; a second pause changes nothing.

        Raises:
            BatchStateError: the run is settled or being cancelled, or is not there.
            RecordRefusedError: a text holds NUL or half a surrogate pair.
        """
        ...

    async def resume_run(self, batch_id: str, run: int, /) -> None:
        """
        Let a paused run be driven again; nothing changes where it is not paused.

        The time since its first call stood still while it was paused.

        Raises:
            BatchStateError: as `pause_run`.
        """
        ...

    async def find_drivable(
        self, /, *, limit: int, due_only: bool = False, service_name: str | None = None
    ) -> Sequence[DrivableRun]:
        """
        Return at most `limit` runs, neither settled nor paused, the free ones first, then by lease end.

        Among the free ones the batch that was accepted first comes first. With
        `due_only` those are left out of which nothing is due yet, with
        `service_name` those of batches that were accepted under another name.
        """
        ...


class AuditOutbox(Protocol):
    """
    Audit events that are stored and not known to be taken.
    """

    async def claim_audit_events(self, /, *, limit: int, hold: float) -> Sequence[AuditEvent]:
        """
        Return undelivered events that nobody holds, and hold them for `hold` seconds.

        Those whose hold ended first come first, so that one that is never
        taken keeps no other waiting. A hold of 0 seconds is over at once. Of
        two callers at once only one gets an event.
        """
        ...

    async def audit_wait(self, /) -> float | None:
        """
        Return the seconds until the next undelivered event is free; 0 if one is, `None` without any.
        """
        ...

    async def mark_audited(self, event_id: str, /) -> None:
        """
        Note that the logger took the event; it is never claimed again. Idempotent.
        """
        ...


class EndingsOutbox(Protocol):
    """
    Settled runs of which the host is not known to have been told.
    """

    async def claim_endings(self, /, *, limit: int, hold: float) -> Sequence[BatchSummary]:
        """
        Return untold runs that nobody holds, each as its batch stood when it settled, and hold them.

        Those whose hold ended first come first. A hold of 0 seconds is over at
        once. Of two callers at once only one gets a run. A batch that was
        deleted has none; its label is the one it has now.
        """
        ...

    async def endings_wait(self, /) -> float | None:
        """
        Return the seconds until the next untold run is free; 0 if one is, `None` without any.
        """
        ...

    async def mark_told(self, batch_id: str, run: int, /) -> None:
        """
        Note that the host was told; the run is never claimed again. Idempotent.
        """
        ...


class Retention(Protocol):
    """
    What a host need not or may not keep any longer, and how it is let go of.
    """

    async def purge_audit_events(self, /, *, settled_before: datetime) -> int:
        """
        Delete the taken events of runs that settled before that moment; return how many.

        An event that is not known to be taken stays. A store that forgets an
        event once it is taken has none to delete.
        """
        ...

    async def purge_tombstones(self, /, *, accepted_before: datetime) -> int:
        """
        Forget the keys of batches that are gone and were accepted before that moment; return how many.

        The key of a batch that is there stays, and one of unknown age does.
        """
        ...

    async def export_mentor(self, organization_id: str, mentor_id: str, /) -> MentorExport:
        """
        Return what is known of that mentor of that organization, by any spelling, as of one moment.
        """
        ...

    async def erase_mentor(self, organization_id: str, mentor_id: str, /) -> MentorErasure:
        """
        Erase that mentor of that organization, all or nothing; see `MentorErasure`.

        They are found by any spelling of their id. In their items, outcomes, records and
        audit events each text that names them becomes its pseudonym, their id the one of
        `mentor_pseudonym`; notes and details become empty, and messages of failures and
        notes beside their records are replaced, also beside those erased before. All else
        stays as it was. Who then asks by the texts that were there finds the records:
        `find_activities` answers a registration under its own id, and what an erased
        record was in the way of it still is. The mentor's id is no pseudonym.

        Raises:
            BatchStateError: the current run of a batch in which they stand is not
                settled; nothing changed.
        """
        ...


class BatchLedger(BatchCatalogue, RunLedger, AuditOutbox, EndingsOutbox, Protocol):
    """
    All that the orchestrator stores.
    """
