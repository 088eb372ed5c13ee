"""
The page with the list of batches, and its filters.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

import attrs
from starlette.requests import Request
from starlette.responses import Response

from proxy_orchestration.console.languages import marked
from proxy_orchestration.console.visits import Visit, visit_of
from proxy_orchestration.console.wordings import STATUSES, Wording
from proxy_orchestration.registration.batches import BatchSummary
from proxy_orchestration.registration.states import OPEN_STATES, RETRYABLE_STATES, BulkStatus, ItemState

_PER_PAGE: Final = 20
MOST_STUCK: Final = 100
OPEN: Final = frozenset({BulkStatus.PENDING, BulkStatus.RUNNING, BulkStatus.CANCELLING, BulkStatus.PAUSED})
_FAILED: Final = frozenset({BulkStatus.PARTIAL_SUCCESS, BulkStatus.TOTAL_FAILURE})

FILTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "": marked("All"),
        "review": marked("Needs review"),
        "failed": marked("With failures"),
        "running": marked("Not finished"),
        "stuck": marked("Stuck"),
    }
)


@attrs.frozen
class BatchRow:
    """
    A batch as a list shows it.
    """

    summary: BatchSummary

    @property
    def batch_id(self) -> str:
        """
        Return the batch's id.
        """
        return self.summary.batch_id

    @property
    def wording(self) -> Wording:
        """
        Return what the batch's status is called.
        """
        return STATUSES[BulkStatus.PAUSED if self.is_paused else self.summary.status]

    @property
    def is_paused(self) -> bool:
        """
        Tell whether it waits until somebody resumes it, also where nobody drove it before.
        """
        return self.is_open and self.summary.paused_at is not None

    @property
    def settled(self) -> int:
        """
        Return how many of its items are settled.
        """
        return self.summary.total - self.count(*OPEN_STATES)

    @property
    def is_open(self) -> bool:
        """
        Tell whether something of it is still to come.
        """
        return self.summary.settled_at is None

    @property
    def failed(self) -> int:
        """
        Return how many a retry would take up.
        """
        return self.count(*RETRYABLE_STATES)

    @property
    def waiting(self) -> int:
        """
        Return how many wait for a decision.
        """
        return self.count(ItemState.NEEDS_REVIEW)

    @property
    def registered(self) -> int:
        """
        Return how many have a record.
        """
        return self.count(ItemState.SUCCEEDED)

    @property
    def left_out(self) -> int:
        """
        Return how many were left out by decision.
        """
        return self.count(ItemState.SKIPPED)

    @property
    def cancelled(self) -> int:
        """
        Return how many a cancel reached before they began.
        """
        return self.count(ItemState.CANCELLED)

    def count(self, *states: ItemState) -> int:
        """
        Return how many items are in these states.
        """
        return sum(self.summary.counts.get(state, 0) for state in states)


@attrs.frozen(kw_only=True)
class _Listed:
    batches: Sequence[BatchSummary]
    next_cursor: str | None = None
    total: int = 0


async def show_batches(request: Request) -> Response:
    """
    Show the batches that the person may know of, newest first.
    """
    visit = visit_of(request)
    chosen = request.query_params.get("show", "")
    chosen = chosen if chosen in FILTERS else ""
    cursor = request.query_params.get("cursor")
    listed = await (_stuck(visit) if chosen == "stuck" else _listed(visit, chosen, cursor))
    return visit.page(
        "batches.html",
        rows=[BatchRow(summary) for summary in listed.batches],
        filters=FILTERS,
        chosen=chosen,
        next_cursor=listed.next_cursor,
        is_first=cursor is None,
        total=listed.total,
    )


async def _listed(visit: Visit, chosen: str, cursor: str | None) -> _Listed:
    statuses: Mapping[str, Collection[BulkStatus]] = {"failed": _FAILED, "running": OPEN}
    page = await visit.console.orchestrator.list_batches(
        actor=visit.person,
        limit=_PER_PAGE,
        statuses=statuses.get(chosen),
        needs_review=True if chosen == "review" else None,
        cursor=cursor,
    )
    return _Listed(batches=page.batches, next_cursor=page.next_cursor, total=page.total)


async def _stuck(visit: Visit) -> _Listed:
    batches = await stuck_batches(visit)
    return _Listed(batches=batches, total=len(batches))


async def stuck_batches(visit: Visit) -> Sequence[BatchSummary]:
    """
    Return the batches of the person that nobody drives although something of them is due.

    A batch that was accepted a moment ago counts only once a driver had the time of a lease to take it.
    """
    orchestrator = visit.console.orchestrator
    drivable = await orchestrator.repository.find_drivable(limit=MOST_STUCK, due_only=True)
    free = {run.batch_id for run in drivable if run.lease_remaining <= 0}
    if not free:
        return ()
    page = await orchestrator.list_batches(
        actor=visit.person, limit=MOST_STUCK, statuses=OPEN - {BulkStatus.PAUSED}
    )
    now, grace = visit.console.clock.now(), orchestrator.settings.lease_ttl
    return tuple(
        each for each in page.batches if each.batch_id in free and _age(now, each.submitted_at) >= grace
    )


def _age(now: datetime, moment: datetime) -> float:
    return (now - moment).total_seconds()
