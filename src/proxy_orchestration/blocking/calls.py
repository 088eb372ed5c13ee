"""
One call that a thread waits for while an event loop in another thread carries it out.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, Protocol, TypeVar

import anyio

from proxy_orchestration.errors import OrchestratorClosedError

T = TypeVar("T")

GLANCE: Final = 0.1
"""Seconds after which a thread that waits looks up.

What is raised into a thread by `PyThreadState_SetAsyncExc`, as some task queues do at a
time limit, arrives between two instructions of Python and wakes no lock.
"""


def wait_for(event: threading.Event) -> None:
    """
    Return when it is set; whatever is raised into this thread meanwhile leaves.
    """
    while not event.wait(GLANCE):
        pass


class Loop(Protocol):
    """
    What a call asks of an event loop in another thread.
    """

    def run(self, function: Callable[[], None], /) -> None:
        """
        Run a function in there, and return when that is done.
        """
        ...

    def start_soon(self, work: Callable[[], Awaitable[object]], /) -> None:
        """
        Start a task; called in there.
        """
        ...

    def wait_for_end(self) -> None:
        """
        Return when the event loop, which is about to end, has ended.
        """
        ...


class _Errand:
    """
    A function that is called in another thread than the one that waits for it.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._answer: Any = None
        self._error: Exception | None = None
        self.is_done = anyio.Event()
        self.is_wanted = True

    def do(self, loop: Loop) -> None:
        """
        Call it, and say so in the event loop; an interruption of this thread leaves.
        """
        if not self.is_wanted:
            return
        try:
            self._answer = self._function()
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._error = error
        loop.run(self.is_done.set)

    def outcome(self) -> Any:  # noqa: ANN401 - whatever the function returned
        """
        Return what it returned, or raise what it raised.
        """
        if self._error is None:
            return self._answer
        try:
            raise self._error
        finally:
            self._error = None  # else error and frame keep each other


class Call(Generic[T]):
    """
    Work for an event loop, and the thread that waits for its end.

    What the work wants to have done in that thread it hands over, and the
    thread does it while it waits.

    Args:
        work: the call.
        loop: where it is carried out.

    Attributes:
        loop: where it is carried out.
    """

    def __init__(self, work: Callable[[], Awaitable[T]], loop: Loop) -> None:
        self._work = work
        self.loop = loop
        self._scope: anyio.CancelScope | None = None
        self._ended = threading.Event()
        self._errands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._answers: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> T:
        """
        Start the work, wait for it, and return what it returned or raise what it raised.

        Whatever is raised into this thread meanwhile, as Ctrl-C or a task
        queue's time limit, cancels the work, and leaves once that has ended.

        Raises:
            OrchestratorClosedError: the event loop ended before the work did.
        """
        # In one block: an interruption between the start and the waiting would leave work that nobody ends.
        try:
            self.loop.run(self._start)
            self._do_errands()
        except OrchestratorClosedError:
            raise
        except BaseException:
            self.cancel()
            raise
        return self._outcome()

    def start(self) -> None:
        """
        Start the work, which whoever calls this ends, also if they are interrupted in here.

        Raises:
            OrchestratorClosedError: the event loop has ended, or is about to.
        """
        self.loop.run(self._start)

    def _start(self) -> None:
        self._scope = anyio.CancelScope()
        self.loop.start_soon(self._run)

    async def _run(self) -> None:
        try:
            with self._scope or anyio.CancelScope():
                self._answers.append(await self._work())
        except anyio.get_cancelled_exc_class():  # the event loop ends
            raise
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):
                raise  # an exit is the event loop's business, too
        finally:
            self._end()

    def _end(self) -> None:
        self._ended.set()
        self._errands.put(None)

    def hand_over(self, errand: Callable[[], None]) -> None:
        """
        Have a function called in the thread that waits.
        """
        self._errands.put(errand)

    async def run_in_thread(self, function: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it returns
        """
        Have a function called in the thread that waits, and return what it returned or raise what it raised.

        Whoever is cancelled meanwhile does not wait for it, and it is not begun any more.
        """
        errand = _Errand(function)
        self.hand_over(lambda: errand.do(self.loop))
        try:
            await errand.is_done.wait()
        finally:
            errand.is_wanted = False
        return errand.outcome()

    def result(self) -> T:
        """
        Wait for work that was started, and return what it returned or raise what it raised.

        Whatever is raised into this thread meanwhile cancels the work, as in `run`.

        Raises:
            OrchestratorClosedError: the event loop ended before the work did.
        """
        try:
            self._do_errands()
        except BaseException:
            self.cancel()
            raise
        return self._outcome()

    def _outcome(self) -> T:
        if self._answers:
            return self._answers[0]
        if not isinstance(self._error, Exception):
            self.loop.wait_for_end()  # so that the next call finds no loop that is about to end
        if self._error is None:
            raise OrchestratorClosedError
        try:
            raise self._error
        finally:
            self._error = None  # else error and frame keep each other

    def _do_errands(self) -> None:
        while True:
            try:
                errand = self._errands.get(timeout=GLANCE)
            except queue.Empty:
                continue
            if errand is None:
                return
            errand()

    @property
    def has_ended(self) -> bool:
        """
        Return whether the work is over.
        """
        return self._ended.is_set()

    def cancel(self) -> None:
        """
        Cancel the work, and return once it has ended; a second interruption leaves at once.
        """
        try:
            self.loop.run(self._cancel)
        except OrchestratorClosedError:
            return
        wait_for(self._ended)

    def _cancel(self) -> None:
        # The loop takes what it is handed in order: what was not started by now never will be.
        if self._scope is None:
            self._end()
        else:
            self._scope.cancel()
