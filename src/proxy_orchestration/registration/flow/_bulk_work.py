"""
How the bulk flow puts its questions: each under a token of its own, dispatched once.
"""

from __future__ import annotations

import attrs

from proxy_orchestration.registration.batches import BulkSubmissionResult
from proxy_orchestration.registration.conflicts import ConflictDecision, ConflictPolicy
from proxy_orchestration.registration.flow._bulk_effects import (
    BulkConflictCase,
    BulkToken,
    BulkWork,
    CheckBulkConflicts,
    ResolveBulk,
    RetryBulk,
    SubmitBulk,
)
from proxy_orchestration.registration.flow._bulk_states import (
    BulkChecking,
    BulkFailed,
    BulkForm,
    BulkOrigin,
    BulkRefusal,
    BulkReviewing,
    BulkSelecting,
    BulkSettled,
    BulkState,
    BulkStep,
    BulkSubmitting,
)
from proxy_orchestration.registration.flow._forms import RefusalReason
from proxy_orchestration.registration.requests import BulkRegistrationRequest, RegistrationEntry
from proxy_orchestration.registration.states import OPEN_STATES


def after(token: BulkToken) -> BulkToken:
    """
    Return the next question's number.
    """
    return BulkToken(token + 1)


def refused(state: BulkState, reason: RefusalReason, *mentor_ids: str) -> BulkStep:
    """
    Return the step that changes nothing and says why.
    """
    return BulkStep(state=state, refusal=BulkRefusal(reason=reason, mentor_ids=mentor_ids))


def check(state: BulkSelecting, idempotency_key: str) -> BulkStep:
    """
    Look for conflicts, or refuse a form with nobody or no whole activity in it.
    """
    form = state.form
    activity = form.draft.activity
    if not form.mentor_ids:
        return refused(state, RefusalReason.NO_MENTOR)
    if activity is None:
        return refused(state, RefusalReason.INCOMPLETE_ACTIVITY)
    request = BulkRegistrationRequest.for_mentors(
        form.mentor_ids,
        activity,
        idempotency_key=idempotency_key,
        label=form.label,
        mode=form.mode,
        on_conflict=form.on_conflict,
    )
    return ask_about_conflicts(state.token, attrs.evolve(form, pending=None), request)


def ask_about_conflicts(token: BulkToken, form: BulkForm, request: BulkRegistrationRequest) -> BulkStep:
    """
    Put the question about conflicts under the next token.
    """
    token = after(token)
    return BulkStep(
        state=BulkChecking(token=token, form=form, request=request),
        effects=(CheckBulkConflicts(token=token, request=request),),
    )


def submit(
    origin: BulkSelecting | BulkReviewing, request: BulkRegistrationRequest, left_out: tuple[str, ...] = ()
) -> BulkStep:
    """
    Submit the request.
    """
    effect = SubmitBulk(token=after(origin.token), request=request)
    mentor_ids = frozenset(entry.mentor_id for entry in request.entries)
    return _begin(
        BulkSubmitting(
            token=effect.token,
            effect=effect,
            origin=origin,
            mentor_ids=mentor_ids,
            total=len(mentor_ids),
            left_out=left_out,
        )
    )


def submit_reviewed(state: BulkReviewing) -> BulkStep:
    """
    Submit what the decisions leave, once each conflict has one.

    Who is to be skipped is left out of the request: the record in the way may be
    gone by then, and nobody who was left out may be registered. An override waits
    for the batch to meet the conflict again and is then resolved; a policy that
    would skip it first gives way to review.
    """
    if state.open:
        return refused(state, RefusalReason.DECISION_OPEN, *state.open)
    skipped = tuple(case.conflict.mentor_id for case in state.cases if case.decision is ConflictDecision.SKIP)
    request = attrs.evolve(state.request, entries=_without(state.request, frozenset(skipped)))
    if not request.entries:
        return refused(state, RefusalReason.EVERYONE_LEFT_OUT, *skipped)
    if len(skipped) < len(state.cases) and request.on_conflict is ConflictPolicy.SKIP:
        request = attrs.evolve(request, on_conflict=ConflictPolicy.REVIEW)
    return submit(state, request, left_out=skipped)


def _without(request: BulkRegistrationRequest, mentor_ids: frozenset[str]) -> tuple[RegistrationEntry, ...]:
    return tuple(entry for entry in request.entries if entry.mentor_id not in mentor_ids)


def resolve(settled: BulkSettled, origin: BulkOrigin, cases: tuple[BulkConflictCase, ...]) -> BulkStep:
    """
    Resolve these cases of a settled batch.
    """
    result = settled.result
    effect = ResolveBulk(
        token=after(origin.token), batch_id=result.batch_id, expected_run=result.run, cases=cases
    )
    return _further_run(settled, origin, effect, len(cases))


def retry(state: BulkSettled) -> BulkStep:
    """
    Retry who is selected, or refuse if nobody is.
    """
    if not state.selected:
        return refused(state, RefusalReason.NO_MENTOR)
    effect = RetryBulk(
        token=after(state.token),
        batch_id=state.result.batch_id,
        expected_run=state.result.run,
        mentor_ids=state.selected,
    )
    return _further_run(state, state, effect, len(state.selected))


def repeat(state: BulkFailed) -> BulkStep:
    """
    Put the question that failed again, under the next token and the same key.
    """
    during = state.during
    if isinstance(during, BulkChecking):
        return ask_about_conflicts(state.token, during.form, during.request)
    effect = attrs.evolve(during.effect, token=after(state.token))
    return _begin(attrs.evolve(during, token=effect.token, effect=effect))


def standing(result: BulkSubmissionResult) -> int:
    """
    Return how many items have an outcome.
    """
    return sum(outcome.state not in OPEN_STATES for outcome in result.outcomes)


def _further_run(settled: BulkSettled, origin: BulkOrigin, effect: BulkWork, items: int) -> BulkStep:
    result = settled.result
    return _begin(
        BulkSubmitting(
            token=effect.token,
            effect=effect,
            origin=origin,
            mentor_ids=frozenset(outcome.mentor_id for outcome in result.outcomes),
            total=len(result.outcomes),
            settled=len(result.outcomes) - items,
            batch_id=result.batch_id,
            left_out=settled.left_out,
        )
    )


def _begin(state: BulkSubmitting) -> BulkStep:
    return BulkStep(state=state, effects=(state.effect,))
