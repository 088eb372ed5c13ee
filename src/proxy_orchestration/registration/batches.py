"""
What a batch reports: outcomes, progress, results, pages.
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
        code: stable and machine-readable, `snake_case`.
        message: one sentence for the coordinator; no personal data, table names or stack
            traces. It may be a service's own, so never in a repr or a log.
        retryable: whether another attempt may end differently.
    """

    code: str
    message: str = attrs.field(repr=False)
    retryable: bool


CANCELLED: Final = Failure(
    code="cancelled", message="The batch was cancelled before this one began.", retryable=True
)
"""The reason of every item that a cancel reached before its call."""


@attrs.frozen(kw_only=True)
class MentorOutcome(PlainModel):
    """
    Where one mentor's registration stands; a mentor with several activities has one for each.

    Attributes:
        mentor_id: the mentor.
        state: PENDING and RUNNING are not settled; every other state is.
        activity_id: the record, for SUCCEEDED.
        failure: the reason, for every settled state but SUCCEEDED.
        conflicting_activity_id: the existing record, where that is the reason.
        attempts: calls made in the run that settled the item.
        sequence: the outcome's place in the batch's log, from 1; `None` until settled.
        settled_at: when, aware and in UTC; `None` until settled.
        item_key: the entry's name in its batch; the mentor's id unless it has its own.
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
    One item settled in one run.

    Attributes:
        batch_id: the batch.
        run: the run that settled the item, from 1.
        sequence: gapless within the batch, from 1; pass it as `after` to continue there.
        outcome: the item's outcome.
        settled: how many items of the whole batch are settled with this one.
        total: items of the whole batch.
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
    A batch without its outcomes, for lists and for those who poll.

    Attributes:
        batch_id: the batch.
        coordinator_id: who submitted it.
        organization_id: the organization it was submitted in.
        mode, on_conflict: as it was submitted.
        status: derived from the items and the current run.
        run: the current run, from 1.
        total: items of the batch.
        counts: items by state; states without items are absent; the sum is `total`.
        label: what people call it; free text, so never in a repr or a log.
        submitted_at: when it was accepted; aware, UTC.
        settled_at: when its current run settled; `None` before.
        opened_by: who opened the current run: who submitted, retried or decided last.
        retried_by: who opened the newest run that is a retry; `None` without one.
        decided_by: who opened the newest run that carries out decisions; `None` without one.
        cancelled_by: who requested the newest cancel; `None` without one.
        cancel_reason: the reason that was given for it; free text, so never in a repr or a log.
        paused_at: since when the current run is paused; `None` if it is not.
        paused_by: who paused it; `None` where it paused itself.
        pause_code: where it paused itself, the code that its last calls failed with.
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
        outcomes: one per entry, in the order of the request.
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
        Return the FAILED and UNKNOWN outcomes, those that a retry takes up.
        """
        return self._in_states(RETRYABLE_STATES)

    @property
    def needs_review(self) -> tuple[MentorOutcome, ...]:
        """
        Return the outcomes that wait for a decision.
        """
        return self._in_states({ItemState.NEEDS_REVIEW})

    def _in_states(self, states: frozenset[ItemState] | set[ItemState]) -> tuple[MentorOutcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.state in states)


@attrs.frozen(kw_only=True)
class CancelReport(PlainModel):
    """
    What a cancel did; the four numbers sum to the batch's total.

    Attributes:
        never_started: items that are CANCELLED: provably never begun.
        finished: items whose call ended with an outcome after the cancel was requested.
        in_doubt: items whose call began and whose answer is not known at the report.
        already_settled: items that had an outcome before the cancel was requested.
    """

    never_started: int
    finished: int
    in_doubt: int
    already_settled: int


@attrs.frozen(kw_only=True)
class BatchFilter:
    """
    Which batches of a list are asked for; `None` leaves a field out.

    Attributes:
        label: those with exactly this label; never in a repr.
        coordinator_id: those of this coordinator.
        submitted_from, submitted_before: those accepted from the one moment on, and before the other; aware.
        needs_review: whether the current run is settled and mentors wait for a decision.
        cursor: those that follow the page that had it as `next_cursor`.
    """

    label: str | None = attrs.field(default=None, repr=False)
    coordinator_id: str | None = None
    submitted_from: datetime | None = None
    submitted_before: datetime | None = None
    needs_review: bool | None = None
    cursor: str | None = None

    def position(self) -> tuple[datetime, int] | None:
        """
        Return the moment and the number of the last batch before the cursor, `None` without one.

        Raises:
            InvalidValueError: it is no cursor.
        """
        if self.cursor is None:
            return None
        written, _, number = self.cursor.partition("~")
        with suppress(ValueError):
            moment = datetime.fromisoformat(written)
            if moment.tzinfo is not None and 0 <= int(number) <= LARGEST:
                return moment, int(number)
        raise InvalidValueError("cursor", _NO_CURSOR)  # noqa: EM101 - a field's name


_NO_CURSOR: Final = "is none: give the next_cursor of a page, as it is"


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
        page: from 1.
        limit: batches on a full page.
        total: batches on all pages; with a cursor, those that follow it.
        next_cursor: pass it as `cursor` for the batches that follow, however many are accepted
            meanwhile; `None` when there are none.
    """

    batches: tuple[BatchSummary, ...]
    page: int
    limit: int
    total: int
    next_cursor: str | None = None


@attrs.frozen(kw_only=True)
class PurgedBatches(PlainModel):
    """
    What a purge did with the batches that are old enough; each stands in one of the numbers.

    Attributes:
        deleted: batches that are gone.
        left_for_review: batches that stay since mentors wait for a decision in them.
        left_untold: batches that stay since the host is not known to have been told of a run's end.
    """

    deleted: int = 0
    left_for_review: int = 0
    left_untold: int = 0


@attrs.frozen(kw_only=True)
class ItemAttempt(PlainModel):
    """
    How one run settled an item.

    Attributes:
        run: the run, from 1.
        outcome: what it ended with; `attempts` are the calls of that run.
        activity: what it was to register; its notes are personal data.
    """

    run: int
    outcome: MentorOutcome
    activity: ProxyActivity


@attrs.frozen(kw_only=True)
class BatchItem(PlainModel):
    """
    One item of a batch with its activity and all that became of it.

    Attributes:
        place: its place in the request, from 1; pass it as `after` to continue behind it.
        activity: what is registered for the mentor, as submitted or as a retry edited it
            since; its notes are personal data.
        outcome: where it stands now.
        history: how every run that took it up settled it, the oldest first.
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
        items: at most as many as were asked for.
        next_after: pass it as `after` for the items that follow; `None` when there are none.
    """

    items: tuple[BatchItem, ...]
    next_after: int | None
