"""
The single flow's form, states and effect, and what one step of it gives.
"""

from __future__ import annotations

from typing import Final, NewType, TypeAlias

import attrs

from proxy_orchestration._validators import is_a
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.flow._forms import ActivityDraft, ActivityForm, RefusalReason

SingleToken = NewType("SingleToken", int)
"""The number of a question that the flow put; its answer carries it back. Numbers only grow."""


_NOTHING_ASKED: Final = SingleToken(0)


@attrs.frozen(kw_only=True)
class SingleDraft(ActivityDraft):
    """
    The activity that the single flow is to register.
    """


@attrs.frozen(kw_only=True)
class SingleForm(ActivityForm[SingleDraft]):
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
        """
        Return whether the coordinator confirmed over an existing record.
        """
        return self.despite is not None


@attrs.frozen(kw_only=True)
class _State:
    """
    What every state keeps: the newest question's number, so that late answers are known.
    """

    token: SingleToken = _NOTHING_ASKED


@attrs.frozen(kw_only=True)
class SingleIdle(_State):
    """
    Nothing is chosen; the flow was not entered, or was left.
    """


@attrs.frozen(kw_only=True)
class SingleSelecting(_State):
    """
    A coordinator fills the form; nothing is called.
    """

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
    A record stands in the way; the coordinator confirms despite it, or goes back.

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
    """
    Why an event changed nothing.
    """

    reason: RefusalReason


@attrs.frozen(kw_only=True)
class SingleStep:
    """
    What an event led to.

    Attributes:
        state: where the flow stands now; the same one if ignored or refused.
        effects: what the host does next, none or one.
        ignored: the event came late or twice; nothing is wrong.
        refusal: the event was a mistake of the host, or of the person before it.
    """

    state: SingleState
    effects: tuple[RegisterSingle, ...] = ()
    ignored: bool = False
    refusal: SingleRefusal | None = None
