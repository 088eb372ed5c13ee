"""
The bulk flow: from a selection to a settled batch, its review and its retries.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import attrs

from proxy_orchestration.registration.batches import BulkProgressUpdate, BulkSubmissionResult, MentorOutcome
from proxy_orchestration.registration.conflicts import (
    Conflict,
    ConflictDecision,
    ConflictKind,
    ConflictPolicy,
    ConflictReport,
)
from proxy_orchestration.registration.flow import bulk_words as words
from proxy_orchestration.registration.flow.forms import Flow, RefusalReason, edited
from proxy_orchestration.registration.reasons import AWAITING_DECISIONS, MAYBE_OWN
from proxy_orchestration.registration.requests import BulkRegistrationRequest
from proxy_orchestration.registration.states import OPEN_STATES, RETRYABLE_BY_NAME

_Choice = words.BulkInput | words.BulkPress


def bulk_flow_after(state: words.BulkState, event: words.BulkEvent) -> words.BulkStep:
    """
    Return the new state of the bulk flow after the event, and what the host must do next.

    The function is pure: the same arguments give the same step. A host carries out each effect
    once, and returns its answer as an event with the effect's token.

    Args:
        state: the current state; `BulkIdle()` at first.
        event: the event that happened.

    Raises:
        TypeError: the state or the event does not belong to the bulk flow.
    """
    return _FLOW.after(state, event)


def _taken(state: words.BulkState, event: _Choice) -> words.BulkStep | None:
    match state:
        case words.BulkSelecting():
            return _selecting(state, event)
        case words.BulkReviewing() | words.BulkReviewingBatch():
            return _reviewing(state, event)
        case words.BulkSettled():
            return _settled(state, event)
        case words.BulkFailed():
            return _failed(state, event)
        case _:
            return None


def _refused(state: words.BulkState, reason: RefusalReason, *mentor_ids: str) -> words.BulkStep:
    return _FLOW.refused(state, reason, mentor_ids=mentor_ids)


def _selecting(state: words.BulkSelecting, event: _Choice) -> words.BulkStep | None:
    chosen = state.form.mentor_ids
    form: words.BulkForm | None
    match event:
        case words.BulkSubmitted():
            return _submitted(state, event.idempotency_key)
        case words.BulkMentorsSelected(mentor_ids=added) | words.BulkAllVisibleSelected(visible_ids=added):
            form = attrs.evolve(state.form, mentor_ids=tuple(dict.fromkeys(chosen + added)))
        case words.BulkMentorsDeselected(mentor_ids=removed):
            form = attrs.evolve(state.form, mentor_ids=_less(chosen, removed))
        case words.BulkOptionsChosen(label=label, mode=mode, on_conflict=policy):
            form = attrs.evolve(state.form, label=label, mode=mode, on_conflict=policy)
        case _:
            form = edited(state.form, event)
    return None if form is None else words.BulkStep(state=attrs.evolve(state, form=form))


def _less(mentor_ids: tuple[str, ...], removed: Collection[str]) -> tuple[str, ...]:
    gone = frozenset(removed)
    return tuple(mentor_id for mentor_id in mentor_ids if mentor_id not in gone)


def _submitted(state: words.BulkSelecting, idempotency_key: str) -> words.BulkStep:
    form, activity = attrs.evolve(state.form, pending=None), state.form.draft.activity
    if not form.mentor_ids:
        return _refused(state, RefusalReason.NO_MENTOR)
    if activity is None:
        return _refused(state, RefusalReason.INCOMPLETE_ACTIVITY)
    request = BulkRegistrationRequest.for_mentors(
        form.mentor_ids,
        activity,
        idempotency_key=idempotency_key,
        label=form.label,
        mode=form.mode,
        on_conflict=form.on_conflict,
    )
    return _check(words.BulkChecking(token=state.token, form=form, request=request))


def _check(state: words.BulkChecking) -> words.BulkStep:
    """Look for conflicts under the next token."""
    state = attrs.evolve(state, token=words.BulkToken(state.token + 1))
    effect = words.CheckBulkConflicts(token=state.token, request=state.request)
    return words.BulkStep(state=state, effects=(effect,))


def _submit(
    origin: words.BulkSelecting | words.BulkReviewing,
    request: BulkRegistrationRequest,
    left_out: tuple[str, ...] = (),
) -> words.BulkStep:
    effect = words.SubmitBulk(token=words.BulkToken(origin.token + 1), request=request)
    mentor_ids = frozenset(entry.mentor_id for entry in request.entries)
    state = words.BulkSubmitting(
        token=effect.token,
        effect=effect,
        origin=origin,
        mentor_ids=mentor_ids,
        total=len(mentor_ids),
        left_out=left_out,
    )
    return words.BulkStep(state=state, effects=(effect,))


def _further_run(
    settled: words.BulkSettled, origin: words.BulkOrigin, effect: words.ResolveBulk | words.RetryBulk
) -> words.BulkStep:
    outcomes = settled.result.outcomes
    items = len(effect.cases if isinstance(effect, words.ResolveBulk) else effect.mentor_ids)
    state = words.BulkSubmitting(
        token=effect.token,
        effect=effect,
        origin=origin,
        mentor_ids=frozenset(outcome.mentor_id for outcome in outcomes),
        total=len(outcomes),
        settled=len(outcomes) - items,
        batch_id=effect.batch_id,
        left_out=settled.left_out,
    )
    return words.BulkStep(state=state, effects=(effect,))


def _reviewing(
    state: words.BulkReviewing | words.BulkReviewingBatch, event: _Choice
) -> words.BulkStep | None:
    match event, state:
        case words.BulkConflictDecided(mentor_id=mentor_id, decision=decision), _:
            return _decided(state, {mentor_id}, decision)
        case words.BulkAllConflictsDecided(decision=decision), _:
            return _decided(state, {case.conflict.mentor_id for case in state.cases}, decision)
        case words.BulkReviewConfirmed(), _:
            return _confirmed(state)
        case words.BulkWentBack(), words.BulkReviewing(form=form):
            return words.BulkStep(state=words.BulkSelecting(token=state.token, form=form))
        case words.BulkWentBack(), words.BulkReviewingBatch(settled=settled):
            return words.BulkStep(state=attrs.evolve(settled, token=state.token))
    return None


def _decided(
    state: words.BulkReviewing | words.BulkReviewingBatch, named: set[str], decision: ConflictDecision
) -> words.BulkStep:
    if not named <= {case.conflict.mentor_id for case in state.cases}:
        return _refused(state, RefusalReason.NOT_IN_QUESTION, *named)
    cases = tuple(
        attrs.evolve(case, decision=decision) if case.conflict.mentor_id in named else case
        for case in state.cases
    )
    return words.BulkStep(state=attrs.evolve(state, cases=cases))


def _confirmed(state: words.BulkReviewing | words.BulkReviewingBatch) -> words.BulkStep:
    if state.open:
        return _refused(state, RefusalReason.DECISION_OPEN, *state.open)
    if isinstance(state, words.BulkReviewing):
        return _submit_reviewed(state)
    return _resolve(state.settled, state, state.cases)


def _submit_reviewed(state: words.BulkReviewing) -> words.BulkStep:
    """
    Submit what the decisions leave.

    Who is to be skipped is left out of the request: the existing record may be
    gone by then, and nobody who was left out may be registered. An override waits
    for the batch to meet the conflict again and is then resolved; a policy that
    would skip it first gives way to review.
    """
    skipped = tuple(case.conflict.mentor_id for case in state.cases if case.decision is ConflictDecision.SKIP)
    entries = tuple(entry for entry in state.request.entries if entry.mentor_id not in skipped)
    if not entries:
        return _refused(state, RefusalReason.EVERYONE_LEFT_OUT, *skipped)
    policy = state.request.on_conflict
    if policy is ConflictPolicy.SKIP and len(skipped) < len(state.cases):
        policy = ConflictPolicy.REVIEW
    return _submit(state, attrs.evolve(state.request, entries=entries, on_conflict=policy), skipped)


def _resolve(
    settled: words.BulkSettled, origin: words.BulkOrigin, cases: tuple[words.BulkConflictCase, ...]
) -> words.BulkStep:
    token, result = words.BulkToken(origin.token + 1), settled.result
    effect = words.ResolveBulk(token=token, batch_id=result.batch_id, expected_run=result.run, cases=cases)
    return _further_run(settled, origin, effect)


def _settled(state: words.BulkSettled, event: _Choice) -> words.BulkStep | None:
    match event:
        case words.BulkMentorsSelected(mentor_ids=added) | words.BulkAllVisibleSelected(visible_ids=added):
            return _selected_for_retry(state, added)
        case words.BulkMentorsDeselected(mentor_ids=removed):
            return words.BulkStep(state=attrs.evolve(state, selected=_less(state.selected, removed)))
        case words.BulkRetried():
            return _retry(state)
        case words.BulkReviewOpened() if state.result.needs_review:
            cases = tuple(_waiting_case(waiting) for waiting in state.result.needs_review if _is_own(waiting))
            review = words.BulkReviewingBatch(token=state.token, cases=cases, settled=state)
            return words.BulkStep(state=review)
    return None


def _retry(state: words.BulkSettled) -> words.BulkStep:
    if not state.selected:
        return _refused(state, RefusalReason.NO_MENTOR)
    token, batch_id, run = words.BulkToken(state.token + 1), state.result.batch_id, state.result.run
    effect = words.RetryBulk(token=token, batch_id=batch_id, expected_run=run, mentor_ids=state.selected)
    return _further_run(state, state, effect)


def _selected_for_retry(state: words.BulkSettled, added: tuple[str, ...]) -> words.BulkStep:
    """Add mentors whom a retry may name, in request order."""
    choice = [outcome.mentor_id for outcome in state.result.outcomes if outcome.state in RETRYABLE_BY_NAME]
    if foreign := _less(added, choice):
        return _refused(state, RefusalReason.NOT_IN_QUESTION, *foreign)
    selected = tuple(mentor_id for mentor_id in choice if mentor_id in {*state.selected, *added})
    return words.BulkStep(state=attrs.evolve(state, selected=selected))


def _is_own(waiting: MentorOutcome) -> bool:
    """Tell who needs a decision from who, all or nothing, waits for the decisions about others."""
    return waiting.failure is None or waiting.failure.code != AWAITING_DECISIONS.code


def _waiting_case(outcome: MentorOutcome) -> words.BulkConflictCase:
    """Return the case of an outcome; one that names no record waits since the check failed."""
    existing = outcome.conflicting_activity_id
    kind = ConflictKind.CHECK_FAILED if existing is None else ConflictKind.DUPLICATE
    if outcome.failure is not None and outcome.failure.code == MAYBE_OWN.code:
        kind = ConflictKind.MAYBE_OWN
    conflict = Conflict(mentor_id=outcome.mentor_id, kind=kind, existing_activity_id=existing)
    return words.BulkConflictCase(conflict=conflict)


def _failed(state: words.BulkFailed, event: _Choice) -> words.BulkStep | None:
    match event, state.during:
        case words.BulkTriedAgain(), words.BulkChecking() as during:
            return _check(during)
        case words.BulkTriedAgain(), words.BulkSubmitting() as during:
            effect = attrs.evolve(during.effect, token=words.BulkToken(state.token + 1))
            again = attrs.evolve(during, token=effect.token, effect=effect)
            return words.BulkStep(state=again, effects=(effect,))
        case words.BulkWentBack(), words.BulkChecking(form=form):
            return words.BulkStep(state=words.BulkSelecting(token=state.token, form=form))
        case words.BulkWentBack(), words.BulkSubmitting(origin=origin):
            return words.BulkStep(state=attrs.evolve(origin, token=state.token))
    return None


def _answered(
    state: words.BulkChecking | words.BulkSubmitting,
    event: words.BulkConflictsFound | words.BulkProgressed | words.BulkAnswered,
) -> words.BulkStep:
    match state, event:
        case words.BulkChecking(), words.BulkConflictsFound(report=report):
            return _checked(state, report)
        case words.BulkSubmitting(), words.BulkProgressed(update=update):
            return _progressed(state, update)
        case words.BulkSubmitting(), words.BulkAnswered(result=result):
            return _worked(state, result)
    return _refused(state, RefusalReason.FOREIGN_ANSWER)


def _checked(state: words.BulkChecking, report: ConflictReport) -> words.BulkStep:
    named = sorted([*(each.mentor_id for each in report.conflicts), *report.clean, *report.refused])
    if named != sorted(entry.mentor_id for entry in state.request.entries):
        return _refused(state, RefusalReason.FOREIGN_ANSWER)
    if not report.conflicts:
        return _submit(words.BulkSelecting(token=state.token, form=state.form), state.request)
    cases = tuple(_case_of(conflict, state.request.on_conflict) for conflict in report.conflicts)
    review = words.BulkReviewing(token=state.token, cases=cases, form=state.form, request=state.request)
    return words.BulkStep(state=review)


def _case_of(conflict: Conflict, policy: ConflictPolicy) -> words.BulkConflictCase:
    """Return the case as the policy decides it; no policy decides about a check that failed."""
    if policy is ConflictPolicy.REVIEW or conflict.kind in {
        ConflictKind.CHECK_FAILED,
        ConflictKind.MAYBE_OWN,
    }:
        return words.BulkConflictCase(conflict=conflict)
    return words.BulkConflictCase(conflict=conflict, decision=ConflictDecision(policy.value))


def _progressed(state: words.BulkSubmitting, update: BulkProgressUpdate) -> words.BulkStep:
    mentor_id, run_before = update.outcome.mentor_id, getattr(state.effect, "expected_run", 0)
    adds_up = update.settled <= update.total == state.total and mentor_id in state.mentor_ids
    if not adds_up or state.batch_id not in {None, update.batch_id}:
        return _refused(state, RefusalReason.FOREIGN_ANSWER, mentor_id)
    # A watcher that begins at the start of the log replays what was told before.
    if update.sequence <= state.sequence or update.run <= run_before:
        return words.BulkStep(state=state, ignored=True)
    return words.BulkStep(
        state=attrs.evolve(
            state,
            batch_id=update.batch_id,
            sequence=update.sequence,
            settled=update.settled,
            outcomes=(*state.outcomes, update.outcome),
        )
    )


def _worked(state: words.BulkSubmitting, result: BulkSubmissionResult) -> words.BulkStep:
    named = sorted(outcome.mentor_id for outcome in result.outcomes)
    if state.batch_id not in {None, result.batch_id} or named != sorted(state.mentor_ids):
        return _refused(state, RefusalReason.FOREIGN_ANSWER)
    done = sum(outcome.state not in OPEN_STATES for outcome in result.outcomes)
    if done < len(result.outcomes):
        going_on = attrs.evolve(state, batch_id=result.batch_id, settled=max(state.settled, done))
        return words.BulkStep(state=going_on)
    selected = tuple(outcome.mentor_id for outcome in result.failed)
    settled = words.BulkSettled(token=state.token, result=result, selected=selected, left_out=state.left_out)
    # Decided before the batch met the conflict: nobody is asked twice about one record; decision 34.
    decided = _decided_before(state, result)
    return _resolve(settled, settled, decided) if decided else words.BulkStep(state=settled)


def _decided_before(
    state: words.BulkSubmitting, result: BulkSubmissionResult
) -> tuple[words.BulkConflictCase, ...]:
    """Return the waiting mentors' cases that were decided before the submission."""
    if not isinstance(state.effect, words.SubmitBulk) or not isinstance(state.origin, words.BulkReviewing):
        return ()
    cases = {case.conflict.mentor_id: case for case in state.origin.cases}
    return tuple(
        case
        for outcome in result.needs_review
        if (case := cases.get(outcome.mentor_id)) and _still_holds(case.conflict, outcome)
    )


def _still_holds(conflict: Conflict, outcome: MentorOutcome) -> bool:
    """
    Return whether the existing record is the one that was decided about.

    An earlier entry's record did not exist when the conflict was shown.
    """
    same = conflict.existing_activity_id == outcome.conflicting_activity_id
    return same or conflict.kind is ConflictKind.IN_BATCH


_FLOW: Final = Flow[words.BulkState, words.BulkEvent, words.BulkStep](
    states=words.BulkState,
    events=words.BulkEvent,
    idle=words.BulkIdle,
    selecting=words.BulkSelecting,
    failed=words.BulkFailed,
    step=words.BulkStep,
    refusal=words.BulkRefusal,
    waiting=words.BulkChecking | words.BulkSubmitting,
    answered=_answered,
    taken=_taken,
)
