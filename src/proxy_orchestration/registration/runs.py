"""
The values that a driver and a ledger exchange about one run. Immutable, no I/O.
"""

from __future__ import annotations

from datetime import datetime
from operator import attrgetter
from typing import TypeAlias

import attrs

from proxy_orchestration.access import Actor
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.batches import Failure, MentorOutcome
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.states import ItemState


@attrs.frozen(kw_only=True)
class WorkItem:
    """
    One item that a run has to settle.

    Attributes:
        item: its position in the request, from 0.
        mentor_id: the mentor for whom the activity is registered.
        activity: the activity to register.
        epoch: the number of definite failures; part of the idempotency key.
        in_doubt: whether a call under this key may have been executed.
        override_of: the id of the record that a coordinator decided to override, or `None`.
        place: its position among the items that the run claims, from 1.
        item_key: the item's key in the batch: the mentor's id, unless the entry has its own key.
    """

    item: int
    mentor_id: str
    activity: ProxyActivity
    epoch: int
    in_doubt: bool
    override_of: str | None = None
    place: int = 0
    item_key: str = attrs.field(default=attrs.Factory(attrgetter("mentor_id"), takes_self=True))


@attrs.frozen(kw_only=True)
class UnfinishedItem:
    """
    What is known of a claimed item without an outcome; it is stored, so that the next driver knows it too.

    Attributes:
        work: the item.
        due_in: the seconds, by the store's clock, until the item is looked up or called again.
        calls: the number of calls made in this run.
        rounds: the number of look-ups and calls that brought no outcome.
        in_doubt: whether a call under its key may have been executed.
        not_seen: whether the newest look-up found no record, and no call followed.
        is_called: whether it is being called or about to be called, and does not wait.
        reason: the failure code with which it ends if no call brings an outcome; `None` if that is
            a lost or missing answer.
        deaths: the number of drivers that ended without releasing their lease while they called
            only this item; counted by the store.
    """

    work: WorkItem
    due_in: float = 0.0
    calls: int = 0
    rounds: int = 0
    in_doubt: bool = False
    not_seen: bool = False
    is_called: bool = False
    deaths: int = 0
    reason: str | None = None


@attrs.frozen
class ItemOutcome:
    """
    How one item ended in one run, as the driver gives it to the store.

    Attributes:
        work: the item.
        state: one of `OUTCOME_STATES`.
        settled_at: aware, UTC.
        attempts: the number of calls made in this run.
        activity_id: the id of the record, if SUCCEEDED.
        failure: the reason, for every other state.
        conflicting_activity_id: the id of the existing record, if a conflict is the reason.
        in_doubt: whether the key is in doubt after this run; the next run starts with that.
    """

    work: WorkItem
    state: ItemState
    settled_at: datetime
    attempts: int = 0
    activity_id: str | None = None
    failure: Failure | None = None
    conflicting_activity_id: str | None = None
    in_doubt: bool = False

    def told(self, sequence: int) -> MentorOutcome:
        """
        Return the outcome as it is reported, with its number in the log.
        """
        return MentorOutcome(
            mentor_id=self.work.mentor_id,
            state=self.state,
            activity_id=self.activity_id,
            failure=self.failure,
            conflicting_activity_id=self.conflicting_activity_id,
            attempts=self.attempts,
            sequence=sequence,
            settled_at=self.settled_at,
            item_key=self.work.item_key,
        )


@attrs.frozen(kw_only=True)
class LogPage:
    """
    A part of a batch's log that has just become durable.

    Attributes:
        run: the number of the run that settled the items.
        first: the sequence number of the first outcome; the others follow without a gap.
        outcomes: the outcomes, in the order of the log.
    """

    run: int
    first: int
    outcomes: tuple[ItemOutcome, ...]


@attrs.frozen(kw_only=True)
class Lease:
    """
    The right to drive one run for a limited time.

    Attributes:
        batch_id, run: the batch and the number of its run.
        fence: a number that grows with every take-over; a write with an older one changes nothing.
        actor: the person who opened the run; registrations are attributed to this person.
        run_items, base, tail: as in `BatchRecord`, at the time of acquisition.
        begun: the items without an outcome that an earlier driver claimed and may have called. Each
            of them is in doubt, whatever its own flag says.
        uncalled: the items that an earlier driver claimed and did not call.
        unfinished: the items without an outcome about which an earlier driver stored more.
        claimed_now: the items that were claimed with this acquisition; they were never called.
        called: items up to this place may have been called.
        claimed: items up to this place are claimed.
        cancel_wished: whether a cancel was already requested.
        driven_for: the seconds for which this run was driven before.
        since_first_call: the seconds since the run's first call; `None` if no driver reported one.
        mode, on_conflict, trace_context: as the batch was accepted.
    """

    batch_id: str
    run: int
    fence: int
    actor: Actor
    run_items: int
    base: int
    tail: int
    begun: tuple[WorkItem, ...] = ()
    uncalled: tuple[WorkItem, ...] = ()
    unfinished: tuple[UnfinishedItem, ...] = ()
    claimed_now: tuple[WorkItem, ...] = ()
    called: int = 0
    claimed: int = 0
    cancel_wished: bool = False
    driven_for: float = 0.0
    since_first_call: float | None = None
    mode: SubmissionMode = SubmissionMode.INDEPENDENT
    on_conflict: ConflictPolicy = ConflictPolicy.REVIEW
    trace_context: str | None = None


@attrs.frozen(kw_only=True)
class LeaseHeld:
    """
    Another driver holds the run's lease.

    Attributes:
        fence: the fence of that driver.
        remaining: the seconds until the lease ends if it is not renewed; above 0.
    """

    fence: int
    remaining: float


@attrs.frozen
class RunSettled:
    """
    There is nothing to drive: the run is settled, or its batch is gone.
    """


@attrs.frozen
class RunPaused(RunSettled):
    """
    There is nothing to drive until the run is resumed or cancelled.
    """


Acquisition: TypeAlias = Lease | LeaseHeld | RunSettled
"""The answer to an attempt to acquire a run."""


@attrs.frozen(kw_only=True)
class Commit:
    """
    One write of a driver, all or nothing.

    Attributes:
        outcomes: the settled items; they enter the log in this order.
        claim: the most further items to claim; 0 for none.
        driven_for: seconds of driving since the lease was acquired or the last commit.
        ttl: the seconds for which the lease is renewed.
        called: items up to this place may be called from now on; never less than before. `None`:
            all claimed items.
        unfinished: what is now known of items without an outcome; it replaces what was stored
            before.
        alone: the place of the only item that is called from now on; `None` if several may be.
        since_first_call: the seconds since this driver's first call; the store keeps the first
            value that it gets.
    """

    outcomes: tuple[ItemOutcome, ...] = ()
    claim: int = 0
    driven_for: float = 0.0
    ttl: float
    called: int | None = None
    unfinished: tuple[UnfinishedItem, ...] = ()
    alone: int | None = None
    since_first_call: float | None = None


@attrs.frozen(kw_only=True)
class Committed:
    """
    The answer to a driver's write.

    Attributes:
        tail: the log's length now.
        claimed: the newly claimed items, in request order.
        cancel_wished: whether a cancel of this run was requested.
        paused: whether the run is paused; then nothing was claimed, and no further item may be
            called.
    """

    tail: int
    claimed: tuple[WorkItem, ...]
    cancel_wished: bool
    paused: bool = False


@attrs.frozen(kw_only=True)
class CancelMark:
    """
    A stored cancel request.

    Attributes:
        run: the number of the run.
        tail_before: the log's length when the cancel was first requested.
        settled_before: the number of items of the whole batch that had an outcome at that time.
    """

    run: int
    tail_before: int
    settled_before: int


@attrs.frozen(kw_only=True)
class DrivableRun:
    """
    A run that is not settled.

    Attributes:
        batch_id, run: the batch and the number of its run.
        fence: a number that grows with every take-over; 0 if the run was never driven.
        lease_remaining: the seconds until the driver's lease ends; 0 if the run is free.
        due_in: the seconds until an item is due; 0 if one is due, or if a driver holds the lease.
    """

    batch_id: str
    run: int
    fence: int
    lease_remaining: float
    due_in: float = 0.0
