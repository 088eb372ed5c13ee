"""
Runs work in system tasks of the event loop, outside of task groups, where it may be abandoned.

A task group waits for its tasks, whatever they do. Code of a host that takes
its cancellation for nothing would hold whoever waits, so it runs where nobody
has to wait for it; decision 116. Neither has the event loop when it ends;
decision 140.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextvars import copy_context
from functools import partial
from typing import Any, Final

import anyio
import attrs
from anyio.lowlevel import checkpoint

TURNS: Final = 10
"""Turns of the event loop in which cancelled work ends, unless it takes its cancellation for nothing."""

# asyncio itself keeps weak references only.
_kept: Final[set[asyncio.Task[None]]] = set()

_dropped: Final[list[Coroutine[Any, Any, object]]] = []
"""What trio's end found unfinished: kept, since closing it outside its task would break its scopes."""


def current_task() -> Any:  # noqa: ANN401 - a class of either event loop
    """
    Return the task of asyncio or trio that this code runs in; no other is the same, not even a later one.
    """
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        return trio.lowlevel.current_task()
    return asyncio.current_task()


def has_ended(task: Any) -> bool:  # noqa: ANN401 - a class of either event loop
    """
    Tell whether a task is over.
    """
    if hasattr(task, "done"):
        return bool(task.done())
    return inspect.getcoroutinestate(task.coro) == inspect.CORO_CLOSED  # trio's have no other word for it


@attrs.define(eq=False)
class SystemTask:
    """
    One piece of work in a task that no task group waits for; it never raises into the loop.

    Attributes:
        work: what it does, with the context variables of whoever starts it.
        on_end: called when it has ended.
        hears_end: whether the end of the event loop cancels it, and waits for it.
        error: what the work raised, once it has ended so.
    """

    work: Callable[[], Awaitable[object]]
    on_end: Callable[[SystemTask], object] | None = None
    hears_end: bool = False
    error: BaseException | None = attrs.field(default=None, init=False)
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, init=False)
    _ended: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _task: _LoopTask = attrs.field(init=False)

    def start(self) -> None:
        """
        Start the work soon.
        """
        self._task = _spawn(self._run, hears_end=self.hears_end)

    @property
    def has_ended(self) -> bool:
        """
        Return whether the work is over.
        """
        return self._ended.is_set()

    def cancel(self) -> None:
        """
        Cancel the work.
        """
        self._scope.cancel()

    async def wait(self) -> None:
        """
        Return when the work is over.
        """
        await self._ended.wait()

    def leave_behind(self, hold: anyio.CancelScope, until: anyio.Event) -> None:
        """
        Let cancelled work go on until the event, or the end of the event loop, which does not wait for it.

        Args:
            hold: a scope in the work, which keeps it from its cancellation.
            until: when it is cancelled all the same.
        """
        SystemTask(partial(self._guard, hold, until), hears_end=True).start()

    async def _guard(self, hold: anyio.CancelScope, until: anyio.Event) -> None:
        # A scope repeats its cancellation at every turn of the loop, for as long as it is taken for nothing.
        hold.shield = True
        try:
            await until.wait()
        except anyio.get_cancelled_exc_class():  # the event loop ends
            hold.shield = False
            await self._end_with_loop()
            raise
        hold.shield = False

    async def _end_with_loop(self) -> None:
        with anyio.CancelScope(shield=True):
            # Its own cancellation first, which lets it clean up.
            for turn in range(2 * TURNS):
                await checkpoint()
                if self.has_ended:
                    return
                if turn >= TURNS:
                    self._task.interrupt()
        self._task.drop()

    async def _run(self) -> None:
        try:
            with self._scope:
                await self.work()
        except BaseException as error:  # noqa: BLE001 - whoever answers for the task raises it, or logs it
            self.error = error
        finally:
            self._ended.set()
            if self.on_end is not None:
                self.on_end(self)


@attrs.define(eq=False)
class _AsyncioTask:
    """
    A task of asyncio. Its loop ends once every task that it knows has ended.
    """

    task: asyncio.Task[None]

    @classmethod
    def started(cls, work: Coroutine[Any, Any, None], *, hears_end: bool) -> _AsyncioTask:
        """
        Return a task that the loop knows nothing of, unless it is to be cancelled with it.
        """
        task = asyncio.get_running_loop().create_task(work, context=copy_context())
        _kept.add(task)
        task.add_done_callback(_kept.discard)
        if not hears_end:
            asyncio.tasks._unregister_task(task)  # noqa: SLF001 - documented, for tasks of other kinds
        return cls(task)

    def interrupt(self) -> None:
        """
        Cancel the task, which passes through every shield.
        """
        self.task.cancel()

    def drop(self) -> None:
        """
        Let the task be; the loop does not wait for it.
        """


@attrs.define(eq=False)
class _TrioTask:
    """
    A task of trio, whose loop ends once all of them have ended, however they are shielded.
    """

    work: Callable[[], Coroutine[Any, Any, None]]
    _task: Any = attrs.field(init=False)
    _is_dropped: bool = attrs.field(default=False, init=False)

    def start(self) -> None:
        """
        Start the task soon.
        """
        self._task = _trio().spawn_system_task(self._droppable, context=copy_context())

    async def _droppable(self) -> None:
        await self._steps(self.work())

    @types.coroutine
    def _steps(self, work: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
        """
        Run the work step by step, until it is over or dropped.
        """
        step = partial(work.send, None)
        while True:
            try:
                message = step()
            except StopIteration:
                return
            try:
                step = partial(work.send, (yield message))
            except BaseException as error:  # noqa: BLE001 - what trio says of a wait that is not its own
                step = partial(work.throw, error)
            if self._is_dropped:
                _dropped.append(work)
                return

    def interrupt(self) -> None:
        """
        Close the work where it waits: in the task, or in the innermost of its children.
        """
        error = importlib.import_module("outcome").Error
        for task in _innermost(self._task):
            _wake(task, error(GeneratorExit()))

    def drop(self) -> None:
        """
        End the task, and leave its work where it stands; not under its children, which trio would miss.
        """
        if not self._task.child_nurseries:
            self._is_dropped = True
            _wake(self._task, None)


_LoopTask = _AsyncioTask | _TrioTask


def _innermost(task: Any) -> Iterator[Any]:  # noqa: ANN401 - trio is no dependency
    children = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    if not children:
        yield task  # who has children waits for them, and nothing else wakes it
    for child in children:
        yield from _innermost(child)


def _wake(task: Any, answer: object) -> None:  # noqa: ANN401 - trio is no dependency
    # trio tells nobody else whether a task waits, and how its wait is ended.
    if getattr(task, "_next_send_fn", True) is not None:
        return
    if task._abort_func is not None:  # noqa: SLF001 - as above
        task._abort_func(_raise_exit)  # noqa: SLF001 - as above
    # Woken also where the wait cannot be ended, as one for a thread: nobody needs its answer.
    _trio().reschedule(task, answer)


def _raise_exit() -> None:
    raise GeneratorExit


def _trio() -> Any:  # noqa: ANN401 - trio is no dependency
    return importlib.import_module("trio.lowlevel")


def _spawn(work: Callable[[], Coroutine[Any, Any, None]], *, hears_end: bool) -> _LoopTask:
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        started = _TrioTask(work)
        started.start()
        return started
    return _AsyncioTask.started(work(), hears_end=hears_end)
