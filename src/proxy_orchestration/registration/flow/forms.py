"""
What both flows share: drafts, forms, and the mechanism behind both sets of types.

Each flow has types of its own, so that a value of one never fits the other; what becomes
of an event is decided here for both.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from types import UnionType
from typing import Any, Final, Generic, TypeVar

import attrs

from proxy_orchestration.errors import OrchestrationError
from proxy_orchestration.registration.activities import ActivityDraft, ActivityTemplate

_UNEXPECTED: Final = "Something went wrong. What you entered is kept; try again, or go back."


class RefusalReason(enum.Enum):
    """Why a flow refused an event; its state did not change."""

    NOT_NOW = "not_now"  # the event does not fit the state; a mistake of the host
    NO_MENTOR = "no_mentor"  # no mentor is selected
    INCOMPLETE_ACTIVITY = "incomplete_activity"  # type, date or minutes are missing
    DECISION_OPEN = "decision_open"  # a conflicting mentor has no decision yet
    EVERYONE_LEFT_OUT = "everyone_left_out"  # the decisions leave nobody to register
    NOT_IN_QUESTION = "not_in_question"  # these mentors are not among those to choose from
    NEVER_ASKED = "never_asked"  # an answer to an effect that this flow has not returned yet
    FOREIGN_ANSWER = "foreign_answer"  # an answer that does not belong to the effect


DraftT = TypeVar("DraftT", bound=ActivityDraft)


@attrs.frozen(kw_only=True)
class ActivityForm(Generic[DraftT]):
    """
    A draft of an activity, and the template that filled it.

    Attributes:
        draft: the activity, as far as it is described.
        template: the template that filled the draft last, or `None`.
        pending: a template that waits for a confirmation because it would overwrite edits, or
            `None`.
    """

    draft: DraftT
    template: ActivityTemplate | None = None
    pending: ActivityTemplate | None = None


TokenT = TypeVar("TokenT", bound=int)
FormT = TypeVar("FormT", bound=ActivityForm[Any])
StateT = TypeVar("StateT", bound="Asked[Any]")
EffectT = TypeVar("EffectT")
RefusalT = TypeVar("RefusalT")
EventT = TypeVar("EventT")
StepT = TypeVar("StepT")


@attrs.frozen(kw_only=True)
class Step(Generic[StateT, EffectT, RefusalT]):
    """What an event led to; each flow's own step says what is in it."""

    state: StateT
    effects: tuple[EffectT, ...] = ()
    ignored: bool = False
    refusal: RefusalT | None = None


@attrs.frozen(kw_only=True)
class Entered:
    """Somebody opens the flow, from anywhere."""


@attrs.frozen(kw_only=True)
class Left:
    """Somebody leaves or resets the flow, from anywhere."""


@attrs.frozen(kw_only=True)
class Press:
    """Only sets something off: ignored where it does not fit, since buttons are pressed twice."""


@attrs.frozen(kw_only=True)
class Asked(Generic[TokenT]):
    """A state knows the number of the newest question, so that late answers are known."""

    token: TokenT


class Answer(Asked[TokenT]):
    """What the host brings back, under the token of the question."""


@attrs.frozen(kw_only=True)
class CallFailed(Answer[TokenT]):
    """A call raised; only words of this library's own errors are ever shown."""

    error: Exception = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class DraftEdited(Generic[DraftT]):
    """The activity is described anew."""

    draft: DraftT


@attrs.frozen(kw_only=True)
class TemplateChosen:
    """Fill the draft from the template, once confirmed where edits would be overwritten."""

    template: ActivityTemplate


class TemplateConfirmed(Press):
    """Yes, overwrite the edits."""


class TemplateDeclined(Press):
    """No, keep the edits."""


@attrs.frozen(kw_only=True)
class Flow(Generic[StateT, EventT, StepT]):
    """
    How both flows take an event; what differs between them is given.

    Attributes:
        states, events: every one of the flow's own.
        idle, selecting, failed: the flow's states of that name.
        step, refusal: make one.
        waiting: the states in which a question is open.
        answered: the step after an answer to the open question.
        taken: the step after a choice or a press, `None` where the state has no place for it.
    """

    states: UnionType
    events: UnionType
    idle: Callable[..., StateT]
    selecting: Callable[..., StateT]
    failed: Callable[..., StateT]
    step: Callable[..., StepT]
    refusal: Callable[..., object]
    waiting: type | UnionType
    answered: Callable[[Any, Any], StepT]
    taken: Callable[[Any, Any], StepT | None]

    def after(self, state: StateT, event: EventT) -> StepT:
        """Return where the flow stands after the event."""
        # A type checker sees this border; hosts without one meet it here.
        for value, kind in ((state, self.states), (event, self.events)):
            if not isinstance(value, kind):
                msg = f"{type(value).__name__} is not an event or answer of this flow"
                raise TypeError(msg)
        match event:
            case Entered():
                return self.step(state=self.selecting(token=state.token))
            case Left():
                return self.step(state=self.idle(token=state.token))
            case Answer():
                return self._answered(state, event)
        # A press that finds no place came twice; a choice would be lost unnoticed; decision 33.
        step = self.taken(state, event)
        if step is None and isinstance(event, Press):
            return self.step(state=state, ignored=True)
        return step or self.refused(state, RefusalReason.NOT_NOW)

    def refused(self, state: StateT, reason: RefusalReason, **about: object) -> StepT:
        """Return the step that changes nothing and says why."""
        return self.step(state=state, refusal=self.refusal(reason=reason, **about))

    def _answered(self, state: StateT, event: Answer[Any]) -> StepT:
        if event.token > state.token:
            return self.refused(state, RefusalReason.NEVER_ASKED)
        if event.token < state.token or not isinstance(state, self.waiting):
            return self.step(state=state, ignored=True)
        if isinstance(event, CallFailed):
            # A foreign exception's words may hold anything, so people read none of them.
            message = str(event.error) if isinstance(event.error, OrchestrationError) else _UNEXPECTED
            return self.step(state=self.failed(token=state.token, message=message, during=state))
        return self.answered(state, event)


def edited(form: FormT, event: object) -> FormT | None:
    """
    Return the form after an edit or a template, or `None` if the event is neither.

    Who goes on editing declines a template that waits.
    """
    match event:
        case DraftEdited():
            return attrs.evolve(form, draft=event.draft, pending=None)
        case TemplateChosen() if _edits_lost(form, event.template):
            return attrs.evolve(form, pending=event.template)
        case TemplateChosen():
            return _filled_form(form, event.template)
        case TemplateConfirmed() if form.pending is not None:
            return _filled_form(form, form.pending)
        case TemplateDeclined() if form.pending is not None:
            return attrs.evolve(form, pending=None)
        case _:
            return None


def _filled_form(form: FormT, template: ActivityTemplate) -> FormT:
    return attrs.evolve(form, draft=_filled(form.draft, template), template=template, pending=None)


def _filled(draft: DraftT, template: ActivityTemplate) -> DraftT:
    minutes = draft.duration_minutes if template.duration_minutes is None else template.duration_minutes
    return attrs.evolve(
        draft,
        activity_type=template.activity_type,
        duration_minutes=minutes,
        notes=template.notes,
        details=template.details,
    )


def _edits_lost(form: ActivityForm[Any], template: ActivityTemplate) -> bool:
    """Return whether a field differs from what was filled in and would be changed now."""
    draft: ActivityDraft = form.draft
    untouched = ActivityDraft() if form.template is None else _filled(ActivityDraft(), form.template)
    filled = _filled(draft, template)
    return any(
        getattr(draft, name) not in (getattr(untouched, name), getattr(filled, name))
        for name in ("activity_type", "duration_minutes", "notes", "details")
    )
