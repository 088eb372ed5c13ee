"""
The only worker of an all-or-nothing run: one call for all items, one result for all.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from proxy_orchestration._concurrency import WorkQueue
from proxy_orchestration.errors import DuplicateActivityError, RegistrationRejected
from proxy_orchestration.registration.activities import RegistrationFailure
from proxy_orchestration.registration.execution.attempts import (
    Attempt,
    OutOfAttempts,
    RetryAfter,
    Step,
    StopReason,
    again,
    failure_of,
    given_up,
    maybe_own,
    never_begun,
    rejection,
    succeeded,
    unexpected,
)
from proxy_orchestration.registration.execution.run_context import RunContext
from proxy_orchestration.registration.execution.service_calls import (
    Answered,
    BulkAnswer,
    Chunk,
    NotAsked,
    Refused,
    RowAnswer,
    ServiceCalls,
    Unavailable,
)
from proxy_orchestration.registration.ports import SupportsBulk
from proxy_orchestration.registration.reasons import AWAITING_DECISIONS, DUPLICATE
from proxy_orchestration.registration.runs import ItemOutcome
from proxy_orchestration.registration.states import ItemState


@attrs.define(eq=False, kw_only=True)
class AtomicWorker:
    """
    Works on the whole of a batch, in calls that write all of it or nothing.

    No item is settled before all are: their outcomes are put at one moment,
    since a commit that held a part of them would tell a result that is not
    shared; decision 25.
    """

    context: RunContext
    calls: ServiceCalls
    bulk: SupportsBulk
    outcomes: WorkQueue[Attempt, ItemOutcome]
    _whole: Chunk = attrs.field(default=(), init=False)

    async def run(self, chunks: WorkQueue[Chunk, None]) -> None:
        """
        Work on whole batches until cancelled.
        """
        while True:
            whole = await chunks.take()
            self._whole = whole
            outcomes = await self._pursue(whole)
            self._whole = ()
            for outcome in outcomes or ():
                self.outcomes.put_result(outcome)

    def interrupted(self) -> list[Attempt]:
        """
        Return how far the items have come that were under way when this worker was cancelled.
        """
        if not self.calls.is_calling:
            return list(self._whole)
        return [attempt.asked().doubted() for attempt in self._whole]

    async def _pursue(self, whole: Chunk) -> list[ItemOutcome] | None:
        """
        Ask until all have an outcome, or have to wait.
        """
        while True:
            stop = self.context.state.stop
            if stop is not None or whole[0].rounds >= self.context.settings.retry.max_attempts:
                return await self._conclude(whole, stop)
            if self.context.waiting.is_paused:
                self.context.waiting.put(whole, 0.0)
                return None
            steps = self._steps(whole, await self.calls.register_many(self.bulk, whole, atomic=True))
            retries = [step for step in steps if isinstance(step, RetryAfter)]
            if not retries:
                return await self._end(whole, steps)
            self._whole = whole = [step.attempt for step in retries]
            delay = max(step.seconds for step in retries)
            if delay > 0 and self.context.state.stop is None:
                self.context.waiting.put(whole, delay)
                return None

    def _steps(self, whole: Chunk, answer: BulkAnswer) -> list[Step]:
        """
        Return what follows for each: another attempt for all of them, or for none.
        """
        policy = self.context.settings.retry
        asked = [attempt.asked() for attempt in whole]
        match answer:
            case NotAsked():
                return [RetryAfter(attempt, 0.0) for attempt in whole]
            case Answered(rows):
                return [self._told(attempt, row) for attempt, row in zip(asked, rows, strict=True)]
            case Refused(error):
                return [self._refused(attempt, error) for attempt in asked]
            case Unavailable(retry_after):
                return [again(attempt, policy=policy, retry_after=retry_after) for attempt in asked]
            case _:
                return [again(attempt.doubted(answer.reason), policy=policy) for attempt in asked]

    async def _end(self, whole: Chunk, steps: Sequence[Step]) -> list[ItemOutcome]:
        """
        Return how all of them end; what is in doubt then is looked up once.
        """
        now = self.context.clock.now()
        ends = [step if isinstance(step, ItemOutcome) else given_up(step.attempt, now=now) for step in steps]
        asked = [attempt.asked() for attempt in whole]
        # Called by now, should the look-up below be interrupted.
        self._whole = [
            step.attempt if isinstance(step, OutOfAttempts) else attempt
            for attempt, step in zip(asked, steps, strict=True)
        ]
        if whole[0].in_doubt and any(end.failure is DUPLICATE for end in ends):
            ends = [self._maybe_own(attempt, end) for attempt, end in zip(asked, ends, strict=True)]
        elif ends[0].state is not ItemState.UNKNOWN:
            return ends
        return await self._found(asked) or ends

    def _maybe_own(self, attempt: Attempt, end: ItemOutcome) -> ItemOutcome:
        """
        Return that an item waits, since what conflicts may be the batch's own records.
        """
        now = self.context.clock.now()
        if end.failure is DUPLICATE:
            return maybe_own(attempt, end.conflicting_activity_id, now=now)
        return attempt.outcome(ItemState.NEEDS_REVIEW, AWAITING_DECISIONS, now=now, in_doubt=True)

    async def _conclude(self, whole: Chunk, stop: StopReason | None) -> list[ItemOutcome]:
        """
        Return how all of them end without a further call; what is in doubt is looked up once.
        """
        # As a whole: if one record is not seen, that proves nothing and the result is shared; decision 35.
        found = await self._found(whole) if any(attempt.in_doubt for attempt in whole) else None
        now = self.context.clock.now()
        return found or [
            given_up(attempt, now=now)
            if attempt.begun or stop is None
            else never_begun(attempt, stop, now=now)
            for attempt in whole
        ]

    async def _found(self, whole: Chunk) -> list[ItemOutcome] | None:
        """
        Return that all of them succeeded, if the service can be asked and sees every record.
        """
        receipts = await self.calls.look_up_all(whole)
        if receipts is None:
            return None
        now = self.context.clock.now()
        return [
            succeeded(attempt, receipt, calls=attempt.calls, now=now)
            for attempt, receipt in zip(whole, receipts, strict=True)
        ]

    def _told(self, attempt: Attempt, row: RowAnswer) -> ItemOutcome:
        now = self.context.clock.now()
        if not isinstance(row, RegistrationFailure):
            return succeeded(attempt, row, calls=attempt.calls, now=now)
        existing = row.existing_activity_id
        if existing is None:
            return attempt.outcome(ItemState.FAILED, failure_of(row), now=now)
        existing = DuplicateActivityError(existing).existing_activity_id
        return attempt.outcome(ItemState.FAILED, DUPLICATE, now=now, conflicting_activity_id=existing)

    def _refused(self, attempt: Attempt, error: BaseException) -> Step:
        now = self.context.clock.now()
        match error:
            case RegistrationRejected():
                return attempt.outcome(ItemState.FAILED, rejection(error), now=now)
            case DuplicateActivityError():
                return attempt.outcome(ItemState.FAILED, DUPLICATE, now=now)
            case _ if attempt.in_doubt:
                return OutOfAttempts(attempt)
            case _:
                return unexpected(attempt, now=now)
