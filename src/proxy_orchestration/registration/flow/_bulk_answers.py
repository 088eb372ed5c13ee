"""
What the bulk flow makes of the answers to its questions.
"""

from __future__ import annotations

import attrs

from proxy_orchestration.registration.batches import BulkProgressUpdate, BulkSubmissionResult, MentorOutcome
from proxy_orchestration.registration.conflicts import (
    Conflict,
    ConflictDecision,
    ConflictKind,
    ConflictPolicy,
    ConflictReport,
)
from proxy_orchestration.registration.flow._bulk_effects import BulkConflictCase, SubmitBulk
from proxy_orchestration.registration.flow._bulk_events import (
    BulkAnswer,
    BulkAnswered,
    BulkCallFailed,
    BulkConflictsFound,
    BulkProgressed,
)
from proxy_orchestration.registration.flow._bulk_states import (
    BulkChecking,
    BulkFailed,
    BulkReviewing,
    BulkSelecting,
    BulkSettled,
    BulkState,
    BulkStep,
    BulkSubmitting,
)
from proxy_orchestration.registration.flow._bulk_work import refused, resolve, standing, submit
from proxy_orchestration.registration.flow._forms import RefusalReason, safe_message
from proxy_orchestration.registration.states import OPEN_STATES


def answered(state: BulkState, event: BulkAnswer) -> BulkStep:
    """
    Take an answer to the question that is open; another question's is late.
    """
    if event.token > state.token:
        return refused(state, RefusalReason.NEVER_ASKED)
    if event.token < state.token or not isinstance(state, BulkChecking | BulkSubmitting):
        return BulkStep(state=state, ignored=True)
    if isinstance(event, BulkCallFailed):
        message = safe_message(event.error)
        return BulkStep(state=BulkFailed(token=state.token, message=message, during=state))
    return _told(state, event)


def _told(
    state: BulkChecking | BulkSubmitting, event: BulkConflictsFound | BulkProgressed | BulkAnswered
) -> BulkStep:
    if isinstance(state, BulkChecking) and isinstance(event, BulkConflictsFound):
        return _checked(state, event.report)
    if isinstance(state, BulkSubmitting) and isinstance(event, BulkProgressed):
        return _progressed(state, event.update)
    if isinstance(state, BulkSubmitting) and isinstance(event, BulkAnswered):
        return _worked(state, event.result)
    return refused(state, RefusalReason.FOREIGN_ANSWER)


def _checked(state: BulkChecking, report: ConflictReport) -> BulkStep:
    conflicting = [conflict.mentor_id for conflict in report.conflicts]
    named = sorted([*conflicting, *report.clean, *report.refused])
    if named != sorted(entry.mentor_id for entry in state.request.entries):
        return refused(state, RefusalReason.FOREIGN_ANSWER)
    if not report.conflicts:
        return submit(BulkSelecting(token=state.token, form=state.form), state.request)
    cases = tuple(_case_of(conflict, state.request.on_conflict) for conflict in report.conflicts)
    return BulkStep(
        state=BulkReviewing(token=state.token, cases=cases, form=state.form, request=state.request)
    )


def _case_of(conflict: Conflict, policy: ConflictPolicy) -> BulkConflictCase:
    """
    Return the case as the policy decides it; no policy decides about a check that failed.
    """
    if policy is ConflictPolicy.REVIEW or conflict.kind is ConflictKind.CHECK_FAILED:
        return BulkConflictCase(conflict=conflict)
    return BulkConflictCase(conflict=conflict, decision=ConflictDecision(policy.value))


def _progressed(state: BulkSubmitting, update: BulkProgressUpdate) -> BulkStep:
    if not _is_about(state, update.batch_id) or not _adds_up(state, update):
        return refused(state, RefusalReason.FOREIGN_ANSWER, update.outcome.mentor_id)
    if update.sequence <= state.sequence or update.run <= _run_before(state):
        return BulkStep(state=state, ignored=True)
    return BulkStep(
        state=attrs.evolve(
            state,
            batch_id=update.batch_id,
            sequence=update.sequence,
            settled=update.settled,
            outcomes=(*state.outcomes, update.outcome),
        )
    )


def _is_about(state: BulkSubmitting, batch_id: str) -> bool:
    return state.batch_id in {None, batch_id}


def _adds_up(state: BulkSubmitting, update: BulkProgressUpdate) -> bool:
    return (
        update.outcome.mentor_id in state.mentor_ids
        and update.total == state.total
        and update.settled <= update.total
    )


def _run_before(state: BulkSubmitting) -> int:
    return 0 if isinstance(state.effect, SubmitBulk) else state.effect.expected_run


def _worked(state: BulkSubmitting, result: BulkSubmissionResult) -> BulkStep:
    named = sorted(outcome.mentor_id for outcome in result.outcomes)
    if not _is_about(state, result.batch_id) or named != sorted(state.mentor_ids):
        return refused(state, RefusalReason.FOREIGN_ANSWER)
    if any(outcome.state in OPEN_STATES for outcome in result.outcomes):
        going_on = attrs.evolve(state, batch_id=result.batch_id, settled=max(state.settled, standing(result)))
        return BulkStep(state=going_on)
    settled = BulkSettled(
        token=state.token,
        result=result,
        selected=tuple(outcome.mentor_id for outcome in result.failed),
        left_out=state.left_out,
    )
    decided = _decided_before(state, result)
    return resolve(settled, settled, decided) if decided else BulkStep(state=settled)


def _decided_before(state: BulkSubmitting, result: BulkSubmissionResult) -> tuple[BulkConflictCase, ...]:
    """
    Return the waiting mentors' cases that were decided before the submission.
    """
    if not isinstance(state.effect, SubmitBulk) or not isinstance(state.origin, BulkReviewing):
        return ()
    cases = {case.conflict.mentor_id: case for case in state.origin.cases}
    return tuple(
        cases[outcome.mentor_id]
        for outcome in result.needs_review
        if outcome.mentor_id in cases and _still_holds(cases[outcome.mentor_id].conflict, outcome)
    )


def _still_holds(conflict: Conflict, outcome: MentorOutcome) -> bool:
    """
    Return whether the record in the way is the one that was decided about.

    An earlier entry's record did not exist when the conflict was shown.
    """
    if conflict.kind is ConflictKind.IN_BATCH:
        return True
    return conflict.existing_activity_id == outcome.conflicting_activity_id
