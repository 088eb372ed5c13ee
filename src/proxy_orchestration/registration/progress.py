"""
Follows the progress of a run that is driven here or elsewhere, by reading the log.

What a driver of this process has just made durable is handed over without
reading it again; whoever is too slow for that reads the log. Whoever waits for
another process shares the looks into the store with all who wait here.
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
from proxy_orchestration.registration.shared_looks import BatchLooks

_UNDONE = (
    "its block was left before the run was settled, so there is no result. Drive the batch again "
    "(drive_batch, resume_interrupted or serve), or read its status."
)

_log = logging.getLogger(_loggers.DRIVES)


@attrs.define(eq=False, kw_only=True)
class BatchRun:
    """
    One run of a batch, as a stream of progress updates.

    Iterate only once, from one task. The stream ends when the run is settled. A stream that drives
    the run also ends when the run is paused; one from `watch_batch` then continues to wait. Reading
    slowly, or not to the end, delays nothing.

    Attributes:
        batch_id: the batch.
        run: the run that was current when this was opened.
        total: the number of items of the whole batch.
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
    _looks: BatchLooks = attrs.field(alias="looks")
    _clock: Clock = attrs.field(alias="clock")
    _poll_interval: float = attrs.field(alias="poll_interval")
    _must_look: bool = attrs.field(alias="must_look")
    _drives: bool = attrs.field(alias="drives")
    _buffer: deque[BulkProgressUpdate] = attrs.field(factory=deque, init=False)
    _seen: int = attrs.field(init=False)
    _heard_at: float = attrs.field(init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _broken_off: bool = attrs.field(default=False, init=False)
    _result: BulkSubmissionResult | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.batch_id = self._record.batch_id
        self.run = self._record.run
        self.total = self._record.total
        self._seen = self._looks.begun
        self._heard_at = self._clock.monotonic()

    @property
    def ended(self) -> bool:
        """
        Return whether the stream has ended: the run is settled, or it was driven here and is paused.
        """
        return self._ended and not self._buffer

    @property
    def result(self) -> BulkSubmissionResult:
        """
        Return the batch as it stood when the `async with` block was left.

        Raises:
            BatchStateError: the block was not left yet, or was left before the run was settled.
                After `watch_batch`, read the batch's status instead.
            BatchNotFoundError: the batch was deleted in the meantime.
        """
        if self._broken_off:
            raise BatchStateError(self.batch_id, _UNDONE)
        if self._closed and self._result is None:
            raise BatchNotFoundError(self.batch_id)
        if self._result is None:
            raise BatchStateError(
                self.batch_id, "its result is available only after the `async with` block has ended."
            )
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
        Wake the iteration, so that it looks for new updates.
        """
        self._subscription.notify()

    async def _fill(self) -> None:
        while not self._take_news():
            if self.raise_before_waiting is not None:
                self.raise_before_waiting()
            newest = self._looks.newest
            if newest is not None and newest.number > self._seen:
                self._must_look = True  # another one's, which costs nothing
            if self._must_look and await self._look():
                return
            seconds = self._next_look_in()
            if seconds <= 0 or not await self._subscription.wait(self._clock, seconds):
                self._must_look = True
                continue
            self._heard_at = self._clock.monotonic()
            if self._subscription.take_wake_up():
                self._look_anew()

    def _next_look_in(self) -> float:
        # Counted from the newest look of anybody: so all come to wait for the same next one.
        newest = self._looks.newest
        last = self._heard_at if newest is None else max(self._heard_at, newest.began_at)
        return last + self._poll_interval - self._clock.monotonic()

    def _look_anew(self) -> None:
        """
        Have the next look be one that begins after this.
        """
        self._must_look, self._seen = True, self._looks.begun

    async def _look(self) -> bool:
        """
        Look into the store, or see what another one found; return whether there is something to tell.
        """
        is_left = self.is_left()
        if is_left:  # the last outcomes may have come since the newest look
            self._look_anew()
        look = await self._looks.look(self._after, newer_than=self._seen)
        self._seen = look.number
        self._buffer.extend(
            update for update in look.page if update.run <= self.run and update.sequence > self._after
        )
        self._must_look = not look.is_whole
        self._ended = (look.is_whole or not self._buffer) and (is_left or look.is_over(self.run))
        return self._ended or bool(self._buffer)

    def _take_news(self) -> bool:
        """
        Take over what a driver in this process has just published, as far as it follows on.
        """
        for page in self._subscription.take_news():
            # Handed over by the driver, so that nothing is read back that was just written; decision 15.
            start = self._after + len(self._buffer) + 1 - page.first
            if page.run != self.run or start < 0:
                self._look_anew()
                break
            self._buffer.extend(
                self._update(page.first + index, page.outcomes[index])
                for index in range(start, len(page.outcomes))
            )
        return bool(self._buffer)

    def _update(self, sequence: int, settled: ItemOutcome) -> BulkProgressUpdate:
        def make() -> BulkProgressUpdate:
            return BulkProgressUpdate(
                batch_id=self.batch_id,
                run=self.run,
                sequence=sequence,
                outcome=settled.told(sequence),
                settled=self.total - self._record.run_items + sequence - self._record.base,
                total=self.total,
            )

        # Whoever watches alone shares with nobody, and a driver's own stream keeps nothing.
        return make() if self._looks.watchers == 1 else self._looks.told(self.run, sequence, make)

    async def close(self) -> None:
        """
        Read the result. Called when the `async with` block is left.

        If a `watch_batch` block is left early, nothing is read.
        """
        if not self._drives and not self.ended:
            self._broken_off = True
            return
        self._result = await self._ledger.read_result(self.batch_id)
        self._closed = True
        result = self._result
        if result is not None and result.run == self.run and result.settled_at is None:
            self.break_off()

    def break_off(self) -> None:
        """
        Note and log that the block was left before the run was settled, if the run is driven here.
        """
        if self._drives and not self.ended:
            self._broken_off = True
            _log.warning(
                "run %d of batch %s was left before it was settled; drive it again",
                self.run,
                self.batch_id,
                extra={"batch_id": self.batch_id, "run": self.run},
            )
