"""
The bulk flow's one function.
"""

from __future__ import annotations

import attrs

from proxy_orchestration.registration.batches import MentorOutcome
from proxy_orchestration.registration.conflicts import Conflict, ConflictKind
from proxy_orchestration.registration.flow import _bulk_work as work
from proxy_orchestration.registration.flow._bulk_answers import answered
from proxy_orchestration.registration.flow._bulk_effects import BulkConflictCase
from proxy_orchestration.registration.flow._bulk_events import (
    BulkAllConflictsDecided,
    BulkAllVisibleSelected,
    BulkAnswer,
    BulkConflictDecided,
    BulkDraftEdited,
    BulkEntered,
    BulkEvent,
    BulkInput,
    BulkLeft,
    BulkMentorsDeselected,
    BulkMentorsSelected,
    BulkOptionsChosen,
    BulkPress,
    BulkRetried,
    BulkReviewConfirmed,
    BulkReviewOpened,
    BulkSubmitted,
    BulkTemplateChosen,
    BulkTemplateConfirmed,
    BulkTemplateDeclined,
    BulkTriedAgain,
    BulkWentBack,
)
from proxy_orchestration.registration.flow._bulk_states import (
    BulkChecking,
    BulkFailed,
    BulkForm,
    BulkIdle,
    BulkReviewing,
    BulkReviewingBatch,
    BulkSelecting,
    BulkSettled,
    BulkState,
    BulkStep,
)
from proxy_orchestration.registration.flow._forms import (
    RefusalReason,
    check_kind,
    with_draft,
    with_template,
    with_template_confirmed,
    with_template_declined,
)
from proxy_orchestration.registration.reasons import AWAITING_DECISIONS
from proxy_orchestration.registration.states import RETRYABLE_BY_NAME


def bulk_flow_after(state: BulkState, event: BulkEvent) -> BulkStep:
    """
    Return where the bulk flow stands after the event, and what the host does next.

    Pure: the same arguments give the same step. A host carries out each effect
    once and brings its answer back under the effect's token.

    Args:
        state: where the flow stands; `BulkIdle()` at first.
        event: what happened.

    Raises:
        TypeError: the state or the event is none of the bulk flow's.
    """
    check_kind(state, BulkState)
    check_kind(event, BulkEvent)
    if isinstance(event, BulkEntered):
        return BulkStep(state=BulkSelecting(token=state.token))
    if isinstance(event, BulkLeft):
        return BulkStep(state=BulkIdle(token=state.token))
    if isinstance(event, BulkAnswer):
        return answered(state, event)
    step = _taken(state, event)
    if step is not None:
        return step
    if isinstance(event, BulkPress):
        return BulkStep(state=state, ignored=True)
    return work.refused(state, RefusalReason.NOT_NOW)


def _taken(state: BulkState, event: BulkInput | BulkPress) -> BulkStep | None:
    """
    Return the step of a state that has a place for the event, else `None`.
    """
    match state:
        case BulkSelecting():
            return _selecting(state, event)
        case BulkReviewing() | BulkReviewingBatch():
            return _reviewing(state, event)
        case BulkSettled():
            return _settled(state, event)
        case BulkFailed():
            return _failed(state, event)
        case _:
            return None


def _selecting(state: BulkSelecting, event: BulkInput | BulkPress) -> BulkStep | None:
    if isinstance(event, BulkSubmitted):
        return work.check(state, event.idempotency_key)
    form = _chosen(state.form, event)
    return None if form is None else BulkStep(state=attrs.evolve(state, form=form))


def _chosen(form: BulkForm, event: BulkInput | BulkPress) -> BulkForm | None:
    match event:
        case BulkMentorsSelected(mentor_ids=added) | BulkAllVisibleSelected(visible_ids=added):
            return attrs.evolve(form, mentor_ids=tuple(dict.fromkeys((*form.mentor_ids, *added))))
        case BulkMentorsDeselected():
            return attrs.evolve(form, mentor_ids=_less(form.mentor_ids, event.mentor_ids))
        case BulkOptionsChosen():
            return attrs.evolve(form, label=event.label, mode=event.mode, on_conflict=event.on_conflict)
        case _:
            return _described(form, event)


def _described(form: BulkForm, event: BulkInput | BulkPress) -> BulkForm | None:
    match event:
        case BulkDraftEdited():
            return with_draft(form, event.draft)
        case BulkTemplateChosen():
            return with_template(form, event.template)
        case BulkTemplateConfirmed():
            return with_template_confirmed(form)
        case BulkTemplateDeclined():
            return with_template_declined(form)
        case _:
            return None


def _less(mentor_ids: tuple[str, ...], removed: tuple[str, ...]) -> tuple[str, ...]:
    gone = frozenset(removed)
    return tuple(mentor_id for mentor_id in mentor_ids if mentor_id not in gone)


def _reviewing(state: BulkReviewing | BulkReviewingBatch, event: BulkInput | BulkPress) -> BulkStep | None:
    match event:
        case BulkConflictDecided() | BulkAllConflictsDecided():
            return _decided(state, event)
        case BulkReviewConfirmed():
            return _confirmed(state)
        case BulkWentBack():
            return BulkStep(state=_before_review(state))
        case _:
            return None


def _before_review(state: BulkReviewing | BulkReviewingBatch) -> BulkState:
    if isinstance(state, BulkReviewing):
        return BulkSelecting(token=state.token, form=state.form)
    return attrs.evolve(state.settled, token=state.token)


def _decided(
    state: BulkReviewing | BulkReviewingBatch, event: BulkConflictDecided | BulkAllConflictsDecided
) -> BulkStep:
    conflicting = {case.conflict.mentor_id for case in state.cases}
    named = conflicting if isinstance(event, BulkAllConflictsDecided) else {event.mentor_id}
    if not named <= conflicting:
        return work.refused(state, RefusalReason.NOT_IN_QUESTION, *named)
    cases = tuple(
        attrs.evolve(case, decision=event.decision) if case.conflict.mentor_id in named else case
        for case in state.cases
    )
    return BulkStep(state=attrs.evolve(state, cases=cases))


def _confirmed(state: BulkReviewing | BulkReviewingBatch) -> BulkStep:
    if isinstance(state, BulkReviewing):
        return work.submit_reviewed(state)
    if state.open:
        return work.refused(state, RefusalReason.DECISION_OPEN, *state.open)
    return work.resolve(state.settled, state, state.cases)


def _settled(state: BulkSettled, event: BulkInput | BulkPress) -> BulkStep | None:
    match event:
        case BulkMentorsSelected(mentor_ids=added) | BulkAllVisibleSelected(visible_ids=added):
            return _selected_for_retry(state, added)
        case BulkMentorsDeselected():
            return BulkStep(state=attrs.evolve(state, selected=_less(state.selected, event.mentor_ids)))
        case BulkRetried():
            return work.retry(state)
        case BulkReviewOpened() if state.result.needs_review:
            cases = tuple(
                _waiting_case(outcome) for outcome in state.result.needs_review if _waits_itself(outcome)
            )
            return BulkStep(state=BulkReviewingBatch(token=state.token, cases=cases, settled=state))
        case _:
            return None


def _selected_for_retry(state: BulkSettled, added: tuple[str, ...]) -> BulkStep:
    """
    Add mentors whom a retry may name, in request order.
    """
    choice = [outcome.mentor_id for outcome in state.result.outcomes if outcome.state in RETRYABLE_BY_NAME]
    foreign = _less(added, tuple(choice))
    if foreign:
        return work.refused(state, RefusalReason.NOT_IN_QUESTION, *foreign)
    wanted = {*state.selected, *added}
    selected = tuple(mentor_id for mentor_id in choice if mentor_id in wanted)
    return BulkStep(state=attrs.evolve(state, selected=selected))


def _waits_itself(outcome: MentorOutcome) -> bool:
    """
    Tell who needs a decision from who, all or nothing, waits for the decisions about others.
    """
    return outcome.failure is None or outcome.failure.code != AWAITING_DECISIONS.code


def _waiting_case(outcome: MentorOutcome) -> BulkConflictCase:
    """
    Return the case of an outcome; one that names no record waits since the check failed.
    """
    existing = outcome.conflicting_activity_id
    kind = ConflictKind.CHECK_FAILED if existing is None else ConflictKind.DUPLICATE
    conflict = Conflict(mentor_id=outcome.mentor_id, kind=kind, existing_activity_id=existing)
    return BulkConflictCase(conflict=conflict)


def _failed(state: BulkFailed, event: BulkInput | BulkPress) -> BulkStep | None:
    match event:
        case BulkTriedAgain():
            return work.repeat(state)
        case BulkWentBack():
            return BulkStep(state=_before_failure(state))
        case _:
            return None


def _before_failure(state: BulkFailed) -> BulkState:
    during = state.during
    if isinstance(during, BulkChecking):
        return BulkSelecting(token=state.token, form=during.form)
    return attrs.evolve(during.origin, token=state.token)
