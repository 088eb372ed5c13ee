"""
Work in system tasks of the event loop, which may be left behind: the one way out of task groups.

A task group waits for its tasks, whatever they do. Code of a host that takes
its cancellation for nothing would hold whoever waits, so it runs where nobody
has to wait for it; decision 116.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from typing import Any, Final

import anyio
import attrs

# asyncio itself keeps weak references only.
_kept: Final[set[asyncio.Task[None]]] = set()


@attrs.define(eq=False)
class SystemTask:
    """
    One piece of work in a task that no task group waits for; it never raises into the loop.

    Attributes:
        work: what it does, with the context variables of whoever starts it.
        on_end: called when it has ended.
        error: what the work raised, once it has ended so.
    """

    work: Callable[[], Awaitable[object]]
    on_end: Callable[[SystemTask], object] | None = None
    error: BaseException | None = attrs.field(default=None, init=False)
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, init=False)
    _ended: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    def start(self) -> None:
        """
        Start the work soon.
        """
        _spawn(self._run)

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


def _spawn(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        importlib.import_module("trio.lowlevel").spawn_system_task(work, context=copy_context())
        return
    task = asyncio.get_running_loop().create_task(work(), context=copy_context())
    _kept.add(task)
    task.add_done_callback(_kept.discard)
