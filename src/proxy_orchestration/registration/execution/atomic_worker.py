"""
The one worker of an all-or-nothing run: asks for all at once, and gives all one fate.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from proxy_orchestration._concurrency import WorkQueue
from proxy_orchestration.errors import DuplicateActivityError, RegistrationRejected
from proxy_orchestration.registration.activities import RegistrationFailure
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.execution.attempts import (
    Attempt,
    StopReason,
    after_doubt,
    again,
    failure_of,
    given_up,
    never_begun,
    unexpected,
)
from proxy_orchestration.registration.execution.page_worker import Page
from proxy_orchestration.registration.execution.service_calls import (
    Answered,
    BulkAnswer,
    BulkAttendant,
    Doubtful,
    Refused,
    RowAnswer,
    Unavailable,
)
from proxy_orchestration.registration.reasons import DUPLICATE
from proxy_orchestration.registration.runs import ItemOutcome
from proxy_orchestration.registration.states import ItemState

_Steps = Sequence[ItemOutcome | float]


@attrs.define(eq=False, kw_only=True)
class AtomicAttendant(BulkAttendant):
    """
    Attends to the whole of a batch, in calls that write all of it or nothing.

    No item is settled before all are: their outcomes are put at one moment.
    """

    outcomes: WorkQueue[Attempt, ItemOutcome]

    async def run(self, pages: WorkQueue[Page, None]) -> None:
        """
        Attend to whole batches until cancelled.
        """
        while True:
            whole = await pages.take()
            for outcome in await self._pursue(whole):
                self.outcomes.put_result(outcome)

    async def _pursue(self, whole: Page) -> list[ItemOutcome]:
        while True:
            stop = self.stop()
            if stop is not None:
                return await self._stopped(whole, stop)
            steps = self._steps(whole, await self.caller.ask(whole, atomic=True))
            outcomes = [step for step in steps if isinstance(step, ItemOutcome)]
            if outcomes:
                unknown = outcomes[0].state is ItemState.UNKNOWN
                return (await self._found(whole) if unknown else None) or outcomes
            if self.stop() is None:
                await self.caller.back_off(max(step for step in steps if isinstance(step, float)))

    async def _stopped(self, whole: Page, stop: StopReason) -> list[ItemOutcome]:
        """
        Return how all of them end after a stop; what is in doubt is looked up once and not repeated.
        """
        found = await self._found(whole) if any(attempt.in_doubt for attempt in whole) else None
        now = self.clock.now()
        return found or [
            given_up(attempt, now=now) if attempt.begun else never_begun(attempt, stop, now=now)
            for attempt in whole
        ]

    async def _found(self, whole: Page) -> list[ItemOutcome] | None:
        """
        Return that all of them succeeded, if the service can be asked and sees every record.
        """
        receipts = await self.caller.look_up(whole)
        if receipts is None:
            return None
        now = self.clock.now()
        pairs = zip(whole, receipts, strict=True)
        return [attempt.succeeded(receipt, now=now) for attempt, receipt in pairs]

    def _steps(self, whole: Page, answer: BulkAnswer) -> _Steps:
        """
        Return what follows for each: outcomes for all of them, or delays for all of them.
        """
        now = self.clock.now()
        match answer:
            case Answered(rows):
                return [self._told(attempt, row) for attempt, row in zip(whole, rows, strict=True)]
            case Refused(error):
                return [self._refused(attempt, error) for attempt in whole]
            case Unavailable(retry_after):
                return [
                    again(attempt, policy=self.retry, now=now, retry_after=retry_after) for attempt in whole
                ]
            case Doubtful():
                return [after_doubt(attempt, policy=self.retry, now=now) for attempt in whole]
            case _:  # not asked
                return [0.0]

    def _told(self, attempt: Attempt, row: RowAnswer) -> ItemOutcome:
        now = self.clock.now()
        if not isinstance(row, RegistrationFailure):
            return attempt.succeeded(row, now=now)
        existing = row.existing_activity_id
        if existing is None:
            return attempt.outcome(ItemState.FAILED, failure_of(row), now=now)
        existing = DuplicateActivityError(existing).existing_activity_id
        return attempt.outcome(ItemState.FAILED, DUPLICATE, now=now, conflicting_activity_id=existing)

    def _refused(self, attempt: Attempt, error: BaseException) -> ItemOutcome:
        now = self.clock.now()
        match error:
            case RegistrationRejected():
                failure = Failure(code=error.code, message=error.message, retryable=False)
                return attempt.outcome(ItemState.FAILED, failure, now=now)
            case DuplicateActivityError():
                return attempt.outcome(ItemState.FAILED, DUPLICATE, now=now)
            case _ if attempt.in_doubt:
                return given_up(attempt, now=now)
            case _:
                return unexpected(attempt, error, now=now)
