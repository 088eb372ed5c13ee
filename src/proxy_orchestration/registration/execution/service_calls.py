"""
Calls the service: takes a slot, keeps the time limit, and cancels late calls.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, NoReturn, TypeAlias, TypeVar

import anyio
import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._cancellation import comes_from_callee, is_being_cancelled
from proxy_orchestration._concurrency import wait_at_most
from proxy_orchestration._system_tasks import SystemTask
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import CallsAbandonedError, OutcomeUnknownError, RegistrationUnavailable
from proxy_orchestration.registration.activities import RegistrationFailure, RegistrationReceipt
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.execution.attempts import Attempt, is_definite, is_receipt
from proxy_orchestration.registration.execution.limits import CombinedLimiter, Limiter
from proxy_orchestration.registration.execution.run_context import RunContext
from proxy_orchestration.registration.ports import SupportsBulk, SupportsLookup
from proxy_orchestration.registration.reasons import BAD_ANSWER, UNKNOWN
from proxy_orchestration.registration.service_errors import lone

A = TypeVar("A")
R = TypeVar("R")

Chunk: TypeAlias = Sequence[Attempt]
"""Items that go into one call."""

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
    everyone: bool = False


@attrs.frozen
class Doubtful:
    """
    Whether the call was executed is not known, for any of its rows.

    Attributes:
        reason: BAD_ANSWER if it was answered, and the answer does not fit.
    """

    reason: Failure | None = None


@attrs.frozen
class NotAsked:
    """
    The wait for a slot was cut; no call was made.
    """


_CLOSE_ENOUGH: Final = 1e-6

LET_GO_AFTER: Final = 5.0
"""Seconds that a call has to end once it was cancelled; after that it is left behind; decision 116."""

_LET_GO_AT_LAST: Final = 4 * LET_GO_AFTER

BulkAnswer: TypeAlias = Answered | Refused | Unavailable | Doubtful | NotAsked
"""What came of one call for many."""


class _Stage(enum.Enum):
    FREE = "free"  # between two waits; nothing to cut
    WAITING = "waiting"  # for a slot
    ASKING = "asking"  # the service is called


@attrs.define(eq=False)
class CallToken:
    """
    Who borrows the slot of a call; a worker whose call was left behind has a new one.

    Attributes:
        has_ended: set when the call ends that was left behind.
    """

    has_ended: anyio.Event = attrs.field(factory=anyio.Event)


async def ends_soon(clock: Clock, wait: Callable[[], Awaitable[object]]) -> bool:
    """
    Wait for cancelled work in its last seconds; return whether it ended.
    """
    # By the event loop's time too, though much longer: a test that has ended moves its clock no more.
    with anyio.move_on_after(_LET_GO_AT_LAST):
        return await wait_at_most(clock, LET_GO_AFTER, wait)
    return False


@attrs.define(eq=False, kw_only=True)
class ServiceCalls:
    """
    The calls of one worker, one at a time, which the run's driver can cut off.

    Attributes:
        context: the run.
        limiter: lends a slot for the time of each call.
        deadline: when the call under way has taken too long; infinite without one.
        concluding: whether an item's last look-up is under way, which the end of
            a grace does not cut.
        is_cut: whether the present `cuttable` block was cut.
        call_was_cut: whether the cut that ended the last `cuttable` block ended a call.
    """

    context: RunContext
    limiter: Limiter
    deadline: float = attrs.field(default=math.inf, init=False)
    concluding: bool = attrs.field(default=False, init=False)
    is_cut: bool = attrs.field(default=False, init=False)
    call_was_cut: bool = attrs.field(default=False, init=False)
    _stage: _Stage = attrs.field(default=_Stage.FREE, init=False)
    _writes: bool = attrs.field(default=False, init=False)
    _was_late: bool = attrs.field(default=False, init=False)
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, init=False)
    _hold: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, init=False)
    _token: CallToken = attrs.field(factory=CallToken, init=False)
    on_left_behind: Callable[[], object] | None = attrs.field(default=None, init=False)

    @contextmanager
    def cuttable(self) -> Iterator[None]:
        """
        Run a block that a cut ends; it may hold any number of calls.
        """
        # One scope for all calls until a cut, since a scope per call costs more than a call; decision 16.
        self.is_cut = False
        with anyio.CancelScope() as self._scope, anyio.CancelScope() as self._hold:
            yield
        self.call_was_cut = self._stage is _Stage.ASKING
        self._rest()

    @property
    def is_calling(self) -> bool:
        """
        Return whether a call is under way, or was when the worker was cancelled; a look-up is no call.
        """
        return self._stage is _Stage.ASKING and self._writes

    def cut(self, *, calls: bool) -> None:
        """
        End a wait at once, and with `calls` a call as well, which then is in doubt.
        """
        if self._stage is _Stage.WAITING:
            self._cut_off(math.inf)
        elif calls and self._stage is _Stage.ASKING:
            now = self.context.clock.monotonic()
            is_over = now >= self.deadline - _CLOSE_ENOUGH
            if not self.is_cut:
                self._was_late = is_over
                self._cut_off(math.inf if self.on_left_behind is None else now + LET_GO_AFTER)
            elif is_over and self.on_left_behind is not None:
                self.on_left_behind()

    def _cut_off(self, deadline: float) -> None:
        self.deadline = deadline
        self.is_cut = True
        self._scope.cancel()

    def leave_behind(self, task: SystemTask) -> None:
        """
        Let a call go on in its task that takes its cancellation for nothing; its answer changes nothing.
        """
        if isinstance(self.limiter, CombinedLimiter):
            self.limiter.leave_behind(self._token)
        self.context.abandoned.note()
        task.leave_behind(self._hold, self._token.has_ended)
        self._token = CallToken()

    def go_on(self) -> None:
        """
        Begin anew after a call was left behind, as after one that was cut.
        """
        self.call_was_cut = True
        self._rest()

    def check_may_call(self) -> None:
        """
        Accept that a call begins.

        Raises:
            CallsAbandonedError: too many calls of this process do not end.
        """
        if self.context.abandoned.is_full:
            raise CallsAbandonedError(self.context.abandoned.count)

    def register(self, attempt: Attempt) -> Awaitable[object]:
        """
        Ask the service to register one item; raises what the service raises.
        """
        lease = self.context.lease
        registration = attempt.registration(batch_id=lease.batch_id, actor=lease.actor)
        return self._ask(self.context.service.register, registration, (attempt,), writes=True)

    def look_up(self, lookup: SupportsLookup, attempt: Attempt) -> Awaitable[object]:
        """
        Ask the service whether an item's record exists; raises what the service raises.
        """
        return self._ask(lookup.find_registration, attempt.key, (attempt,), writes=False)

    async def register_many(self, bulk: SupportsBulk, chunk: Chunk, *, atomic: bool) -> BulkAnswer:
        """
        Ask the service to register all of them in one call, and return what came of it.
        """
        self.check_may_call()
        registrations = self.context.registrations(chunk)
        call = partial(bulk.register_many, atomic=atomic)
        answer: BulkAnswer = NotAsked()
        with self.cuttable():
            try:
                rows = await self._ask_apart(lambda: self._ask(call, registrations, chunk, writes=True))
            except BaseException as error:
                if not comes_from_callee(error):
                    raise
                answer = _meaning_of(error)
            else:
                answer = _read(rows, chunk, atomic=atomic)
                self._count_failures(answer)
                if isinstance(answer, Doubtful):
                    self.context.errors.note_bad_answer(rows, "register_many", registrations)
                    self.context.note_failure(BAD_ANSWER)
        if not self.call_was_cut:
            return answer
        self.note_cut("register_many", chunk)
        return Doubtful()

    def _count_failures(self, answer: BulkAnswer) -> None:
        """
        Note a call for many that failed in all its rows, and for one reason.
        """
        streak = self.context.streak
        if streak is None or not isinstance(answer, Answered):
            return
        codes = {row.code if isinstance(row, RegistrationFailure) else None for row in answer.rows}
        code = codes.pop() if len(codes) == 1 else None
        if code is None:
            streak.end()
        else:
            streak.note(code)

    def note_cut(self, method: str, about: Chunk) -> None:
        """
        Log a call that was cut if that was for its time.
        """
        if self._was_late:
            seconds = self.context.settings.call_timeout
            self.context.errors.note_silence(method, seconds, self.context.registrations(about))
            if self._writes:
                self.context.note_failure(UNKNOWN)

    def note_bad_answer(self, method: str, answer: object, attempt: Attempt) -> None:
        """
        Log that the service answered one item with something else than it was asked for.
        """
        self.context.errors.note_bad_answer(answer, method, self.context.registrations((attempt,)))

    async def look_up_all(self, chunk: Chunk) -> list[RegistrationReceipt] | None:
        """
        Return the receipts of all of them if every record is seen, else `None`.
        """
        if self.context.lookup is None:
            return None
        receipts: list[RegistrationReceipt] | None = None
        with self.cuttable():
            try:
                lookup = self.context.lookup
                receipts = await self._ask_apart(lambda: self._find_all(lookup, chunk))
            except BaseException as error:
                if not comes_from_callee(error):
                    raise
        return receipts

    async def _find_all(self, lookup: SupportsLookup, chunk: Chunk) -> list[RegistrationReceipt] | None:
        receipts: list[RegistrationReceipt] = []
        size = self.context.abilities.most_per_call if self.context.abilities.bulk_lookup else 1
        for first in range(0, len(chunk), size):
            some = chunk[first : first + size]
            answers = await self._find_some(lookup, some)  # each question in a time of its own; decision 114
            for attempt, answer in zip(some, answers, strict=True):
                if not is_receipt(answer, attempt.key):
                    if answer is not None:
                        self.note_bad_answer("find_registration", answer, attempt)
                    return None
                receipts.append(answer)
        return receipts

    async def _find_some(self, lookup: SupportsLookup, some: Chunk) -> list[object]:
        bulk_lookup = self.context.abilities.bulk_lookup
        if bulk_lookup is None:
            return [await self.look_up(lookup, some[0])]
        keys = [attempt.key for attempt in some]
        answer: object = await self._ask(bulk_lookup.find_registrations, keys, some, writes=False)
        if isinstance(answer, Mapping):
            return [answer.get(key) for key in keys]
        self.context.errors.note_bad_answer(answer, "find_registrations", self.context.registrations(some))
        return [None for _ in keys]

    async def back_off(self, seconds: float) -> None:
        """
        Wait before the next call; a cut ends the wait.
        """
        self._stage = _Stage.WAITING
        await self.context.clock.sleep(seconds)
        self._stage = _Stage.FREE

    async def _ask(
        self, question: Callable[[A], Awaitable[R]], argument: A, about: Chunk, *, writes: bool
    ) -> R:
        token = self._token
        if self.context.pace is not None:
            self._stage = _Stage.WAITING
            await self.context.pace.wait()
        if not self._takes_a_slot_at_once():
            self._stage = _Stage.WAITING
            await self.limiter.acquire_on_behalf_of(token)
        try:
            if self.is_cut:
                await anyio.sleep_forever()  # the slot came together with the cut: no call begins after it
            self._stage, self._writes = _Stage.ASKING, writes
            if writes:
                self.context.note_call()
            self.deadline = self.context.clock.monotonic() + self.context.settings.call_timeout
            answer = await question(argument)
        except BaseException as error:
            told = await self._heard(error, about, token, writes=writes)
            if told is error:
                raise
            raise told from None
        finally:
            self.limiter.release_on_behalf_of(token)
        if token is not self._token:
            await self._end_late(token, None, about)
        self._stage = _Stage.FREE
        self.deadline = math.inf
        return answer

    async def _ask_apart(self, call: Callable[[], Awaitable[R]]) -> R:
        """
        Ask in a task of its own, which is left behind should it take its cancellation for nothing.
        """
        answers: list[R] = []

        async def ask() -> None:
            with anyio.CancelScope() as self._hold:
                answers.append(await call())

        task = SystemTask(ask)
        task.start()
        try:
            await task.wait()
        except BaseException:
            task.cancel()
            with anyio.CancelScope(shield=True):
                if not await ends_soon(self.context.clock, task.wait):
                    self.leave_behind(task)
            if not answers and task.error is None:
                raise
        if task.error is not None:
            raise task.error
        return answers[0]

    async def _end_late(self, token: CallToken, error: BaseException | None, about: Chunk) -> NoReturn:
        """
        End a call that was left behind: nobody waits for its answer.
        """
        self.context.abandoned.note_end()
        self.context.errors.note_late_end(error, self.context.registrations(about))
        token.has_ended.set()
        await anyio.sleep_forever()  # the task was cancelled when it was left behind
        raise AssertionError  # pragma: no cover - nobody wakes it

    async def _heard(
        self, error: BaseException, about: Chunk, token: CallToken, *, writes: bool
    ) -> BaseException:
        """
        Return what an error of the service says; one that is made of being cut says nothing.
        """
        if token is not self._token:
            await self._end_late(token, error, about)
        if not comes_from_callee(error):
            return error
        cut = is_being_cancelled()
        if cut and not (writes and is_definite(lone(error))):
            await checkpoint()  # the call was cut, whatever the service made of that
        self._rest()
        registrations = self.context.registrations(about)
        if writes:
            method = "register" if len(about) == 1 else "register_many"
            told = self.context.errors.heard(error, method, registrations)
            if self.context.streak is not None:
                self.context.streak.note_error(told)
            return told
        method = "find_registration" if len(about) == 1 else "find_registrations"
        self.context.errors.tell(error, method, registrations)
        return error

    def _takes_a_slot_at_once(self) -> bool:
        try:
            self.limiter.acquire_on_behalf_of_nowait(self._token)
        except anyio.WouldBlock:
            return False
        return True

    def _rest(self) -> None:
        self._stage = _Stage.FREE
        self.deadline = math.inf


def _meaning_of(error: BaseException) -> BulkAnswer:
    """
    Return what an error says about a call for many.
    """
    if isinstance(error, RegistrationUnavailable):
        return Unavailable(error.retry_after, error.everyone)
    lost = isinstance(error, OSError | OutcomeUnknownError | BaseExceptionGroup)
    return Doubtful() if lost or not isinstance(error, Exception) else Refused(error)


def _read(rows: object, chunk: Chunk, *, atomic: bool) -> BulkAnswer:
    """
    Take an answer that has one entry for each row, in order; anything else is no answer.
    """
    if not isinstance(rows, Sequence) or len(rows) != len(chunk):
        return Doubtful(BAD_ANSWER)
    for row, attempt in zip(rows, chunk, strict=True):
        known = isinstance(row, RegistrationReceipt | RegistrationFailure)
        if not known or row.registration_id != attempt.key:
            return Doubtful(BAD_ANSWER)
    if atomic and len({type(row) for row in rows}) > 1:
        return Doubtful(BAD_ANSWER)
    return Answered(rows)
