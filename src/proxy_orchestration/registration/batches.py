"""
What a batch reports: outcomes, progress updates, results and pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final

import attrs

from proxy_orchestration._arguments import LARGEST
from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.states import RETRYABLE_STATES, BulkStatus, ItemState


@attrs.frozen(kw_only=True)
class Failure(PlainModel):
    """
    Why an item did not succeed.

    Attributes:
        code: a stable code for programs, in `snake_case`.
        message: one sentence for the coordinator, without personal data, table names or stack
            traces. It may come from a service, so it is never in a repr or a log.
        retryable: whether another attempt may have another result.
    """

    code: str
    message: str = attrs.field(repr=False)
    retryable: bool


CANCELLED: Final = Failure(
    code="cancelled", message="The batch was cancelled before this mentor was called.", retryable=True
)
"""The reason of every item that a cancel reached before its call."""


@attrs.frozen(kw_only=True)
class MentorOutcome(PlainModel):
    """
    The state of one mentor's registration; a mentor with several activities has one outcome for each.

    Attributes:
        mentor_id: the mentor.
        state: the state; every state except PENDING and RUNNING is settled.
        activity_id: the id of the record, if SUCCEEDED.
        failure: the reason, for every settled state except SUCCEEDED.
        conflicting_activity_id: the id of the existing record, if a conflict is the reason.
        attempts: the number of calls in the run that settled the item.
        sequence: the outcome's number in the batch's log, from 1; `None` until settled.
        settled_at: when it was settled; aware, UTC; `None` until settled.
        item_key: the item's key in its batch: the mentor's id, unless the entry has its own key.
    """

    mentor_id: str
    state: ItemState
    activity_id: str | None = None
    failure: Failure | None = None
    conflicting_activity_id: str | None = None
    attempts: int = 0
    sequence: int | None = None
    settled_at: datetime | None = None
    item_key: str = attrs.field(default=attrs.Factory(attrgetter("mentor_id"), takes_self=True))


@attrs.frozen(kw_only=True)
class BulkProgressUpdate(PlainModel):
    """
    The progress update about one item that a run has settled.

    Attributes:
        batch_id: the batch.
        run: the number of the run that settled the item, from 1.
        sequence: the update's number within the batch, from 1 without gaps; pass it as `after` to
            continue there.
        outcome: the item's outcome.
        settled: the number of settled items of the whole batch, including this one.
        total: the number of items of the whole batch.
    """

    batch_id: str
    run: int
    sequence: int
    outcome: MentorOutcome
    settled: int
    total: int


@attrs.frozen(kw_only=True)
class BatchSummary(PlainModel):
    """
    A batch without its outcomes, for lists and for polling.

    Attributes:
        batch_id: the batch.
        coordinator_id: the id of the person who submitted it.
        organization_id: the organization in which it was submitted.
        mode, on_conflict: as in the request.
        status: derived from the items and the current run.
        run: the number of the current run, from 1.
        total: the number of items of the batch.
        counts: the number of items by state, without states that have none; the sum is `total`.
        label: the label for people; free text, so never in a repr or a log.
        submitted_at: when it was accepted; aware, UTC.
        settled_at: when its current run settled; aware, UTC; `None` before that.
        opened_by: the person who opened the current run: who submitted, retried or decided last.
        retried_by: the person who opened the newest retry; `None` without one.
        decided_by: the person who opened the newest run that carries out decisions; `None` without
            one.
        cancelled_by: the person who requested the newest cancel; `None` without one.
        cancel_reason: the reason for that cancel; free text, so never in a repr or a log.
        paused_at: when the current run was paused; `None` if it is not paused.
        paused_by: the person who paused it; `None` if it was paused automatically.
        pause_code: if it was paused automatically, the code with which its last calls failed.
    """

    batch_id: str
    coordinator_id: str
    status: BulkStatus
    run: int
    total: int
    counts: Mapping[ItemState, int]
    label: str | None = attrs.field(repr=False)
    submitted_at: datetime
    settled_at: datetime | None
    organization_id: str = ""
    mode: SubmissionMode = SubmissionMode.INDEPENDENT
    on_conflict: ConflictPolicy = ConflictPolicy.REVIEW
    opened_by: str = ""
    retried_by: str | None = None
    decided_by: str | None = None
    cancelled_by: str | None = None
    cancel_reason: str | None = attrs.field(default=None, repr=False)
    paused_at: datetime | None = None
    paused_by: str | None = None
    pause_code: str | None = None


@attrs.frozen(kw_only=True)
class BulkSubmissionResult(BatchSummary):
    """
    A batch with the outcome of every item.

    Attributes:
        outcomes: one outcome per entry, in the order of the request.
    """

    outcomes: tuple[MentorOutcome, ...]

    @property
    def succeeded(self) -> tuple[MentorOutcome, ...]:
        """
        Return the outcomes whose record exists, in request order.
        """
        return self._in_states({ItemState.SUCCEEDED})

    @property
    def failed(self) -> tuple[MentorOutcome, ...]:
        """
        Return the FAILED and UNKNOWN outcomes, in request order; a retry takes up these.
        """
        return self._in_states(RETRYABLE_STATES)

    @property
    def needs_review(self) -> tuple[MentorOutcome, ...]:
        """
        Return the outcomes that wait for a decision, in request order.
        """
        return self._in_states({ItemState.NEEDS_REVIEW})

    def _in_states(self, states: frozenset[ItemState] | set[ItemState]) -> tuple[MentorOutcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.state in states)


@attrs.frozen(kw_only=True)
class CancelReport(PlainModel):
    """
    What a cancel did; the four numbers sum to the batch's total.

    Attributes:
        never_started: the number of CANCELLED items, which were certainly never begun.
        finished: the number of items whose call ended with an outcome after the cancel was
            requested.
        in_doubt: the number of items whose call began and whose answer is still unknown.
        already_settled: the number of items that had an outcome before the cancel was requested.
    """

    never_started: int
    finished: int
    in_doubt: int
    already_settled: int


@attrs.frozen(kw_only=True)
class BatchFilter:
    """
    Which batches to list; a field that is `None` filters nothing.

    Attributes:
        label: only batches with exactly this label; never in a repr.
        coordinator_id: only batches of this coordinator.
        submitted_from, submitted_before: only batches accepted at or after the first time, and
            before the second; aware.
        needs_review: whether the current run must be settled with mentors that wait for a decision.
        cursor: only batches that follow the page with this `next_cursor`.
    """

    label: str | None = attrs.field(default=None, repr=False)
    coordinator_id: str | None = None
    submitted_from: datetime | None = None
    submitted_before: datetime | None = None
    needs_review: bool | None = None
    cursor: str | None = None

    def position(self) -> tuple[datetime, int] | None:
        """
        Return the time and the number of the last batch before the cursor; `None` without a cursor.

        Raises:
            InvalidValueError: the cursor is not valid.
        """
        if self.cursor is None:
            return None
        written, _, number = self.cursor.partition("~")
        with suppress(ValueError):
            moment = datetime.fromisoformat(written)
            if moment.tzinfo is not None and 0 <= int(number) <= LARGEST:
                return moment, int(number)
        raise InvalidValueError("cursor", _NO_CURSOR)  # noqa: EM101 - a field's name


_NO_CURSOR: Final = "is not a valid cursor: give the next_cursor of a page, unchanged"


def cursor_of(submitted_at: datetime, number: int) -> str:
    """
    Return the cursor behind the batch with that number, which breaks the ties of its moment.
    """
    return f"{submitted_at.astimezone(UTC).isoformat()}~{number}"


@attrs.frozen(kw_only=True)
class BatchPage(PlainModel):
    """
    One page of a list of batches, newest first.

    Attributes:
        batches: at most `limit`.
        page: the number of the page, from 1.
        limit: the number of batches on a full page.
        total: the number of batches on all pages; with a cursor, the number of those that follow
            it.
        next_cursor: pass it as `cursor` to get the batches that follow, even if others are accepted
            meanwhile; `None` on the last page.
    """

    batches: tuple[BatchSummary, ...]
    page: int
    limit: int
    total: int
    next_cursor: str | None = None


@attrs.frozen(kw_only=True)
class PurgedBatches(PlainModel):
    """
    What a purge did with the batches that are old enough; each batch counts in one of the numbers.

    Attributes:
        deleted: the number of deleted batches.
        left_for_review: the number of batches that were kept because mentors wait for a decision.
        left_untold: the number of batches that were kept because `on_run_settled` has not confirmed
            a run's end.
    """

    deleted: int = 0
    left_for_review: int = 0
    left_untold: int = 0


@attrs.frozen(kw_only=True)
class ItemAttempt(PlainModel):
    """
    How one run settled an item.

    Attributes:
        run: the number of the run, from 1.
        outcome: the item's outcome in that run; its `attempts` are the calls of that run.
        activity: the activity of the item in that run; its notes are personal data.
    """

    run: int
    outcome: MentorOutcome
    activity: ProxyActivity


@attrs.frozen(kw_only=True)
class BatchItem(PlainModel):
    """
    One item of a batch with its activity, its current outcome and its history.

    Attributes:
        place: the item's position in the request, from 1; pass it as `after` to continue after it.
        activity: the activity of the item, as submitted or as a retry edited it; its notes are
            personal data.
        outcome: the item's current outcome.
        history: how each run settled the item, the oldest run first.
    """

    place: int
    activity: ProxyActivity
    outcome: MentorOutcome
    history: tuple[ItemAttempt, ...] = ()


@attrs.frozen(kw_only=True)
class ItemPage(PlainModel):
    """
    Some items of a batch, in request order.

    Attributes:
        items: at most as many items as requested.
        next_after: pass it as `after` to get the items that follow; `None` on the last page.
    """

    items: tuple[BatchItem, ...]
    next_after: int | None
