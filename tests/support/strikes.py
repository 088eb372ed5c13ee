"""
A host that cancels its task before any step of the event loop, on either of them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import trio

TURNS = 300
"""Turns of the event loop that a verb is watched for; one that serves never ends by itself."""

Verb = Callable[[], Awaitable[object]]


@attrs.define(eq=False)
class Strike:
    """
    A cancellation that comes before one step.

    Attributes:
        left: steps until then.
        cancel: cancels, once the verb has begun.
        came: whether it came before the verb's end.
        came_out: whether the host saw its cancellation.
    """

    left: float
    cancel: Callable[[], object] | None = None
    came: bool = False
    came_out: bool = False

    def step(self) -> None:
        """
        Count a step, and cancel before the one that was chosen.
        """
        if self.cancel is None:
            return
        self.left -= 1
        if self.left < 0:
            cancel, self.cancel, self.came = self.cancel, None, True
            cancel()


class _CountingLoop(asyncio.SelectorEventLoop):
    strike = Strike(left=math.inf)

    def call_soon(self, callback: Any, *arguments: Any, context: Any = None) -> asyncio.Handle:
        return super().call_soon(self._counted, callback, arguments, context=context)

    def _counted(self, callback: Callable[..., object], arguments: tuple[object, ...]) -> None:
        self.strike.step()
        callback(*arguments)


@attrs.define(eq=False)
class _CountingInstrument(trio.abc.Instrument):
    strike: Strike

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        self.strike.step()


def cancelled_at(step: int, verb: Verb, *, by: str) -> Strike:
    """
    Run the verb in an event loop of its own, cancel it before that step, and say what came of it.

    Args:
        step: from 0.
        verb: makes a world of its own.
        by: `Task.cancel`, `asyncio.timeout` or `trio`'s scope.
    """
    strike = Strike(left=step)
    if by == "trio":
        trio.run(_on_trio, strike, verb, instruments=[_CountingInstrument(strike)])
    else:
        with asyncio.Runner(loop_factory=_CountingLoop) as runner:
            runner.run(_on_asyncio(strike, verb, by))
    return strike


async def _on_asyncio(strike: Strike, verb: Verb, by: str) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _CountingLoop)
    loop.strike = strike
    if by == "Task.cancel":
        task = asyncio.ensure_future(_run(strike, verb))
        strike.cancel = task.cancel
    else:
        task = asyncio.ensure_future(_run_within_a_timeout(strike, verb))
    for _ in range(TURNS):
        if not task.done():
            await asyncio.sleep(0)
    strike.cancel = None
    if not strike.came:
        task.cancel()  # the verb serves, and would go on for ever
    (end,) = await asyncio.gather(task, return_exceptions=True)
    strike.came_out = isinstance(end, asyncio.CancelledError if by == "Task.cancel" else TimeoutError)


async def _run(strike: Strike, verb: Verb) -> None:
    await verb()
    strike.cancel = None


async def _run_within_a_timeout(strike: Strike, verb: Verb) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as timeout:
        strike.cancel = lambda: timeout.reschedule(loop.time())
        try:
            await _run(strike, verb)
        finally:
            strike.came = timeout.expired()  # it rings a step later, perhaps after the end


async def _on_trio(strike: Strike, verb: Verb) -> None:
    done = trio.Event()

    async def run() -> None:
        with trio.CancelScope() as scope:
            strike.cancel = scope.cancel
            await _run(strike, verb)
        strike.came_out = scope.cancelled_caught
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        for _ in range(TURNS):
            if not done.is_set():
                await trio.lowlevel.checkpoint()
        strike.cancel = None
        if strike.came:
            await done.wait()
        nursery.cancel_scope.cancel()
