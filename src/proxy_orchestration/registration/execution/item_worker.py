"""
A worker that calls the service for one item after the other.
"""

from __future__ import annotations

from collections.abc import Awaitable

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._cancellation import comes_from_callee
from proxy_orchestration._concurrency import WorkQueue
from proxy_orchestration.registration.execution.attempts import (
    Attempt,
    OutOfAttempts,
    Question,
    RetryAfter,
    Step,
    StopReason,
    after_call,
    after_doubt,
    after_error,
    after_look_up,
    again,
    given_up,
    is_definite,
    is_receipt,
    never_begun,
)
from proxy_orchestration.registration.execution.run_context import RunContext
from proxy_orchestration.registration.execution.service_calls import ServiceCalls
from proxy_orchestration.registration.ports import SupportsLookup
from proxy_orchestration.registration.reasons import BAD_ANSWER, MAYBE_OWN, UNEXPECTED
from proxy_orchestration.registration.runs import ItemOutcome


@attrs.define(eq=False, kw_only=True)
class ItemWorker:
    """
    Works on one item at a time, from its first question to its outcome.
    """

    context: RunContext
    calls: ServiceCalls
    _attempt: Attempt | None = attrs.field(default=None, init=False)
    _question: Question = attrs.field(default=Question.REGISTER, init=False)

    async def run(self, queue: WorkQueue[Attempt, ItemOutcome]) -> None:
        """
        Work on the queue's items until cancelled.
        """
        while True:
            self._note_cut()
            with self.calls.cuttable():
                await self._work_until_cut(queue)

    async def _work_until_cut(self, queue: WorkQueue[Attempt, ItemOutcome]) -> None:
        while not self.calls.is_cut:
            if self._attempt is None:
                self._attempt = queue.take_nowait() or await queue.take()
            outcome = await self._pursue(self._attempt)
            self._attempt = None
            self.calls.concluding = False
            if outcome is not None and queue.put_result(outcome):
                await checkpoint()  # lets the writer in, should the service never yield

    def _note_cut(self) -> None:
        """
        Go on with an item whose call was cut off as with one whose reply was lost.
        """
        if self.calls.call_was_cut and self._attempt is not None:
            method = "register" if self._question is Question.REGISTER else "find_registration"
            self.calls.note_cut(method, (self._attempt,))
            step = after_doubt(self._attempt, question=self._question, policy=self.context.settings.retry)
            self._attempt = step.attempt
            if self._waits(step):
                self._attempt = None

    def _waits(self, step: RetryAfter | OutOfAttempts) -> bool:
        """
        Let the item wait, if it has to; not in a run that stops, and not after its last look-up.
        """
        ends = self.calls.concluding or self.context.state.stop is not None
        if ends or not isinstance(step, RetryAfter) or step.seconds <= 0:
            return False
        self.context.waiting.put([step.attempt], step.seconds, everyone=step.everyone)
        return True

    def interrupted(self) -> Attempt | None:
        """
        Return how far the item has come that was under way when this worker was cancelled.
        """
        if self._attempt is None or not self.calls.is_calling:
            return self._attempt
        return self._attempt.asked().doubted()

    async def _pursue(self, attempt: Attempt) -> ItemOutcome | None:
        """
        Ask about an item until it has an outcome, or has to wait.
        """
        while True:
            if self.calls.is_cut:
                await checkpoint()  # a cut that came too late for the last question ends no other one
            stop = self.context.state.stop
            if stop is not None or attempt.rounds >= self.context.settings.retry.max_attempts:
                return await self._conclude(attempt, stop)
            waiting = self.context.waiting
            if (waiting.everyone_until or waiting.is_paused) and waiting.everyone_waits():
                waiting.put_until_all_may([attempt])
                return None
            if self.context.abandoned.is_full:
                self.calls.check_may_call()
            step = await self._ask(attempt, self._next_question(attempt))
            if isinstance(step, ItemOutcome):
                return step
            attempt = self._attempt = step.attempt
            if self._waits(step):
                return None

    def _next_question(self, attempt: Attempt) -> Question:
        doubtful = attempt.in_doubt and not attempt.not_seen
        return Question.LOOK_UP if doubtful and self.context.lookup is not None else Question.REGISTER

    async def _conclude(self, attempt: Attempt, stop: StopReason | None) -> ItemOutcome:
        """
        End an item that gets no further call; one in doubt is looked up for the last time.
        """
        if stop is not None and not attempt.begun:
            return never_begun(attempt, stop, now=self.context.clock.now())
        # Attempts bound how often somebody is told to write; a look-up writes nothing; decision 56.
        if attempt.in_doubt and self.context.lookup is not None and not self.calls.concluding:
            self.calls.concluding = True
            step = await self._ask(attempt, Question.LOOK_UP)
            if isinstance(step, ItemOutcome):
                return step
        return given_up(attempt, now=self.context.clock.now())

    def _ask(self, attempt: Attempt, question: Question) -> Awaitable[Step]:
        """
        Ask the service, and return what follows from its answer.
        """
        self._question = question
        if question is Question.LOOK_UP and self.context.lookup is not None:
            return self._look_up(attempt, self.context.lookup)
        return self._call(attempt)

    async def _call(self, attempt: Attempt) -> Step:
        context = self.context
        policy = context.settings.retry
        try:
            answer = await self.calls.register(attempt)
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            if attempt.reason is UNEXPECTED and not is_definite(error):
                context.state.refusals.failed_alone(error)
            on_conflict, now = context.lease.on_conflict, context.clock.now()
            step = after_error(attempt, error, policy=policy, on_conflict=on_conflict, now=now)
            return await self._own_first(attempt, step)
        step = after_call(attempt, answer, policy=policy, now=context.clock.now())
        if not isinstance(step, ItemOutcome):
            self.calls.note_bad_answer("register", answer, attempt)
            context.note_failure(BAD_ANSWER)
        elif context.streak is not None:
            context.streak.end()
        return step

    async def _own_first(self, attempt: Attempt, step: Step) -> Step:
        """
        Look up an item whose conflict may be with its own record; seen, it has succeeded.
        """
        lookup = self.context.lookup
        if lookup is None or not isinstance(step, ItemOutcome) or step.failure is not MAYBE_OWN:
            return step
        self._question = Question.LOOK_UP
        # Counted before: should this look-up be cut, the call was made all the same.
        self._attempt = again(attempt.asked(), policy=self.context.settings.retry).attempt
        found = await self._look_up(self._attempt, lookup)
        return found if isinstance(found, ItemOutcome) else step

    async def _look_up(self, attempt: Attempt, lookup: SupportsLookup) -> Step:
        policy = self.context.settings.retry
        try:
            answer = await self.calls.look_up(lookup, attempt)
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            # Whatever a look-up raises says nothing about the call that it asks about.
            return after_doubt(attempt, question=Question.LOOK_UP, policy=policy)
        if answer is not None and not is_receipt(answer, attempt.key):
            self.calls.note_bad_answer("find_registration", answer, attempt)
        return after_look_up(attempt, answer, policy=policy, now=self.context.clock.now())
