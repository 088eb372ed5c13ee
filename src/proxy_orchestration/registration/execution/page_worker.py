"""
A worker that calls a service for many items at once, chunk by chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._concurrency import WorkQueue
from proxy_orchestration.registration.activities import RegistrationFailure
from proxy_orchestration.registration.execution.attempts import (
    Attempt,
    RetryAfter,
    again,
    given_up,
    is_reasoned,
    refused,
    succeeded,
    unexpected,
)
from proxy_orchestration.registration.execution.run_context import RunContext
from proxy_orchestration.registration.execution.service_calls import (
    Answered,
    Chunk,
    Doubtful,
    Refused,
    RowAnswer,
    ServiceCalls,
    Unavailable,
)
from proxy_orchestration.registration.ports import SupportsBulk
from proxy_orchestration.registration.runs import ItemOutcome


@attrs.define(eq=False, kw_only=True)
class PageWorker:
    """
    Works on one claimed chunk at a time.

    A chunk that is refused as a whole is halved until the bad row stands
    alone; what is refused for no stated reason is asked again after a pause,
    and given up once the first rows fail alike. Whatever stands alone, is
    stopped, or is in doubt and can be looked up, goes to the workers that ask
    item by item.
    """

    context: RunContext
    calls: ServiceCalls
    bulk: SupportsBulk
    singles: WorkQueue[Attempt, ItemOutcome]
    _chunks: list[Chunk] = attrs.field(factory=list, init=False)
    _asking: Chunk = attrs.field(default=(), init=False)

    async def run(self, chunks: WorkQueue[Chunk, None]) -> None:
        """
        Work on chunks until cancelled.
        """
        while True:
            await self._work(await chunks.take())

    async def _work(self, claimed: Chunk) -> None:
        self._chunks.append(claimed)
        while self._chunks:
            chunk = self._chunks.pop()
            if self._goes_alone(chunk):
                self._leave_to_singles(chunk)
                # The largest piece next: rows that are far from each other show sooner what they share.
                self._chunks.sort(key=len)
            elif self.context.waiting.everyone_waits():
                self.context.waiting.put_until_all_may(chunk)
            else:
                self._asking = chunk
                pieces = await self._ask(chunk)
                self._asking = ()
                self._chunks += reversed(pieces)
                await checkpoint()  # lets the writer in, should the service never yield

    def _goes_alone(self, chunk: Chunk) -> bool:
        state = self.context.state
        return len(chunk) == 1 or state.stop is not None or state.refusals.is_halving_in_vain

    def interrupted(self) -> list[Attempt]:
        """
        Return how far the items have come that were under way when this worker was cancelled.
        """
        asked = self._asking
        if self.calls.is_calling:
            asked = [attempt.doubted() for attempt in _asked(asked)]
        return [*asked, *chain.from_iterable(self._chunks)]

    async def _ask(self, chunk: Chunk) -> list[Chunk]:
        """
        Ask once, and return what has to be asked again, in pieces.
        """
        match await self.calls.register_many(self.bulk, chunk, atomic=False):
            case Answered(answers):
                self.context.state.refusals.answered()
                self._hand_over(chunk, answers)
                return []
            case Refused(error):
                # Called by now, should the pause be interrupted.
                self._asking = rows = [attempt.refused_among_many(error) for attempt in chunk]
                return await self._halved(rows, error)
            case Unavailable(retry_after, everyone):
                return self._again(_asked(chunk), retry_after, everyone=everyone)
            case Doubtful(reason=reason):
                return self._doubt([attempt.doubted(reason) for attempt in _asked(chunk)])
            case _:  # not asked
                return [chunk]

    async def _halved(self, rows: Chunk, error: BaseException) -> list[Chunk]:
        """
        Return both halves, after a pause if the error says nothing; none if all pieces are given up.
        """
        refusals = self.context.state.refusals
        if not is_reasoned(error):
            refusals.refused()
            with self.calls.cuttable():
                await self.calls.back_off(refusals.pause(self.context.settings.retry, key=rows[0].key))
            if refusals.condemns(error):
                self._give_up(rows)
                return []
        middle = len(rows) // 2
        return [rows[:middle], rows[middle:]]

    def _give_up(self, rows: Chunk) -> None:
        now = self.context.clock.now()
        pieces, self._chunks = [rows, *self._chunks], []
        for attempt in chain.from_iterable(pieces):
            self.singles.put_result(unexpected(attempt, now=now))

    def _hand_over(self, chunk: Chunk, rows: Sequence[RowAnswer]) -> None:
        now = self.context.clock.now()
        on_conflict = self.context.lease.on_conflict
        for attempt, row in zip(chunk, rows, strict=True):
            if isinstance(row, RegistrationFailure):
                outcome = refused(attempt.asked(), row, on_conflict=on_conflict, now=now)
            else:
                outcome = succeeded(attempt, row, calls=attempt.calls + 1, now=now)
            self.singles.put_result(outcome)

    def _doubt(self, chunk: Chunk) -> list[Chunk]:
        # Without a look-up the whole chunk is repeated under its keys; decision 26.
        if self.context.lookup is None:
            return self._again(chunk, None)
        self._leave_to_singles(chunk)
        return []

    def _leave_to_singles(self, chunk: Chunk) -> None:
        self.singles.put(chunk)
        self.singles.wake_collector()  # who adds workers where there are too few

    def _again(self, chunk: Chunk, retry_after: float | None, *, everyone: bool = False) -> list[Chunk]:
        """
        Let the rows wait for their next attempt, and settle those that get none.
        """
        now = self.context.clock.now()
        left: list[Attempt] = []
        delay = 0.0
        for attempt in chunk:
            step = again(attempt, policy=self.context.settings.retry, retry_after=retry_after)
            if isinstance(step, RetryAfter):
                left.append(step.attempt)
                delay = max(delay, step.seconds)
            else:
                self.singles.put_result(given_up(step.attempt, now=now))
        if left and self.context.state.stop is None and (delay > 0 or everyone):
            self.context.waiting.put(left, delay, everyone=everyone)
            return []
        return [left] if left else []


def _asked(chunk: Chunk) -> list[Attempt]:
    return [attempt.asked() for attempt in chunk]
