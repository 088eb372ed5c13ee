"""
Task groups, worker pools and wake-ups that several rooms share.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from typing import Final, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import LeaseLostError, OrchestrationError

T = TypeVar("T")
R = TypeVar("R")

_FAIR_BACKLOG: Final = 64
"""Results after which a worker lets others run, should its handler never yield."""

_MOST_NEWS: Final = 16
"""Announcements that a listener keeps; older ones are dropped."""


@asynccontextmanager
async def open_crew() -> AsyncIterator[TaskGroup]:
    """
    Open a task group from which a lone failure leaves as itself.

    Of several of this library's errors the one leaves that a caller can act
    on; failures of other kinds stay a group, since none may hide another.
    """
    foremost: BaseException
    try:
        async with anyio.create_task_group() as crew:
            yield crew
    except BaseExceptionGroup as group:
        foremost = _foremost(group)
    else:
        return
    raise foremost  # outside the handler, so that its own cause stays


def _foremost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    cancelled = anyio.get_cancelled_exc_class()
    errors = [error for error in group.exceptions if not isinstance(error, cancelled)]
    if len(errors) == 1:
        return errors[0]
    if errors and all(isinstance(error, OrchestrationError) for error in errors):
        return next((error for error in errors if isinstance(error, LeaseLostError)), errors[0])
    return group


def is_being_cancelled() -> bool:
    """
    Tell whether the present task is cancelled, by a scope of ours or by the host.
    """
    return anyio.current_effective_deadline() == -math.inf


def comes_from_callee(error: BaseException) -> bool:
    """
    Tell whatever called code may raise from the cancellation of this task, and from an exit.

    A callee may make up a cancellation of its own, and its task groups may
    mix ours with its errors.
    """
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(error, cancelled):
        return not is_being_cancelled()
    if isinstance(error, BaseExceptionGroup):
        return error.split((Exception, cancelled))[1] is None
    return isinstance(error, Exception)


async def complete(write: Callable[[], Awaitable[T]], *, clock: Clock, seconds: float) -> T:
    """
    Do a write to its end although this task is cancelled, but not for ever.

    The write has a task of its own, since asyncio's own way to cancel a task
    does not heed a shield.

    Raises:
        TimeoutError: it did not end within that time.
    """
    answers: list[T] = []
    work, alarm = anyio.CancelScope(shield=True), anyio.CancelScope(shield=True)

    async def do() -> None:
        try:
            with work:
                answers.append(await write())
        finally:
            alarm.cancel()

    async def ring() -> None:
        with alarm:
            await clock.sleep(seconds)
            work.cancel()

    async with open_crew() as crew:
        crew.start_soon(do)
        crew.start_soon(ring)
    if not answers:
        raise TimeoutError
    return answers[0]


async def wait_at_most(clock: Clock, seconds: float, wait: Callable[[], Awaitable[object]]) -> bool:
    """
    Wait for that long by the clock at most; return whether the wait was over by itself.
    """
    over = False
    async with open_crew() as crew:

        async def ring() -> None:
            await clock.sleep(seconds)
            crew.cancel_scope.cancel()

        crew.start_soon(ring)
        await wait()
        over = True
        crew.cancel_scope.cancel()
    return over


class WorkPool(Generic[T, R]):
    """
    A queue for a fixed number of workers, and the mailbox of what they finish.

    Workers loop over `take_nowait`, or `take` when there is nothing, and
    `put`; one collector loops over `news` and `first_finished`. No task, lock
    or buffer is made per item. For one event loop.
    """

    def __init__(self) -> None:
        self._todo: deque[T] = deque()
        self._done: deque[R] = deque()
        self._more = anyio.Event()
        self._is_news = False
        self._collector: anyio.Event | None = None

    @property
    def waiting(self) -> int:
        """
        Return how many items no worker has taken yet.
        """
        return len(self._todo)

    def feed(self, items: Iterable[T]) -> None:
        """
        Queue further items and wake idle workers.
        """
        self._todo.extend(items)
        self._more.set()

    def withdraw(self) -> list[T]:
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
        while not self._todo:
            if self._more.is_set():
                self._more = anyio.Event()
            await self._more.wait()
        return self._todo.popleft()

    def put(self, result: R) -> bool:
        """
        Deliver a result; return whether the worker should let others run now.
        """
        self._done.append(result)
        self.nudge()
        return len(self._done) % _FAIR_BACKLOG == 0

    def nudge(self) -> None:
        """
        Wake the collector, be something finished or not.
        """
        self._is_news = True
        if self._collector is not None:
            self._collector.set()
            self._collector = None

    async def news(self) -> None:
        """
        Return when something was put or a nudge came since the last return.
        """
        if not self._is_news:
            self._collector = anyio.Event()
            await self._collector.wait()
        self._is_news = False

    def first_finished(self, limit: int) -> tuple[R, ...]:
        """
        Return the oldest results, at most `limit`, and leave them in the mailbox.
        """
        return tuple(islice(self._done, limit))

    def forget_finished(self, count: int) -> None:
        """
        Drop the oldest results, which the collector has seen to.
        """
        for _ in range(count):
            self._done.popleft()


class Hints(Generic[T]):
    """
    Wake-ups by key within one process, with or without news; who waits in another one has to poll.
    """

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[Listener[T]]] = defaultdict(set)

    def announce(self, key: str, news: T | None = None) -> None:
        """
        Wake everybody who listens to the key.
        """
        for listener in self._listeners.get(key, ()):
            listener.hear(news)

    @contextmanager
    def listen(self, key: str) -> Iterator[Listener[T]]:
        """
        Listen to a key from here on; announcements are remembered until the next wait.
        """
        listener: Listener[T] = Listener()
        self._listeners[key].add(listener)
        try:
            yield listener
        finally:
            self._listeners[key].discard(listener)
            if not self._listeners[key]:
                del self._listeners[key]


class Listener(Generic[T]):
    """
    One place where hints arrive. Keeps little news: who reads slowly has to look it up.
    """

    def __init__(self) -> None:
        self._heard = anyio.Event()
        self._news: deque[T] = deque(maxlen=_MOST_NEWS)
        self._bare_hint = False

    def hear(self, news: T | None = None) -> None:
        """
        Take the hint, and its news if it has any.
        """
        if news is None:
            self._bare_hint = True
        else:
            self._news.append(news)
        self._heard.set()

    def take_bare_hint(self) -> bool:
        """
        Return whether a hint without news came since the last time this was asked.
        """
        bare, self._bare_hint = self._bare_hint, False
        return bare

    def take_news(self) -> Iterator[T]:
        """
        Yield the news that is left, oldest first, each once.
        """
        while self._news:
            yield self._news.popleft()

    async def wait(self, clock: Clock, seconds: float) -> bool:
        """
        Return when a hint came since the last return, or after that long; say which.
        """
        heard = await wait_at_most(clock, seconds, self._heard.wait)
        self._heard = anyio.Event()
        return heard
