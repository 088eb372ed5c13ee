"""
One worker of a run whose service writes many at once: takes chunks, asks, hands over outcomes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._concurrency import WorkQueue
from proxy_orchestration.registration.activities import RegistrationFailure
from proxy_orchestration.registration.execution.attempts import (
    Attempt,
    Question,
    RetryAfter,
    again,
    given_up,
    refused,
    succeeded,
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
    alone. Whatever stands alone, is stopped, or is in doubt and can be looked
    up, goes to the workers that ask item by item.
    """

    context: RunContext
    calls: ServiceCalls
    bulk: SupportsBulk
    singles: WorkQueue[Attempt, ItemOutcome]

    async def run(self, chunks: WorkQueue[Chunk, None]) -> None:
        """
        Work on chunks until cancelled.
        """
        while True:
            await self._work(await chunks.take())

    async def _work(self, claimed: Chunk) -> None:
        chunks = deque([claimed])
        while chunks:
            chunk = chunks.popleft()
            if len(chunk) == 1 or self.context.state.stop is not None:
                self.singles.put(chunk)
            else:
                chunks.extendleft(reversed(await self._ask(chunk)))
                await checkpoint()  # lets the writer in, should the service never yield

    async def _ask(self, chunk: Chunk) -> list[Chunk]:
        """
        Ask once, and return what has to be asked again, in pieces.
        """
        match await self.calls.register_many(self.bulk, chunk, atomic=False):
            case Answered(rows):
                self._hand_over(chunk, rows)
                return []
            case Refused(error):
                rest = [attempt.refused_among_many(error) for attempt in chunk]
                middle = len(rest) // 2
                return [rest[:middle], rest[middle:]]
            case Unavailable(retry_after):
                return await self._again(_asked(chunk), retry_after)
            case Doubtful():
                return await self._doubt([attempt.doubted() for attempt in _asked(chunk)])
            case _:  # not asked
                return [chunk]

    def _hand_over(self, chunk: Chunk, rows: Sequence[RowAnswer]) -> None:
        now = self.context.clock.now()
        on_conflict = self.context.lease.on_conflict
        for attempt, row in zip(chunk, rows, strict=True):
            if isinstance(row, RegistrationFailure):
                outcome = refused(attempt.asked(Question.REGISTER), row, on_conflict=on_conflict, now=now)
            else:
                outcome = succeeded(attempt, row, calls=attempt.calls + 1, now=now)
            self.singles.put_result(outcome)

    async def _doubt(self, chunk: Chunk) -> list[Chunk]:
        # Without a look-up the whole chunk is repeated under its keys; decision 26.
        if self.context.lookup is None:
            return await self._again(chunk, None)
        self.singles.put(chunk)
        return []

    async def _again(self, chunk: Chunk, retry_after: float | None) -> list[Chunk]:
        """
        Wait before the rows' next attempt, and settle those that get none.
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
        if left and self.context.state.stop is None:
            with self.calls.cuttable():
                await self.calls.back_off(delay)
        return [left] if left else []


def _asked(chunk: Chunk) -> list[Attempt]:
    return [attempt.asked(Question.REGISTER) for attempt in chunk]
