"""
The pause of a run in its driver: no new call begins, and calls in progress end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import attrs

from proxy_orchestration.errors import BatchStateError
from proxy_orchestration.registration.execution.run_context import RunContext
from proxy_orchestration.registration.execution.run_writer import RunWriter
from proxy_orchestration.registration.execution.waiting import Chunk
from proxy_orchestration.registration.execution.worker_pool import WorkerPool
from proxy_orchestration.registration.runs import UnfinishedItem


@attrs.define(eq=False, kw_only=True)
class RunPause:
    """
    Pauses a run whose pause is stored, and one whose last calls failed alike.

    Attributes:
        context: the run.
        workers: who call.
        writer: stores that the run pauses itself.
        take_due: takes what is about to be called.
    """

    context: RunContext
    workers: WorkerPool
    writer: RunWriter
    take_due: Callable[[], list[Chunk]]
    _code: str | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        if self.context.streak is not None:
            self.context.streak.on_reached = self._begin_itself

    def begin(self) -> None:
        """
        Have everything wait whose call has not begun.
        """
        waiting = self.context.waiting
        if waiting.is_paused or self.context.state.stop is not None:
            return
        waiting.is_paused = True
        for calls in self.workers.calls:
            calls.cut(calls=False)
        for chunk in (*self.take_due(), self.workers.drain()):
            if chunk:
                waiting.put(chunk, 0.0)
        waiting.on_arrival()

    def _begin_itself(self, code: str) -> None:
        if not self.context.waiting.is_paused and self.context.state.stop is None:
            self._code = code
            self.begin()

    async def store(self) -> None:
        """
        Store that the run has paused itself, if it has.
        """
        if self._code is None:
            return
        code, self._code = self._code, None
        # Cancelled meanwhile: then there is nothing to pause, which the next commit tells.
        with contextlib.suppress(BatchStateError):
            await self.writer.shielded(lambda: self.writer.pause(code))

    def told(self, untold: tuple[UnfinishedItem, ...], alone: Chunk) -> tuple[UnfinishedItem, ...]:
        """
        Return what is stored of items that wait: a suspect that was kept from its call is one still.
        """
        if not self.context.waiting.is_paused or not alone:
            return untold
        return tuple(_still_suspects(untold, {attempt.work.place for attempt in alone}))


def _still_suspects(untold: Iterable[UnfinishedItem], places: set[int]) -> Iterable[UnfinishedItem]:
    for item in untold:
        yield attrs.evolve(item, is_called=True) if item.work.place in places else item
