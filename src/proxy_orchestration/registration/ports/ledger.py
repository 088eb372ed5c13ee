"""
The ports of the orchestrator's store: batches, runs and audit events.
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
        Return a new batch id that no other batch has or will get; store nothing.

        At most 200 printable characters, since the ids of registrations begin with it.
        """
        ...

    async def accept(self, batch: NewBatch, /) -> Acceptance:
        """
        Store the batch, its items, its run 1 and the outcomes of items with a verdict, all or nothing.

        Outcomes of items with a verdict enter the log in request order, from sequence 1. The pair
        of coordinator and organization owns the idempotency key permanently, also after the batch
        is deleted. Of two simultaneous calls with one key, one creates the batch and the other
        returns it.

        Raises:
            IdempotencyKeyReusedError: the key was used before with another fingerprint, or its
                batch was deleted.
            RecordRefusedError: a text contains a NUL character or an unpaired surrogate.
        """
        ...

    async def find_by_key(self, actor: Actor, idempotency_key: str, fingerprint: str, /) -> str | None:
        """
        Return the id of the batch with the actor's key and this fingerprint; `None` if the key is new.

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

        An item that the current run has to settle is RUNNING if it is claimed and PENDING if not.
        Every other item has its newest outcome.
        """
        ...

    async def read_summary(self, batch_id: str, /) -> BatchSummary | None:
        """
        Return the same as `read_result` without the outcomes, or `None`.
        """
        ...

    async def read_item_page(
        self, batch_id: str, /, *, states: Collection[ItemState] | None, after: int, limit: int
    ) -> ItemPage:
        """
        Return at most `limit` items that follow the place `after`, in request order, as of one moment.

        `states` selects the items that are now in one of these states. An unknown batch has no
        items.
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
            InvalidValueError: the cursor is not valid.
        """
        ...

    async def relabel(self, batch_id: str, label: str | None, /) -> bool:
        """
        Change the label; return whether the batch exists.

        Raises:
            RecordRefusedError: the label contains a NUL character or an unpaired surrogate.
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
        Delete the batches whose current run settled before this time.

        Return the numbers of deleted and kept ones.

        A batch with an item that is NEEDS_REVIEW is kept, unless `with_open_reviews` is true. A
        batch with a run that waits in the `EndingsOutbox` is kept, unless `with_untold` is true. A
        batch that is kept for both reasons counts as kept for the review.
        """
        ...


class RunLedger(Protocol):
    """
    The runs: their leases, the items that drivers claim, and the items' outcomes.

    Leases, due times and holds use the store's clock. One that would end more than a second later
    than its own length from now has ended: the clock was set back after it was written. A driver's
    writes carry its fence. With an old fence they change nothing and raise `LeaseLostError`. A
    driver calls `commit` from one task at a time.
    """

    async def open_run(self, run: NewRun, /) -> int:
        """
        Open the next run over these items, in request order, and return its number.

        `next_key` gives each item's key from its newest outcome. Items with a verdict get their
        outcome at once: that of the verdict, or UNKNOWN if their key is in doubt; then the key is
        unchanged. All or nothing.

        Raises:
            StaleRunError: another run than the expected one is current.
            BatchStateError: the expected run is not settled, or the batch is gone.
            UnknownMentorError: a mentor is not in the batch.
        """
        ...

    async def read_items(self, batch_id: str, /) -> Sequence[StoredItem]:
        """
        Return every item of the batch in request order, as of one moment; an unknown batch has no items.
        """
        ...

    async def acquire(
        self, batch_id: str, run: int, /, *, ttl: float, take_over: bool = False
    ) -> Acquisition:
        """
        Take the run's lease for `ttl` seconds if it is free, by one atomic compare-and-set.

        A run is free if it is not settled, not paused, and has no lease that is still valid by the
        store's clock. A lease of 0 seconds ends at once. Every success raises the run's fence by
        one; before the first it is 0. A run that is not current counts as settled.

        A lease that would end more than a second later than its own `ttl` from now has ended, too:
        the clock was set back after it was written. The lease's own `ttl` counts, not the caller's.
        With `take_over`, a valid lease and the lease of a paused run are taken as well; the fence
        of the earlier driver is then old.

        Each claimed item without an outcome is in one part of the lease: in `unfinished` if a
        commit stored more about it; else in `uncalled` if it is above the place up to which commits
        allowed calls; else in `begun`. If a lease ended without `release` while an item was called
        `alone`, that item has one more death, and `is_called` is true.
        """
        ...

    async def commit(self, lease: Lease, commit: Commit, /) -> Committed:
        """
        Append the outcomes to the log, claim further items and renew the lease, all or nothing.

        It claims the run's next items in request order that have no outcome in this run. It claims
        fewer than requested only if no more are left, and none of a paused run. In a paused run,
        `called` never exceeds the claimed items. Data about unfinished items replaces earlier data,
        except their deaths. When the call returns, everything survives a crash.

        Raises:
            LeaseLostError: the fence is old, the run is settled, or the batch was deleted.
        """
        ...

    async def settle(
        self, lease: Lease, /, *, settled_at: datetime, audit_hold: float, tell: bool = False
    ) -> AuditEvent:
        """
        Close the run: store its counts and its audit event, and give up the lease, all or nothing.

        The event names every override that this run was to send. The caller holds the event for
        `audit_hold` seconds. With `tell`, the run then waits in the `EndingsOutbox`.

        Raises:
            LeaseLostError: the fence is old, or the run is already settled.
            BatchStateError: an item of the run has no outcome yet.
        """
        ...

    async def release(self, lease: Lease, /, *, due_in: float = 0.0) -> None:
        """
        Release the lease so that another driver may acquire it at once; with an old fence, do nothing.

        No item of the run is due before `due_in` seconds have passed; `find_drivable` reports this.
        A driver may acquire the run earlier nevertheless. An item that was called alone no longer
        counts as such.
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

        Unclaimed items that are not in doubt become CANCELLED with code `cancelled`, in request
        order. Unclaimed items in doubt are left to the driver, and the run is due now. A second
        request changes nothing and returns the mark of the first. Reason and person are kept with
        the batch until a later run is cancelled, and are part of the run's audit event.

        Raises:
            BatchStateError: the run settled without a cancel request, or the batch was deleted.
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
        Pause an open run: no item is claimed and no lease acquired until it is resumed or cancelled.

        Its driver may still commit. The summary has the time, the person and the code until then. A
        second pause changes nothing.

        Raises:
            BatchStateError: the run is settled or being cancelled, or does not exist.
            RecordRefusedError: a text contains a NUL character or an unpaired surrogate.
        """
        ...

    async def resume_run(self, batch_id: str, run: int, /) -> None:
        """
        Let a paused run be driven again; if it is not paused, nothing changes.

        The time while it was paused does not count as time since its first call.

        Raises:
            BatchStateError: as `pause_run`.
        """
        ...

    async def find_drivable(
        self, /, *, limit: int, due_only: bool = False, service_name: str | None = None
    ) -> Sequence[DrivableRun]:
        """
        Return at most `limit` runs that are neither settled nor paused.

        First the free ones, then by end of lease.

        Among the free runs, the batch that was accepted first comes first. `due_only` leaves out
        runs without a due item. `service_name` leaves out batches that were accepted under another
        name.
        """
        ...


class AuditOutbox(Protocol):
    """
    The stored audit events that the audit logger has not confirmed yet.
    """

    async def claim_audit_events(self, /, *, limit: int, hold: float) -> Sequence[AuditEvent]:
        """
        Return undelivered events that no other caller holds, and hold them for `hold` seconds.

        Events whose hold ended first come first, so that an event that the logger never takes does
        not delay others. A hold of 0 seconds ends at once. Of two simultaneous callers only one
        gets an event.
        """
        ...

    async def audit_wait(self, /) -> float | None:
        """
        Return the seconds until the next undelivered event is free.

        0 if one is free, `None` if there is none.
        """
        ...

    async def mark_audited(self, event_id: str, /) -> None:
        """
        Store that the logger took the event, which is never claimed again. Idempotent.
        """
        ...


class EndingsOutbox(Protocol):
    """
    The settled runs that `on_run_settled` has not confirmed yet.
    """

    async def claim_endings(self, /, *, limit: int, hold: float) -> Sequence[BatchSummary]:
        """
        Return unconfirmed runs that no other caller holds, each with its batch as it settled, and hold them.

        Runs whose hold ended first come first. A hold of 0 seconds ends at once. Of two
        simultaneous callers only one gets a run. A deleted batch has no such runs. The label is the
        batch's current one.
        """
        ...

    async def endings_wait(self, /) -> float | None:
        """
        Return the seconds until the next unconfirmed run is free; 0 if one is free, `None` if there is none.
        """
        ...

    async def mark_told(self, batch_id: str, run: int, /) -> None:
        """
        Store that the host was told of the run, which is never claimed again. Idempotent.
        """
        ...


class Retention(Protocol):
    """
    Deleting old data, and exporting and erasing the data of one mentor.
    """

    async def purge_audit_events(self, /, *, settled_before: datetime) -> int:
        """
        Delete the delivered events of runs that settled before this time; return how many.

        An event that the logger has not confirmed is kept. A store that deletes each event after
        its delivery has nothing to delete.
        """
        ...

    async def purge_tombstones(self, /, *, accepted_before: datetime) -> int:
        """
        Delete the idempotency keys of deleted batches that were accepted before this time; return how many.

        The key of an existing batch is kept, and so is a key of unknown age.
        """
        ...

    async def export_mentor(self, organization_id: str, mentor_id: str, /) -> MentorExport:
        """
        Return everything stored about this mentor of this organization, as of one moment.

        The mentor is found by each spelling of the id.
        """
        ...

    async def erase_mentor(self, organization_id: str, mentor_id: str, /) -> MentorErasure:
        """
        Erase that mentor of that organization, all or nothing; see `MentorErasure`.

        The mentor is found by each spelling of the id. In the mentor's items, outcomes, records and
        audit events, each text that names the mentor is replaced by its pseudonym; the id itself is
        replaced by `mentor_pseudonym`. Notes and details become empty. Failure messages and
        correction notes are replaced, also those on records that were erased before. Everything
        else is kept.

        Records are still found by the original texts: `find_activities` answers for the original
        registration, and an erased record still conflicts with what it conflicted with before.
        `mentor_id` must not be a pseudonym.

        Raises:
            BatchStateError: the current run of a batch with this mentor is not settled; nothing
                changed.
        """
        ...


class BatchLedger(BatchCatalogue, RunLedger, AuditOutbox, EndingsOutbox, Protocol):
    """
    All that the orchestrator stores.
    """
