"""
Converts batch models to the wire format and back. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.batches import (
    BatchItem,
    BatchPage,
    BatchSummary,
    BulkProgressUpdate,
    CancelReport,
    ItemPage,
    MentorOutcome,
)
from proxy_orchestration.registration.conflicts import ConflictDecision, ConflictPolicy, ConflictReport
from proxy_orchestration.registration.requests import (
    BulkRegistrationRequest,
    RegistrationEntry,
    SubmissionMode,
)
from proxy_orchestration.registration.states import RETRYABLE_STATES, ItemState
from proxy_orchestration.web.wire import batches as wire
from proxy_orchestration.web.words import BATCH_WORDS, ITEM_WORDS


def activity_of(body: wire.Activity) -> ProxyActivity:
    """
    Return the activity that a client describes.
    """
    return ProxyActivity(
        activity_type=body.activity_type,
        activity_date=body.activity_date,
        duration_minutes=body.duration_minutes,
        notes=body.notes,
        details=dict(body.details),
    )


def request_of(body: wire.NewBatch, *, idempotency_key: str | None) -> BulkRegistrationRequest:
    """
    Return the request that a client sends; who registers is nowhere in it.
    """
    entries = zip(body.items, _activities_in(body.items), strict=True)
    return BulkRegistrationRequest(
        entries=tuple(
            RegistrationEntry(item.mentor_id, activity, item.item_id) for item, activity in entries
        ),
        idempotency_key=idempotency_key,
        label=body.label,
        mode=SubmissionMode(body.mode),
        on_conflict=ConflictPolicy(body.on_conflict),
    )


def _activities_in(items: Iterable[wire.NewItem]) -> Iterator[ProxyActivity]:
    """
    Yield each item's activity; one that is described alike many times in a row is one object.
    """
    # Mostly it is one for all, and what is checked and encoded for an object is done for it once.
    described: tuple[object, ...] | None = None
    activity: ProxyActivity | None = None
    for item in items:
        words = (item.activity_type, item.activity_date, item.duration_minutes, item.notes)
        # Not by details: to Python 1, 1.0 and True are one value, and to JSON they are three.
        if activity is None or item.details or words != described:
            activity = activity_of(item)
            described = None if item.details else words
        yield activity


def activities_of(body: wire.Retry) -> Mapping[str, ProxyActivity] | None:
    """
    Return what a retry registers instead, by mentor or item; `None` where it names nothing.
    """
    edited = body.activities
    return None if edited is None else {name: activity_of(each) for name, each in edited.items()}


def decisions_of(body: wire.Decisions) -> Mapping[str, ConflictDecision]:
    """
    Return what was decided, by mentor or item.
    """
    return {name: ConflictDecision(word) for name, word in body.decisions.items()}


def batch(summary: BatchSummary) -> wire.Batch:
    """
    Return a batch without its items.
    """
    return wire.Batch(**_batch_fields(summary))


def batch_detail(summary: BatchSummary, page: ItemPage) -> wire.BatchDetail:
    """
    Return a batch with a page of its items.
    """
    items = [_item(each) for each in page.items]
    return wire.BatchDetail(**_batch_fields(summary), items=items, next_after=page.next_after)


def cancelled_batch(summary: BatchSummary, report: CancelReport | None) -> wire.CancelledBatch:
    """
    Return a batch with what a cancel did, where there was one.
    """
    numbers = None if report is None else wire.CancelNumbers(**attrs.asdict(report))
    return wire.CancelledBatch(**_batch_fields(summary), cancellation=numbers)


def batch_list(page: BatchPage) -> wire.BatchList:
    """
    Return a page of batches.
    """
    place = wire.PagePlace(page=page.page, limit=page.limit, total=page.total, next_cursor=page.next_cursor)
    return wire.BatchList(data=[batch(each) for each in page.batches], pagination=place)


def preview(report: ConflictReport) -> wire.Preview:
    """
    Return what a submission would meet.
    """
    conflicts = [
        wire.FoundConflict(
            item_id=each.item_key or each.mentor_id,
            mentor_id=each.mentor_id,
            kind=each.kind.value,
            existing_activity_id=each.existing_activity_id,
        )
        for each in report.conflicts
    ]
    clean, refused = list(report.clean), list(report.refused)
    return wire.Preview(total=report.total, conflicts=conflicts, clean=clean, refused=refused)


def update(told: BulkProgressUpdate) -> wire.Update:
    """
    Return one item's end.
    """
    return wire.Update(
        batch_id=told.batch_id,
        run=told.run,
        sequence=told.sequence,
        settled=told.settled,
        total_items=told.total,
        item=wire.ItemResult(**_result_fields(told.outcome)),
    )


def _batch_fields(summary: BatchSummary) -> dict[str, Any]:
    counts = summary.counts
    status = BATCH_WORDS[summary.status]
    return {
        "batch_id": summary.batch_id,
        "coordinator_id": summary.coordinator_id,
        "status": status,
        "started": summary.status.value != "pending",
        "run": summary.run,
        "total_items": summary.total,
        "completed": counts.get(ItemState.SUCCEEDED, 0),
        "failed": sum(counts.get(state, 0) for state in RETRYABLE_STATES),
        "counts": {ITEM_WORDS[state]: count for state, count in counts.items()},
        "label": summary.label,
        "mode": summary.mode.value,
        "on_conflict": summary.on_conflict.value,
        "submitted_at": summary.submitted_at,
        "completed_at": summary.settled_at,
        "opened_by": summary.opened_by,
        "retried_by": summary.retried_by,
        "decided_by": summary.decided_by,
        "cancelled_by": summary.cancelled_by,
        "cancellation_reason": summary.cancel_reason,
        "paused_at": summary.paused_at,
        "paused_by": summary.paused_by,
        "pause_code": summary.pause_code,
    }


def _item(item: BatchItem) -> wire.Item:
    activity = item.activity
    history = [wire.ItemHistory(run=each.run, **_result_fields(each.outcome)) for each in item.history]
    return wire.Item(
        **_result_fields(item.outcome),
        place=item.place,
        activity_type=activity.activity_type,
        activity_date=activity.activity_date,
        duration_minutes=activity.duration_minutes,
        notes=activity.notes,
        details=dict(activity.details),
        history=history,
    )


def _result_fields(outcome: MentorOutcome) -> dict[str, Any]:
    failure = outcome.failure
    return {
        "item_id": outcome.item_key,
        "mentor_id": outcome.mentor_id,
        "status": ITEM_WORDS[outcome.state],
        "activity_id": outcome.activity_id,
        "error": None if failure is None else failure.message,
        "error_code": None if failure is None else failure.code,
        "retryable": None if failure is None else failure.retryable,
        "conflicting_activity_id": outcome.conflicting_activity_id,
        "attempts": outcome.attempts,
        "settled_at": outcome.settled_at,
    }
