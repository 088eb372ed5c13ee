"""
The failed items of a batch as a CSV file, to be corrected and then given to `retry --with`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from proxy_orchestration._pseudonyms import is_pseudonym
from proxy_orchestration.access import Actor
from proxy_orchestration.cli.csv.corrections import Corrections, corrections_of, parse_corrections
from proxy_orchestration.cli.csv.layouts import Layout
from proxy_orchestration.cli.session import Session
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.registration.batches import BatchItem
from proxy_orchestration.registration.states import RETRYABLE_STATES, ItemState


async def failed_items(session: Session, batch_id: str, actor: Actor) -> Sequence[BatchItem]:
    """
    Return the items that can be retried, in the batch's order; who was erased never is.
    """
    items = await _items(session, batch_id, actor, RETRYABLE_STATES)
    return [item for item in items if not is_pseudonym(item.outcome.mentor_id)]


async def _items(
    session: Session, batch_id: str, actor: Actor, states: Collection[ItemState] | None
) -> Sequence[BatchItem]:
    items: list[BatchItem] = []
    after: int | None = 0
    while after is not None:
        page = await session.orchestrator.read_items(batch_id, actor=actor, states=states, after=after)
        items += page.items
        after = page.next_after
    return items


async def corrected(session: Session, batch_id: str, actor: Actor, file: Path, layout: Layout) -> Corrections:
    """
    Return what a file says about the batch's items that can be retried.

    Raises:
        CsvFileError: something in it is wrong, or a line is about no such item; all that was found is
            in it.
    """
    today = SystemClock().now().date()
    told = parse_corrections(file, name=str(file), today=today, layout=layout)
    return corrections_of(told, await _items(session, batch_id, actor, None), name=str(file))
