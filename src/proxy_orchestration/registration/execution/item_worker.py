"""
One worker of a run: takes items, asks the service, hands over outcomes.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._concurrency import WorkQueue, comes_from_callee, is_being_cancelled
from proxy_orchestration.access import Actor
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import OutcomeUnknownError
from proxy_orchestration.registration.activities import RegistrationReceipt
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.execution.attempts import (
    Attempt,
    StopReason,
    after_doubt,
    after_error,
    given_up,
    is_definite,
    never_begun,
)
from proxy_orchestration.registration.execution.limits import Places
from proxy_orchestration.registration.ports import ProxyRegistrationService, SupportsLookup
from proxy_orchestration.registration.runs import ItemOutcome
from proxy_orchestration.registration.settings import BulkSettings
from proxy_orchestration.registration.states import ItemState

_Question: TypeAlias = Callable[[Attempt], Awaitable[RegistrationReceipt | None]]


class _Stage(enum.Enum):
    FREE = "free"  # between two waits; nothing to cut
    WAITING = "waiting"  # for a place among the calls, or for a backoff to end
    ASKING = "asking"  # the service is called


@attrs.define(eq=False, kw_only=True)
class Attendant:
    """
    Attends to one item at a time, and can be cut off from a call that takes too long.

    The worker lives in a cancel scope that is renewed only when it was cut,
    since a scope per call would cost more than all the rest of the call.
    """

    batch_id: str
    actor: Actor
    service: ProxyRegistrationService
    clock: Clock
    settings: BulkSettings
    limiter: Places
    on_conflict: ConflictPolicy
    stop: Callable[[], StopReason | None]
    on_call: Callable[[], None]
    deadline: float = attrs.field(default=math.inf, init=False)
    _attempt: Attempt | None = attrs.field(default=None, init=False)
    _stage: _Stage = attrs.field(default=_Stage.FREE, init=False)
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, init=False)

    async def run(self, pool: WorkQueue[Attempt, ItemOutcome]) -> None:
        """
        Attend to the pool's items until cancelled.
        """
        while True:
            with anyio.CancelScope() as self._scope:
                await self._attend_until_cut(pool)
            self._note_cut()

    @property
    def concluding(self) -> bool:
        """
        Return whether the last look-up of an item is under way.
        """
        return self._attempt is not None and self._attempt.concluding

    def cut(self, *, calls: bool) -> None:
        """
        End a wait at once, and with `calls` a call as well, which then is in doubt.
        """
        if self._stage is _Stage.WAITING or (calls and self._stage is _Stage.ASKING):
            self.deadline = math.inf
            self._scope.cancel()

    async def _attend_until_cut(self, pool: WorkQueue[Attempt, ItemOutcome]) -> None:
        while not self._scope.cancel_called:
            if self._attempt is None:
                self._attempt = pool.take_nowait()
            if self._attempt is None:
                self._attempt = await pool.take()
            outcome = await self._pursue(self._attempt)
            self._attempt = None
            if pool.put_result(outcome):
                await checkpoint()

    def _note_cut(self) -> None:
        if self._stage is _Stage.ASKING and self._attempt is not None:
            step = after_doubt(self._attempt, policy=self.settings.retry, now=self.clock.now())
            self._attempt.delay = 0.0 if isinstance(step, ItemOutcome) else step
        self._stage = _Stage.FREE
        self.deadline = math.inf

    async def _pursue(self, attempt: Attempt) -> ItemOutcome:
        while True:
            if self._scope.cancel_called:
                await checkpoint()  # a cut that came too late for the last question ends no other one
            stop = self.stop()
            if stop is not None:
                return await self._conclude(attempt, stop)
            if attempt.rounds >= self.settings.retry.max_attempts:
                return await self._look_once_more(attempt)
            if attempt.delay:
                await self._back_off(attempt)
            question = self._next_question(attempt)
            step = await self._ask(attempt, question)
            if not isinstance(step, ItemOutcome):
                attempt.delay = step
            elif step.state is ItemState.UNKNOWN and question == self._call:
                return await self._look_once_more(attempt)
            else:
                return step

    def _next_question(self, attempt: Attempt) -> _Question:
        doubtful = attempt.in_doubt and not attempt.not_seen
        return self._look_up if doubtful and isinstance(self.service, SupportsLookup) else self._call

    async def _conclude(self, attempt: Attempt, stop: StopReason) -> ItemOutcome:
        if not attempt.in_doubt and attempt.calls == 0:
            return never_begun(attempt, stop, now=self.clock.now())
        return await self._look_once_more(attempt)

    async def _look_once_more(self, attempt: Attempt) -> ItemOutcome:
        """
        End an item that gets no further call; one in doubt is looked up for the last time.
        """
        if attempt.in_doubt and isinstance(self.service, SupportsLookup) and not attempt.concluding:
            attempt.concluding = True
            step = await self._ask(attempt, self._look_up)
            if isinstance(step, ItemOutcome):
                return step
        return given_up(attempt, now=self.clock.now())

    async def _ask(self, attempt: Attempt, question: _Question) -> ItemOutcome | float:
        """
        Ask the service; return the item's outcome, or the seconds to wait before asking further.
        """
        step: ItemOutcome | float
        if not self._enters_calls_at_once():
            await self._wait_for_a_call()
        try:
            if self._scope.cancel_called:
                await checkpoint()  # the place among the calls came together with the cut
            self._stage = _Stage.ASKING
            self.deadline = self.clock.monotonic() + self.settings.call_timeout
            receipt = await question(attempt)
            step = attempt.succeeded(receipt, now=self.clock.now()) if receipt else 0.0
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            if not is_definite(error) and is_being_cancelled():
                await checkpoint()  # the call was cut, whatever the service made of that
            answer = error if isinstance(error, Exception) else OutcomeUnknownError()
            step = after_error(
                attempt,
                answer,
                policy=self.settings.retry,
                on_conflict=self.on_conflict,
                now=self.clock.now(),
            )
        finally:
            self.limiter.release_on_behalf_of(self)
        self._stage = _Stage.FREE
        self.deadline = math.inf
        return step

    def _enters_calls_at_once(self) -> bool:
        try:
            self.limiter.acquire_on_behalf_of_nowait(self)
        except anyio.WouldBlock:
            return False
        return True

    async def _wait_for_a_call(self) -> None:
        self._stage = _Stage.WAITING
        await self.limiter.acquire_on_behalf_of(self)

    async def _call(self, attempt: Attempt) -> RegistrationReceipt:
        attempt.calls += 1
        attempt.not_seen = False
        self.on_call()
        receipt = await self.service.register(attempt.registration(batch_id=self.batch_id, actor=self.actor))
        return _checked(receipt, attempt)

    async def _look_up(self, attempt: Attempt) -> RegistrationReceipt | None:
        assert isinstance(self.service, SupportsLookup)  # noqa: S101 - narrows the type; asked by the callers
        try:
            receipt = await self.service.find_registration(attempt.key)
        except Exception as error:
            raise OutcomeUnknownError from error
        attempt.not_seen = receipt is None
        return None if receipt is None else _checked(receipt, attempt)

    async def _back_off(self, attempt: Attempt) -> None:
        delay, attempt.delay = attempt.delay, 0.0
        self._stage = _Stage.WAITING
        await self.clock.sleep(delay)
        self._stage = _Stage.FREE


def _checked(receipt: object, attempt: Attempt) -> RegistrationReceipt:
    if isinstance(receipt, RegistrationReceipt) and receipt.registration_id == attempt.key:
        return receipt
    msg = "The service's answer is no receipt of this registration."
    raise OutcomeUnknownError(msg)
