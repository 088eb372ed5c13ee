"""
Looks for cancels and pauses of all driven runs while their drivers have nothing to write.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio
import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee
from proxy_orchestration._concurrency import Subscription, open_task_group
from proxy_orchestration._system_tasks import SystemTask
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.registration.execution.attempts import StopReason
from proxy_orchestration.registration.execution.run_context import RunContext
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.ports import BatchLedger, SupportsGettingMany

_CLOSE_ENOUGH = 1e-6

_log = logging.getLogger(_loggers.DRIVER)


@attrs.define(eq=False, kw_only=True)
class WatchedRun:
    """
    A run of which its driver wants to know whether it was cancelled or paused.

    Attributes:
        context: the run.
        last_write: returns when the driver last wrote; a commit tells of a request by itself.
        on_cancel: called when there is a request.
        on_pause: called at each look that finds the run paused.
        on_error: called with what a look raised, unless the store is unavailable.
        looked_at: when it was last looked at.
        is_asked: whether somebody in this process has just cancelled or paused it.
    """

    context: RunContext
    last_write: Callable[[], float]
    on_cancel: Callable[[], None]
    on_pause: Callable[[], None]
    on_error: Callable[[BaseException], None]
    looked_at: float = attrs.field(default=-math.inf, init=False)
    is_asked: bool = attrs.field(default=False, init=False)

    @property
    def known_at(self) -> float:
        """
        Return when it was last known that there is no request.
        """
        return max(self.last_write(), self.looked_at)

    @property
    def is_cancelled(self) -> bool:
        """
        Return whether nothing is left to be told.
        """
        return self.context.state.stop is StopReason.CANCEL_REQUESTED

    def take(self, record: BatchRecord | None) -> None:
        """
        Tell the driver what stands in the store.
        """
        if record is None or record.run != self.context.lease.run:
            return
        if record.cancel_wished_at is not None:
            self.on_cancel()
        elif record.paused_at is not None:
            self.on_pause()

    def fail(self, error: BaseException) -> None:
        """
        Note that it could not be looked at; a store that is unavailable is asked again.
        """
        if not isinstance(error, RepositoryUnavailableError):
            self.on_error(error)
            return
        lease = self.context.lease
        _log.warning(
            "it could not be checked whether batch %s is to be cancelled: %s",
            lease.batch_id,
            error,
            extra={"batch_id": lease.batch_id, "run": lease.run, "error": type(error).__name__},
        )


@attrs.frozen(eq=False)
class _Looker:
    """
    The task that looks, and what wakes it.
    """

    task: SystemTask
    alarm: Subscription[None]


@attrs.define(eq=False, kw_only=True)
class CancelWatch:
    """
    Tells the drivers of one orchestrator of cancel requests and pauses, be they made here or elsewhere.

    Each run is looked at every `poll_interval` at least while it is not
    written, all of them by one task and with one question; decision 296.
    """

    ledger: BatchLedger
    clock: Clock
    poll_interval: float
    _runs: dict[WatchedRun, None] = attrs.field(factory=dict, init=False)
    _looker: _Looker | None = attrs.field(default=None, init=False)
    _is_looking: bool = attrs.field(default=False, init=False)

    def notify(self, batch_id: str) -> None:
        """
        Have the driver of a batch in this process, if there is one, look at once.
        """
        for run in self._runs:
            run.is_asked |= run.context.lease.batch_id == batch_id
        if self._looker is not None:
            self._looker.alarm.notify()

    @asynccontextmanager
    async def watching(self, run: WatchedRun) -> AsyncIterator[None]:
        """
        Watch a run while a block lasts.
        """
        self._runs[run] = None
        looker = self._looker = self._looker or self._started()
        try:
            yield
        finally:
            del self._runs[run]
            if not self._runs:
                self._looker = None
                await self._end(looker.task)

    def _started(self) -> _Looker:
        alarm: Subscription[None] = Subscription()
        task = SystemTask(partial(self._keep_looking, alarm))
        task.start()
        return _Looker(task, alarm)

    async def _end(self, task: SystemTask) -> None:
        task.cancel()
        if self._is_looking:
            # The store may be asked in a thread, which must not outlive the event loop.
            async with open_task_group() as tasks:
                tasks.start_soon(_await_end, task)

    async def _keep_looking(self, alarm: Subscription[None]) -> None:
        while True:
            await alarm.wait(self.clock, max(0.0, self._next_look() - self.clock.monotonic()))
            now = self.clock.monotonic()
            # Half a period early, so that runs whose looks are due at different moments come to share one.
            silent = now - self.poll_interval / 2
            runs = [
                run for run in self._runs if not run.is_cancelled and (run.is_asked or run.known_at <= silent)
            ]
            if runs and (any(run.is_asked for run in runs) or self._next_look() <= now + _CLOSE_ENOUGH):
                await self._look(runs)

    def _next_look(self) -> float:
        first = min(
            (run.known_at for run in self._runs if not run.is_cancelled), default=self.clock.monotonic()
        )
        return first + self.poll_interval

    async def _look(self, runs: Sequence[WatchedRun]) -> None:
        now = self.clock.monotonic()
        for run in runs:
            run.is_asked, run.looked_at = False, now
        self._is_looking = True
        try:
            records = await self._read([run.context.lease.batch_id for run in runs])
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            for run in runs:
                run.fail(error)
        else:
            for run in runs:
                run.take(records.get(run.context.lease.batch_id))
        finally:
            self._is_looking = False

    async def _read(self, batch_ids: Sequence[str]) -> Mapping[str, BatchRecord | None]:
        if len(batch_ids) > 1 and isinstance(self.ledger, SupportsGettingMany):
            return await self.ledger.get_many(batch_ids)
        return {batch_id: await self.ledger.get(batch_id) for batch_id in batch_ids}


async def _await_end(task: SystemTask) -> None:
    with anyio.CancelScope(shield=True):
        await task.wait()
