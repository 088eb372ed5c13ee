"""
Tells who cancelled a call: a cancel scope, the host through asyncio, or the called code itself.

On asyncio a host may cancel a task without any scope, by `Task.cancel`, and
knows by the task's count of such requests whether its cancellation came out.
So the count has to be right at every moment, and what it says has to leave.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import anyio
import attrs
from anyio.lowlevel import checkpoint

_EXITS: Final = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What ends a process or a coroutine; every other class is a failure like others; decision 110."""


def is_being_cancelled() -> bool:
    """
    Tell whether a scope around the present task's code is cancelled, be it ours or the host's.
    """
    return anyio.current_effective_deadline() == -math.inf


def comes_from_callee(error: BaseException) -> bool:
    """
    Tell whatever called code may raise from the cancellation of this task, and from an exit.

    A callee may make up a cancellation of its own, its task groups may mix
    ours with its errors, and a class of its own may be no `Exception`.
    """
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(error, cancelled):
        return not (is_being_cancelled() or _requests() > 0)
    if isinstance(error, BaseExceptionGroup):
        return error.split(_EXITS)[0] is None
    return not isinstance(error, _EXITS)


def _requests() -> int:
    """
    Return asyncio's count of requests to cancel this task: the host's, and those of scopes under way.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop of asyncio's
        return 0
    return 0 if task is None else task.cancelling()


@attrs.frozen(eq=False)
class HostCancellation:
    """
    The host's own `Task.cancel` of the present task, as far as it came after this was made.
    """

    _before: int = attrs.field(factory=_requests, init=False)

    def raise_if_requested(self, cause: BaseException | None = None) -> None:
        """
        Raise the host's cancellation, should somebody have swallowed it; never a scope's.
        """
        if _requests() > self._before and not is_being_cancelled():
            raise asyncio.CancelledError from cause

    async def leave_if_cancelled(self) -> None:
        """
        Leave here if this task is cancelled, by a scope or by the host.
        """
        await checkpoint()
        self.raise_if_requested()


@contextmanager
def settled_scopes() -> Iterator[None]:
    """
    Run a block whose scopes take their own requests to cancel this task back in here.

    A scope that ends while one around it is cancelled hands its count of
    requests on to that one, in anyio 4.16 also where that one belongs to
    another task: there as many requests are taken back, the host's too.
    """
    before = _requests()
    left_by: BaseException | None = None
    with anyio.CancelScope() as scope:
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - leaves below
            left_by = error
        if _requests() > before:
            # A scope that is cancelled and shielded takes back what was handed to it; decision 120.
            scope.shield = True
            scope.cancel()
    try:
        if left_by is not None:
            raise left_by  # outside, since what ended the block is no answer to the cancel above
    finally:
        del left_by
