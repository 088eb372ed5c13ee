"""
Reads batches for the verbs: header, result, and progress as it comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import attrs

from proxy_orchestration._concurrency import Notifier
from proxy_orchestration.access import Action, Actor
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import BatchNotFoundError
from proxy_orchestration.registration.batches import BatchPage, BulkSubmissionResult, CancelReport
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.progress import BatchRun
from proxy_orchestration.registration.runs import CancelMark, LogPage
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.registration.submission.authorization import Gate

_MOST_PER_PAGE = 100


@attrs.define(eq=False, kw_only=True)
class Reader:
    """
    Everything the verbs read, after they asked the gate.
    """

    ledger: BatchLedger
    gate: Gate
    clock: Clock
    progress: Notifier[LogPage]
    poll_interval: float

    async def record(self, batch_id: str) -> BatchRecord:
        """
        Return the batch's header and current run.

        Raises:
            BatchNotFoundError: there is no such batch.
        """
        record = await self.ledger.get(batch_id)
        if record is None:
            raise BatchNotFoundError(batch_id)
        return record

    async def result(self, batch_id: str) -> BulkSubmissionResult:
        """
        Return the batch with every mentor's state.

        Raises:
            BatchNotFoundError: there is no such batch.
        """
        result = await self.ledger.read_result(batch_id)
        if result is None:
            raise BatchNotFoundError(batch_id)
        return result

    async def list_batches(
        self, actor: Actor, *, page: int, limit: int, statuses: Collection[BulkStatus] | None
    ) -> BatchPage:
        """
        Return one page of what the actor may know of.
        """
        self.gate.authorize(actor, Action.READ)
        if page < 1 or not 1 <= limit <= _MOST_PER_PAGE:
            msg = f"page counts from 1 and limit is 1 to {_MOST_PER_PAGE}, not page {page} and limit {limit}"
            raise ValueError(msg)
        return await self.ledger.list_batches(
            self.gate.visibility(actor), page=page, limit=limit, statuses=statuses
        )

    @asynccontextmanager
    async def watching(
        self, record: BatchRecord, *, after: int, must_look: bool = True
    ) -> AsyncIterator[BatchRun]:
        """
        Open the stream of the current run's progress, from the update that follows `after`.
        """
        with self.progress.subscribe(record.batch_id) as subscription:
            batch_run = BatchRun(
                record=record,
                after=after,
                ledger=self.ledger,
                subscription=subscription,
                clock=self.clock,
                poll_interval=self.poll_interval,
                must_look=must_look,
            )
            yield batch_run
        await batch_run.close()


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
