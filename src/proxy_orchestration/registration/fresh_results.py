"""
Builds the result of a batch that one call accepted and drove, without reading it back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.registration.batches import BulkSubmissionResult, MentorOutcome
from proxy_orchestration.registration.ledger import NewBatch
from proxy_orchestration.registration.runs import LogPage
from proxy_orchestration.registration.states import BulkStatus, ItemState

_FIRST_RUN: Final = 1


@attrs.frozen(kw_only=True)
class SettledHere:
    """
    What a process knows of a run that it drove to its end.

    Attributes:
        event: the run's audit event.
        pages: parts of the log that were published here; the oldest of many are not kept.
    """

    event: AuditEvent
    pages: Sequence[LogPage]


def fresh_result(new: NewBatch, settled: SettledHere) -> BulkSubmissionResult | None:
    """
    Return what the store would answer about a batch right after its first run, or `None` if only it knows.

    Only it knows of outcomes that another process wrote, or so many ago that they are not kept. The
    label is the one that was submitted.
    """
    event = settled.event
    outcomes = _outcomes(new, settled) if event.run == _FIRST_RUN else {}
    if len(outcomes) < len(new.entries):
        return None
    in_order = tuple(outcomes[position] for position in range(len(new.entries)))
    return BulkSubmissionResult(
        **_as_submitted(new),
        batch_id=event.batch_id,
        status=BulkStatus(event.status),
        counts=dict(Counter(outcome.state for outcome in in_order)),
        settled_at=event.settled_at,
        cancelled_by=event.cancelled_by,
        cancel_reason=event.cancel_reason,
        outcomes=in_order,
    )


def accepted_result(new: NewBatch, batch_id: str) -> BulkSubmissionResult:
    """
    Return what the store would answer about a batch that was just accepted and that nobody drives yet.
    """
    judged = dict(_judged(new))
    outcomes = tuple(
        judged.get(position)
        or MentorOutcome(mentor_id=entry.mentor_id, state=ItemState.PENDING, item_key=entry.item_key)
        for position, entry in enumerate(new.entries)
    )
    return BulkSubmissionResult(
        **_as_submitted(new),
        batch_id=batch_id,
        status=BulkStatus.PENDING,
        counts=dict(Counter(outcome.state for outcome in outcomes)),
        settled_at=None,
        outcomes=outcomes,
    )


def _as_submitted(new: NewBatch) -> dict[str, Any]:
    return {
        "coordinator_id": new.actor.user_id,
        "run": _FIRST_RUN,
        "total": len(new.entries),
        "label": new.label,
        "submitted_at": new.submitted_at,
        "organization_id": new.actor.organization_id,
        "mode": new.mode,
        "on_conflict": new.on_conflict,
        "opened_by": new.actor.user_id,
    }


def _outcomes(new: NewBatch, settled: SettledHere) -> dict[int, MentorOutcome]:
    """
    Return the outcomes by the item's position.
    """
    outcomes = dict(_judged(new))
    for page in settled.pages:
        for sequence, outcome in enumerate(page.outcomes, start=page.first):
            outcomes[outcome.work.item] = outcome.told(sequence)
    return outcomes


def _judged(new: NewBatch) -> Iterator[tuple[int, MentorOutcome]]:
    """
    Return what was settled with the acceptance: these enter the log in request order.
    """
    sequence = 0
    for position, entry in enumerate(new.entries):
        verdict = new.verdicts.get(entry.item_key)
        if verdict is None:
            continue
        sequence += 1
        outcome = MentorOutcome(
            mentor_id=entry.mentor_id,
            state=verdict.stored_state(in_doubt=False),
            failure=verdict.failure,
            conflicting_activity_id=verdict.conflicting_activity_id,
            sequence=sequence,
            settled_at=new.submitted_at,
            item_key=entry.item_key,
        )
        yield position, outcome
