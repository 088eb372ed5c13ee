"""
The review pages of a batch: each waiting mentor, the existing record and the decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
from starlette.requests import Request
from starlette.responses import Response

from proxy_orchestration.console.batch_actions import to_batch
from proxy_orchestration.console.batch_lists import BatchRow
from proxy_orchestration.console.conflict_cards import cards_for
from proxy_orchestration.console.decisions import after_decisions, by_item, decided
from proxy_orchestration.console.forms import Form
from proxy_orchestration.console.registration_pages import DECISION_OPEN
from proxy_orchestration.console.visits import Visit, visit_of
from proxy_orchestration.errors import StaleRunError
from proxy_orchestration.registration.batches import BatchItem, BulkSubmissionResult
from proxy_orchestration.registration.conflicts import ConflictDecision
from proxy_orchestration.registration.flow import (
    BulkReviewConfirmed,
    BulkReviewingBatch,
    BulkReviewOpened,
    BulkSettled,
    ResolveBulk,
    bulk_flow_after,
)
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.states import ItemState

_PER_PAGE: Final = 100


async def show_review(request: Request) -> Response:
    """
    Show who waits for a decision; nothing is decided beforehand.
    """
    visit = visit_of(request)
    batch_id = request.path_params["batch_id"]
    result = await visit.console.orchestrator.get_bulk_submission_status(batch_id, actor=visit.person)
    state = _opened(result)
    if state is None:
        return to_batch(visit, batch_id, "not_now")
    return await _review_page(visit, result, state, {})


async def decide(visit: Visit, batch_id: str, form: Form) -> Response:
    """
    Carry out the decisions about those who were shown, each by itself.
    """
    orchestrator, run = visit.console.orchestrator, form.number("run")
    result = await orchestrator.get_bulk_submission_status(batch_id, actor=visit.person)
    if result.run != run:
        raise StaleRunError(batch_id, expected_run=run, current_run=result.run)
    opened = _opened(result)
    if opened is None:
        return to_batch(visit, batch_id, "not_now")
    state = after_decisions(opened, form)
    effects = bulk_flow_after(state, BulkReviewConfirmed()).effects
    effect = next((each for each in effects if isinstance(each, ResolveBulk)), None)
    if effect is None:
        return await _review_page(visit, result, opened, decided(form), is_open=True)
    await orchestrator.resolve_conflicts(
        batch_id, effect.decisions, actor=visit.person, expected_run=effect.expected_run, drive=False
    )
    return to_batch(visit, batch_id, "decided")


def _opened(result: BulkSubmissionResult) -> BulkReviewingBatch | None:
    """
    Return the flow's review of those who wait, `None` where nobody can be decided about now.

    A page's worth at most, save where all have to be decided at once.
    """
    if result.settled_at is None or not result.needs_review:
        return None
    state = bulk_flow_after(BulkSettled(result=by_item(result), selected=()), BulkReviewOpened()).state
    assert isinstance(state, BulkReviewingBatch)  # noqa: S101 - somebody waits
    if result.mode is SubmissionMode.ATOMIC:
        return state
    return attrs.evolve(state, cases=state.cases[:_PER_PAGE])


async def _review_page(
    visit: Visit,
    result: BulkSubmissionResult,
    state: BulkReviewingBatch,
    decisions: Mapping[str, ConflictDecision],
    *,
    is_open: bool = False,
) -> Response:
    items = await _waiting_items(visit, result.batch_id, len(state.cases))
    cases = [
        (case, items[key].outcome.mentor_id, items[key].activity)
        for case in state.cases
        if (key := case.conflict.mentor_id) in items
    ]
    return visit.page(
        "review.html",
        status=DECISION_OPEN.status if is_open else 200,
        row=BatchRow(result),
        cards=await cards_for(visit, cases, decisions=decisions),
        waiting=len(result.needs_review),
        problem=DECISION_OPEN if is_open else None,
    )


async def _waiting_items(visit: Visit, batch_id: str, count: int) -> Mapping[str, BatchItem]:
    """
    Return the first of those who wait, by item key.
    """
    found: dict[str, BatchItem] = {}
    after: int | None = 0
    while after is not None and len(found) < count:
        page = await visit.console.orchestrator.read_items(
            batch_id, actor=visit.person, states={ItemState.NEEDS_REVIEW}, after=after
        )
        found |= {item.outcome.item_key: item for item in page.items}
        after = page.next_after
    return found
