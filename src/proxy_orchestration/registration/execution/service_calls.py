"""
One call for many registrations, and what its answer says.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import anyio
import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._backoff import RetryPolicy
from proxy_orchestration._concurrency import comes_from_callee, is_being_cancelled
from proxy_orchestration.access import Actor
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import OutcomeUnknownError, RegistrationUnavailable
from proxy_orchestration.registration.activities import RegistrationFailure, RegistrationReceipt
from proxy_orchestration.registration.execution.attempts import Attempt, StopReason, is_definite
from proxy_orchestration.registration.execution.limits import Places
from proxy_orchestration.registration.ports import SupportsBulk, SupportsLookup
from proxy_orchestration.registration.settings import BulkSettings

RowAnswer: TypeAlias = RegistrationReceipt | RegistrationFailure
"""What a service says about one of many."""


@attrs.frozen
class Answered:
    """
    The service answered each row, in the order asked.
    """

    rows: Sequence[RowAnswer]


@attrs.frozen
class Refused:
    """
    The call failed as a whole, for some row of it; nothing was written.
    """

    error: BaseException = attrs.field(repr=False)


@attrs.frozen
class Unavailable:
    """
    The call was definitely not executed and is worth another attempt.
    """

    retry_after: float | None


@attrs.frozen
class Doubtful:
    """
    Whether the call was executed is not known, for any of its rows.
    """


@attrs.frozen
class NotAsked:
    """
    The wait for a place among the calls was cut; no call was made.
    """


BulkAnswer: TypeAlias = Answered | Refused | Unavailable | Doubtful | NotAsked
"""What came of one call for many."""


class _Stage(enum.Enum):
    FREE = "free"  # nothing to cut
    WAITING = "waiting"  # for a place among the calls, or for a backoff to end
    ASKING = "asking"  # the service is called


@attrs.define(eq=False, kw_only=True)
class BulkCaller:
    """
    Calls `register_many` for one worker, and can be cut off from a call that takes too long.

    A cut call is in doubt. The scope is a new one for each call: its cost is
    spread over many items.
    """

    batch_id: str
    actor: Actor
    service: SupportsBulk
    clock: Clock
    settings: BulkSettings
    limiter: Places
    on_call: Callable[[], None]
    deadline: float = attrs.field(default=math.inf, init=False)
    _stage: _Stage = attrs.field(default=_Stage.FREE, init=False)
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, init=False)

    def cut(self, *, calls: bool) -> None:
        """
        End a wait at once, and with `calls` a call as well, which then is in doubt.
        """
        if self._stage is _Stage.WAITING or (calls and self._stage is _Stage.ASKING):
            self.deadline = math.inf
            self._scope.cancel()

    async def ask(self, attempts: Sequence[Attempt], *, atomic: bool) -> BulkAnswer:
        """
        Ask the service to register all of them, and return what came of it.
        """
        answer: BulkAnswer = NotAsked()
        with self._cuttable(_Stage.WAITING):
            await self.limiter.acquire_on_behalf_of(self)
            try:
                if self._scope.cancel_called:
                    await checkpoint()  # the place among the calls came together with the cut
                answer = Doubtful()
                self._stage = _Stage.ASKING
                answer = await self._call(attempts, atomic=atomic)
            finally:
                self.limiter.release_on_behalf_of(self)
        return answer

    async def look_up(self, attempts: Sequence[Attempt]) -> list[RegistrationReceipt] | None:
        """
        Return the receipts of all of them if every record is seen, else `None`.
        """
        if not isinstance(self.service, SupportsLookup):
            return None
        receipts: list[RegistrationReceipt] | None = None
        with self._cuttable(_Stage.WAITING):
            await self.limiter.acquire_on_behalf_of(self)
            try:
                self._stage = _Stage.ASKING
                self.deadline = self.clock.monotonic() + self.settings.call_timeout
                receipts = await _find_all(self.service, attempts)
            finally:
                self.limiter.release_on_behalf_of(self)
        return receipts

    async def back_off(self, seconds: float) -> None:
        """
        Wait before the next call; a cut ends the wait.
        """
        with self._cuttable(_Stage.WAITING):
            await self.clock.sleep(seconds)

    async def _call(self, attempts: Sequence[Attempt], *, atomic: bool) -> BulkAnswer:
        registrations = [
            attempt.registration(batch_id=self.batch_id, actor=self.actor) for attempt in attempts
        ]
        for attempt in attempts:
            attempt.calls += 1
        self.on_call()
        self.deadline = self.clock.monotonic() + self.settings.call_timeout
        return await _sense_of(
            lambda: self.service.register_many(registrations, atomic=atomic), attempts, atomic=atomic
        )

    @contextmanager
    def _cuttable(self, stage: _Stage) -> Iterator[None]:
        try:
            with anyio.CancelScope() as self._scope:
                self._stage = stage
                yield
        finally:
            self._stage = _Stage.FREE
            self.deadline = math.inf


@attrs.define(eq=False, kw_only=True)
class BulkAttendant:
    """
    A worker that asks for many at once; the driver can cut its call like any other worker's.
    """

    caller: BulkCaller
    clock: Clock
    retry: RetryPolicy
    stop: Callable[[], StopReason | None]

    @property
    def deadline(self) -> float:
        """
        Return when the call under way has taken too long.
        """
        return self.caller.deadline

    @property
    def concluding(self) -> bool:
        """
        Return whether a last look-up is under way: never here.
        """
        return False

    def cut(self, *, calls: bool) -> None:
        """
        End a wait at once, and with `calls` a call as well.
        """
        self.caller.cut(calls=calls)


async def _find_all(service: SupportsLookup, attempts: Sequence[Attempt]) -> list[RegistrationReceipt] | None:
    receipts: list[RegistrationReceipt] = []
    for attempt in attempts:
        try:
            receipt = await service.find_registration(attempt.key)
        except BaseException as error:
            if not comes_from_callee(error) or is_being_cancelled():
                raise
            return None
        if not isinstance(receipt, RegistrationReceipt) or receipt.registration_id != attempt.key:
            return None
        receipts.append(receipt)
    return receipts


async def _sense_of(
    call: Callable[[], Awaitable[object]], attempts: Sequence[Attempt], *, atomic: bool
) -> BulkAnswer:
    try:
        return _read(await call(), attempts, atomic=atomic)
    except BaseException as error:
        if not comes_from_callee(error):
            raise
        if not is_definite(error) and is_being_cancelled():
            await checkpoint()  # the call was cut, whatever the service made of that
        if isinstance(error, RegistrationUnavailable):
            return Unavailable(error.retry_after)
        lost = isinstance(error, OSError | OutcomeUnknownError | BaseExceptionGroup)
        return Doubtful() if lost or not isinstance(error, Exception) else Refused(error)


def _read(rows: object, attempts: Sequence[Attempt], *, atomic: bool) -> BulkAnswer:
    """
    Take an answer that has one entry for each row, in order; anything else is no answer.
    """
    if not isinstance(rows, Sequence) or len(rows) != len(attempts):
        return Doubtful()
    for row, attempt in zip(rows, attempts, strict=True):
        known = isinstance(row, RegistrationReceipt | RegistrationFailure)
        if not known or row.registration_id != attempt.key:
            return Doubtful()
    if atomic and len({type(row) for row in rows}) > 1:
        return Doubtful()
    return Answered(rows)
