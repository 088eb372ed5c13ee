"""
The `async with` blocks in which a run is driven, by a task outside of the block's own task.

A task group around the host's own code would be the host's whole task group:
when the task that entered it ends first, as that of a streaming response may,
trio's loop ends and asyncio's may turn without end; decision 181.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import HostCancellation
from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration._system_tasks import SystemTask, current_task, has_ended
from proxy_orchestration.errors import BatchLeasedError, BatchStateError, WrongTaskError
from proxy_orchestration.registration.execution.coordinator import Coordinator
from proxy_orchestration.registration.ownership import check_service
from proxy_orchestration.registration.progress import BatchRun
from proxy_orchestration.registration.queries import BatchQueries
from proxy_orchestration.registration.runs import Lease, LeaseHeld, RunPaused

_log = logging.getLogger(_loggers.DRIVES)


@attrs.define(eq=False, kw_only=True)
class _Driver:
    """
    Drives a run while a block lasts.

    Attributes:
        run: what the host iterates.
        work: drives it.
        verb: whose block it is.
    """

    run: BatchRun
    work: Callable[[], Awaitable[object]]
    verb: str
    _owner: Any = attrs.field(factory=current_task, init=False)
    _host: HostCancellation = attrs.field(factory=HostCancellation, init=False)
    _task: SystemTask = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._task = SystemTask(self.work, on_end=lambda _: self.run.wake())

    def start(self) -> None:
        self.run.raise_before_waiting = self._raise_trouble
        self.run.is_left = lambda: self._task.has_ended and self._task.error is None
        self._task.start()

    def _raise_trouble(self) -> None:
        if has_ended(self._owner):
            raise WrongTaskError(self.run.batch_id, self.verb)
        self._raise_failure()

    def _raise_failure(self) -> None:
        # A cancellation in there is the event loop's own end: the run is not settled, which is said anyway.
        if isinstance(self._task.error, Exception):
            raise self._task.error

    @property
    def is_in_wrong_task(self) -> bool:
        return current_task() is not self._owner

    async def stop(self) -> None:
        """
        Stop driving, for a block that is left by an error; in a wrong task the log says so, too.
        """
        if self.is_in_wrong_task:
            # A response that nobody reads any more is closed where nobody sees an error.
            _log.error(
                "the block of %s was left by a task other than the one that entered it; batch %s is no "
                "longer driven here",
                self.verb,
                self.run.batch_id,
                extra={"batch_id": self.run.batch_id, "run": self.run.run},
            )
        self._task.cancel()
        await self._wait()

    async def conclude(self) -> None:
        """
        Return when the driver is done, for a block that is left as usual; it stops unless the run has ended.
        """
        if self.is_in_wrong_task:
            await self.stop()
            raise WrongTaskError(self.run.batch_id, self.verb)
        if not self.run.ended:
            self._task.cancel()
        await self._wait()
        self._host.raise_if_requested(self._task.error)
        self._raise_failure()

    async def _wait(self) -> None:
        async with open_task_group() as tasks:
            tasks.start_soon(self._wait_shielded)

    async def _wait_shielded(self) -> None:
        try:
            await self._task.wait()
        finally:
            self._task.cancel()
            with anyio.CancelScope(shield=True):
                await self._task.wait()


@asynccontextmanager
async def driven_submission(
    batch_id: str, *, coordinator: Coordinator, queries: BatchQueries
) -> AsyncIterator[BatchRun]:
    """
    Open the stream of a batch that was just accepted, and see to its end whoever drives it.
    """
    record = await queries.record(batch_id)
    fresh = record.tail == 0
    drive = partial(coordinator.drive_until_settled, batch_id, record.run)
    async with (
        queries.watching(record, after=0, must_look=not fresh, drives=True) as run,
        _driving(run, drive, verb="stream_bulk_registration"),
    ):
        yield run


@asynccontextmanager
async def driven_batch(
    batch_id: str, *, coordinator: Coordinator, queries: BatchQueries
) -> AsyncIterator[BatchRun]:
    """
    Open the stream of a batch's current run, and drive it here and now.

    Raises:
        BatchLeasedError: somebody else drives it.
        BatchStateError: it is paused.
        WrongServiceError: another service accepted it.
        LeaseLostError: another driver took it over meanwhile.
        BatchNotFoundError: there is no such batch.
    """
    record = await queries.record(batch_id)
    check_service(record, coordinator.service_name)
    acquisition = await coordinator.acquire(batch_id, record.run)
    # Before the block is entered: who drives already is an error of the call, not of its iteration.
    if isinstance(acquisition, LeaseHeld):
        raise BatchLeasedError(batch_id, retry_after=acquisition.remaining)
    if isinstance(acquisition, RunPaused):
        raise BatchStateError(batch_id, "it is paused. Resume it (resume_batch), then drive it.")
    after = record.base if isinstance(acquisition, Lease) else record.tail
    must_look = after < record.tail or not isinstance(acquisition, Lease)
    # A lost lease leaves: who goes on as a watcher has not done its work; decision 121.
    drive = partial(coordinator.drive, acquisition) if isinstance(acquisition, Lease) else checkpoint
    async with (
        queries.watching(record, after=after, must_look=must_look, drives=True) as run,
        _driving(run, drive, verb="drive_batch"),
    ):
        yield run


@asynccontextmanager
async def _driving(run: BatchRun, work: Callable[[], Awaitable[object]], *, verb: str) -> AsyncIterator[None]:
    """
    Drive a run while a block lasts; its errors leave where the run is iterated, and where the block is left.

    Args:
        run: what the host iterates.
        work: drives it.
        verb: whose block it is.

    Raises:
        WrongTaskError: the task that entered the block has ended, or another one leaves it.
    """
    driver = _Driver(run=run, work=work, verb=verb)
    driver.start()
    try:
        yield
    except BaseException:
        await driver.stop()
        raise
    await driver.conclude()
