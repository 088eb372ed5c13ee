"""
One worker of a run whose service writes many at once: takes pages, asks, hands over outcomes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import attrs

from proxy_orchestration._concurrency import WorkQueue
from proxy_orchestration.registration.activities import RegistrationFailure
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.execution.attempts import Attempt, again, refused
from proxy_orchestration.registration.execution.service_calls import (
    Answered,
    BulkAttendant,
    Doubtful,
    Refused,
    RowAnswer,
    Unavailable,
)
from proxy_orchestration.registration.ports import SupportsLookup
from proxy_orchestration.registration.runs import ItemOutcome

Page = Sequence[Attempt]
"""Items that go into one call."""


@attrs.define(eq=False, kw_only=True)
class PageAttendant(BulkAttendant):
    """
    Attends to one page at a time.

    A page that is refused as a whole is halved until the bad row stands
    alone. Whatever stands alone, is stopped, or is in doubt and can be looked
    up, goes to the workers that attend to single items.
    """

    on_conflict: ConflictPolicy
    singles: WorkQueue[Attempt, ItemOutcome]

    async def run(self, pages: WorkQueue[Page, None]) -> None:
        """
        Attend to pages until cancelled.
        """
        while True:
            await self._attend(await pages.take())

    async def _attend(self, page: Page) -> None:
        chunks = deque([page])
        while chunks:
            chunk = chunks.popleft()
            if len(chunk) == 1 or self.stop() is not None:
                self.singles.put(chunk)
            else:
                chunks.extendleft(reversed(await self._ask(chunk)))

    async def _ask(self, chunk: Page) -> list[Page]:
        """
        Ask once, and return what has to be asked again, in pieces.
        """
        match await self.caller.ask(chunk, atomic=False):
            case Answered(rows):
                self._hand_over(chunk, rows)
                return []
            case Refused(error):
                for attempt in chunk:
                    attempt.note_refusal(error)
                middle = len(chunk) // 2
                return [chunk[:middle], chunk[middle:]]
            case Unavailable(retry_after):
                return await self._again(chunk, retry_after)
            case Doubtful():
                return await self._doubt(chunk)
            case _:  # not asked
                return [chunk]

    def _hand_over(self, chunk: Page, rows: Sequence[RowAnswer]) -> None:
        now = self.clock.now()
        for attempt, row in zip(chunk, rows, strict=True):
            if isinstance(row, RegistrationFailure):
                outcome = refused(attempt, row, on_conflict=self.on_conflict, now=now)
            else:
                outcome = attempt.succeeded(row, now=now)
            self.singles.put_result(outcome)

    async def _doubt(self, chunk: Page) -> list[Page]:
        for attempt in chunk:
            attempt.in_doubt = True
        if isinstance(self.caller.service, SupportsLookup):
            self.singles.put(chunk)
            return []
        return await self._again(chunk, None)

    async def _again(self, chunk: Page, retry_after: float | None) -> list[Page]:
        """
        Wait before the rows' next attempt, and settle those that get none.
        """
        now = self.clock.now()
        left: list[Attempt] = []
        delay = 0.0
        for attempt in chunk:
            step = again(attempt, policy=self.retry, now=now, retry_after=retry_after)
            if isinstance(step, ItemOutcome):
                self.singles.put_result(step)
            else:
                left.append(attempt)
                delay = max(delay, step)
        if left and self.stop() is None:
            await self.caller.back_off(delay)
        return [left] if left else []
