"""
What a driver and a ledger say to each other about one run. Immutable, no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias

import attrs

from proxy_orchestration.access import Actor
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.batches import Failure, MentorOutcome
from proxy_orchestration.registration.requests import RegistrationEntry
from proxy_orchestration.registration.states import ItemState


@attrs.frozen(kw_only=True)
class NewBatch:
    """
    An accepted request, as it is stored.

    Attributes:
        actor: who submits; owner of the batch and of run 1.
        entries: the items, in request order; position 0 is the first.
        idempotency_key: the submitter's key, or `None`.
        fingerprint: SHA-256 of the entries, 64 hexadecimal digits.
        label: what people call it.
        submitted_at: aware, UTC.
        refused: items that are FAILED from the start and never sent, by mentor id.
    """

    actor: Actor
    entries: tuple[RegistrationEntry, ...]
    idempotency_key: str | None
    fingerprint: str
    label: str | None
    submitted_at: datetime
    refused: Mapping[str, Failure] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Acceptance:
    """
    The batch that a request became, or already was.

    Attributes:
        batch_id: the batch.
        created: false when the same key and fingerprint were accepted before.
    """

    batch_id: str
    created: bool


@attrs.frozen(kw_only=True)
class NewRun:
    """
    A further run over some items of a settled batch.

    Attributes:
        batch_id: the batch.
        expected_run: the run that must be current and settled.
        actor: who opens the run, with the roles held now.
        opened_at: aware, UTC.
        mentor_ids: the items to take up, each once.
        refused: those of them that are not sent, by mentor id: FAILED at once, or
            UNKNOWN where their key is in doubt, since doubt is never refused away.
    """

    batch_id: str
    expected_run: int
    actor: Actor
    opened_at: datetime
    mentor_ids: tuple[str, ...]
    refused: Mapping[str, Failure] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class BatchRecord:
    """
    A batch's header and its current run.

    Attributes:
        batch_id, organization_id, coordinator_id, label, total, submitted_at: as accepted.
        run: the current run, from 1.
        run_items: items this run settles, the refused ones included.
        base: the log's length when the run was opened.
        tail: the log's length now; `tail - base` items of the run are settled.
        driven: whether anybody ever drove this run.
        cancel_wished_at: when cancel was first wished in this run, or `None`.
        settled_at: when the run settled, or `None`.
    """

    batch_id: str
    organization_id: str
    coordinator_id: str
    label: str | None
    total: int
    submitted_at: datetime
    run: int
    run_items: int
    base: int
    tail: int
    driven: bool
    cancel_wished_at: datetime | None
    settled_at: datetime | None


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
    """

    item: int
    mentor_id: str
    activity: ProxyActivity
    epoch: int
    in_doubt: bool


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
        conflicting_activity_id: the existing record, for NEEDS_REVIEW.
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
        begun: items claimed in this run by an earlier driver and without an outcome;
            every one of them is in doubt, whatever its own flag says.
        cancel_wished: whether cancel was wished already.
        driven_for: seconds this run was driven before.
    """

    batch_id: str
    run: int
    fence: int
    actor: Actor
    run_items: int
    base: int
    tail: int
    begun: tuple[WorkItem, ...] = ()
    cancel_wished: bool = False
    driven_for: float = 0.0


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
    There is nothing left to drive: the run is settled, or its batch is gone.
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
    """

    outcomes: tuple[ItemOutcome, ...] = ()
    claim: int = 0
    driven_for: float = 0.0
    ttl: float


@attrs.frozen(kw_only=True)
class Committed:
    """
    What a driver's write brought back.

    Attributes:
        tail: the log's length now.
        claimed: the newly claimed items, in request order.
        cancel_wished: whether cancel is wished for this run.
    """

    tail: int
    claimed: tuple[WorkItem, ...]
    cancel_wished: bool


@attrs.frozen(kw_only=True)
class CancelMark:
    """
    A stored wish to cancel.

    Attributes:
        run: the run it is for.
        tail_before: the log's length when cancel was first wished.
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
    """

    batch_id: str
    run: int
    fence: int
    lease_remaining: float


def next_key(outcome_state: ItemState, *, epoch: int, in_doubt: bool) -> tuple[int, bool]:
    """
    Return the epoch and the doubt with which a further run takes an item up.

    A key in doubt stays, and stays in doubt; a definite failure gets a new
    key; an item that was never begun keeps its unused key.
    """
    if in_doubt:
        return epoch, True
    return (epoch + 1 if outcome_state is ItemState.FAILED else epoch), False
