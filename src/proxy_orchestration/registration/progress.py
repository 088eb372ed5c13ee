"""
Looking on while a run is driven, here or anywhere: the log, read by cursor.

What a driver of this process has just made durable is handed over without
reading it again; whoever is too slow for that reads the log.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import Subscription
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import BatchNotFoundError, BatchStateError
from proxy_orchestration.registration.batches import BulkProgressUpdate, BulkSubmissionResult
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.runs import ItemOutcome, LogPage

_PAGE = 500

_UNDONE = (
    "it was left before its run was settled, so it has no result. Drive it again "
    "(drive_batch, resume_interrupted or serve), or read its status."
)

_log = logging.getLogger(_loggers.DRIVES)


@attrs.define(eq=False, kw_only=True)
class BatchRun:
    """
    One run of a batch, as a stream of progress updates.

    Iterate once, from one task. The stream ends when the run is settled, and
    where it is driven, also when it is paused; who looks on goes on waiting then;
    reading slowly, or not to the end, holds nobody up.

    Attributes:
        batch_id: the batch.
        run: the run that was current when this was opened.
        total: items of the whole batch.
    """

    batch_id: str = attrs.field(init=False)
    run: int = attrs.field(init=False)
    total: int = attrs.field(init=False)
    raise_before_waiting: Callable[[], None] | None = attrs.field(default=None, init=False, repr=False)
    is_left: Callable[[], bool] = attrs.field(default=lambda: False, init=False, repr=False)
    _record: BatchRecord = attrs.field(alias="record")
    _after: int = attrs.field(alias="after")
    _ledger: BatchLedger = attrs.field(alias="ledger")
    _subscription: Subscription[LogPage] = attrs.field(alias="subscription")
    _clock: Clock = attrs.field(alias="clock")
    _poll_interval: float = attrs.field(alias="poll_interval")
    _must_look: bool = attrs.field(alias="must_look")
    _drives: bool = attrs.field(alias="drives")
    _buffer: deque[BulkProgressUpdate] = attrs.field(factory=deque, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _broken_off: bool = attrs.field(default=False, init=False)
    _result: BulkSubmissionResult | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.batch_id = self._record.batch_id
        self.run = self._record.run
        self.total = self._record.total

    @property
    def ended(self) -> bool:
        """
        Return whether the stream has come to its end: the run is settled, or was driven here and is paused.
        """
        return self._ended

    @property
    def result(self) -> BulkSubmissionResult:
        """
        Return the batch as it stood when the `async with` block was left.

        Raises:
            BatchStateError: the block was not left yet, or was left before the
                run was settled; who only looked on reads the batch's status.
            BatchNotFoundError: the batch was deleted meanwhile.
        """
        if self._broken_off:
            raise BatchStateError(self.batch_id, _UNDONE)
        if self._closed and self._result is None:
            raise BatchNotFoundError(self.batch_id)
        if self._result is None:
            raise BatchStateError(self.batch_id, "its result is there once the `async with` block is left.")
        return self._result

    def __aiter__(self) -> BatchRun:
        return self

    async def __anext__(self) -> BulkProgressUpdate:
        if not self._buffer and not self._ended:
            await self._fill()
        if not self._buffer:
            raise StopAsyncIteration
        update = self._buffer.popleft()
        self._after = update.sequence
        return update

    def wake(self) -> None:
        """
        Have whoever waits for an update look whether there is something to tell.
        """
        self._subscription.notify()

    async def _fill(self) -> None:
        while not self._take_news():
            if self.raise_before_waiting is not None:
                self.raise_before_waiting()
            if self._must_look and await self._look():
                return
            notified = await self._subscription.wait(self._clock, self._poll_interval)
            self._must_look = self._subscription.take_wake_up() or not notified

    async def _look(self) -> bool:
        """
        Look into the store; return whether there is something to tell, be it the end.
        """
        # Once more after the end: the last outcomes may have come between the two reads.
        if not await self._read() and await self.is_settled():
            self._ended = not await self._read()
        return self._ended or bool(self._buffer)

    def _take_news(self) -> bool:
        """
        Take over what a driver in this process has just published, as far as it follows on.
        """
        for page in self._subscription.take_news():
            # Handed over by the driver, so that nothing is read back that was just written; decision 15.
            start = self._after + len(self._buffer) + 1 - page.first
            if page.run != self.run or start < 0:
                self._must_look = True
                break
            self._buffer.extend(
                self._update(page.first + index, page.outcomes[index])
                for index in range(start, len(page.outcomes))
            )
        return bool(self._buffer)

    def _update(self, sequence: int, settled: ItemOutcome) -> BulkProgressUpdate:
        return BulkProgressUpdate(
            batch_id=self.batch_id,
            run=self.run,
            sequence=sequence,
            outcome=settled.told(sequence),
            settled=self.total - self._record.run_items + sequence - self._record.base,
            total=self.total,
        )

    async def _read(self) -> bool:
        page = await self._ledger.read_updates(self.batch_id, after=self._after, limit=_PAGE)
        self._buffer.extend(update for update in page if update.run <= self.run)
        self._must_look = bool(self._buffer)
        return self._must_look

    async def is_settled(self) -> bool:
        """
        Return whether nothing more is to come: the run is settled, its batch gone, or who drove it done.
        """
        if self.is_left():
            return True
        record = await self._ledger.get(self.batch_id)
        return record is None or record.run > self.run or record.settled_at is not None

    async def close(self) -> None:
        """
        Read the result; called when the `async with` block is left.

        Who looked on and leaves early wants no more of it: nothing is read.
        """
        if not self._drives and not self._ended:
            self._broken_off = True
            return
        self._result = await self._ledger.read_result(self.batch_id)
        self._closed = True
        result = self._result
        if result is not None and result.run == self.run and result.settled_at is None:
            self.break_off()

    def break_off(self) -> None:
        """
        Note, and say, that the block is left with work undone, if that is driven here.
        """
        if self._drives and not self._ended:
            self._broken_off = True
            _log.warning(
                "run %d of batch %s was left before it was settled; drive it again",
                self.run,
                self.batch_id,
                extra={"batch_id": self.batch_id, "run": self.run},
            )
