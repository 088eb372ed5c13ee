"""
The memory store of registrations, which implements the ports.

Every method is atomic because it does not await once it has begun to read.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import islice

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._pseudonyms import mentor_pseudonym
from proxy_orchestration._texts import check_texts
from proxy_orchestration.access import Actor, Visibility
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.errors import BatchStateError, IdempotencyKeyReusedError, LeaseLostError
from proxy_orchestration.registration.activities import encode_activity
from proxy_orchestration.registration.batches import (
    BatchFilter,
    BatchPage,
    BatchSummary,
    BulkProgressUpdate,
    BulkSubmissionResult,
    ItemPage,
    PurgedBatches,
    cursor_of,
)
from proxy_orchestration.registration.erasure import STILL_OPEN, MentorErasure, MentorExport, exported_event
from proxy_orchestration.registration.ledger import Acceptance, BatchRecord, NewBatch, NewRun, StoredItem
from proxy_orchestration.registration.runs import (
    Acquisition,
    CancelMark,
    Commit,
    Committed,
    DrivableRun,
    Lease,
    LeaseHeld,
    RunPaused,
    RunSettled,
)
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.storage.memory.registration.activities import MemoryActivityRecords
from proxy_orchestration.storage.memory.registration.audit import MemoryAuditOutbox
from proxy_orchestration.storage.memory.registration.endings import MemoryEndingsOutbox
from proxy_orchestration.storage.memory.registration.erasure import erase_items, exported_items
from proxy_orchestration.storage.memory.registration.results import (
    audit_event_of,
    counts_of,
    drivable_runs,
    is_found,
    is_reviewed,
    items_of,
    page_of_items,
    record_of,
    result_of,
    status_of,
    summary_of,
    updates_of,
)
from proxy_orchestration.storage.memory.registration.stored_batch import StoredBatch
from proxy_orchestration.storage.memory.registration.stored_run import StoredPause


@attrs.define(eq=False, slots=False)
class MemoryActivityRepository(MemoryAuditOutbox, MemoryEndingsOutbox, MemoryActivityRecords):
    """
    An `ActivityRepository` in memory, for one event loop; its data lasts as long as this object.

    Attributes:
        clock: its `monotonic` decides when leases and holds end.
    """

    clock: Clock = attrs.field(factory=SystemClock)
    _batches: dict[str, StoredBatch] = attrs.field(init=False, repr=False, factory=dict)
    _unsettled: dict[str, StoredBatch] = attrs.field(init=False, repr=False, factory=dict)
    _keys: dict[tuple[str, str, str], tuple[str, str]] = attrs.field(init=False, repr=False, factory=dict)
    _accepted_at: dict[tuple[str, str, str], datetime] = attrs.field(init=False, repr=False, factory=dict)
    _accepted: int = attrs.field(init=False, repr=False, default=0)

    async def new_batch_id(self) -> str:
        """
        Return an id that no batch has.
        """
        await checkpoint()
        return uuid.uuid4().hex

    async def accept(self, batch: NewBatch, /) -> Acceptance:
        """
        Store the batch under an id of its own, or find it by its key.
        """
        await checkpoint()
        actor, key = batch.actor, batch.idempotency_key
        check_texts((batch.label, key, *_activity_texts(batch)))
        batch_id = batch.batch_id or uuid.uuid4().hex
        if key is not None:
            owned = (actor.organization_id, actor.user_id, key)
            known_id, fingerprint = self._keys.setdefault(owned, (batch_id, batch.fingerprint))
            if known_id != batch_id:
                self._check_joins(known_id, same=fingerprint == batch.fingerprint)
                return Acceptance(batch_id=known_id, created=False)
            self._accepted_at[owned] = batch.submitted_at
        self._accepted += 1
        stored = StoredBatch.of(batch, batch_id=batch_id, number=self._accepted)
        self._batches[batch_id] = self._unsettled[batch_id] = stored
        return Acceptance(batch_id=batch_id, created=True)

    async def find_by_key(self, actor: Actor, idempotency_key: str, fingerprint: str, /) -> str | None:
        """
        Return the batch that the actor's key and this fingerprint became, or `None`.
        """
        await checkpoint()
        known = self._keys.get((actor.organization_id, actor.user_id, idempotency_key))
        if known is None:
            return None
        self._check_joins(known[0], same=known[1] == fingerprint)
        return known[0]

    async def get(self, batch_id: str, /) -> BatchRecord | None:
        """
        Return the batch's header and current run, or `None`.
        """
        await checkpoint()
        batch = self._batches.get(batch_id)
        return None if batch is None else record_of(batch)

    async def read_result(self, batch_id: str, /) -> BulkSubmissionResult | None:
        """
        Return the batch with all outcomes in request order, or `None`.
        """
        await checkpoint()
        batch = self._batches.get(batch_id)
        return None if batch is None else result_of(batch)

    async def read_summary(self, batch_id: str, /) -> BatchSummary | None:
        """
        Return the batch without its outcomes, or `None`.
        """
        await checkpoint()
        batch = self._batches.get(batch_id)
        return None if batch is None else summary_of(batch)

    async def read_item_page(
        self, batch_id: str, /, *, states: Collection[ItemState] | None, after: int, limit: int
    ) -> ItemPage:
        """
        Return at most `limit` items that follow the place `after`, in request order.
        """
        await checkpoint()
        batch = self._batches.get(batch_id)
        if batch is None:
            return ItemPage(items=(), next_after=None)
        return page_of_items(batch, states=states, after=after, limit=limit)

    async def read_updates(self, batch_id: str, /, *, after: int, limit: int) -> Sequence[BulkProgressUpdate]:
        """
        Return at most `limit` entries of the log that follow `after`.
        """
        await checkpoint()
        batch = self._batches.get(batch_id)
        return () if batch is None else updates_of(batch, after=after, limit=limit)

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
        Return one page of the visible batches, newest first.
        """
        await checkpoint()
        found = [
            batch
            for batch in self._batches.values()
            if visibility.covers(
                organization_id=batch.actor.organization_id, coordinator_id=batch.actor.user_id
            )
            and (statuses is None or status_of(batch) in statuses)
            and is_found(batch, found_by)
        ]
        # A clock that was set back accepts an earlier batch later; a cursor goes by the moments.
        found.sort(key=lambda batch: (batch.submitted_at, batch.number), reverse=True)
        first = (page - 1) * limit
        shown = found[first : first + limit]
        more = len(found) > first + limit and shown
        return BatchPage(
            batches=tuple(summary_of(batch) for batch in shown),
            page=page,
            limit=limit,
            total=len(found),
            next_cursor=cursor_of(shown[-1].submitted_at, shown[-1].number) if more else None,
        )

    async def relabel(self, batch_id: str, label: str | None, /) -> bool:
        """
        Change the label; return whether the batch exists.
        """
        await checkpoint()
        check_texts((label,))
        batch = self._batches.get(batch_id)
        if batch is not None:
            batch.label = label
            self._relabel_endings(batch_id, label)
        return batch is not None

    async def delete(self, batch_id: str, /) -> bool:
        """
        Remove the batch and its log; its key, records and audit events stay.
        """
        await checkpoint()
        if batch_id in self._unsettled:
            raise BatchStateError(batch_id, "its current run is not settled. Cancel it, and try again.")
        self._drop_endings(batch_id)
        return self._batches.pop(batch_id, None) is not None

    async def purge(
        self, *, settled_before: datetime, with_open_reviews: bool = False, with_untold: bool = False
    ) -> PurgedBatches:
        """
        Delete the batches whose current run settled before that moment, but for those that wait.
        """
        await checkpoint()
        old = {
            batch_id
            for batch_id, batch in self._batches.items()
            if batch.run.settled_at is not None and batch.run.settled_at < settled_before
        }
        waiting = {each for each in old if is_reviewed(self._batches[each])}
        reviews = set[str]() if with_open_reviews else waiting
        untold = set[str]() if with_untold else (old & self._untold()) - reviews
        for batch_id in old - reviews - untold:
            del self._batches[batch_id]
            self._drop_endings(batch_id)
        return PurgedBatches(
            deleted=len(old) - len(reviews) - len(untold),
            left_for_review=len(reviews),
            left_untold=len(untold),
        )

    async def purge_tombstones(self, *, accepted_before: datetime) -> int:
        """
        Forget the keys of deleted batches that were accepted before that moment.
        """
        await checkpoint()
        old = [
            owned
            for owned, (batch_id, _) in self._keys.items()
            if batch_id not in self._batches and self._accepted_at[owned] < accepted_before
        ]
        for owned in old:
            del self._keys[owned], self._accepted_at[owned]
        return len(old)

    async def export_mentor(self, organization_id: str, mentor_id: str, /) -> MentorExport:
        """
        Return what is known of that mentor.
        """
        await checkpoint()
        events = self._events_naming(organization_id, mentor_id)
        records = self._records_about(organization_id, mentor_id)
        return MentorExport(
            mentor_id=mentor_id,
            organization_id=organization_id,
            items=tuple(
                item
                for batch in self._batches_of(organization_id)
                for item in exported_items(batch, mentor_id)
            ),
            records=tuple(records),
            corrections=tuple(note for record in records for note in self._notes_beside(record)),
            audit_events=tuple(exported_event(event, mentor_id) for event in events),
        )

    async def erase_mentor(self, organization_id: str, mentor_id: str, /) -> MentorErasure:
        """
        Put pseudonyms in the place of that mentor, and delete what was written about them.
        """
        await checkpoint()
        batches = self._batches_of(organization_id)
        for batch in batches:
            if batch.batch_id in self._unsettled and any(exported_items(batch, mentor_id)):
                raise BatchStateError(batch.batch_id, STILL_OPEN)
        return MentorErasure(
            pseudonym=mentor_pseudonym(mentor_id),
            items=sum(erase_items(batch, mentor_id) for batch in batches),
            corrections=self._erase_corrections(organization_id, mentor_id),
            records=self._erase_records(organization_id, mentor_id),
            audit_events=self._erase_events(organization_id, mentor_id),
        )

    async def open_run(self, run: NewRun, /) -> int:
        """
        Open the next run over these items, in request order.
        """
        await checkpoint()
        batch = self._known(run.batch_id)
        number = batch.open_run(run)
        self._unsettled[run.batch_id] = batch
        return number

    async def read_items(self, batch_id: str, /) -> Sequence[StoredItem]:
        """
        Return every item of the batch in request order.
        """
        await checkpoint()
        batch = self._batches.get(batch_id)
        return () if batch is None else items_of(batch)

    async def acquire(
        self, batch_id: str, run: int, /, *, ttl: float, take_over: bool = False
    ) -> Acquisition:
        """
        Take the run's lease if it is free.
        """
        await checkpoint()
        batch = self._unsettled.get(batch_id)
        if batch is None or batch.run.number != run:
            return RunSettled()
        current, now = batch.run, self.clock.monotonic()
        remaining = current.lease_remaining(now)
        if remaining and not take_over:
            return LeaseHeld(fence=current.fence, remaining=remaining)
        if current.is_paused and not take_over:
            return RunPaused()
        return batch.lease(now, ttl)

    async def take_free_runs(  # noqa: PLR0913 - the port's
        self,
        *,
        limit: int,
        ttl: float,
        claim: int,
        called: int,
        except_for: Collection[str] = (),
        service_name: str | None = None,
    ) -> Sequence[Lease]:
        """
        Take the leases of free and due runs, and claim the first items of each.
        """
        await checkpoint()
        now = self.clock.monotonic()
        free = (
            self._unsettled[run.batch_id]
            for run in drivable_runs(self._unsettled.values(), now, due_only=True, service_name=service_name)
            if not run.lease_remaining and run.batch_id not in except_for
        )
        return [batch.begin(now, ttl, claim=claim, called=called) for batch in islice(free, limit)]

    async def give_back(self, lease: Lease, /) -> None:
        """
        Give up a lease under which nothing was called, with what was claimed under it.
        """
        await self.release(lease)
        with contextlib.suppress(LeaseLostError):  # no await in between
            if lease.claimed_now:
                self._driven(lease).unclaim()

    async def commit(self, lease: Lease, commit: Commit, /) -> Committed:
        """
        Append the outcomes, claim further items and renew the lease.
        """
        await checkpoint()
        batch = self._driven(lease)
        batch.check_open(commit.outcomes)
        batch.append(commit.outcomes)
        run, now = batch.run, self.clock.monotonic()
        run.driven_for += commit.driven_for
        run.hold(now, commit.ttl)
        claimed = batch.claim(0 if run.is_paused else commit.claim)
        batch.note(commit, now)
        return Committed(
            tail=len(batch.log),
            claimed=claimed,
            cancel_wished=run.cancel_mark is not None,
            paused=run.is_paused,
        )

    async def settle(
        self, lease: Lease, /, *, settled_at: datetime, audit_hold: float, tell: bool = False
    ) -> AuditEvent:
        """
        Close the run and put its audit event, held, into the outbox.
        """
        await checkpoint()
        batch = self._driven(lease)
        run = batch.run
        if len(batch.log) - run.base < run.size:
            raise BatchStateError(batch.batch_id, "an item has no outcome yet. Store every outcome first.")
        batch.settle(settled_at, counts_of(batch))
        del self._unsettled[batch.batch_id]
        event = audit_event_of(batch, settled_at)
        self._hold(event, audit_hold)
        if tell:
            self._put_ending(summary_of(batch))
        return event

    async def release(self, lease: Lease, /, *, due_in: float = 0.0) -> None:
        """
        Give up the lease; no-op under an old fence.
        """
        await checkpoint()
        with contextlib.suppress(LeaseLostError):  # then there is nothing to give up
            self._driven(lease).run.release(self.clock.monotonic(), due_in=due_in)

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
        Store the wish to cancel and cancel what was not claimed.
        """
        await checkpoint()
        check_texts((reason, cancelled_by))
        return self._known(batch_id).cancel(reason=reason, wished_at=wished_at, cancelled_by=cancelled_by)

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
        Have nothing more of an open run claimed or acquired.
        """
        await checkpoint()
        check_texts((paused_by, code))
        since = self.clock.monotonic()
        pause = StoredPause(since=since, paused_at=paused_at, paused_by=paused_by, code=code)
        self._known(batch_id).pause(run, pause)

    async def resume_run(self, batch_id: str, run: int, /) -> None:
        """
        Let a paused run be driven again.
        """
        await checkpoint()
        self._known(batch_id).pausable(run).resume(self.clock.monotonic())

    async def find_drivable(
        self, *, limit: int, due_only: bool = False, service_name: str | None = None
    ) -> Sequence[DrivableRun]:
        """
        Return runs that are not settled, the free ones first.
        """
        await checkpoint()
        found = drivable_runs(
            self._unsettled.values(), self.clock.monotonic(), due_only=due_only, service_name=service_name
        )
        return found[:limit]

    def _batches_of(self, organization_id: str) -> list[StoredBatch]:
        return [batch for batch in self._batches.values() if batch.actor.organization_id == organization_id]

    def _known(self, batch_id: str) -> StoredBatch:
        if batch_id not in self._batches:
            raise BatchStateError(
                batch_id, "it was deleted or purged, or was never accepted. List your batches."
            )
        return self._batches[batch_id]

    def _driven(self, lease: Lease) -> StoredBatch:
        batch = self._unsettled.get(lease.batch_id)
        if batch is None or (lease.run, lease.fence) != (batch.run.number, batch.run.fence):
            raise LeaseLostError(lease.batch_id, lease.run)
        return batch

    def _check_joins(self, batch_id: str, *, same: bool) -> None:
        deleted = batch_id not in self._batches
        if deleted or not same:
            raise IdempotencyKeyReusedError(batch_id, deleted=deleted)


def _activity_texts(batch: NewBatch) -> Iterator[str]:
    # A database writes them down; here they are kept as objects and refused all the same.
    for activity in {id(entry.activity): entry.activity for entry in batch.entries}.values():
        yield encode_activity(activity)
