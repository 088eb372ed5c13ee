"""
The memory store's export and erasure of one mentor.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy_orchestration._pseudonyms import is_same_mentor
from proxy_orchestration.registration.erasure import (
    ExportedItem,
    erased_activity,
    erased_entry,
    erased_outcome,
)
from proxy_orchestration.storage.memory.registration.results import page_of_items
from proxy_orchestration.storage.memory.registration.stored_batch import StoredBatch


def exported_items(batch: StoredBatch, mentor_id: str) -> Iterator[ExportedItem]:
    """
    Yield the mentor's items in a batch, in request order.
    """
    for item in _positions(batch, mentor_id):
        (found,) = page_of_items(batch, states=None, after=item, limit=1).items
        yield ExportedItem(batch_id=batch.batch_id, item=found)


def erase_items(batch: StoredBatch, mentor_id: str) -> int:
    """
    Erase the mentor in a settled batch; return how many items they have in it.
    """
    positions = _positions(batch, mentor_id)
    batch.entries = tuple(
        erased_entry(entry) if is_same_mentor(entry.mentor_id, mentor_id) else entry
        for entry in batch.entries
    )
    batch.log = [
        erased_outcome(outcome) if is_same_mentor(outcome.mentor_id, mentor_id) else outcome
        for outcome in batch.log
    ]
    batch.newest = [
        erased_outcome(outcome) if outcome and is_same_mentor(outcome.mentor_id, mentor_id) else outcome
        for outcome in batch.newest
    ]
    for item in positions:
        edits = batch.edits.get(item, {})
        edits.update({run: erased_activity(activity) for run, activity in edits.items()})
    return len(positions)


def _positions(batch: StoredBatch, mentor_id: str) -> list[int]:
    return [item for item, entry in enumerate(batch.entries) if is_same_mentor(entry.mentor_id, mentor_id)]
