"""
Everything that can happen to the single flow.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import attrs

from proxy_orchestration._validators import is_a, is_identifier
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.flow._forms import ActivityTemplate
from proxy_orchestration.registration.flow._single_states import SingleDraft, SingleToken


def _reasons(reasons: Iterable[Failure]) -> tuple[Failure, ...]:
    return tuple(reasons)


@attrs.frozen(kw_only=True)
class SingleEntered:
    """
    Somebody opens the single flow, from anywhere: it begins with nothing chosen.
    """


@attrs.frozen(kw_only=True)
class SingleLeft:
    """
    Somebody leaves or resets the single flow, from anywhere: it is idle.
    """


@attrs.frozen(kw_only=True)
class SingleMentorSelected:
    """
    This mentor, instead of whoever was chosen before.
    """

    mentor_id: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class SingleMentorDeselected:
    """
    Nobody is chosen.
    """


@attrs.frozen(kw_only=True)
class SingleDraftEdited:
    """
    The activity is described anew.
    """

    draft: SingleDraft = attrs.field(validator=is_a(SingleDraft))


@attrs.frozen(kw_only=True)
class SingleTemplateChosen:
    """
    Fill the draft from the template, once confirmed where edits would be overwritten.
    """

    template: ActivityTemplate


@attrs.frozen(kw_only=True)
class SingleTemplateConfirmed:
    """
    Yes, overwrite the edits.
    """


@attrs.frozen(kw_only=True)
class SingleTemplateDeclined:
    """
    No, keep the edits.
    """


@attrs.frozen(kw_only=True)
class SingleSubmitted:
    """
    Somebody presses *submit*.

    Attributes:
        idempotency_key: new for each intention.
    """

    idempotency_key: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class SingleDuplicateConfirmed:
    """
    Register despite the record that was shown.
    """


@attrs.frozen(kw_only=True)
class SingleTriedAgain:
    """
    Do again what failed, under the same idempotency key.
    """


@attrs.frozen(kw_only=True)
class SingleWentBack:
    """
    Leave a warning, a refusal or an error message; what was entered is kept.
    """


@attrs.frozen(kw_only=True)
class SingleRegistered:
    """
    The record exists.
    """

    token: SingleToken
    activity_id: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class SingleDuplicateFound:
    """
    A record stands in the way; nothing was written.
    """

    token: SingleToken
    existing_activity_id: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class SingleRejected:
    """
    The service refused for all these reasons; nothing was written.
    """

    token: SingleToken
    reasons: tuple[Failure, ...] = attrs.field(converter=_reasons, validator=attrs.validators.min_len(1))


@attrs.frozen(kw_only=True)
class SingleCallFailed:
    """
    The call raised; only words of this library's own errors are ever shown.
    """

    token: SingleToken
    error: Exception = attrs.field(repr=False)


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
