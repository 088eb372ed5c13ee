"""
The vocabulary of the bulk flow: its form, effects, states and events.
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
"""The number of an effect; the answers to it must carry the same number. Numbers only increase."""


@attrs.frozen(kw_only=True)
class BulkConflictCase:
    """One conflicting mentor, and the decision so far."""

    conflict: Conflict
    decision: ConflictDecision | None = None


@attrs.frozen(kw_only=True)
class CheckBulkConflicts:
    """Effect: preview this request and answer with `BulkConflictsFound`. Nothing is written."""

    token: BulkToken
    request: BulkRegistrationRequest


@attrs.frozen(kw_only=True)
class SubmitBulk:
    """Effect: submit this request; answer with `BulkProgressed` for each update, then `BulkAnswered`."""

    token: BulkToken
    request: BulkRegistrationRequest


@attrs.frozen(kw_only=True)
class ResolveBulk:
    """
    Effect: resolve the conflicts of these mentors; answer as for a submission.

    Attributes:
        token: the token that the answers must carry.
        batch_id: the batch.
        expected_run: the number of the run on which the decisions are based.
        cases: the cases, each with a decision.
    """

    token: BulkToken
    batch_id: str
    expected_run: int
    cases: tuple[BulkConflictCase, ...]

    @property
    def decisions(self) -> dict[str, ConflictDecision]:
        """Return the decisions by mentor id, as `resolve_conflicts` expects them."""
        return {case.conflict.mentor_id: case.decision for case in self.cases if case.decision is not None}


@attrs.frozen(kw_only=True)
class RetryBulk:
    """
    Effect: retry these mentors; answer as for a submission.

    Attributes:
        token: the token that the answers must carry.
        batch_id: the batch.
        expected_run: the number of the run whose failures are retried.
        mentor_ids: the mentors to retry, in request order, at least one.
    """

    token: BulkToken
    batch_id: str
    expected_run: int
    mentor_ids: tuple[str, ...]


BulkWork: TypeAlias = SubmitBulk | ResolveBulk | RetryBulk
"""The effects that write; all have the same kinds of answers."""

BulkEffect: TypeAlias = CheckBulkConflicts | BulkWork
"""The effects of the bulk flow; a host carries out each at most once."""


class BulkDraft(ActivityDraft):
    """The draft of the activity that the bulk flow registers for each mentor."""


@attrs.frozen(kw_only=True)
class BulkForm(forms.ActivityForm[BulkDraft]):
    """
    The coordinator's choices in the bulk flow.

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
    """State: nothing is chosen; the flow was not entered, or was left."""


@attrs.frozen(kw_only=True)
class BulkSelecting(_State):
    """State: the coordinator fills in the form; nothing is called."""

    form: BulkForm = attrs.field(factory=BulkForm)


@attrs.frozen(kw_only=True)
class BulkChecking(_State):
    """
    State: the conflict preview is in progress.

    Attributes:
        form: the choices, to which Back returns.
        request: the request that would be submitted, with the submission's idempotency key.
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
    State: the coordinator decides about each conflict; nothing was written.

    Attributes:
        cases: one case per conflicting mentor, in request order.
        form: the choices, to which Back returns.
        request: the request that was checked, with the idempotency key.
    """

    form: BulkForm
    request: BulkRegistrationRequest


@attrs.frozen(kw_only=True)
class BulkSettled(_State):
    """
    State: the batch's run has settled.

    Attributes:
        result: the newest result.
        selected: the mentors that a retry would take up; at first exactly the failed ones.
        left_out: the mentors that a decision before the submission left out of the request.
    """

    result: BulkSubmissionResult
    selected: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class BulkReviewingBatch(_Review):
    """
    State: the coordinator decides about the conflicts for which a settled batch waits.

    Attributes:
        cases: one case per waiting mentor, in request order.
        settled: the state with the batch, to which Back returns.
    """

    settled: BulkSettled


BulkOrigin: TypeAlias = BulkSelecting | BulkReviewing | BulkReviewingBatch | BulkSettled
"""The states to which Back returns after failed work."""


@attrs.frozen(kw_only=True)
class BulkSubmitting(_State):
    """
    State: work is in progress.

    Attributes:
        effect: the work in progress; its token is the token of this state.
        origin: the state to which Back returns if the work fails.
        mentor_ids: all mentors of the batch.
        total: the number of these mentors.
        settled: the number of settled items of the whole batch.
        outcomes: the outcomes of this work so far, in the order in which they settled.
        sequence: the number of the newest update; 0 before the first.
        batch_id: the id of the batch; `None` until it is known.
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
    State: a call failed as a whole; all entered data is kept.

    Attributes:
        message: a message that may be shown to people.
        during: the effect that failed; a further try repeats it with the same idempotency key.
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
    The reason why an event changed nothing.

    Attributes:
        reason: the reason, for programs.
        mentor_ids: the mentors that the reason is about; may be empty.
    """

    reason: forms.RefusalReason
    mentor_ids: tuple[str, ...] = ()


class BulkStep(forms.Step[BulkState, BulkEffect, BulkRefusal]):
    """
    The result of an event in the bulk flow.

    Attributes:
        state: the new state; the same one if the event was ignored or refused.
        effects: what the host must do next: no effect or one.
        ignored: whether the event came late or twice, which is not an error.
        refusal: why the event was refused: a mistake of the host or of the person; else `None`.
    """


def _ids(mentor_ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(mentor_ids))


_each_an_id: Final = attrs.validators.deep_iterable(member_validator=is_identifier)


class BulkEntered(forms.Entered):
    """Event: a person opens the bulk flow, in any state; it starts with nothing chosen."""


class BulkLeft(forms.Left):
    """Event: a person leaves or resets the bulk flow, in any state; it becomes idle. A run continues."""


@attrs.frozen(kw_only=True)
class BulkMentorsSelected:
    """Event: add these mentors to the selection; in a settled batch, to those that a retry takes up."""

    mentor_ids: tuple[str, ...] = attrs.field(converter=_ids, validator=_each_an_id)


@attrs.frozen(kw_only=True)
class BulkMentorsDeselected:
    """Event: remove these mentors from the selection."""

    mentor_ids: tuple[str, ...] = attrs.field(converter=_ids, validator=_each_an_id)


@attrs.frozen(kw_only=True)
class BulkAllVisibleSelected:
    """Event: add the mentors that the filter shows; earlier ones stay selected."""

    visible_ids: tuple[str, ...] = attrs.field(converter=_ids, validator=_each_an_id)


@attrs.frozen(kw_only=True)
class BulkDraftEdited(forms.DraftEdited[BulkDraft]):
    """Event: the coordinator changed the activity."""

    draft: BulkDraft = attrs.field(validator=is_a(BulkDraft))


class BulkTemplateChosen(forms.TemplateChosen):
    """Event: fill the draft from the template; if that would overwrite edits, after a confirmation."""


class BulkTemplateConfirmed(forms.TemplateConfirmed):
    """Event: the person confirms that the template may overwrite the edits."""


class BulkTemplateDeclined(forms.TemplateDeclined):
    """Event: the person declines the template and keeps the edits."""


@attrs.frozen(kw_only=True)
class BulkOptionsChosen:
    """Event: label, mode and policy are set; all three replace the earlier ones."""

    label: str | None = attrs.field(
        default=None, validator=lambda _i, _a, value: check_label(value), repr=False
    )
    mode: SubmissionMode = SubmissionMode.INDEPENDENT
    on_conflict: ConflictPolicy = ConflictPolicy.REVIEW


@attrs.frozen(kw_only=True)
class BulkSubmitted(forms.Press):
    """
    Event: a person presses *submit*; conflicts are looked for first.

    Attributes:
        idempotency_key: a new key for each intended batch; repeated submissions with it are one
            batch.
    """

    idempotency_key: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class BulkConflictDecided:
    """Event: the decision about one conflicting mentor; it can be changed until the review is confirmed."""

    mentor_id: str
    decision: ConflictDecision


@attrs.frozen(kw_only=True)
class BulkAllConflictsDecided:
    """Event: one decision for every conflicting mentor, such as *skip all and submit the rest*."""

    decision: ConflictDecision


class BulkReviewConfirmed(forms.Press):
    """Event: submit the decisions of the review."""


class BulkReviewOpened(forms.Press):
    """Event: open the review of the conflicts for which a settled batch waits."""


class BulkRetried(forms.Press):
    """Event: retry the selected mentors of a settled batch."""


class BulkTriedAgain(forms.Press):
    """Event: repeat what failed as a whole, with the same idempotency key."""


class BulkWentBack(forms.Press):
    """Event: the person cancels a review, or leaves an error message; the entered data is kept."""


@attrs.frozen(kw_only=True)
class BulkConflictsFound(forms.Answer[BulkToken]):
    """Event: the answer to `CheckBulkConflicts`."""

    report: ConflictReport


@attrs.frozen(kw_only=True)
class BulkProgressed(forms.Answer[BulkToken]):
    """Event: one mentor's item has settled."""

    update: BulkProgressUpdate


@attrs.frozen(kw_only=True)
class BulkAnswered(forms.Answer[BulkToken]):
    """
    Event: the state of the batch after the work; if items are open, the work continues.

    After a `StaleRunError`, a host reads the status and answers with that.
    """

    result: BulkSubmissionResult


class BulkCallFailed(forms.CallFailed[BulkToken]):
    """Event: a call raised an error. People only ever see messages of this library's own errors."""


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
"""
Events that carry a choice.

One that does not fit the state is refused, so that no choice is lost unnoticed.
"""

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
"""
Events that only trigger something.

One that does not fit the state is ignored, because buttons are pressed twice.
"""

BulkAnswer: TypeAlias = BulkConflictsFound | BulkProgressed | BulkAnswered | BulkCallFailed
"""The host's answers. One without the expected token is ignored."""

BulkEvent: TypeAlias = BulkEntered | BulkLeft | BulkInput | BulkPress | BulkAnswer
"""Every event of the bulk flow."""
