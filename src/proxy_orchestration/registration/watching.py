"""
Looking on while a run is driven, here or anywhere: the log, read by cursor.
"""

from __future__ import annotations

from collections import deque

import attrs

from proxy_orchestration._concurrency import Hints
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import BatchStateError
from proxy_orchestration.registration.batches import BulkProgressUpdate, BulkSubmissionResult
from proxy_orchestration.registration.ports import BatchLedger

_PAGE = 500


@attrs.define(eq=False, kw_only=True)
class BatchRun:
    """
    One run of a batch, as a stream of progress updates.

    Iterate once, from one task. The stream ends when the run is settled;
    reading slowly, or not to the end, holds nobody up.

    Attributes:
        batch_id: the batch.
        run: the run that was current when this was opened.
        total: items of the whole batch.
    """

    batch_id: str
    run: int
    total: int
    _after: int
    _ledger: BatchLedger
    _hints: Hints
    _clock: Clock
    _poll_interval: float
    _buffer: deque[BulkProgressUpdate] = attrs.field(factory=deque, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _result: BulkSubmissionResult | None = attrs.field(default=None, init=False)

    @property
    def ended(self) -> bool:
        """
        Return whether the stream has come to its end: the run is settled.
        """
        return self._ended

    @property
    def result(self) -> BulkSubmissionResult:
        """
        Return the batch as it stood when the `async with` block was left.

        Raises:
            BatchStateError: the block was not left yet.
        """
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

    async def _fill(self) -> None:
        with self._hints.listen(self.batch_id) as listener:
            while not await self._read():
                if await self.is_settled():
                    self._ended = not await self._read()
                    return
                await listener.wait(self._clock, self._poll_interval)

    async def _read(self) -> bool:
        page = await self._ledger.read_updates(self.batch_id, after=self._after, limit=_PAGE)
        self._buffer.extend(update for update in page if update.run <= self.run)
        return bool(self._buffer)

    async def is_settled(self) -> bool:
        """
        Return whether the store says that the run is settled, or its batch gone.
        """
        record = await self._ledger.get(self.batch_id)
        return record is None or record.run > self.run or record.settled_at is not None

    async def close(self) -> None:
        """
        Read the result; called when the `async with` block is left.
        """
        self._result = await self._ledger.read_result(self.batch_id)
