"""
Reads batches for the public methods: header, result, lists, progress, and the effect of a cancel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final

import attrs

from proxy_orchestration._concurrency import Notifier
from proxy_orchestration.access import Action, Actor
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import BatchNotFoundError
from proxy_orchestration.registration.batches import (
    BatchFilter,
    BatchPage,
    BatchSummary,
    BulkSubmissionResult,
    CancelReport,
    ItemPage,
)
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.progress import BatchRun
from proxy_orchestration.registration.runs import CancelMark, LogPage
from proxy_orchestration.registration.shared_looks import SharedLooks
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.registration.submission.authorization import Authorization

_UPDATES_PER_READ: Final = 500


@attrs.define(eq=False, kw_only=True)
class BatchQueries:
    """
    Everything the verbs read once the actor is authorized.
    """

    ledger: BatchLedger
    authorization: Authorization
    clock: Clock
    progress: Notifier[LogPage]
    poll_interval: float
    _looks: SharedLooks = attrs.field(
        default=attrs.Factory(lambda queries: SharedLooks(queries.ledger, queries.clock), takes_self=True),
        init=False,
    )

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

    async def summary(self, batch_id: str) -> BatchSummary:
        """
        Return the batch without its outcomes.

        Raises:
            BatchNotFoundError: there is no such batch.
        """
        summary = await self.ledger.read_summary(batch_id)
        if summary is None:
            raise BatchNotFoundError(batch_id)
        return summary

    async def items(
        self, batch_id: str, *, states: Collection[ItemState] | None, after: int, limit: int
    ) -> ItemPage:
        """
        Return some of the batch's items.
        """
        return await self.ledger.read_item_page(batch_id, states=states, after=after, limit=limit)

    async def list_batches(
        self,
        actor: Actor,
        *,
        page: int,
        limit: int,
        statuses: Collection[BulkStatus] | None,
        found_by: BatchFilter,
    ) -> BatchPage:
        """
        Return one page of what the actor may know of.
        """
        self.authorization.authorize(actor, Action.READ)
        return await self.ledger.list_batches(
            self.authorization.visibility(actor), page=page, limit=limit, statuses=statuses, found_by=found_by
        )

    @asynccontextmanager
    async def watching(
        self, record: BatchRecord, *, after: int, must_look: bool = True, drives: bool = False
    ) -> AsyncIterator[BatchRun]:
        """
        Open the stream of the current run's progress, from the update that follows `after`.
        """
        with (
            self.progress.subscribe(record.batch_id) as subscription,
            self._looks.at(record.batch_id) as looks,
        ):
            batch_run = BatchRun(
                record=record,
                after=after,
                ledger=self.ledger,
                subscription=subscription,
                looks=looks,
                clock=self.clock,
                poll_interval=self.poll_interval,
                must_look=must_look,
                drives=drives,
            )
            try:
                yield batch_run
            except BaseException:
                batch_run.break_off()
                raise
        await batch_run.close()

    async def cancel_report(self, batch_id: str, mark: CancelMark) -> CancelReport:
        """
        Return what the cancel did to every item of the batch, as of now.

        Raises:
            BatchNotFoundError: there is no such batch.
        """
        record = await self.record(batch_id)
        counts: Counter[ItemState] = Counter()
        after = mark.tail_before
        while updates := await self.ledger.read_updates(batch_id, after=after, limit=_UPDATES_PER_READ):
            counts.update(update.outcome.state for update in updates if update.run == mark.run)
            after = updates[-1].sequence
        never_started = counts.pop(ItemState.CANCELLED, 0)
        unknown = counts.pop(ItemState.UNKNOWN, 0)
        finished = counts.total()
        # Claimed and without an outcome: its call may have begun, as far as anybody can tell now.
        open_items = record.total - mark.settled_before - never_started - unknown - finished
        return CancelReport(
            never_started=never_started,
            finished=finished,
            in_doubt=unknown + open_items,
            already_settled=mark.settled_before,
        )
