"""
What a cancel did, told from the log.
"""

from __future__ import annotations

from collections import Counter

from proxy_orchestration.registration.batches import CancelReport
from proxy_orchestration.registration.openings import BatchRecord
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.runs import CancelMark
from proxy_orchestration.registration.states import ItemState

_PAGE = 500


async def report_on(mark: CancelMark, record: BatchRecord, ledger: BatchLedger) -> CancelReport:
    """
    Return how every item of the batch stands towards the cancel, as of now.

    An item without an outcome was claimed, and its call may have begun: it is
    in doubt, as far as anybody can tell at this moment.
    """
    counts: Counter[ItemState] = Counter()
    after = mark.tail_before
    while updates := await ledger.read_updates(record.batch_id, after=after, limit=_PAGE):
        counts.update(update.outcome.state for update in updates if update.run == mark.run)
        after = updates[-1].sequence
    never_started = counts.pop(ItemState.CANCELLED, 0)
    unknown = counts.pop(ItemState.UNKNOWN, 0)
    finished = counts.total()
    open_items = record.total - mark.settled_before - never_started - unknown - finished
    return CancelReport(
        never_started=never_started,
        finished=finished,
        in_doubt=unknown + open_items,
        already_settled=mark.settled_before,
    )
