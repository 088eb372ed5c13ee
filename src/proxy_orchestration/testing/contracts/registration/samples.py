"""
Example batches, and helpers that many checks share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import attrs

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.registration.activities import (
    ActivityRecord,
    ProxyActivity,
    ProxyRegistration,
    idempotency_key_of,
    registration_id_of,
)
from proxy_orchestration.registration.batches import BulkProgressUpdate, BulkSubmissionResult, Failure
from proxy_orchestration.registration.conflicts import Override
from proxy_orchestration.registration.ledger import BatchRecord, NewBatch, NewRun, StoredItem, Verdict
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.requests import (
    BulkRegistrationRequest,
    RegistrationEntry,
    fingerprint_of,
)
from proxy_orchestration.registration.runs import Commit, ItemOutcome, Lease, WorkItem
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.testing.contracts.checks import broken
from proxy_orchestration.testing.contracts.host_samples import samples

NOON: Final = datetime(2026, 3, 4, 12, 0, 0, 250_000, tzinfo=UTC)
ACTIVITY: Final = ProxyActivity(activity_type="visit", activity_date=date(2026, 3, 3), duration_minutes=45)
COORDINATOR: Final = Actor(user_id="coordinator-1", roles={Role.COORDINATOR}, organization_id="org-1")
REFUSAL: Final = Failure(code="out_of_scope", message="Not one of yours.", retryable=False)
REFUSED: Final = Verdict(state=ItemState.FAILED, failure=REFUSAL)
LONG: Final = 600.0  # seconds that no check lasts
OVER: Final = 0.0  # a lease or hold of no seconds is over at once

_FAILURES: Final = {
    ItemState.FAILED: Failure(code="refused", message="The service said no: «æøå».", retryable=True),
    ItemState.UNKNOWN: Failure(code="unknown", message="No answer came.", retryable=True),
    ItemState.NEEDS_REVIEW: Failure(code="conflict", message="It conflicts with a record.", retryable=False),
    ItemState.SKIPPED: Failure(code="skipped", message="Left out by decision.", retryable=False),
    ItemState.CANCELLED: Failure(code="cancelled", message="Never called.", retryable=True),
}


CONFLICTING: Final = Verdict(
    state=ItemState.NEEDS_REVIEW,
    failure=_FAILURES[ItemState.NEEDS_REVIEW],
    conflicting_activity_id="activity-in-the-way",
)
LEFT_OUT: Final = Verdict(
    state=ItemState.SKIPPED,
    failure=_FAILURES[ItemState.SKIPPED],
    conflicting_activity_id="activity-in-the-way",
)


def later(seconds: float) -> datetime:
    """
    Return a moment after `NOON`.
    """
    return NOON + timedelta(seconds=seconds)


def mentors(count: int) -> tuple[str, ...]:
    """
    Return mentor ids whose alphabetical order is not the request's.
    """
    return tuple(f"mentor-{(count - number) % count}" for number in range(count))


def batch_of(count: int, **changes: Any) -> NewBatch:  # noqa: ANN401 - fields of NewBatch
    """
    Return a new batch over that many mentors, changed in these fields.
    """
    entries = tuple(RegistrationEntry(mentor_id, ACTIVITY) for mentor_id in mentors(count))
    fields: dict[str, Any] = {
        "actor": COORDINATOR,
        "entries": entries,
        "idempotency_key": None,
        "label": None,
        "submitted_at": NOON,
    } | changes
    request = BulkRegistrationRequest(entries=fields["entries"])
    fields.setdefault("fingerprint", fingerprint_of(request))
    return NewBatch(**fields)


def override(activity_id: str | None, *, by: str = "coordinator-1", seconds: float = 30) -> Override:
    """
    Return a decision to override that record.
    """
    return Override(activity_id=activity_id, decided_by=by, decided_at=later(seconds))


def activity_record(  # noqa: PLR0913 - every field of a sample may vary
    name: object,
    mentor_id: str = "mentor-1",
    batch_id: str = "batch-1",
    *,
    key: str | None = None,
    actor: Actor = COORDINATOR,
    override_of: str | None = None,
) -> ActivityRecord:
    """
    Return the record `activity-{name}` of that mentor in that batch, with that duplicate key.
    """
    registration_id = registration_id_of(batch_id, mentor_id)
    registration = ProxyRegistration(
        registration_id=registration_id,
        idempotency_key=idempotency_key_of(registration_id, 0),
        batch_id=batch_id,
        mentor_id=mentor_id,
        activity=ACTIVITY,
        registered_by=actor,
        override_of=override_of,
    )
    return ActivityRecord(
        activity_id=f"activity-{name}", registration=registration, recorded_at=NOON, duplicate_key=key
    )


def mentor_of(number: int) -> str:
    """
    Return a mentor whom the subject knows, from 1.
    """
    return samples().mentor_ids[number - 1]


def registration_of(
    mentor: int = 1, *, batch: int = 1, epoch: int = 0, another_type: bool = False, days_back: int = 0
) -> ProxyRegistration:
    """
    Return a registration that the subject accepts: that mentor's, in that batch, both from 1.
    """
    known = samples()
    registration_id = registration_id_of(known.batch_ids[batch - 1], mentor_of(mentor))
    activity = known.activity()
    return ProxyRegistration(
        registration_id=registration_id,
        idempotency_key=idempotency_key_of(registration_id, epoch),
        batch_id=known.batch_ids[batch - 1],
        mentor_id=mentor_of(mentor),
        activity=attrs.evolve(
            activity,
            activity_type=known.another_type if another_type else activity.activity_type,
            activity_date=activity.activity_date - timedelta(days=days_back),
        ),
        registered_by=known.coordinator,
    )


def refusable(registration: ProxyRegistration) -> ProxyRegistration:
    """
    Return a registration that the subject refuses unless it has a record.
    """
    return samples().unacceptable(registration)


def rerun(batch_id: str, mentor_ids: Iterable[str], *, expected_run: int = 1, **changes: Any) -> NewRun:  # noqa: ANN401 - fields of NewRun
    """
    Return a further run over these mentors, changed in these fields.
    """
    fields: dict[str, Any] = {"actor": COORDINATOR, "opened_at": later(60)} | changes
    return NewRun(batch_id=batch_id, expected_run=expected_run, mentor_ids=tuple(mentor_ids), **fields)


def ended(
    work: WorkItem, state: ItemState = ItemState.SUCCEEDED, *, in_doubt: bool = False, attempts: int = 1
) -> ItemOutcome:
    """
    Return an outcome in that state with everything that belongs to the state.
    """
    return ItemOutcome(
        work,
        state,
        later(10 + work.item),
        attempts=attempts,
        activity_id=f"activity-of-{work.mentor_id}" if state is ItemState.SUCCEEDED else None,
        failure=_FAILURES.get(state),
        conflicting_activity_id="activity-in-the-way" if state is ItemState.NEEDS_REVIEW else None,
        in_doubt=in_doubt,
    )


async def accepted(ledger: BatchLedger, batch: NewBatch) -> str:
    """
    Return the id of the batch, accepted.
    """
    return (await ledger.accept(batch)).batch_id


async def lease_of(ledger: BatchLedger, batch_id: str, run: int = 1, *, ttl: float = LONG) -> Lease:
    """
    Return the run's lease, which has to be free.
    """
    answer = await ledger.acquire(batch_id, run, ttl=ttl)
    return answer if isinstance(answer, Lease) else broken(f"a free run must be acquired, got {answer!r}")


async def claim(ledger: BatchLedger, lease: Lease, count: int, *, ttl: float = LONG) -> tuple[WorkItem, ...]:
    """
    Return up to that many newly claimed items.
    """
    return (await ledger.commit(lease, Commit(claim=count, ttl=ttl))).claimed


async def store(ledger: BatchLedger, lease: Lease, *outcomes: ItemOutcome) -> int:
    """
    Commit the outcomes and return the log's length.
    """
    return (await ledger.commit(lease, Commit(outcomes=outcomes, ttl=LONG))).tail


async def settle(  # noqa: PLR0913 - every field of a sample may vary
    ledger: BatchLedger,
    batch_id: str,
    states: Sequence[ItemState],
    *,
    run: int = 1,
    at: datetime = NOON,
    hold: float = LONG,
) -> AuditEvent:
    """
    Drive the run to its end: its items, as claimed, end in these states; UNKNOWN is in doubt.
    """
    lease = await lease_of(ledger, batch_id, run)
    work = await claim(ledger, lease, len(states))
    await store(
        ledger,
        lease,
        *(
            ended(item, state, in_doubt=state is ItemState.UNKNOWN)
            for item, state in zip(work, states, strict=True)
        ),
    )
    return await ledger.settle(lease, settled_at=at, audit_hold=hold)


async def settled_batch(
    ledger: BatchLedger,
    *states: ItemState,
    at: datetime = NOON,
    hold: float = LONG,
    **changes: Any,  # noqa: ANN401 - fields of NewBatch
) -> str:
    """
    Return the id of a batch whose items ended in these states in run 1.
    """
    batch_id = await accepted(ledger, batch_of(len(states), **changes))
    await settle(ledger, batch_id, states, at=at, hold=hold)
    return batch_id


async def record_of(ledger: BatchLedger, batch_id: str) -> BatchRecord:
    """
    Return the header of a batch that has to exist.
    """
    record = await ledger.get(batch_id)
    return broken("an accepted batch must be found") if record is None else record


async def result_of(ledger: BatchLedger, batch_id: str) -> BulkSubmissionResult:
    """
    Return the result of a batch that has to exist.
    """
    result = await ledger.read_result(batch_id)
    return broken("an accepted batch must have a result") if result is None else result


async def states_of(ledger: BatchLedger, batch_id: str) -> list[ItemState]:
    """
    Return every item's state, in request order.
    """
    return [outcome.state for outcome in (await result_of(ledger, batch_id)).outcomes]


async def items_of(ledger: BatchLedger, batch_id: str) -> list[StoredItem]:
    """
    Return every item as a further run would find it.
    """
    return list(await ledger.read_items(batch_id))


async def log_of(ledger: BatchLedger, batch_id: str) -> list[BulkProgressUpdate]:
    """
    Return the batch's whole log.
    """
    return list(await ledger.read_updates(batch_id, after=0, limit=1_000))
