"""
The single flow's one function.
"""

from __future__ import annotations

import attrs

from proxy_orchestration.registration.flow._forms import (
    RefusalReason,
    check_kind,
    safe_message,
    with_draft,
    with_template,
    with_template_confirmed,
    with_template_declined,
)
from proxy_orchestration.registration.flow._single_events import (
    SingleAnswer,
    SingleCallFailed,
    SingleDraftEdited,
    SingleDuplicateConfirmed,
    SingleDuplicateFound,
    SingleEntered,
    SingleEvent,
    SingleInput,
    SingleLeft,
    SingleMentorDeselected,
    SingleMentorSelected,
    SinglePress,
    SingleRegistered,
    SingleSubmitted,
    SingleTemplateChosen,
    SingleTemplateConfirmed,
    SingleTemplateDeclined,
    SingleTriedAgain,
    SingleWentBack,
)
from proxy_orchestration.registration.flow._single_states import (
    RegisterSingle,
    SingleFailed,
    SingleForm,
    SingleIdle,
    SingleRefusal,
    SingleRefused,
    SingleReviewing,
    SingleSelecting,
    SingleSettled,
    SingleState,
    SingleStep,
    SingleSubmitting,
    SingleToken,
)


def single_flow_after(state: SingleState, event: SingleEvent) -> SingleStep:
    """
    Return where the single flow stands after the event, and what the host does next.

    Pure: the same arguments give the same step. A host carries out each effect
    once and brings its answer back under the effect's token.

    Args:
        state: where the flow stands; `SingleIdle()` at first.
        event: what happened.

    Raises:
        TypeError: the state or the event is none of the single flow's.
    """
    check_kind(state, SingleState)
    check_kind(event, SingleEvent)
    if isinstance(event, SingleEntered):
        return SingleStep(state=SingleSelecting(token=state.token))
    if isinstance(event, SingleLeft):
        return SingleStep(state=SingleIdle(token=state.token))
    if isinstance(event, SingleAnswer):
        return _answered(state, event)
    step = _taken(state, event)
    if step is not None:
        return step
    if isinstance(event, SinglePress):
        return SingleStep(state=state, ignored=True)
    return _refused(state, RefusalReason.NOT_NOW)


def _refused(state: SingleState, reason: RefusalReason) -> SingleStep:
    return SingleStep(state=state, refusal=SingleRefusal(reason=reason))


def _taken(state: SingleState, event: SingleInput | SinglePress) -> SingleStep | None:
    """
    Return the step of a state that has a place for the event, else `None`.
    """
    if isinstance(state, SingleSelecting):
        return _selecting(state, event)
    if isinstance(event, SingleWentBack):
        return _back(state)
    if isinstance(state, SingleReviewing) and isinstance(event, SingleDuplicateConfirmed):
        return _call(state.form, attrs.evolve(state.effect, despite=state.existing_activity_id))
    if isinstance(state, SingleFailed) and isinstance(event, SingleTriedAgain):
        return _call(state.during.form, state.during.effect)
    return None


def _selecting(state: SingleSelecting, event: SingleInput | SinglePress) -> SingleStep | None:
    if isinstance(event, SingleSubmitted):
        return _submit(state, event.idempotency_key)
    form = _chosen(state.form, event)
    return None if form is None else SingleStep(state=attrs.evolve(state, form=form))


def _chosen(form: SingleForm, event: SingleInput | SinglePress) -> SingleForm | None:
    match event:
        case SingleMentorSelected():
            return attrs.evolve(form, mentor_id=event.mentor_id)
        case SingleMentorDeselected():
            return attrs.evolve(form, mentor_id=None)
        case _:
            return _described(form, event)


def _described(form: SingleForm, event: SingleInput | SinglePress) -> SingleForm | None:
    match event:
        case SingleDraftEdited():
            return with_draft(form, event.draft)
        case SingleTemplateChosen():
            return with_template(form, event.template)
        case SingleTemplateConfirmed():
            return with_template_confirmed(form)
        case SingleTemplateDeclined():
            return with_template_declined(form)
        case _:
            return None


def _submit(state: SingleSelecting, idempotency_key: str) -> SingleStep:
    form = attrs.evolve(state.form, pending=None)
    activity = form.draft.activity
    if form.mentor_id is None:
        return _refused(state, RefusalReason.NO_MENTOR)
    if activity is None:
        return _refused(state, RefusalReason.INCOMPLETE_ACTIVITY)
    effect = RegisterSingle(
        token=state.token, mentor_id=form.mentor_id, activity=activity, idempotency_key=idempotency_key
    )
    return _call(form, effect)


def _call(form: SingleForm, effect: RegisterSingle) -> SingleStep:
    """
    Make the call under the token after its own, which is the newest.
    """
    effect = attrs.evolve(effect, token=SingleToken(effect.token + 1))
    return SingleStep(state=SingleSubmitting(token=effect.token, form=form, effect=effect), effects=(effect,))


def _back(state: SingleState) -> SingleStep | None:
    match state:
        case SingleReviewing() | SingleRefused():
            return SingleStep(state=SingleSelecting(token=state.token, form=state.form))
        case SingleFailed():
            return SingleStep(state=SingleSelecting(token=state.token, form=state.during.form))
        case _:
            return None


def _answered(state: SingleState, event: SingleAnswer) -> SingleStep:
    if event.token > state.token:
        return _refused(state, RefusalReason.NEVER_ASKED)
    if event.token < state.token or not isinstance(state, SingleSubmitting):
        return SingleStep(state=state, ignored=True)
    return SingleStep(state=_told(state, event))


def _told(state: SingleSubmitting, event: SingleAnswer) -> SingleState:
    match event:
        case SingleRegistered():
            return SingleSettled(token=state.token, effect=state.effect, activity_id=event.activity_id)
        case SingleDuplicateFound():
            return SingleReviewing(
                token=state.token,
                form=state.form,
                effect=state.effect,
                existing_activity_id=event.existing_activity_id,
            )
        case SingleCallFailed():
            return SingleFailed(token=state.token, message=safe_message(event.error), during=state)
        case _:
            return SingleRefused(token=state.token, form=state.form, reasons=event.reasons)
