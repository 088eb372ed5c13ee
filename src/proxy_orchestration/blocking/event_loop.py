"""
An event loop in its own thread, in which an object stays open while the loop runs.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Generic, TypeVar

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token

from proxy_orchestration._concurrency import Tasks, open_task_group
from proxy_orchestration.blocking.calls import GLANCE, wait_for
from proxy_orchestration.errors import OrchestratorClosedError, WrongThreadError

T = TypeVar("T")

_THREAD_NAME: Final = "proxy-orchestration"


class EventLoopThread(Generic[T]):
    """
    Opens something in an event loop of its own, and closes it in the same loop and task.

    The thread is a daemon: a process that ends without closing it does not wait for it.

    Args:
        opening: opens it.
        backend: the event loop, `asyncio` or `trio`.
    """

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[T]], *, backend: str) -> None:
        self._opening = opening
        self._backend = backend
        self._lock = threading.Lock()
        self._is_stopping = False
        self._ready = threading.Event()
        self._opened: list[T] = []
        self._error: BaseException | None = None
        self._token: EventLoopToken
        self._tasks: Tasks
        self._thread = threading.Thread(target=self._run, name=_THREAD_NAME, daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """
        Return whether the event loop is over, or could not open what it is for and is about to be.
        """
        could_not_open = self._ready.is_set() and not self._opened
        return could_not_open or not self._thread.is_alive()

    def opened(self) -> T:
        """
        Return what is open in there, waiting for it, or raise why it could not be opened.
        """
        wait_for(self._ready)
        if not self._opened:
            raise self._error or OrchestratorClosedError
        return self._opened[0]

    def _run(self) -> None:
        try:
            anyio.run(self._main, backend=self._backend)
        except BaseException as error:  # noqa: BLE001 - raised to whoever waits for the opening, or closes
            self._error = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        async with self._opening() as opened:
            try:
                async with open_task_group() as self._tasks:
                    self._token = current_token()
                    self._opened.append(opened)
                    self._ready.set()
                    await anyio.sleep_forever()
            finally:
                self._is_stopping = True

    def start_soon(self, work: Callable[[], Awaitable[object]]) -> None:
        """
        Start a task; called in the event loop's thread.
        """
        self._tasks.start_soon(work)

    def run(self, function: Callable[[], None]) -> None:
        """
        Run a function in the event loop's thread, and return when that is done.

        Raises:
            OrchestratorClosedError: the event loop has ended, or is about to.
        """
        with self._lock:
            # In the lock: a loop that ends meanwhile would never come to it.
            if self._is_stopping:
                raise OrchestratorClosedError
            try:
                from_thread.run_sync(function, token=self._token)
            except RuntimeError as error:
                raise OrchestratorClosedError from error

    def wait_for_end(self) -> None:
        """
        Return when the thread has ended.
        """
        while self._thread.is_alive():
            self._thread.join(GLANCE)

    def stop(self) -> None:
        """
        Cancel every call under way, close what is open, and return when the thread has ended.

        Raises:
            BaseException: what the closing raised.
        """
        wait_for(self._ready)
        with self._lock:
            is_over, self._is_stopping = self._is_stopping, True
            if self._opened and not is_over:
                from_thread.run_sync(self._tasks.cancel_scope.cancel, token=self._token)
        self.wait_for_end()
        if self._opened and isinstance(self._error, Exception):
            raise self._error


def refuse_event_loops(verb: str) -> None:
    """
    Refuse to be called where an event loop runs, which would stand still meanwhile.

    Raises:
        WrongThreadError: one runs in this thread.
    """
    trio: Any = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        raise WrongThreadError(verb)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise WrongThreadError(verb)
