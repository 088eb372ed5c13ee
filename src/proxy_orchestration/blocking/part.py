"""
The base of every blocking object: a part of this library and the event loop in which it is open.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from types import TracebackType
from typing import Any, ClassVar, Final, Generic, Literal, Self, TypeAlias, TypeVar, cast

import attrs

from proxy_orchestration.blocking.calls import Call
from proxy_orchestration.blocking.event_loop import EventLoopThread, refuse_event_loops
from proxy_orchestration.errors import MisconfiguredError, OrchestratorClosedError

T = TypeVar("T")
R = TypeVar("R")

Backend: TypeAlias = Literal["asyncio", "trio"]


class BlockingPart(Generic[T]):
    """
    Opens a part of this library at the first call, in an event loop of its own, and closes it there.

    Any number of threads may call it at once. A forked child opens it anew
    at its own first call.

    Args:
        part: the part, or a function that opens one: it returns an async context manager.
        backend: the event loop.

    Raises:
        MisconfiguredError: it is neither, or there is no such event loop.
    """

    _kind: ClassVar[type]
    _argument: ClassVar[str]

    def __init__(self, part: T | Callable[[], AbstractAsyncContextManager[T]], *, backend: Backend) -> None:
        self._part = part
        self._backend: Final = backend
        self._check()
        self._was_opened = False
        self._is_closed = False
        self._forget_loop()
        _alive.add(self)

    def _check(self) -> None:
        owner, kind = type(self).__name__, self._kind.__name__
        if self._backend not in {"asyncio", "trio"}:
            raise MisconfiguredError(owner, "backend", "it must be 'asyncio' or 'trio'")
        if not isinstance(self._part, self._kind) and not callable(self._part):
            problem = (
                f"it is neither a {kind} nor a function that opens one. For an async context manager, give "
                "the function that makes it, because each process opens its own."
            )
            raise MisconfiguredError(owner, self._argument, problem)

    def _forget_loop(self) -> None:
        # A fork copies neither threads nor who would give back a lock.
        self._lock = threading.Lock()
        self._loop: EventLoopThread[T] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """
        Close what was opened, and end its event loop; every further call is refused.

        Calls under way in other threads are cancelled: they raise
        `OrchestratorClosedError`, and `serve` returns.

        Raises:
            WrongThreadError: called in a thread whose event loop runs.
        """
        refuse_event_loops("close")
        with self._lock:
            self._is_closed = True
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()

    def _running(self, verb: str) -> EventLoopThread[T]:
        refuse_event_loops(verb)
        with self._lock:
            if self._is_closed:
                raise OrchestratorClosedError
            if self._loop is None or self._loop.has_ended:
                self._loop = EventLoopThread(self._opening(), backend=self._backend)
            return self._loop

    def _opening(self) -> Callable[[], AbstractAsyncContextManager[T]]:
        part: Any = self._part
        if not isinstance(part, self._kind):
            return cast("Callable[[], AbstractAsyncContextManager[T]]", part)
        if self._was_opened:
            # One that another loop has used may wait for that one's tasks, which no fork copies.
            part = attrs.evolve(part)  # type: ignore[misc]  # each kind is attrs'
        self._was_opened = True
        return lambda: nullcontext(part)

    def _call(self, verb: str, work: Callable[[T], Awaitable[R]]) -> Call[R]:
        """
        Return a call that whoever waits for it starts.
        """
        loop = self._running(verb)
        part = loop.opened()
        return Call(lambda: work(part), loop)

    def _call_with_errands(
        self, verb: str, work: Callable[[T, Callable[[Callable[[], Any]], Awaitable[Any]]], Awaitable[R]]
    ) -> Call[R]:
        """
        Return a call that has some of its work done in this thread, while that waits.
        """
        loop = self._running(verb)
        part = loop.opened()
        call: Call[R] = Call(lambda: work(part, call.run_in_thread), loop)
        return call


_alive: Final[weakref.WeakSet[BlockingPart[Any]]] = weakref.WeakSet()


def _forget_loops() -> None:
    for part in _alive:
        part._forget_loop()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_loops)
