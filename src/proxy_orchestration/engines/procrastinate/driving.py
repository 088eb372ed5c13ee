"""
The tasks for workers: one drives a run, one sweeps for runs without a driver.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

import anyio
import attrs
from procrastinate import App, JobContext
from procrastinate.exceptions import ProcrastinateException
from procrastinate.job_context import AbortReason

from proxy_orchestration import _loggers
from proxy_orchestration._validators import is_a
from proxy_orchestration.engines.failures import is_final
from proxy_orchestration.engines.procrastinate.periods import every
from proxy_orchestration.engines.procrastinate.wake_ups import QUEUE, WakeUp, WakeUps, store
from proxy_orchestration.registration.drive_reports import DriveEnding, DriveReport
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator

_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 600.0
_MOST_DOUBLINGS: Final = 10
_LONGEST_WAIT: Final = 60.0
"""
Seconds; what is due later than that is left to the sweep, since a cancel may make it due before.

A job that is to do in an hour has the run's lock until then: no wake-up and no sweep would get past it.
"""

_LEAVING: Final = 5.0
"""Seconds that a worker which stops waits for its last job to be stored."""

_BEFORE_DRIVING: Final = 10
"""Priority of the sweep: it takes milliseconds, and would wait behind what it is to find."""

_log = logging.getLogger(_loggers.ENGINES)


def register(
    app: App,
    orchestrator: BulkRegistrationOrchestrator,
    *,
    queue: str = QUEUE,
    sweep_every: float = 10.0,
    sweep_limit: int = 200,
) -> WakeUps:
    """
    Register the tasks with which the app's workers drive batches and look for waiting batches.

    Call it once in each process that runs a worker, before the worker starts. If a worker is
    killed, its run continues at the latest after its lease (`BulkSettings.lease_ttl`) plus one
    period of the sweep. The same holds for a batch for which no job was queued.

    Args:
        app: the host's Procrastinate app.
        orchestrator: drives the batches, in the worker's event loop.
        queue: the name of the jobs' queue, and the first part of the names of the two tasks. Use
            one for each store and each `service_name`, because a worker drives only its own.
        sweep_every: seconds between two sweeps over all workers; it must divide a minute or an hour
            evenly.
        sweep_limit: the most runs that one sweep finds, 1 to 1000.

    Returns:
        the object that wakes these workers.

    Raises:
        InvalidValueError: `sweep_every` does not divide a minute or an hour evenly.
        procrastinate.exceptions.TaskAlreadyRegistered: it was already called for this queue.
    """
    wake_ups = WakeUps(app, queue=queue)
    driving = Driving(wake_ups=wake_ups, orchestrator=orchestrator, sweep_limit=sweep_limit)
    cron, name = every("sweep_every", sweep_every), f"{queue}.sweep"
    app.task(name=wake_ups.task, queue=queue, pass_context=True)(driving.drive)
    sweep = app.task(name=name, queue=queue, queueing_lock=name, priority=_BEFORE_DRIVING)(driving.sweep)
    app.periodic(cron=cron)(sweep)
    return wake_ups


@attrs.frozen(eq=False, kw_only=True)
class Driving:
    """
    What the two tasks do.

    A job comes back by a new job, and not by Procrastinate's retry: that one
    cannot be stored while another job for the run waits, and then stays `doing` for
    ever; decision 312.
    """

    wake_ups: WakeUps
    orchestrator: BulkRegistrationOrchestrator = attrs.field(validator=is_a(BulkRegistrationOrchestrator))
    sweep_limit: int

    async def drive(self, context: JobContext, /, **payload: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever a job has
        """
        Drive a run unless somebody does, and return where it stands.

        Of a worker that stops, the lease is released and the run is to do again, at once.

        Raises:
            InvalidInputError: the payload is of another build; the sweep wakes the run again.
            WrongServiceError: the batch is another service's.
            AtomicModeError: it is all or nothing, and this worker's service cannot do that.
        """
        wake_up = WakeUp.of_payload(payload)
        try:
            report = await self._drive(wake_up)
        except asyncio.CancelledError:
            # Who aborts this job has it aborted; the batch is stopped by `cancel_batch` alone.
            if context.abort_reason() is not AbortReason.USER_REQUEST:
                with anyio.move_on_after(_LEAVING, shield=True):
                    await self._come_back(wake_up, after=0.0)
            raise
        except Exception as error:
            if not is_final(error):
                doublings = min(wake_up.failures, _MOST_DOUBLINGS)
                failed = attrs.evolve(wake_up, failures=doublings + 1)
                await self._come_back(failed, after=min(_FIRST_PAUSE * 2**doublings, _LONGEST_PAUSE))
            raise
        return report.to_dict()

    async def _drive(self, wake_up: WakeUp) -> DriveReport:
        report = await self.orchestrator.drive_if_free(wake_up.batch_id, run=wake_up.run)
        after = report.retry_after or 0.0
        if report.ending is DriveEnding.WAITING and after <= _LONGEST_WAIT:
            # Not where another driver holds it: a job that waits for that one's end would keep the sweep from
            # waking the run when it is released.
            fresh = attrs.evolve(wake_up, failures=0)
            await store(self.wake_ups, fresh, after=after)
        return report

    async def _come_back(self, wake_up: WakeUp, *, after: float) -> None:
        try:
            await store(self.wake_ups, wake_up, after=after)
        except ProcrastinateException as error:
            _log.warning(
                "batch %s was not driven by this job; the sweep will take it up: %s",
                wake_up.batch_id,
                type(error).__name__,
                extra={"batch_id": wake_up.batch_id, "run": wake_up.run, "error": type(error).__name__},
            )

    async def sweep(self, timestamp: int) -> Mapping[str, int]:
        """
        Wake what is due and nobody drives, deliver audit events, and return how many of each.

        Args:
            timestamp: when this sweep was due, as Procrastinate gives it.
        """
        # What waits is read first: a run whose job is taken in between is held by then, and not found below.
        jobs = await self.wake_ups.app.job_manager.list_jobs_async(
            queue=self.wake_ups.queue, task=self.wake_ups.task, status="todo"
        )
        queued, woken = {job.queueing_lock for job in jobs}, 0
        for run in await self.orchestrator.waiting_runs(limit=self.sweep_limit):
            wake_up = WakeUp(batch_id=run.batch_id, run=run.run)
            if wake_up.lock not in queued:
                woken += await store(self.wake_ups, wake_up)
        delivered = await self.orchestrator.deliver_audit()
        return {"due": timestamp, "woken": woken, "audit_events": delivered}
