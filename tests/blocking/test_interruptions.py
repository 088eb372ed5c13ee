"""
What is raised into a thread that waits ends its call, so that nothing goes on beside what comes next.
"""

from __future__ import annotations

import ctypes
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint
from waits import LONGEST_WAIT

from proxy_orchestration import BulkStatus, blocking
from proxy_orchestration.testing import hang, succeed

pytestmark = pytest.mark.dateless

BLOCKING = Path(blocking.__file__).parent


class TimeLimitError(Exception):
    """
    What a task queue raises in the middle of a task.
    """


@pytest.fixture
def strike() -> Iterator[signal.Signals]:
    """
    A signal whose handler raises in the main thread, as Celery's soft time limit and Ctrl-C do.
    """
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals are for the main thread")

    def raise_limit(*_):
        raise TimeLimitError

    before = signal.signal(signal.SIGUSR1, raise_limit)
    yield signal.SIGUSR1
    signal.signal(signal.SIGUSR1, before)


def _strike_main(strike: signal.Signals) -> None:
    signal.pthread_kill(threading.main_thread().ident, strike)


def _is_free(host, batch_id: str) -> bool:
    """
    Tell whether nobody holds the batch, by driving it to its end at once.
    """
    host.service.script = lambda *_: succeed()
    with host.blocking.drive_batch(batch_id) as run:
        list(run)
    return run.result.status is BulkStatus.SUCCESS


def test_a_time_limit_ends_the_call_and_frees_the_batch(host, strike):
    """
    The next task finds no service call under way and no lease: it drives the batch on.
    """
    host.service.script = lambda *_: _strike_main(strike) or hang()
    accepted = host.blocking.submit_bulk_registration(host.request("m-1"), actor=host.actor, drive=False)

    with pytest.raises(TimeLimitError):
        host.blocking.submit_bulk_registration(host.request("m-2", key="key-1"), actor=host.actor)

    assert 0 == host.service.in_flight
    again = host.blocking.submit_bulk_registration(
        host.request("m-2", key="key-1"), actor=host.actor, drive=False
    )
    assert again.batch_id != accepted.batch_id
    assert _is_free(host, again.batch_id)


def test_a_time_limit_ends_a_block_where_it_waits(host, strike):
    """
    Whoever waits for the next update is interrupted there, and the block stops driving.
    """
    host.service.script = lambda call, _: succeed() if call.mentor_id == "m-1" else hang()

    async def strike_soon() -> None:
        for _ in range(50):
            await checkpoint()
        _strike_main(strike)

    with (  # noqa: PT012 - it is raised while the block waits
        pytest.raises(TimeLimitError),
        host.blocking.stream_bulk_registration(host.request("m-1", "m-2"), actor=host.actor) as run,
    ):
        assert 1 == next(run).settled
        run._loop.run(lambda: run._loop.start_soon(strike_soon))
        next(run)

    assert 0 == host.service.in_flight
    assert _is_free(host, run.batch_id)


@pytest.fixture
def ctrl_c(strike: signal.Signals) -> Iterator[signal.Signals]:
    """
    Ctrl-C as Python takes it, also where the tests run in the background and nobody could press it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.SIGINT
    signal.signal(signal.SIGINT, before)


def _submit(host) -> None:
    host.blocking.submit_bulk_registration(host.request("m-1"), actor=host.actor)


def _stream(host) -> None:
    with host.blocking.stream_bulk_registration(host.request("m-1"), actor=host.actor) as run:
        list(run)


class StrikeAtLine:
    """
    Raises at one line of what waits, once the service was called: as a signal does, whenever it comes.
    """

    def __init__(self, line: int, began: queue.SimpleQueue[None]) -> None:
        self.left = line
        self._began = began
        self._is_handed_over = False

    def __call__(self, frame, event, _argument):
        """
        Trace what belongs to the blocking objects, from when the event loop has the work.
        """
        if BLOCKING not in Path(frame.f_code.co_filename).parents:
            return None
        if event == "return" and frame.f_code.co_qualname == "EventLoopThread.run":
            self._is_handed_over = True
        elif event == "line" and self._is_handed_over and sys.exc_info()[0] is None:
            # Not in a handler that only goes on: what a tracer raises there leaves what is handled behind.
            self.left -= 1
            if self.left == 0:
                self._began.get(timeout=LONGEST_WAIT)
                raise TimeLimitError
        return self


@pytest.mark.untraced  # coverage traces by the same means
@pytest.mark.parametrize("verb", [_submit, _stream])
@pytest.mark.parametrize("line", range(1, 13))
def test_a_time_limit_ends_the_call_wherever_the_thread_is(host, verb, line):
    """
    Also between the start of the work and the waiting for it.
    """
    began: queue.SimpleQueue[None] = queue.SimpleQueue()
    host.service.script = lambda *_: began.put(None) or hang()
    strike, before = StrikeAtLine(line, began), sys.gettrace()
    sys.settrace(strike)
    try:
        with pytest.raises(TimeLimitError):
            verb(host)
    finally:
        sys.settrace(before)

    assert 0 == strike.left
    assert 0 == host.service.in_flight


def test_ctrl_c_ends_serve(host, ctrl_c):
    """
    As a management command of a host has it.
    """
    host.blocking.submit_bulk_registration(host.request("m-1"), actor=host.actor, drive=False)
    host.service.script = lambda *_: _strike_main(ctrl_c) or succeed()

    with pytest.raises(KeyboardInterrupt):
        host.blocking.serve()

    assert not host.blocking.health().serving


def test_an_exception_that_is_raised_into_another_thread_ends_its_call(host):
    """
    Task queues with threads raise their limits there, which no lock notices by itself.
    """
    began: queue.SimpleQueue[None] = queue.SimpleQueue()
    host.service.script = lambda *_: began.put(None) or hang()
    left_by = []

    def work() -> None:
        try:
            host.blocking.submit_bulk_registration(host.request("m-1"), actor=host.actor)
        except TimeLimitError as error:
            left_by.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    began.get(timeout=LONGEST_WAIT)
    raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(TimeLimitError)
    )
    thread.join(LONGEST_WAIT)

    assert 1 == raised == len(left_by)
    assert 0 == host.service.in_flight


def test_a_second_interruption_waits_for_nothing(host, strike):
    """
    Who presses Ctrl-C twice has waited long enough for what does not end.
    """
    calls, may_end = [], []

    def raise_limit() -> None:
        raise TimeLimitError

    async def stubborn(_part: object) -> None:
        may_end.append(anyio.Event())
        with anyio.CancelScope(shield=True):
            while not calls:
                await checkpoint()
            calls[0].hand_over(raise_limit)
            while not calls[0]._scope.cancel_called:
                await checkpoint()
            _strike_main(strike)
            await may_end[0].wait()

    call = host.blocking._call("submit", stubborn)
    calls.append(call)
    with pytest.raises(TimeLimitError) as caught:
        call.run()

    assert isinstance(caught.value.__context__, TimeLimitError)
    assert not call.has_ended
    call.loop.run(may_end[0].set)
    call._ended.wait(LONGEST_WAIT)
    assert call.has_ended
