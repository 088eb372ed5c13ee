"""
What a driver and a ledger say to each other about one run. Immutable, no I/O.
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
        mentor_id: on whose behalf.
        activity: what to register.
        epoch: counts definite failures; part of the idempotency key.
        in_doubt: a call under this key may have been executed.
        override_of: the record that a coordinator decided to override.
        place: its place among what the run claims, from 1.
        item_key: its name in the batch; the mentor's id unless it has its own.
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
    What is known of a claimed item that has no outcome yet; stored, so that it outlives its driver.

    Attributes:
        work: the item.
        due_in: seconds from now, by the store's clock, until it is asked about again.
        calls: calls made in this run.
        rounds: look-ups and calls that brought no outcome.
        in_doubt: whether a call under its key may have been executed.
        not_seen: whether the newest look-up brought no record, and no call followed.
        is_called: whether it is being called, or about to be, rather than waiting.
        reason: the code of what it ends with, should it get no outcome of its own; `None`
            where that is a lost or missing answer.
        deaths: how many drivers ended without giving up their lease while they
            called this item alone; counted by the store.
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
    How one item ended in one run, as the driver hands it over.

    Attributes:
        work: the item.
        state: one of `OUTCOME_STATES`.
        settled_at: aware, UTC.
        attempts: calls made in this run.
        activity_id: the record, for SUCCEEDED.
        failure: the reason, for every other state.
        conflicting_activity_id: the existing record, where that is the reason.
        in_doubt: whether the key is in doubt now; the next run starts from there.
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
        Return the outcome as it is reported, at its place in the log.
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
        run: the run that settled the items.
        first: the sequence of the first outcome; the others follow without a gap.
        outcomes: in the order of the log.
    """

    run: int
    first: int
    outcomes: tuple[ItemOutcome, ...]


@attrs.frozen(kw_only=True)
class Lease:
    """
    The right to drive one run for a while.

    Attributes:
        batch_id, run: what may be driven.
        fence: grows with every take-over; a write under an older one changes nothing.
        actor: who opened the run; registrations are attributed to that person.
        run_items, base, tail: as in `BatchRecord`, at the moment of acquisition.
        begun: items that an earlier driver claimed and may have called, without an outcome;
            every one of them is in doubt, whatever its own flag says.
        uncalled: items that an earlier driver claimed and did not call.
        unfinished: items without an outcome of which an earlier driver stored more.
        claimed_now: items that were claimed with this acquisition; nobody has called them.
        called: up to which place calls may have been made.
        claimed: up to which place items are claimed.
        cancel_wished: whether a cancel was requested already.
        driven_for: seconds this run was driven before.
        since_first_call: seconds since the run's first call; `None` if nobody told of one.
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
    Somebody else holds the run's lease.

    Attributes:
        fence: the holder's.
        remaining: seconds until the lease ends unless renewed; above 0.
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
        outcomes: items that settled; in this order they enter the log.
        claim: how many further items to claim at most; 0 for none.
        driven_for: seconds of driving since the lease was acquired or the last commit.
        ttl: seconds for which the lease is renewed.
        called: up to which place items may be called from now on; never less than it
            was. `None`: all that are claimed.
        unfinished: what is known now of items that have no outcome; replaces what was.
        alone: the place of the one item that is called from now on, and no other one; else `None`.
        since_first_call: seconds since this driver's first call; the store keeps the first it is told.
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
    What a driver's write brought back.

    Attributes:
        tail: the log's length now.
        claimed: the newly claimed items, in request order.
        cancel_wished: whether a cancel was requested for this run.
        paused: whether the run is paused; then nothing was claimed, and nothing further may be called.
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
        run: the run it is for.
        tail_before: the log's length when the cancel was first requested.
        settled_before: items of the whole batch that had an outcome at that moment.
    """

    run: int
    tail_before: int
    settled_before: int


@attrs.frozen(kw_only=True)
class DrivableRun:
    """
    A run that is not settled.

    Attributes:
        batch_id, run: what to drive.
        fence: grows with every take-over; 0 when nobody drove it yet.
        lease_remaining: seconds for which somebody holds it; 0 when it is free.
        due_in: seconds until something of it is due; 0 when something is, or when it is held.
    """

    batch_id: str
    run: int
    fence: int
    lease_remaining: float
    due_in: float = 0.0
