"""
The page of one batch: its counts, its items, and the actions that are possible now.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import attrs
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from proxy_orchestration._pseudonyms import is_pseudonym
from proxy_orchestration.access import Action
from proxy_orchestration.console.batch_lists import BatchRow
from proxy_orchestration.console.former_reasons import as_today
from proxy_orchestration.console.languages import Words, marked
from proxy_orchestration.console.visits import Names, Visit, visit_of
from proxy_orchestration.console.wordings import ITEMS, REASONS, Wording
from proxy_orchestration.registration.batches import BatchItem, BatchSummary, Failure, ItemPage
from proxy_orchestration.registration.reasons import DRIVER_LOST
from proxy_orchestration.registration.states import (
    DECIDABLE_STATES,
    FINAL_STATES,
    OPEN_STATES,
    RETRYABLE_BY_NAME,
    RETRYABLE_STATES,
    ItemState,
)

PER_PAGE: Final = 100
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@attrs.frozen
class ItemFilter:
    """
    A choice of items.

    Attributes:
        text: what it is called, in English.
        states: which states it shows; `None` for all.
    """

    text: str
    states: frozenset[ItemState] | None


_LEFT_OUT: Final = FINAL_STATES - {ItemState.SUCCEEDED}
_CANCELLED: Final = RETRYABLE_BY_NAME - RETRYABLE_STATES

ITEM_FILTERS: Final[Mapping[str, ItemFilter]] = MappingProxyType(
    {
        "": ItemFilter(marked("Everybody"), None),
        "failed": ItemFilter(marked("Failed"), RETRYABLE_STATES),
        "review": ItemFilter(marked("Needs review"), frozenset({ItemState.NEEDS_REVIEW})),
        "registered": ItemFilter(marked("Registered"), frozenset({ItemState.SUCCEEDED})),
        "left": ItemFilter(marked("Left out or cancelled"), _LEFT_OUT | _CANCELLED),
        "open": ItemFilter(marked("Not done yet"), OPEN_STATES),
    }
)


def reason_in(words: Words, failure: Failure | None) -> str:
    """
    Return why an item did not succeed; in the service's own words where the catalogue has no others.
    """
    if failure is None:
        return ""
    message = as_today(failure.message)
    told = words.text(message)
    is_translated = words.is_english or told != message
    return told if is_translated else words.text(REASONS.get(failure.code, message))


@attrs.frozen(kw_only=True)
class ItemRow:
    """
    An item as the page shows it.

    Attributes:
        item: the item.
        name: the mentor's name, or id.
        is_one_of_several: whether the mentor has other items in the batch, so that a name is not enough.
    """

    item: BatchItem
    name: str = attrs.field(repr=False)
    is_one_of_several: bool = False

    @property
    def item_key(self) -> str:
        """
        Return the key by which a retry names it.
        """
        return self.item.outcome.item_key

    @property
    def mentor_id(self) -> str:
        """
        Return the mentor's id.
        """
        return self.item.outcome.mentor_id

    @property
    def wording(self) -> Wording:
        """
        Return what the item's state is called.
        """
        return ITEMS[self.item.outcome.state]

    def reason(self, words: Words) -> str:
        """
        Return why it did not succeed, in the visitor's language or in a service's own words.
        """
        return reason_in(words, self.item.outcome.failure)

    @property
    def is_retryable(self) -> bool:
        """
        Tell whether a retry may name it; who was erased is registered no more.
        """
        return self.item.outcome.state in RETRYABLE_BY_NAME and not is_pseudonym(self.mentor_id)

    @property
    def is_preselected(self) -> bool:
        """
        Tell whether a retry takes it up unless somebody says otherwise.
        """
        failure = self.item.outcome.failure
        is_crashed = failure is not None and failure.code == DRIVER_LOST.code
        return self.item.outcome.state in RETRYABLE_STATES and not is_crashed

    @property
    def is_editable(self) -> bool:
        """
        Tell whether its activity may be changed: never while its key is in doubt.
        """
        return self.item.outcome.state is ItemState.FAILED and self.is_retryable

    @property
    def was_overridden(self) -> bool:
        """
        Tell whether somebody decided to register it over an existing record.
        """
        waited = any(each.outcome.state is ItemState.NEEDS_REVIEW for each in self.item.history)
        return waited and self.item.outcome.state not in DECIDABLE_STATES | _LEFT_OUT


@attrs.frozen(kw_only=True)
class BatchView:
    """
    One batch and some of its items, as of two moments close to each other.
    """

    visit: Visit
    summary: BatchSummary
    items: Sequence[ItemRow]
    names: Names
    next_after: int | None
    shown: str
    after: int

    @property
    def row(self) -> BatchRow:
        """
        Return the batch as lists show it.
        """
        return BatchRow(self.summary)

    @property
    def version(self) -> str:
        """
        Return what changes whenever the page would look otherwise.
        """
        summary = self.summary
        counts = sorted((state.value, count) for state, count in summary.counts.items())
        told = (summary.run, summary.status.value, counts, summary.paused_at, summary.label)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    @property
    def can_retry(self) -> bool:
        """
        Tell whether the person may retry something that is shown.
        """
        is_something = any(row.is_retryable for row in self.items)
        return not self.row.is_open and is_something and self.visit.may(Action.RETRY)

    def can(self, action: str) -> bool:
        """
        Tell whether a button is there: the roles allow it, and the batch is in a state for it.
        """
        row = self.row
        fits = {
            "CANCEL": row.is_open,
            "PAUSE": row.is_open and self.summary.cancelled_by is None,
            "REVIEW": not row.is_open and row.waiting > 0,
            "RETRY": not row.is_open and row.failed > 0,
            "DELETE": not row.is_open,
            "RELABEL": True,
        }
        return fits[action] and self.visit.may(Action[action])


async def read_batch(visit: Visit) -> BatchView:
    """
    Read what the request's batch page shows.
    """
    request = visit.request
    shown = request.query_params.get("show", "")
    shown = shown if shown in ITEM_FILTERS else ""
    after = request.query_params.get("after", "")
    after_place = int(after) if after.isascii() and after.isdigit() and len(after) < 10 else 0  # noqa: PLR2004 - a place
    batch_id = request.path_params["batch_id"]
    orchestrator = visit.console.orchestrator
    # The counts are read last: what a poll is told as new is never newer than the counts.
    page = await orchestrator.read_items(
        batch_id,
        actor=visit.person,
        states=ITEM_FILTERS[shown].states,
        after=after_place,
        limit=PER_PAGE,
    )
    summary = await orchestrator.get_batch_summary(batch_id, actor=visit.person)
    return await _viewed(visit, summary, page, shown=shown, after=after_place)


async def _viewed(
    visit: Visit, summary: BatchSummary, page: ItemPage, *, shown: str, after: int
) -> BatchView:
    names = await visit.names(item.outcome.mentor_id for item in page.items)
    times = Counter(item.outcome.mentor_id for item in page.items)
    return BatchView(
        visit=visit,
        summary=summary,
        items=[_row(item, names, times) for item in page.items],
        names=names,
        next_after=page.next_after,
        shown=shown,
        after=after,
    )


def _row(item: BatchItem, names: Names, times: Mapping[str, int]) -> ItemRow:
    mentor_id, item_key = item.outcome.mentor_id, item.outcome.item_key
    is_one_of_several = times[mentor_id] > 1 or item_key != mentor_id
    return ItemRow(item=item, name=names.of(mentor_id), is_one_of_several=is_one_of_several)


async def show_batch(request: Request) -> Response:
    """
    Show one batch.
    """
    visit = visit_of(request)
    return visit.page("batch.html", batch=await read_batch(visit), item_filters=ITEM_FILTERS)


async def show_progress(request: Request) -> Response:
    """
    Answer the page's script: nothing while nothing changed, else the parts that did.
    """
    visit = visit_of(request)
    batch = await read_batch(visit)
    if request.query_params.get("version") == batch.version:
        return Response(status_code=204)
    answer: HTMLResponse = visit.page("batch_live.html", batch=batch, item_filters=ITEM_FILTERS)
    answer.headers["x-settled"] = "no" if batch.row.is_open else "yes"
    return answer


async def download_failed(request: Request) -> Response:
    """
    Give the failed items as a file for a spreadsheet, with their activities and reasons.
    """
    visit = visit_of(request)
    batch_id = request.path_params["batch_id"]
    rows: list[Sequence[object]] = []
    after: int | None = 0
    while after is not None:
        page = await visit.console.orchestrator.read_items(
            batch_id, actor=visit.person, states=RETRYABLE_STATES, after=after, limit=PER_PAGE
        )
        names = await visit.names(item.outcome.mentor_id for item in page.items)
        rows += [_cells(visit, item, names) for item in page.items]
        after = page.next_after
    return Response(
        _written(rows),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="failed.csv"'},
    )


_COLUMNS: Final = (
    *("mentor_id", "name", "activity_type", "activity_date", "duration_minutes", "notes"),
    *("state", "code", "reason"),
)


def _cells(visit: Visit, item: BatchItem, names: Names) -> Sequence[object]:
    outcome, activity = item.outcome, item.activity
    failure = outcome.failure
    return (
        outcome.mentor_id,
        names.known.get(outcome.mentor_id, ""),
        activity.activity_type,
        activity.activity_date.isoformat(),
        activity.duration_minutes,
        activity.notes,
        outcome.state.value,
        "" if failure is None else failure.code,
        reason_in(visit.words, failure),
    )


def _written(rows: Collection[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")  # a spreadsheet takes it for Latin letters otherwise


def _safe(cell: object) -> object:
    """
    Return a cell that no spreadsheet takes for a formula.
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
