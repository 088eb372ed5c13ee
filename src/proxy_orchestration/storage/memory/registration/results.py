"""
Builds results of batches from the memory store. Reads only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypedDict

from proxy_orchestration.audit import AuditedOverride, AuditEvent, audit_event_id
from proxy_orchestration.registration.batches import (
    BatchFilter,
    BatchItem,
    BatchSummary,
    BulkProgressUpdate,
    BulkSubmissionResult,
    ItemAttempt,
    ItemPage,
    MentorOutcome,
)
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.ledger import BatchRecord, RunPurpose, StoredItem
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.runs import DrivableRun
from proxy_orchestration.registration.states import BulkStatus, ItemState, open_status, settled_status
from proxy_orchestration.storage.memory.registration.stored_batch import StoredBatch


class _Summary(TypedDict):
    batch_id: str
    coordinator_id: str
    status: BulkStatus
    run: int
    total: int
    counts: Mapping[ItemState, int]
    label: str | None
    submitted_at: datetime
    settled_at: datetime | None
    organization_id: str
    mode: SubmissionMode
    on_conflict: ConflictPolicy
    opened_by: str
    retried_by: str | None
    decided_by: str | None
    cancelled_by: str | None
    cancel_reason: str | None
    paused_at: datetime | None
    paused_by: str | None
    pause_code: str | None


def drivable_runs(
    unsettled: Iterable[StoredBatch], now: float, *, due_only: bool, service_name: str | None
) -> list[DrivableRun]:
    """
    Return the current runs that may be driven, the free ones first.
    """
    found = sorted(
        (
            batch
            for batch in unsettled
            if not batch.run.is_paused
            and not (due_only and batch.run.due_in(now))
            and (service_name is None or batch.service_name in {None, service_name})
        ),
        key=lambda batch: (batch.run.lease_remaining(now), batch.number),
    )
    return [
        DrivableRun(
            batch_id=batch.batch_id,
            run=batch.run.number,
            fence=batch.run.fence,
            lease_remaining=batch.run.lease_remaining(now),
            due_in=batch.run.due_in(now),
        )
        for batch in found
    ]


def status_of(batch: StoredBatch) -> BulkStatus:
    """
    Return the status, derived from the run and its items.
    """
    run = batch.run
    if run.settled_at is not None:
        return settled_status(run.counts)
    return open_status(driven=run.fence > 0, cancel_wished=run.cancel_mark is not None, paused=run.is_paused)


def counts_of(batch: StoredBatch) -> Mapping[ItemState, int]:
    """
    Return the items by state; of a settled run, as they were stored.
    """
    if batch.run.settled_at is not None:
        return batch.run.counts
    counts = Counter(outcome.state for outcome in batch.newest if outcome is not None)
    counts[ItemState.RUNNING] = len(batch.begun())
    counts[ItemState.PENDING] = len(batch.entries) - counts.total()
    return {state: count for state, count in counts.items() if count}


def is_reviewed(batch: StoredBatch) -> bool:
    """
    Tell a settled batch in which somebody waits for a decision.
    """
    return batch.run.settled_at is not None and bool(batch.run.counts.get(ItemState.NEEDS_REVIEW))


def is_found(batch: StoredBatch, found_by: BatchFilter) -> bool:
    """
    Tell whether a batch is one of those that are asked for.
    """
    waits = is_reviewed(batch)
    position = found_by.position()
    return (
        found_by.label in {None, batch.label}
        and found_by.coordinator_id in {None, batch.actor.user_id}
        and (found_by.submitted_from is None or found_by.submitted_from <= batch.submitted_at)
        and (found_by.submitted_before is None or batch.submitted_at < found_by.submitted_before)
        and found_by.needs_review in {None, waits}
        and (position is None or (batch.submitted_at, batch.number) < position)
    )


def record_of(batch: StoredBatch) -> BatchRecord:
    """
    Return the header and the current run.
    """
    run = batch.run
    return BatchRecord(
        batch_id=batch.batch_id,
        organization_id=batch.actor.organization_id,
        coordinator_id=batch.actor.user_id,
        label=batch.label,
        total=len(batch.entries),
        submitted_at=batch.submitted_at,
        run=run.number,
        run_items=run.size,
        base=run.base,
        tail=len(batch.log),
        driven=run.fence > 0,
        cancel_wished_at=run.cancel_wished_at,
        settled_at=run.settled_at,
        mode=batch.mode,
        on_conflict=batch.on_conflict,
        paused_at=run.pause.paused_at if run.pause and run.is_paused else None,
        service_name=batch.service_name,
    )


def items_of(batch: StoredBatch) -> tuple[StoredItem, ...]:
    """
    Return every item in request order, as a further run would find it.
    """
    begun = set(batch.begun())
    items = []
    for item, (entry, outcome) in enumerate(zip(batch.entries, batch.newest, strict=True)):
        open_state = ItemState.RUNNING if item in begun else ItemState.PENDING
        items.append(
            StoredItem(
                mentor_id=entry.mentor_id,
                activity=batch.activity(item),
                state=open_state if outcome is None else outcome.state,
                in_doubt=item in batch.keys and batch.keys[item][1],
                code=outcome.failure.code if outcome and outcome.failure else None,
                conflicting_activity_id=outcome.conflicting_activity_id if outcome else None,
                override=batch.overridden.get(item),
                item_key=entry.item_key,
            )
        )
    return tuple(items)


def summary_of(batch: StoredBatch) -> BatchSummary:
    """
    Return the batch without its outcomes.
    """
    return BatchSummary(**_summary(batch))


def result_of(batch: StoredBatch) -> BulkSubmissionResult:
    """
    Return the batch with where every item stands, in request order.
    """
    return BulkSubmissionResult(**_summary(batch), outcomes=tuple(_outcomes_of(batch)))


def page_of_items(
    batch: StoredBatch, *, states: Collection[ItemState] | None, after: int, limit: int
) -> ItemPage:
    """
    Return at most `limit` items that follow the place `after`.
    """
    found = [
        (place, outcome)
        for place, outcome in enumerate(_outcomes_of(batch), start=1)
        if place > after and (states is None or outcome.state in states)
    ]
    history = _history_of(batch, {outcome.item_key: place - 1 for place, outcome in found[:limit]})
    items = tuple(
        BatchItem(
            place=place,
            activity=batch.activity(place - 1),
            outcome=outcome,
            history=tuple(history.get(outcome.item_key, ())),
        )
        for place, outcome in found[:limit]
    )
    return ItemPage(items=items, next_after=items[-1].place if len(found) > limit else None)


def _outcomes_of(batch: StoredBatch) -> Iterator[MentorOutcome]:
    begun = set(batch.begun())
    for item, (entry, outcome) in enumerate(zip(batch.entries, batch.newest, strict=True)):
        if outcome is None:
            state = ItemState.RUNNING if item in begun else ItemState.PENDING
            yield MentorOutcome(mentor_id=entry.mentor_id, state=state, item_key=entry.item_key)
        else:
            yield outcome


def _history_of(batch: StoredBatch, items: Mapping[str, int]) -> dict[str, list[ItemAttempt]]:
    history: dict[str, list[ItemAttempt]] = {}
    for update in updates_of(batch, after=0, limit=len(batch.log)):
        outcome, run = update.outcome, update.run
        if outcome.item_key in items:
            activity = batch.activity(items[outcome.item_key], run)
            attempt = ItemAttempt(run=run, outcome=outcome, activity=activity)
            history.setdefault(outcome.item_key, []).append(attempt)
    return history


def updates_of(batch: StoredBatch, *, after: int, limit: int) -> list[BulkProgressUpdate]:
    """
    Return at most `limit` entries of the log that follow `after`.
    """
    updates: list[BulkProgressUpdate] = []
    batch_id, total = batch.batch_id, len(batch.entries)
    stop = min(after + limit, len(batch.log))
    ends = [base for base, _ in batch.spans[1:]] + [stop]
    for run, ((base, offset), end) in enumerate(zip(batch.spans, ends, strict=True), start=1):
        first = max(after, base)
        updates += [
            BulkProgressUpdate(
                batch_id=batch_id,
                run=run,
                sequence=sequence,
                outcome=outcome,
                settled=sequence + offset,
                total=total,
            )
            for sequence, outcome in enumerate(batch.log[first : min(end, stop)], start=first + 1)
        ]
    return updates


def audit_event_of(batch: StoredBatch, settled_at: datetime) -> AuditEvent:
    """
    Return the event that says the current run has settled.
    """
    run = batch.run
    return AuditEvent(
        event_id=audit_event_id(batch.batch_id, run.number),
        batch_id=batch.batch_id,
        run=run.number,
        coordinator_id=batch.actor.user_id,
        actor_id=run.actor.user_id,
        organization_id=batch.actor.organization_id,
        status=status_of(batch).value,
        total=len(batch.entries),
        counts={state.value: count for state, count in run.counts.items()},
        settled_at=settled_at,
        overrides=tuple(
            AuditedOverride(
                mentor_id=batch.entries[item].mentor_id,
                activity_id=override.activity_id,
                decided_by=override.decided_by,
                decided_at=override.decided_at,
                item_key=batch.entries[item].item_key,
            )
            for item, override in sorted(run.overrides.items())
        ),
        retried_by=run.actor.user_id if run.purpose is RunPurpose.RETRY else None,
        decided_by=run.actor.user_id if run.purpose is RunPurpose.REVIEW else None,
        cancelled_by=run.cancelled_by if run.cancel_mark else None,
        cancel_reason=run.cancel_reason if run.cancel_mark else None,
    )


def _summary(batch: StoredBatch) -> _Summary:
    run = batch.run
    pause = run.pause if run.is_paused else None
    return {
        "batch_id": batch.batch_id,
        "coordinator_id": batch.actor.user_id,
        "status": status_of(batch),
        "run": run.number,
        "total": len(batch.entries),
        "counts": counts_of(batch),
        "label": batch.label,
        "submitted_at": batch.submitted_at,
        "settled_at": run.settled_at,
        "organization_id": batch.actor.organization_id,
        "mode": batch.mode,
        "on_conflict": batch.on_conflict,
        "opened_by": run.actor.user_id,
        "retried_by": run.retried_by,
        "decided_by": run.decided_by,
        "cancelled_by": run.cancelled_by,
        "cancel_reason": run.cancel_reason,
        "paused_at": pause.paused_at if pause else None,
        "paused_by": pause.paused_by if pause else None,
        "pause_code": pause.code if pause else None,
    }
