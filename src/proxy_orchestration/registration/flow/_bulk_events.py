"""
Everything that can happen to the bulk flow.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import attrs

from proxy_orchestration._validators import is_a, is_identifier
from proxy_orchestration.registration.batches import BulkProgressUpdate, BulkSubmissionResult
from proxy_orchestration.registration.conflicts import ConflictDecision, ConflictPolicy, ConflictReport
from proxy_orchestration.registration.flow._bulk_effects import BulkToken
from proxy_orchestration.registration.flow._bulk_states import BulkDraft
from proxy_orchestration.registration.flow._forms import ActivityTemplate
from proxy_orchestration.registration.requests import SubmissionMode, check_label


def _ids(mentor_ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(mentor_ids))


_each_an_id: Final = attrs.validators.deep_iterable(member_validator=is_identifier)


@attrs.frozen(kw_only=True)
class BulkEntered:
    """
    Somebody opens the bulk flow, from anywhere: it begins with nothing chosen.
    """


@attrs.frozen(kw_only=True)
class BulkLeft:
    """
    Somebody leaves or resets the bulk flow, from anywhere: it is idle. A run goes on by itself.
    """


@attrs.frozen(kw_only=True)
class BulkMentorsSelected:
    """
    Add these mentors; in a settled batch, to those that a retry takes up.
    """

    mentor_ids: tuple[str, ...] = attrs.field(converter=_ids, validator=_each_an_id)


@attrs.frozen(kw_only=True)
class BulkMentorsDeselected:
    """
    Take these mentors out; who is not selected stays so.
    """

    mentor_ids: tuple[str, ...] = attrs.field(converter=_ids, validator=_each_an_id)


@attrs.frozen(kw_only=True)
class BulkAllVisibleSelected:
    """
    Add exactly the mentors that the filter shows; earlier ones stay selected.
    """

    visible_ids: tuple[str, ...] = attrs.field(converter=_ids, validator=_each_an_id)


@attrs.frozen(kw_only=True)
class BulkDraftEdited:
    """
    The activity is described anew.
    """

    draft: BulkDraft = attrs.field(validator=is_a(BulkDraft))


@attrs.frozen(kw_only=True)
class BulkTemplateChosen:
    """
    Fill the draft from the template, once confirmed where edits would be overwritten.
    """

    template: ActivityTemplate


@attrs.frozen(kw_only=True)
class BulkTemplateConfirmed:
    """
    Yes, overwrite the edits.
    """


@attrs.frozen(kw_only=True)
class BulkTemplateDeclined:
    """
    No, keep the edits.
    """


@attrs.frozen(kw_only=True)
class BulkOptionsChosen:
    """
    Label, mode and policy are chosen, all three anew.
    """

    label: str | None = attrs.field(
        default=None, validator=lambda _i, _a, value: check_label(value), repr=False
    )
    mode: SubmissionMode = SubmissionMode.INDEPENDENT
    on_conflict: ConflictPolicy = ConflictPolicy.REVIEW


@attrs.frozen(kw_only=True)
class BulkSubmitted:
    """
    Somebody presses *submit*; conflicts are looked for first.

    Attributes:
        idempotency_key: new for each intention; whatever is dispatched twice under it
            is one batch.
    """

    idempotency_key: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class BulkConflictDecided:
    """
    One conflicting mentor's decision, changeable until the review is confirmed.
    """

    mentor_id: str
    decision: ConflictDecision


@attrs.frozen(kw_only=True)
class BulkAllConflictsDecided:
    """
    One decision for every conflicting mentor, such as *skip all and submit the rest*.
    """

    decision: ConflictDecision


@attrs.frozen(kw_only=True)
class BulkReviewConfirmed:
    """
    Submit what was decided.
    """


@attrs.frozen(kw_only=True)
class BulkReviewOpened:
    """
    Decide about the conflicts that a settled batch waits with.
    """


@attrs.frozen(kw_only=True)
class BulkRetried:
    """
    Retry the mentors that are selected in a settled batch.
    """


@attrs.frozen(kw_only=True)
class BulkTriedAgain:
    """
    Do again what failed as a whole, under the same idempotency key.
    """


@attrs.frozen(kw_only=True)
class BulkWentBack:
    """
    Cancel a review, or leave an error message; what was entered is kept.
    """


@attrs.frozen(kw_only=True)
class BulkConflictsFound:
    """
    The answer to `CheckBulkConflicts`.
    """

    token: BulkToken
    report: ConflictReport


@attrs.frozen(kw_only=True)
class BulkProgressed:
    """
    One mentor settled.
    """

    token: BulkToken
    update: BulkProgressUpdate


@attrs.frozen(kw_only=True)
class BulkAnswered:
    """
    How the batch stands after the work; with items open the work goes on.

    A host that gets `StaleRunError` reads the status and answers with that.
    """

    token: BulkToken
    result: BulkSubmissionResult


@attrs.frozen(kw_only=True)
class BulkCallFailed:
    """
    A call raised; only words of this library's own errors are ever shown.
    """

    token: BulkToken
    error: Exception = attrs.field(repr=False)


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
