"""
Lets all watchers of one batch share a single read of the store.

Who looks is one of the watchers; should that one fail or leave, the next who
waits looks. No task of its own has to be started, watched and ended; decision 293.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import anyio
import attrs

from proxy_orchestration.clock import Clock
from proxy_orchestration.registration.batches import BulkProgressUpdate
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.ports import BatchLedger

_PAGE: Final = 500
_MOST_TOLD: Final = 1000  # two of the largest commits: whoever is a whole one behind still finds its own


@attrs.frozen(kw_only=True)
class Look:
    """
    What was found in the store.

    Attributes:
        number: from 1, over all looks at the batch.
        began_at: when, by the monotonic clock; all that was durable then is in it.
        after: the update behind which the log was read.
        record: the batch and its current run; `None` if it is gone.
        page: updates that follow `after`, as far as they go into one page; read after the record.
    """

    number: int
    began_at: float
    after: int
    record: BatchRecord | None
    page: Sequence[BulkProgressUpdate]

    @property
    def is_whole(self) -> bool:
        """
        Return whether the page goes as far as the log did.
        """
        return self.record is None or not self.page or self.page[-1].sequence >= self.record.tail

    def tells(self, after: int) -> bool:
        """
        Return whether it tells what follows this update, or that nothing does.
        """
        if self.record is None or self.record.tail <= after:
            return True
        return bool(self.page) and self.after <= after < self.page[-1].sequence

    def is_over(self, run: int) -> bool:
        """
        Return whether nothing more is to come of that run: it is settled, or its batch gone.
        """
        record = self.record
        return record is None or record.run > run or record.settled_at is not None


@attrs.define(eq=False, kw_only=True)
class BatchLooks:
    """
    The looks at one batch. For one event loop.

    Attributes:
        begun: how many there were, the one under way included.
        watchers: who shares them.
    """

    batch_id: str
    ledger: BatchLedger
    clock: Clock
    begun: int = attrs.field(default=0, init=False)
    watchers: int = attrs.field(default=0, init=False)
    _newest: Look | None = attrs.field(default=None, init=False)
    _is_over: anyio.Event | None = attrs.field(default=None, init=False)
    _told: dict[tuple[int, int], BulkProgressUpdate] = attrs.field(factory=dict, init=False)

    def told(self, run: int, sequence: int, make: Callable[[], BulkProgressUpdate]) -> BulkProgressUpdate:
        """
        Return the update at that place: one object for all who are told it at about the same time.
        """
        place = run, sequence
        update = self._told.get(place)
        if update is None:
            update = self._told[place] = make()
            if len(self._told) > _MOST_TOLD:
                del self._told[next(iter(self._told))]
        return update

    @property
    def newest(self) -> Look | None:
        """
        Return the newest look that brought an answer; `None` before the first.
        """
        return self._newest

    async def look(self, after: int, *, newer_than: int) -> Look:
        """
        Return a look of a higher number that tells what follows this update: somebody's, or one's own.

        An error of the store is that of the one who looks; who waited looks then.
        """
        while True:
            newest = self._newest
            if newest is not None and newest.number > newer_than and newest.tells(after):
                return newest
            if self._is_over is None:
                return await self._look(after)
            await self._is_over.wait()

    async def _look(self, after: int) -> Look:
        self._is_over = is_over = anyio.Event()
        self.begun += 1
        try:
            number, began_at = self.begun, self.clock.monotonic()
            # The record first: what settled by then is in the log that is read after it.
            record = await self.ledger.get(self.batch_id)
            page: Sequence[BulkProgressUpdate] = ()
            if record is not None and record.tail > after:
                page = await self.ledger.read_updates(self.batch_id, after=after, limit=_PAGE)
            look = Look(number=number, began_at=began_at, after=after, record=record, page=page)
            self._newest = look
            return look
        finally:
            self._is_over = None
            is_over.set()


@attrs.define(eq=False)
class SharedLooks:
    """
    The looks at each batch that is watched in this process.
    """

    ledger: BatchLedger
    clock: Clock
    _watched: dict[str, BatchLooks] = attrs.field(factory=dict, init=False)

    @contextmanager
    def at(self, batch_id: str) -> Iterator[BatchLooks]:
        """
        Share the looks at a batch while the block runs.
        """
        looks = self._watched.get(batch_id)
        if looks is None:
            looks = BatchLooks(batch_id=batch_id, ledger=self.ledger, clock=self.clock)
            self._watched[batch_id] = looks
        looks.watchers += 1
        try:
            yield looks
        finally:
            looks.watchers -= 1
            if not looks.watchers:
                del self._watched[batch_id]
