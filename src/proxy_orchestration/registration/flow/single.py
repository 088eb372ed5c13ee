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
"""The number of a question that the flow put; its answer carries it back. Numbers only grow."""


class SingleDraft(ActivityDraft):
    """The activity that the single flow is to register."""


@attrs.frozen(kw_only=True)
class SingleForm(forms.ActivityForm[SingleDraft]):
    """
    What a coordinator chose in the single flow.

    Attributes:
        mentor_id: on whose behalf; `None` until chosen.
    """

    draft: SingleDraft = attrs.field(factory=SingleDraft, validator=is_a(SingleDraft))
    mentor_id: str | None = None


@attrs.frozen(kw_only=True)
class RegisterSingle:
    """
    Register this activity for this mentor; the one call checks for a duplicate, too.

    Attributes:
        token: the answer carries it.
        mentor_id: on whose behalf.
        activity: what was done.
        idempotency_key: the submission's; a confirmation and a repetition keep it.
        despite: the existing record that the coordinator saw and confirmed over, if any.
    """

    token: SingleToken
    mentor_id: str
    activity: ProxyActivity
    idempotency_key: str
    despite: str | None = None

    @property
    def confirm_despite_duplicate(self) -> bool:
        """Return whether the coordinator confirmed over an existing record."""
        return self.despite is not None


@attrs.frozen(kw_only=True)
class _State(forms.Asked[SingleToken]):
    """What every state keeps: the newest question's number."""

    token: SingleToken = SingleToken(0)


class SingleIdle(_State):
    """Nothing is chosen; the flow was not entered, or was left."""


@attrs.frozen(kw_only=True)
class SingleSelecting(_State):
    """A coordinator fills the form; nothing is called."""

    form: SingleForm = attrs.field(factory=SingleForm)


@attrs.frozen(kw_only=True)
class SingleSubmitting(_State):
    """
    The call is under way; it checks and registers in one.

    Attributes:
        form: what was chosen.
        effect: the call.
    """

    form: SingleForm
    effect: RegisterSingle


@attrs.frozen(kw_only=True)
class SingleReviewing(_State):
    """
    An existing record conflicts; the coordinator confirms despite it, or goes back.

    Attributes:
        form: what was chosen; Back leads there.
        effect: the call that was answered with it; nothing was written.
        existing_activity_id: the record.
    """

    form: SingleForm
    effect: RegisterSingle
    existing_activity_id: str


@attrs.frozen(kw_only=True)
class SingleSettled(_State):
    """
    The activity is registered.

    Attributes:
        effect: the call that did it.
        activity_id: the record.
    """

    effect: RegisterSingle
    activity_id: str


@attrs.frozen(kw_only=True)
class SingleRefused(_State):
    """
    The service refused, definitely; nothing was written.

    Attributes:
        form: what was chosen; Back leads there.
        reasons: all of them, at least one.
    """

    form: SingleForm
    reasons: tuple[Failure, ...]


@attrs.frozen(kw_only=True)
class SingleFailed(_State):
    """
    The call failed; whether something was written may be unknown.

    Attributes:
        message: safe for people.
        during: what failed; trying again repeats it with the same idempotency key.
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
    """Why an event changed nothing."""

    reason: forms.RefusalReason


class SingleStep(forms.Step[SingleState, RegisterSingle, SingleRefusal]):
    """
    What an event led to in the single flow.

    Attributes:
        state: where the flow stands now; the same one if ignored or refused.
        effects: what the host does next, none or one.
        ignored: the event came late or twice; nothing is wrong.
        refusal: the event was a mistake of the host, or of the person before it.
    """


class SingleEntered(forms.Entered):
    """Somebody opens the single flow, from anywhere: it begins with nothing chosen."""


class SingleLeft(forms.Left):
    """Somebody leaves or resets the single flow, from anywhere: it is idle."""


@attrs.frozen(kw_only=True)
class SingleMentorSelected:
    """This mentor, instead of whoever was chosen before."""

    mentor_id: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class SingleMentorDeselected:
    """Nobody is chosen."""


@attrs.frozen(kw_only=True)
class SingleDraftEdited(forms.DraftEdited[SingleDraft]):
    """The activity is described anew."""

    draft: SingleDraft = attrs.field(validator=is_a(SingleDraft))


class SingleTemplateChosen(forms.TemplateChosen):
    """Fill the draft from the template, once confirmed where edits would be overwritten."""


class SingleTemplateConfirmed(forms.TemplateConfirmed):
    """Yes, overwrite the edits."""


class SingleTemplateDeclined(forms.TemplateDeclined):
    """No, keep the edits."""


@attrs.frozen(kw_only=True)
class SingleSubmitted(forms.Press):
    """
    Somebody presses *submit*.

    Attributes:
        idempotency_key: new for each intention.
    """

    idempotency_key: str = attrs.field(validator=is_identifier)


class SingleDuplicateConfirmed(forms.Press):
    """Register despite the record that was shown."""


class SingleTriedAgain(forms.Press):
    """Do again what failed, under the same idempotency key."""


class SingleWentBack(forms.Press):
    """Leave a warning, a refusal or an error message; what was entered is kept."""


@attrs.frozen(kw_only=True)
class SingleRegistered(forms.Answer[SingleToken]):
    """The record exists."""

    activity_id: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class SingleDuplicateFound(forms.Answer[SingleToken]):
    """An existing record conflicts; nothing was written."""

    existing_activity_id: str = attrs.field(validator=is_identifier)


def _reasons(reasons: Iterable[Failure]) -> tuple[Failure, ...]:
    return tuple(reasons)


@attrs.frozen(kw_only=True)
class SingleRejected(forms.Answer[SingleToken]):
    """The service refused for all these reasons; nothing was written."""

    reasons: tuple[Failure, ...] = attrs.field(converter=_reasons, validator=attrs.validators.min_len(1))


class SingleCallFailed(forms.CallFailed[SingleToken]):
    """The call raised; only words of this library's own errors are ever shown."""


SingleInput: TypeAlias = (
    SingleMentorSelected | SingleMentorDeselected | SingleDraftEdited | SingleTemplateChosen
)
"""What carries a choice: refused where it does not fit, so that no choice is lost unnoticed."""

SinglePress: TypeAlias = (
    SingleTemplateConfirmed
    | SingleTemplateDeclined
    | SingleSubmitted
    | SingleDuplicateConfirmed
    | SingleTriedAgain
    | SingleWentBack
)
"""What only sets something off: ignored where it does not fit, since buttons are pressed twice."""

SingleAnswer: TypeAlias = SingleRegistered | SingleDuplicateFound | SingleRejected | SingleCallFailed
"""What the host brings back: ignored unless it carries the token that is waited for."""

SingleEvent: TypeAlias = SingleEntered | SingleLeft | SingleInput | SinglePress | SingleAnswer
"""Every event of the single flow."""


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
