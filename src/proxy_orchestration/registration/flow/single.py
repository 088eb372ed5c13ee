"""
The single flow: one activity for one mentor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NewType, TypeAlias

import attrs

from proxy_orchestration._validators import is_a, is_identifier
from proxy_orchestration.registration.activities import ActivityDraft, ProxyActivity
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.flow import forms

SingleToken = NewType("SingleToken", int)
"""The number of an effect; the answer to it must carry the same number. Numbers only increase."""


class SingleDraft(ActivityDraft):
    """The activity that the single flow is to register."""


@attrs.frozen(kw_only=True)
class SingleForm(forms.ActivityForm[SingleDraft]):
    """
    The coordinator's choices in the single flow.

    Attributes:
        mentor_id: on whose behalf; `None` until chosen.
    """

    draft: SingleDraft = attrs.field(factory=SingleDraft, validator=is_a(SingleDraft))
    mentor_id: str | None = None


@attrs.frozen(kw_only=True)
class RegisterSingle:
    """
    Effect: register this activity for this mentor; the same call checks for a duplicate.

    Attributes:
        token: the token that the answer must carry.
        mentor_id: the mentor for whom it is registered.
        activity: the activity to register.
        idempotency_key: the key of the submission; a confirmation and a repetition have the same
            one.
        despite: the id of the existing record despite which the coordinator confirmed, or `None`.
    """

    token: SingleToken
    mentor_id: str
    activity: ProxyActivity
    idempotency_key: str
    despite: str | None = None

    @property
    def confirm_despite_duplicate(self) -> bool:
        """Return whether the coordinator confirmed despite an existing record."""
        return self.despite is not None


@attrs.frozen(kw_only=True)
class _State(forms.Asked[SingleToken]):
    """What every state keeps: the newest question's number."""

    token: SingleToken = SingleToken(0)


class SingleIdle(_State):
    """State: nothing is chosen; the flow was not entered, or was left."""


@attrs.frozen(kw_only=True)
class SingleSelecting(_State):
    """State: the coordinator fills in the form; nothing is called."""

    form: SingleForm = attrs.field(factory=SingleForm)


@attrs.frozen(kw_only=True)
class SingleSubmitting(_State):
    """
    State: the call is in progress; it checks and registers in one step.

    Attributes:
        form: the choices.
        effect: the call.
    """

    form: SingleForm
    effect: RegisterSingle


@attrs.frozen(kw_only=True)
class SingleReviewing(_State):
    """
    State: an existing record conflicts; the coordinator confirms despite it, or goes back.

    Attributes:
        form: the choices, to which Back returns.
        effect: the call that found the conflict; nothing was written.
        existing_activity_id: the id of the existing record.
    """

    form: SingleForm
    effect: RegisterSingle
    existing_activity_id: str


@attrs.frozen(kw_only=True)
class SingleSettled(_State):
    """
    State: the activity is registered.

    Attributes:
        effect: the call that registered it.
        activity_id: the id of the record.
    """

    effect: RegisterSingle
    activity_id: str


@attrs.frozen(kw_only=True)
class SingleRefused(_State):
    """
    State: the service definitely refused; nothing was written.

    Attributes:
        form: the choices, to which Back returns.
        reasons: all reasons, at least one.
    """

    form: SingleForm
    reasons: tuple[Failure, ...]


@attrs.frozen(kw_only=True)
class SingleFailed(_State):
    """
    State: the call failed; it may be unknown whether something was written.

    Attributes:
        message: a message that may be shown to people.
        during: the effect that failed; a further try repeats it with the same idempotency key.
    """

    message: str = attrs.field(repr=False)
    during: SingleSubmitting


SingleState: TypeAlias = (
    SingleIdle
    | SingleSelecting
    | SingleSubmitting
    | SingleReviewing
    | SingleSettled
    | SingleRefused
    | SingleFailed
)
"""Every state of the single flow."""


@attrs.frozen(kw_only=True)
class SingleRefusal:
    """The reason why an event changed nothing."""

    reason: forms.RefusalReason


class SingleStep(forms.Step[SingleState, RegisterSingle, SingleRefusal]):
    """
    The result of an event in the single flow.

    Attributes:
        state: the new state; the same one if the event was ignored or refused.
        effects: what the host must do next: no effect or one.
        ignored: whether the event came late or twice, which is not an error.
        refusal: why the event was refused: a mistake of the host or of the person; else `None`.
    """


class SingleEntered(forms.Entered):
    """Event: a person opens the single flow, in any state; it starts with nothing chosen."""


class SingleLeft(forms.Left):
    """Event: a person leaves or resets the single flow, in any state; it becomes idle."""


@attrs.frozen(kw_only=True)
class SingleMentorSelected:
    """Event: the coordinator chooses this mentor, in place of an earlier choice."""

    mentor_id: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class SingleMentorDeselected:
    """Event: the coordinator removes the choice of mentor."""


@attrs.frozen(kw_only=True)
class SingleDraftEdited(forms.DraftEdited[SingleDraft]):
    """Event: the coordinator changed the activity."""

    draft: SingleDraft = attrs.field(validator=is_a(SingleDraft))


class SingleTemplateChosen(forms.TemplateChosen):
    """Event: fill the draft from the template; if that would overwrite edits, after a confirmation."""


class SingleTemplateConfirmed(forms.TemplateConfirmed):
    """Event: the person confirms that the template may overwrite the edits."""


class SingleTemplateDeclined(forms.TemplateDeclined):
    """Event: the person declines the template and keeps the edits."""


@attrs.frozen(kw_only=True)
class SingleSubmitted(forms.Press):
    """
    Event: a person presses *submit*.

    Attributes:
        idempotency_key: a new key for each intended registration.
    """

    idempotency_key: str = attrs.field(validator=is_identifier)


class SingleDuplicateConfirmed(forms.Press):
    """Event: the coordinator confirms, despite the existing record that was shown."""


class SingleTriedAgain(forms.Press):
    """Event: repeat the failed call with the same idempotency key."""


class SingleWentBack(forms.Press):
    """Event: the person leaves a warning, a refusal or an error message; the entered data is kept."""


@attrs.frozen(kw_only=True)
class SingleRegistered(forms.Answer[SingleToken]):
    """Event: the record exists."""

    activity_id: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class SingleDuplicateFound(forms.Answer[SingleToken]):
    """Event: an existing record conflicts; nothing was written."""

    existing_activity_id: str = attrs.field(validator=is_identifier)


def _reasons(reasons: Iterable[Failure]) -> tuple[Failure, ...]:
    return tuple(reasons)


@attrs.frozen(kw_only=True)
class SingleRejected(forms.Answer[SingleToken]):
    """Event: the service refused for these reasons; nothing was written."""

    reasons: tuple[Failure, ...] = attrs.field(converter=_reasons, validator=attrs.validators.min_len(1))


class SingleCallFailed(forms.CallFailed[SingleToken]):
    """Event: the call raised an error. People only ever see messages of this library's own errors."""


SingleInput: TypeAlias = (
    SingleMentorSelected | SingleMentorDeselected | SingleDraftEdited | SingleTemplateChosen
)
"""
Events that carry a choice.

One that does not fit the state is refused, so that no choice is lost unnoticed.
"""

SinglePress: TypeAlias = (
    SingleTemplateConfirmed
    | SingleTemplateDeclined
    | SingleSubmitted
    | SingleDuplicateConfirmed
    | SingleTriedAgain
    | SingleWentBack
)
"""
Events that only trigger something.

One that does not fit the state is ignored, because buttons are pressed twice.
"""

SingleAnswer: TypeAlias = SingleRegistered | SingleDuplicateFound | SingleRejected | SingleCallFailed
"""The host's answers. One without the expected token is ignored."""

SingleEvent: TypeAlias = SingleEntered | SingleLeft | SingleInput | SinglePress | SingleAnswer
"""Every event of the single flow."""


def single_flow_after(state: SingleState, event: SingleEvent) -> SingleStep:
    """
    Return the new state of the single flow after the event, and what the host must do next.

    The function is pure: the same arguments give the same step. A host carries out each effect
    once, and returns its answer as an event with the effect's token.

    Args:
        state: the current state; `SingleIdle()` at first.
        event: the event that happened.

    Raises:
        TypeError: the state or the event does not belong to the single flow.
    """
    return _FLOW.after(state, event)


def _taken(state: SingleState, event: SingleInput | SinglePress) -> SingleStep | None:
    match state, event:
        case SingleSelecting(), SingleSubmitted():
            return _submit(state, event.idempotency_key)
        case SingleSelecting(), _:
            form = _chosen(state.form, event)
            return None if form is None else SingleStep(state=attrs.evolve(state, form=form))
        case (
            SingleReviewing(form=kept)
            | SingleRefused(form=kept)
            | SingleFailed(during=SingleSubmitting(form=kept)),
            SingleWentBack(),
        ):
            return SingleStep(state=SingleSelecting(token=state.token, form=kept))
        case SingleReviewing(), SingleDuplicateConfirmed():
            return _call(state.form, attrs.evolve(state.effect, despite=state.existing_activity_id))
        case SingleFailed(), SingleTriedAgain():
            return _call(state.during.form, state.during.effect)
    return None


def _chosen(form: SingleForm, event: SingleInput | SinglePress) -> SingleForm | None:
    match event:
        case SingleMentorSelected():
            return attrs.evolve(form, mentor_id=event.mentor_id)
        case SingleMentorDeselected():
            return attrs.evolve(form, mentor_id=None)
        case _:
            return forms.edited(form, event)


def _submit(state: SingleSelecting, idempotency_key: str) -> SingleStep:
    form = attrs.evolve(state.form, pending=None)
    activity = form.draft.activity
    if form.mentor_id is None:
        return _FLOW.refused(state, forms.RefusalReason.NO_MENTOR)
    if activity is None:
        return _FLOW.refused(state, forms.RefusalReason.INCOMPLETE_ACTIVITY)
    effect = RegisterSingle(
        token=state.token, mentor_id=form.mentor_id, activity=activity, idempotency_key=idempotency_key
    )
    return _call(form, effect)


def _call(form: SingleForm, effect: RegisterSingle) -> SingleStep:
    """Make the call under the token after its own, which is the newest."""
    effect = attrs.evolve(effect, token=SingleToken(effect.token + 1))
    return SingleStep(state=SingleSubmitting(token=effect.token, form=form, effect=effect), effects=(effect,))


def _answered(
    state: SingleSubmitting, event: SingleRegistered | SingleDuplicateFound | SingleRejected
) -> SingleStep:
    token, form, effect = state.token, state.form, state.effect
    match event:
        case SingleRegistered(activity_id=activity_id):
            return SingleStep(state=SingleSettled(token=token, effect=effect, activity_id=activity_id))
        case SingleDuplicateFound(existing_activity_id=existing):
            warned = SingleReviewing(token=token, form=form, effect=effect, existing_activity_id=existing)
            return SingleStep(state=warned)
        case _:
            return SingleStep(state=SingleRefused(token=token, form=form, reasons=event.reasons))


_FLOW: Final = forms.Flow[SingleState, SingleEvent, SingleStep](
    states=SingleState,
    events=SingleEvent,
    idle=SingleIdle,
    selecting=SingleSelecting,
    failed=SingleFailed,
    step=SingleStep,
    refusal=SingleRefusal,
    waiting=SingleSubmitting,
    answered=_answered,
    taken=_taken,
)
