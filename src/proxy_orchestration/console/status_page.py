"""
The status page: batches without a driver, calls in doubt, crashed items, undelivered audit events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from starlette.requests import Request
from starlette.responses import Response

from proxy_orchestration.console.batch_lists import BatchRow, stuck_batches
from proxy_orchestration.console.visits import Names, Visit, visit_of
from proxy_orchestration.registration.reasons import DRIVER_LOST
from proxy_orchestration.registration.states import ItemState

_LOOKED_AT: Final = 100
_MOST_CRASHED: Final = 20


@attrs.frozen(kw_only=True)
class CrashedItem:
    """
    A registration whose calls ended the process each time.
    """

    batch_id: str
    label: str | None = attrs.field(repr=False)
    mentor_id: str


async def show_status(request: Request) -> Response:
    """
    Show what needs somebody's attention, and that nothing does where that is so.
    """
    visit = visit_of(request)
    orchestrator = visit.console.orchestrator
    health = await orchestrator.check_health()
    newest = await orchestrator.list_batches(actor=visit.person, limit=_LOOKED_AT)
    review = await orchestrator.list_batches(actor=visit.person, limit=1, needs_review=True)
    rows = [BatchRow(summary) for summary in newest.batches]
    doubtful = [row for row in rows if not row.is_open and row.count(ItemState.UNKNOWN)]
    crashed = await _crashed(visit, doubtful)
    return visit.page(
        "status.html",
        health=health,
        stuck=[BatchRow(summary) for summary in await stuck_batches(visit)],
        paused=[row for row in rows if row.is_paused],
        doubtful=doubtful,
        crashed=crashed,
        names=await _names(visit, crashed),
        waiting=review.total,
        audit_waits=await orchestrator.repository.audit_wait() is not None,
        looked_at=_LOOKED_AT if newest.total > _LOOKED_AT else None,
    )


async def _crashed(visit: Visit, doubtful: Sequence[BatchRow]) -> Sequence[CrashedItem]:
    found: list[CrashedItem] = []
    for row in doubtful[:_MOST_CRASHED]:
        page = await visit.console.orchestrator.read_items(
            row.batch_id, actor=visit.person, states={ItemState.UNKNOWN}
        )
        for item in page.items:
            failure = item.outcome.failure
            if failure is not None and failure.code == DRIVER_LOST.code:
                mentor_id = item.outcome.mentor_id
                found.append(CrashedItem(batch_id=row.batch_id, label=row.summary.label, mentor_id=mentor_id))
    return found[:_MOST_CRASHED]


async def _names(visit: Visit, crashed: Sequence[CrashedItem]) -> Names:
    return await visit.names(item.mentor_id for item in crashed)
