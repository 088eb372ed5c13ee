"""
Task groups, time limits, work queues and wake-ups that several packages share.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from itertools import islice
from typing import Final, Generic, TypeVar, TypeVarTuple

import anyio
import attrs
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint_if_cancelled

from proxy_orchestration._cancellation import HostCancellation, comes_from_callee, settled_scopes
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.errors import LeaseLostError, OrchestrationError

T = TypeVar("T")
R = TypeVar("R")
Args = TypeVarTuple("Args")

_FAIR_BACKLOG: Final = 64
"""Results after which a worker lets others run, should its handler never yield."""

_MOST_NEWS: Final = 16
"""Notifications whose news a subscription keeps; older news is dropped."""


@attrs.frozen(eq=False)
class Tasks:
    """
    The tasks of one group; each keeps the count of its own cancellations to itself.
    """

    _group: TaskGroup

    @property
    def cancel_scope(self) -> anyio.CancelScope:
        """
        Return the scope that all of them are in.
        """
        return self._group.cancel_scope

    def start_soon(self, work: Callable[[*Args], Awaitable[object]], *arguments: *Args) -> None:
        """
        Start a task.
        """
        self._group.start_soon(_run, work, *arguments, name=_name(work))

    async def start(self, work: Callable[..., Awaitable[object]], *arguments: object) -> object:
        """
        Start a task and wait until it says that it is ready.
        """
        return await self._group.start(_run, work, *arguments, name=_name(work))


async def _run(work: Callable[..., Awaitable[object]], *arguments: object, **status: object) -> None:
    with settled_scopes():
        await work(*arguments, **status)


def _name(work: object) -> str:
    return getattr(work, "__qualname__", type(work).__name__)


@asynccontextmanager
async def open_task_group() -> AsyncIterator[Tasks]:
    """
    Open a task group from which a lone failure leaves as itself, and the host's cancellation always.

    Of several of this library's errors the one leaves that a caller can act
    on; failures of other kinds stay a group, since none may hide another.
    When the host cancelled this task, its cancellation leaves before the
    failure of a task, and an error of the block before both.
    """
    host = HostCancellation()
    foremost: BaseException | None = None
    of_the_block: BaseException | None = None
    try:
        with settled_scopes():
            async with anyio.create_task_group() as tasks:
                try:
                    yield Tasks(tasks)
                except BaseException as error:
                    of_the_block = error
                    raise
    except BaseExceptionGroup as group:
        foremost = _foremost(group)
    if foremost is None or (isinstance(foremost, Exception) and foremost is not of_the_block):
        host.raise_if_requested(foremost)
    if foremost is not None:
        raise foremost  # outside the handler, so that its own cause stays


def _foremost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    cancelled = anyio.get_cancelled_exc_class()
    errors = [error for error in group.exceptions if not isinstance(error, cancelled)]
    if len(errors) == 1:
        return errors[0]
    if errors and all(isinstance(error, OrchestrationError) for error in errors):
        return next((error for error in errors if isinstance(error, LeaseLostError)), errors[0])
    return group


class NoAnswerError(TimeoutError):
    """
    Somebody who was asked did not answer in time.
    """


async def ask(call: Callable[[], Awaitable[T]], *, clock: Clock, seconds: float) -> T:
    """
    Return the answer of a dependency, which has that long by the clock to give it.

    What it raises in time leaves as it is. What it makes of being cut off is
    no answer: past its time that is the cause of our error, and when this
    task is cancelled the cancellation leaves, whatever became of it in there.

    Raises:
        NoAnswerError: the time is over.
    """
    host = HostCancellation()
    limit = _TimeLimit()
    try:
        async with limit.over(clock, seconds):
            return await call()
    except BaseException as error:
        if comes_from_callee(error):
            await host.leave_if_cancelled()
            if limit.is_over:
                raise NoAnswerError from error
        raise
    raise NoAnswerError


@attrs.define(eq=False)
class _TimeLimit:
    """
    A block that is cancelled once its time is over.
    """

    is_over: bool = False

    def over(self, clock: Clock, seconds: float) -> AbstractAsyncContextManager[None]:
        # Without time left a block still gets the turn of the loop that the clock's sleep takes.
        return self._by_loop(seconds) if seconds > 0 and keeps_loop_time(clock) else self._by(clock, seconds)

    @asynccontextmanager
    async def _by_loop(self, seconds: float) -> AsyncIterator[None]:
        # The loop's own timer in place of a task that sleeps: a wait costs a third; decision 294.
        with settled_scopes(), anyio.move_on_after(seconds) as scope:
            try:
                yield
            finally:
                self.is_over = scope.cancel_called

    @asynccontextmanager
    async def _by(self, clock: Clock, seconds: float) -> AsyncIterator[None]:
        async def ring() -> None:
            await clock.sleep(seconds)
            self.is_over = True
            tasks.cancel_scope.cancel()

        async with open_task_group() as tasks:
            tasks.start_soon(ring)
            yield
            tasks.cancel_scope.cancel()


def keeps_loop_time(clock: Clock) -> bool:
    """
    Tell whether a clock's sleep is the event loop's own, so that the loop's timers keep its time.
    """
    return getattr(type(clock), "sleep", None) is SystemClock.sleep


async def wait_at_most(clock: Clock, seconds: float, wait: Callable[[], Awaitable[object]]) -> bool:
    """
    Wait for that long by the clock at most; return whether the wait was over by itself.
    """
    try:
        await ask(wait, clock=clock, seconds=seconds)
    except NoAnswerError:
        return False
    return True


async def shielded_write(
    write: Callable[[], Awaitable[T]],
    *,
    clock: Clock,
    seconds: float,
    take_back: Callable[[T], Awaitable[object]] | None = None,
) -> T:
    """
    Do a write to its end although this task is cancelled, but not for ever; return its answer.

    Args:
        write: what must not be cut off halfway.
        clock: whose seconds count.
        seconds: how long it may take.
        take_back: undoes, within as long again, an answer that nobody can be
            given any more since this task was cancelled meanwhile.

    Raises:
        NoAnswerError: it did not end within that time.
    """
    answers: list[T] = []

    async def do() -> None:
        answers.append(await write())

    try:
        await _shield(do, clock=clock, seconds=seconds)
        if take_back is not None:
            await checkpoint_if_cancelled()  # trio's group returns where asyncio's leaves
    except BaseException:
        if answers and take_back is not None:
            await _shield(partial(take_back, answers[0]), clock=clock, seconds=seconds)
        raise
    if not answers:
        raise NoAnswerError
    return answers[0]


async def _shield(work: Callable[[], Awaitable[object]], *, clock: Clock, seconds: float) -> None:
    """
    Let work go on for that long although this task is cancelled.
    """
    working, waiting = anyio.CancelScope(shield=True), anyio.CancelScope(shield=True)
    by_loop = keeps_loop_time(clock)

    async def do() -> None:
        if by_loop:
            working.deadline = anyio.current_time() + seconds
        try:
            with working:
                await work()
        finally:
            waiting.cancel()

    async def ring() -> None:
        with waiting:
            await clock.sleep(seconds)
            working.cancel()

    # A task of its own, since asyncio's own `Task.cancel` passes through a shield; decision 60.
    async with open_task_group() as tasks:
        tasks.start_soon(do)
        if not by_loop:
            tasks.start_soon(ring)


class WorkQueue(Generic[T, R]):
    """
    A queue for a fixed number of workers, and the mailbox of what they finish.

    Workers loop over `take_nowait`, or `take` when there is nothing, and
    `put_result`; one collector loops over `wait_for_results` and
    `oldest_results`. No task, lock or buffer is made per item. For one event loop.
    """

    def __init__(self) -> None:
        self._todo: deque[T] = deque()
        self._done: deque[R] = deque()
        self._more = anyio.Event()
        self._has_news = False
        self._idle = 0
        self._collector: anyio.Event | None = None

    @property
    def waiting(self) -> int:
        """
        Return how many items no worker has taken yet.
        """
        return len(self._todo)

    @property
    def idle(self) -> int:
        """
        Return how many workers wait for something to do.
        """
        return self._idle

    @property
    def finished(self) -> int:
        """
        Return how many results the collector is not done with.
        """
        return len(self._done)

    def put(self, items: Iterable[T]) -> None:
        """
        Queue further items and wake idle workers.
        """
        self._todo.extend(items)
        self._more.set()

    def take_back(self) -> list[T]:
        """
        Take back every item that no worker has taken yet.
        """
        items = list(self._todo)
        self._todo.clear()
        return items

    def take_nowait(self) -> T | None:
        """
        Return the next item, or `None` if there is none now.
        """
        return self._todo.popleft() if self._todo else None

    async def take(self) -> T:
        """
        Return the next item, waiting for one.
        """
        self._idle += 1
        try:
            while not self._todo:
                if self._more.is_set():
                    self._more = anyio.Event()
                await self._more.wait()
        finally:
            self._idle -= 1
        return self._todo.popleft()

    def put_result(self, result: R) -> bool:
        """
        Deliver a result; return whether the worker should let others run now.
        """
        self._done.append(result)
        self.wake_collector()
        return len(self._done) % _FAIR_BACKLOG == 0

    def wake_collector(self) -> None:
        """
        Wake the collector, be something finished or not.
        """
        self._has_news = True
        if self._collector is not None:
            self._collector.set()
            self._collector = None

    async def wait_for_results(self) -> None:
        """
        Return when a result or a wake-up came since the last return.
        """
        if not self._has_news:
            self._collector = anyio.Event()
            await self._collector.wait()
        self._has_news = False

    def oldest_results(self, limit: int) -> tuple[R, ...]:
        """
        Return the oldest results, at most `limit`, and leave them in the mailbox.
        """
        return tuple(islice(self._done, limit))

    def discard_results(self, count: int) -> None:
        """
        Drop the oldest results, which the collector is done with.
        """
        for _ in range(count):
            self._done.popleft()


class Notifier(Generic[T]):
    """
    Wake-ups by key within one process, with or without news; who waits in another one has to poll.
    """

    def __init__(self) -> None:
        self._subscriptions: defaultdict[str, set[Subscription[T]]] = defaultdict(set)

    def notify(self, key: str, news: T | None = None) -> None:
        """
        Wake everybody who subscribed to the key.
        """
        for subscription in self._subscriptions.get(key, ()):
            subscription.notify(news)

    @contextmanager
    def subscribe(self, key: str) -> Iterator[Subscription[T]]:
        """
        Subscribe to a key from here on; notifications are remembered until the next wait.
        """
        subscription: Subscription[T] = Subscription()
        self._subscriptions[key].add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[key].discard(subscription)
            if not self._subscriptions[key]:
                del self._subscriptions[key]


class Subscription(Generic[T]):
    """
    Where notifications arrive. Keeps little news: who reads slowly has to look it up.
    """

    def __init__(self) -> None:
        self._notified = anyio.Event()
        self._news: deque[T] = deque(maxlen=_MOST_NEWS)
        self._without_news = False

    def notify(self, news: T | None = None) -> None:
        """
        Take a notification, and its news if it has any.
        """
        if news is None:
            self._without_news = True
        else:
            self._news.append(news)
        self._notified.set()

    def take_wake_up(self) -> bool:
        """
        Return whether a notification without news came since the last time this was asked.
        """
        bare, self._without_news = self._without_news, False
        return bare

    def take_news(self) -> Iterator[T]:
        """
        Yield the news that is left, oldest first, each once.
        """
        while self._news:
            yield self._news.popleft()

    async def wait(self, clock: Clock, seconds: float) -> bool:
        """
        Return when a notification came since the last return, or after that long; say which.
        """
        notified = await wait_at_most(clock, seconds, self._notified.wait)
        self._notified = anyio.Event()
        return notified
