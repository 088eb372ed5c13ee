"""
What the bulk flow speaks in: its form, effects, states and events.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NewType, TypeAlias

import attrs

from proxy_orchestration._validators import is_a, is_identifier
from proxy_orchestration.registration.activities import ActivityDraft
from proxy_orchestration.registration.batches import BulkProgressUpdate, BulkSubmissionResult, MentorOutcome
from proxy_orchestration.registration.conflicts import (
    Conflict,
    ConflictDecision,
    ConflictPolicy,
    ConflictReport,
)
from proxy_orchestration.registration.flow import forms
from proxy_orchestration.registration.requests import BulkRegistrationRequest, SubmissionMode, check_label

BulkToken = NewType("BulkToken", int)
"""The number of a question that the flow put; its answers carry it back. Numbers only grow."""


@attrs.frozen(kw_only=True)
class BulkConflictCase:
    """One conflicting mentor, and what was decided so far."""

    conflict: Conflict
    decision: ConflictDecision | None = None


@attrs.frozen(kw_only=True)
class CheckBulkConflicts:
    """Preview this request and answer `BulkConflictsFound`. Writes nothing."""

    token: BulkToken
    request: BulkRegistrationRequest


@attrs.frozen(kw_only=True)
class SubmitBulk:
    """Submit this request; answer `BulkProgressed` as it goes and `BulkAnswered` at the end."""

    token: BulkToken
    request: BulkRegistrationRequest


@attrs.frozen(kw_only=True)
class ResolveBulk:
    """
    Resolve these mentors' conflicts; answered as a submission is.

    Attributes:
        token: the answers carry it.
        batch_id: the batch.
        expected_run: the run that the decisions were made on.
        cases: each with a decision.
    """

    token: BulkToken
    batch_id: str
    expected_run: int
    cases: tuple[BulkConflictCase, ...]

    @property
    def decisions(self) -> dict[str, ConflictDecision]:
        """Return the decisions by mentor id, as `resolve_conflicts` takes them."""
        return {case.conflict.mentor_id: case.decision for case in self.cases if case.decision is not None}


@attrs.frozen(kw_only=True)
class RetryBulk:
    """
    Retry these mentors; answered as a submission is.

    Attributes:
        token: the answers carry it.
        batch_id: the batch.
        expected_run: the run whose failures are retried.
        mentor_ids: in request order, at least one.
    """

    token: BulkToken
    batch_id: str
    expected_run: int
    mentor_ids: tuple[str, ...]


BulkWork: TypeAlias = SubmitBulk | ResolveBulk | RetryBulk
"""Effects that write; all are answered alike."""

BulkEffect: TypeAlias = CheckBulkConflicts | BulkWork
"""What a host carries out for the bulk flow, at most once each."""


class BulkDraft(ActivityDraft):
    """The activity that the bulk flow is to register for each mentor."""


@attrs.frozen(kw_only=True)
class BulkForm(forms.ActivityForm[BulkDraft]):
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
class _State(forms.Asked[BulkToken]):
    """What every state keeps: the newest question's number."""

    token: BulkToken = BulkToken(0)


class BulkIdle(_State):
    """Nothing is chosen; the flow was not entered, or was left."""


@attrs.frozen(kw_only=True)
class BulkSelecting(_State):
    """A coordinator fills the form; nothing is called."""

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
        """Return the mentors without a decision, in request order."""
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

    reason: forms.RefusalReason
    mentor_ids: tuple[str, ...] = ()


class BulkStep(forms.Step[BulkState, BulkEffect, BulkRefusal]):
    """
    What an event led to in the bulk flow.

    Attributes:
        state: where the flow stands now; the same one if ignored or refused.
        effects: what the host does next, none or one.
        ignored: the event came late or twice; nothing is wrong.
        refusal: the event was a mistake of the host, or of the person before it.
    """


def _ids(mentor_ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(mentor_ids))


_each_an_id: Final = attrs.validators.deep_iterable(member_validator=is_identifier)


class BulkEntered(forms.Entered):
    """Somebody opens the bulk flow, from anywhere: it begins with nothing chosen."""


class BulkLeft(forms.Left):
    """Somebody leaves or resets the bulk flow, from anywhere: it is idle. A run goes on by itself."""


@attrs.frozen(kw_only=True)
class BulkMentorsSelected:
    """Add these mentors; in a settled batch, to those that a retry takes up."""

    mentor_ids: tuple[str, ...] = attrs.field(converter=_ids, validator=_each_an_id)


@attrs.frozen(kw_only=True)
class BulkMentorsDeselected:
    """Take these mentors out; who is not selected stays so."""

    mentor_ids: tuple[str, ...] = attrs.field(converter=_ids, validator=_each_an_id)


@attrs.frozen(kw_only=True)
class BulkAllVisibleSelected:
    """Add exactly the mentors that the filter shows; earlier ones stay selected."""

    visible_ids: tuple[str, ...] = attrs.field(converter=_ids, validator=_each_an_id)


@attrs.frozen(kw_only=True)
class BulkDraftEdited(forms.DraftEdited[BulkDraft]):
    """The activity is described anew."""

    draft: BulkDraft = attrs.field(validator=is_a(BulkDraft))


class BulkTemplateChosen(forms.TemplateChosen):
    """Fill the draft from the template, once confirmed where edits would be overwritten."""


class BulkTemplateConfirmed(forms.TemplateConfirmed):
    """Yes, overwrite the edits."""


class BulkTemplateDeclined(forms.TemplateDeclined):
    """No, keep the edits."""


@attrs.frozen(kw_only=True)
class BulkOptionsChosen:
    """Label, mode and policy are chosen, all three anew."""

    label: str | None = attrs.field(
        default=None, validator=lambda _i, _a, value: check_label(value), repr=False
    )
    mode: SubmissionMode = SubmissionMode.INDEPENDENT
    on_conflict: ConflictPolicy = ConflictPolicy.REVIEW


@attrs.frozen(kw_only=True)
class BulkSubmitted(forms.Press):
    """
    Somebody presses *submit*; conflicts are looked for first.

    Attributes:
        idempotency_key: new for each intention; whatever is dispatched twice under it
            is one batch.
    """

    idempotency_key: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class BulkConflictDecided:
    """One conflicting mentor's decision, changeable until the review is confirmed."""

    mentor_id: str
    decision: ConflictDecision


@attrs.frozen(kw_only=True)
class BulkAllConflictsDecided:
    """One decision for every conflicting mentor, such as *skip all and submit the rest*."""

    decision: ConflictDecision


class BulkReviewConfirmed(forms.Press):
    """Submit what was decided."""


class BulkReviewOpened(forms.Press):
    """Decide about the conflicts that a settled batch waits with."""


class BulkRetried(forms.Press):
    """Retry the mentors that are selected in a settled batch."""


class BulkTriedAgain(forms.Press):
    """Do again what failed as a whole, under the same idempotency key."""


class BulkWentBack(forms.Press):
    """Cancel a review, or leave an error message; what was entered is kept."""


@attrs.frozen(kw_only=True)
class BulkConflictsFound(forms.Answer[BulkToken]):
    """The answer to `CheckBulkConflicts`."""

    report: ConflictReport


@attrs.frozen(kw_only=True)
class BulkProgressed(forms.Answer[BulkToken]):
    """One mentor settled."""

    update: BulkProgressUpdate


@attrs.frozen(kw_only=True)
class BulkAnswered(forms.Answer[BulkToken]):
    """
    How the batch stands after the work; with items open the work goes on.

    A host that gets `StaleRunError` reads the status and answers with that.
    """

    result: BulkSubmissionResult


class BulkCallFailed(forms.CallFailed[BulkToken]):
    """A call raised; only words of this library's own errors are ever shown."""


BulkInput: TypeAlias = (
    BulkMentorsSelected
    | BulkMentorsDeselected
    | BulkAllVisibleSelected
    | BulkDraftEdited
    | BulkTemplateChosen
    | BulkOptionsChosen
    | BulkConflictDecided
    | BulkAllConflictsDecided
)
"""What carries a choice: refused where it does not fit, so that no choice is lost unnoticed."""

BulkPress: TypeAlias = (
    BulkTemplateConfirmed
    | BulkTemplateDeclined
    | BulkSubmitted
    | BulkReviewConfirmed
    | BulkReviewOpened
    | BulkRetried
    | BulkTriedAgain
    | BulkWentBack
)
"""What only sets something off: ignored where it does not fit, since buttons are pressed twice."""

BulkAnswer: TypeAlias = BulkConflictsFound | BulkProgressed | BulkAnswered | BulkCallFailed
"""What the host brings back: ignored unless it carries the token that is waited for."""

BulkEvent: TypeAlias = BulkEntered | BulkLeft | BulkInput | BulkPress | BulkAnswer
"""Every event of the bulk flow."""
