"""
The bulk flow's form and states, and what one step of it gives.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from proxy_orchestration._validators import is_a
from proxy_orchestration.registration.batches import BulkSubmissionResult, MentorOutcome
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.flow._bulk_effects import (
    BulkConflictCase,
    BulkEffect,
    BulkToken,
    BulkWork,
)
from proxy_orchestration.registration.flow._forms import ActivityDraft, ActivityForm, RefusalReason
from proxy_orchestration.registration.requests import BulkRegistrationRequest, SubmissionMode

_NOTHING_ASKED: Final = BulkToken(0)


@attrs.frozen(kw_only=True)
class BulkDraft(ActivityDraft):
    """
    The activity that the bulk flow is to register for each mentor.
    """


@attrs.frozen(kw_only=True)
class BulkForm(ActivityForm[BulkDraft]):
    """
    What a coordinator chose in the bulk flow.

    Attributes:
        mentor_ids: each once, in the order of selection.
        label, mode, on_conflict: as in `BulkRegistrationRequest`.
    """

    draft: BulkDraft = attrs.field(factory=BulkDraft, validator=is_a(BulkDraft))
    mentor_ids: tuple[str, ...] = ()
    label: str | None = attrs.field(default=None, repr=False)
    mode: SubmissionMode = SubmissionMode.INDEPENDENT
    on_conflict: ConflictPolicy = ConflictPolicy.REVIEW


@attrs.frozen(kw_only=True)
class _State:
    """
    What every state keeps: the newest question's number, so that late answers are known.
    """

    token: BulkToken = _NOTHING_ASKED


@attrs.frozen(kw_only=True)
class BulkIdle(_State):
    """
    Nothing is chosen; the flow was not entered, or was left.
    """


@attrs.frozen(kw_only=True)
class BulkSelecting(_State):
    """
    A coordinator fills the form; nothing is called.
    """

    form: BulkForm = attrs.field(factory=BulkForm)


@attrs.frozen(kw_only=True)
class BulkChecking(_State):
    """
    The conflict preview is under way.

    Attributes:
        form: what was chosen; Back leads there.
        request: what would be submitted; carries the submission's idempotency key.
    """

    form: BulkForm
    request: BulkRegistrationRequest


@attrs.frozen(kw_only=True)
class _Review(_State):
    cases: tuple[BulkConflictCase, ...]

    @property
    def open(self) -> tuple[str, ...]:
        """
        Return the mentors without a decision, in request order.
        """
        return tuple(case.conflict.mentor_id for case in self.cases if case.decision is None)


@attrs.frozen(kw_only=True)
class BulkReviewing(_Review):
    """
    A coordinator decides about each conflict; nothing was written.

    Attributes:
        cases: one per conflicting mentor, in request order.
        form: what was chosen; Back leads there.
        request: the request that was checked; carries the idempotency key.
    """

    form: BulkForm
    request: BulkRegistrationRequest


@attrs.frozen(kw_only=True)
class BulkSettled(_State):
    """
    The batch's run settled.

    Attributes:
        result: the newest.
        selected: mentors that a retry would take up; exactly the failed at first.
        left_out: mentors whom a decision before the submission left out of the request.
    """

    result: BulkSubmissionResult
    selected: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class BulkReviewingBatch(_Review):
    """
    A coordinator decides about conflicts that a settled batch still waits with.

    Attributes:
        cases: one per waiting mentor, in request order.
        settled: the batch; Back leads there.
    """

    settled: BulkSettled


BulkOrigin: TypeAlias = BulkSelecting | BulkReviewing | BulkReviewingBatch | BulkSettled
"""Where Back leads after work that failed."""


@attrs.frozen(kw_only=True)
class BulkSubmitting(_State):
    """
    Work is under way.

    Attributes:
        effect: the work; its token is this state's.
        origin: where Back leads if the work fails.
        mentor_ids: all mentors of the batch.
        total: how many they are.
        settled: items of the whole batch that are settled.
        outcomes: those that this work brought so far, in settle order.
        sequence: the newest update's, 0 before the first.
        batch_id: `None` until the first word about it.
        left_out: as in `BulkSettled`.
    """

    effect: BulkWork
    origin: BulkOrigin
    mentor_ids: frozenset[str] = attrs.field(repr=False)
    total: int
    settled: int = 0
    outcomes: tuple[MentorOutcome, ...] = ()
    sequence: int = 0
    batch_id: str | None = None
    left_out: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class BulkFailed(_State):
    """
    A call failed as a whole; all that was entered is kept.

    Attributes:
        message: safe for people.
        during: what failed; trying again repeats it with the same idempotency key.
    """

    message: str = attrs.field(repr=False)
    during: BulkChecking | BulkSubmitting


BulkState: TypeAlias = (
    BulkIdle
    | BulkSelecting
    | BulkChecking
    | BulkReviewing
    | BulkReviewingBatch
    | BulkSubmitting
    | BulkSettled
    | BulkFailed
)
"""Every state of the bulk flow."""


@attrs.frozen(kw_only=True)
class BulkRefusal:
    """
    Why an event changed nothing.

    Attributes:
        reason: for a program.
        mentor_ids: the mentors that it is about, if it is about some.
    """

    reason: RefusalReason
    mentor_ids: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class BulkStep:
    """
    What an event led to.

    Attributes:
        state: where the flow stands now; the same one if ignored or refused.
        effects: what the host does next, none or one.
        ignored: the event came late or twice; nothing is wrong.
        refusal: the event was a mistake of the host, or of the person before it.
    """

    state: BulkState
    effects: tuple[BulkEffect, ...] = ()
    ignored: bool = False
    refusal: BulkRefusal | None = None
