"""
What both flows are made of, and of which each flow has its own type: drafts, templates, forms.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import date
from types import UnionType
from typing import Any, Final, Generic, TypeVar

import attrs

from proxy_orchestration._frozen_json import FrozenMapping
from proxy_orchestration._validators import is_a, is_identifier, is_positive_count
from proxy_orchestration.errors import OrchestrationError
from proxy_orchestration.registration.activities import ProxyActivity

_UNEXPECTED: Final = "Something went wrong. What you entered is kept; try again, or go back."


class RefusalReason(enum.Enum):
    """
    Why a flow refused an event; its state stayed as it was.
    """

    NOT_NOW = "not_now"  # the state has no place for what somebody chose: the host's mistake
    NO_MENTOR = "no_mentor"  # nobody is selected
    INCOMPLETE_ACTIVITY = "incomplete_activity"  # type, date or minutes are missing
    DECISION_OPEN = "decision_open"  # a conflicting mentor has no decision yet
    EVERYONE_LEFT_OUT = "everyone_left_out"  # the decisions leave nobody to register
    NOT_IN_QUESTION = "not_in_question"  # these mentors are not among those to choose from
    NEVER_ASKED = "never_asked"  # an answer to a question that this flow did not put yet
    FOREIGN_ANSWER = "foreign_answer"  # an answer that is not about what was asked


def _date_or_none(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        check: Any = attrs.fields(ProxyActivity).activity_date.validator
        check(instance, attribute, value)


def _frozen(value: Mapping[str, object]) -> FrozenMapping:
    return value if isinstance(value, FrozenMapping) else FrozenMapping(value)


@attrs.frozen(kw_only=True)
class ActivityTemplate:
    """
    What a host offers to fill a form with; never a day.

    Attributes:
        template_id: the host's id of it.
        activity_type: the kind of activity.
        duration_minutes: whole minutes; `None` leaves what the form holds.
        notes: free text, never in a repr.
        details: any JSON object, kept immutable, never in a repr.
    """

    template_id: str = attrs.field(validator=is_identifier)
    activity_type: str = attrs.field(validator=is_identifier)
    duration_minutes: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(is_positive_count)
    )
    notes: str = attrs.field(default="", validator=is_a(str), repr=False)
    details: Mapping[str, object] = attrs.field(factory=dict, converter=_frozen, repr=False)


@attrs.frozen(kw_only=True)
class ActivityDraft:
    """
    An activity of which parts may be missing; what is there is valid.

    Each flow has its own subclass, so that a draft of one is none of the other.

    Attributes:
        activity_type, activity_date, duration_minutes: as in `ProxyActivity`, or `None`.
        notes, details: as in `ProxyActivity`; never in a repr.
    """

    activity_type: str | None = attrs.field(default=None, validator=attrs.validators.optional(is_identifier))
    activity_date: date | None = attrs.field(default=None, validator=_date_or_none)
    duration_minutes: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(is_positive_count)
    )
    notes: str = attrs.field(default="", validator=is_a(str), repr=False)
    details: Mapping[str, object] = attrs.field(factory=dict, converter=_frozen, repr=False)

    @property
    def activity(self) -> ProxyActivity | None:
        """
        Return the activity, or `None` while its type, date or minutes are missing.
        """
        if self.activity_type is None or self.activity_date is None or self.duration_minutes is None:
            return None
        return ProxyActivity(
            activity_type=self.activity_type,
            activity_date=self.activity_date,
            duration_minutes=self.duration_minutes,
            notes=self.notes,
            details=self.details,
        )


DraftT = TypeVar("DraftT", bound=ActivityDraft)
FormT = TypeVar("FormT", bound="ActivityForm[Any]")


@attrs.frozen(kw_only=True)
class ActivityForm(Generic[DraftT]):
    """
    A draft and where it came from.

    Attributes:
        draft: the activity as far as it is described.
        template: what filled the draft last.
        pending: a template that would overwrite edits and waits for a confirmation.
    """

    draft: DraftT
    template: ActivityTemplate | None = None
    pending: ActivityTemplate | None = None


def with_draft(form: FormT, draft: ActivityDraft) -> FormT:
    """
    Return the form with this draft; who goes on editing declines a template that waits.
    """
    return attrs.evolve(form, draft=draft, pending=None)


def with_template(form: FormT, template: ActivityTemplate) -> FormT:
    """
    Return the form filled from the template, or asking first where an edit would be lost.
    """
    if _edits_lost(form, template):
        return attrs.evolve(form, pending=template)
    return _filled_form(form, template)


def with_template_confirmed(form: FormT) -> FormT | None:
    """
    Return the form filled from the template that waits, edits overwritten; `None` if none waits.
    """
    return None if form.pending is None else _filled_form(form, form.pending)


def with_template_declined(form: FormT) -> FormT | None:
    """
    Return the form as it was before the template that waits; `None` if none waits.
    """
    return None if form.pending is None else attrs.evolve(form, pending=None)


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
    """
    Return whether a field differs from what was filled in and would be changed now.
    """
    draft: ActivityDraft = form.draft
    untouched = ActivityDraft() if form.template is None else _filled(ActivityDraft(), form.template)
    filled = _filled(draft, template)
    return any(
        getattr(draft, name) not in (getattr(untouched, name), getattr(filled, name))
        for name in ("activity_type", "duration_minutes", "notes", "details")
    )


def safe_message(error: Exception) -> str:
    """
    Return what people may read: this library's own words, never a foreign exception's.
    """
    return str(error) if isinstance(error, OrchestrationError) else _UNEXPECTED


def check_kind(value: object, kind: UnionType) -> None:
    """
    Accept a value of the flow; a value of the other flow is refused at run time too.

    Raises:
        TypeError: it is none of the flow's.
    """
    if not isinstance(value, kind):
        msg = f"{type(value).__name__} is no part of this flow"
        raise TypeError(msg)
