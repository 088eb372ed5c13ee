"""
Drives batches with Temporal workflows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

import attrs
from temporalio import activity
from temporalio.client import Client, ScheduleIntervalSpec, SchedulePolicy, ScheduleSpec
from temporalio.common import WorkflowIDConflictPolicy

from proxy_orchestration._arguments import whole_number
from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration._validators import is_a, is_positive
from proxy_orchestration.engines.temporal.attempts import again, attempt
from proxy_orchestration.engines.temporal.schedules import is_a_second_at_least, put_schedule
from proxy_orchestration.engines.temporal.workflows import (
    DRIVE,
    SWEEP,
    VERSION,
    WOKEN,
    DriveRun,
    Sweep,
    read_payload,
)
from proxy_orchestration.registration.arguments import check_arguments
from proxy_orchestration.registration.drive_reports import DriveEnding
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator

HELD: Final = "Held"
"""The type of the error with which an attempt ends that found the run driven by somebody else."""

_check_limit: Final = whole_number(at_least=1, at_most=1_000)
_check_run: Final = whole_number(at_least=1)
_LONGEST_PAUSE: Final = 60.0
_AFTER_THE_END: Final = 0.05


def _is_limit(_engine: object, attribute: attrs.Attribute[Any], value: object) -> None:
    _check_limit(attribute.name, value)


@attrs.frozen(eq=False)
class TemporalRegistrations:
    """
    Drives batches with the workers of a task queue: one workflow per run, one attempt at a time.

    A workflow only contains ids and wakes a driver. If one is lost, duplicated or late, the store's
    leases and keys still keep one record per mentor. So wake it after a batch was accepted; the
    sweep finds batches that were not woken.

    Cancelling a workflow only stops its attempt, and the next sweep starts it again. To stop a
    batch, use `cancel_batch` or `pause_batch`.

    Attributes:
        orchestrator: drives the batches in the workers. A process that only wakes uses it to
            submit.
        client: a connected client of the namespace.
        task_queue: the queue that the workers poll.
        heartbeat: seconds without a heartbeat after which the server gives a run to another worker.
            That worker also waits for the dead worker's lease (`BulkSettings.lease_ttl`).
        sweep_every: seconds between two sweeps for waiting runs; at least 1.
        sweep_limit: the most runs that one sweep finds, 1 to 1000.
        prefix: the prefix of the ids of workflows and schedules; use one for each store.
    """

    orchestrator: BulkRegistrationOrchestrator = attrs.field(validator=is_a(BulkRegistrationOrchestrator))
    client: Client = attrs.field(validator=is_a(Client))
    task_queue: str = attrs.field(kw_only=True, validator=is_a(str))
    heartbeat: float = attrs.field(default=10.0, kw_only=True, validator=is_positive)
    sweep_every: float = attrs.field(default=5.0, kw_only=True, validator=is_a_second_at_least)
    sweep_limit: int = attrs.field(default=200, kw_only=True, validator=_is_limit)
    prefix: str = attrs.field(default="registrations", kw_only=True, validator=is_a(str))

    @property
    def workflows(self) -> Sequence[type]:
        """
        Return the workflows to give to a worker of the task queue.
        """
        return (DriveRun, Sweep)

    @property
    def activities(self) -> Sequence[Callable[..., Any]]:
        """
        Return the activities to give to a worker of the task queue.
        """
        return (self.drive, self.sweep)

    async def wake(self, batch_id: str, run: int) -> None:
        """
        Let a worker drive the run now: start its workflow, or wake the one that already waits.

        Call it after a submission, a retry or a decision with `drive=False`, and after
        `resume_batch`. If the call fails, nothing is lost: the sweep finds the run.

        Args:
            batch_id: the batch.
            run: the number of its current run, as in the result.

        Raises:
            InvalidInputError: the batch id or the run is not valid.
            RPCError: Temporal did not accept the call (`temporalio.service.RPCError`).
        """
        check_arguments(batch_id=batch_id)
        _check_run("run", run)
        await self._start(batch_id, run, start_signal=WOKEN)

    async def schedule_sweep(self) -> None:
        """
        Create or update the schedule that sweeps every `sweep_every` seconds; repeated calls are harmless.

        A sweep wakes runs without a driver, and delivers audit events. A missed sweep is not
        repeated.

        Raises:
            RPCError: Temporal did not accept the call (`temporalio.service.RPCError`).
        """
        every = timedelta(seconds=self.sweep_every)
        payload = {"version": VERSION, "limit": self.sweep_limit}
        await put_schedule(
            self.client,
            SWEEP,
            payload,
            schedule_id=f"{self.prefix}-sweep",
            task_queue=self.task_queue,
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
            policy=SchedulePolicy(catchup_window=max(every, timedelta(seconds=10))),
        )

    @activity.defn(name=DRIVE)
    async def drive(self, payload: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever a workflow was started with
        """
        Drive a run unless another driver does, and return its state; a Temporal activity.
        """
        given = read_payload(payload, "batch_id", "run")
        report = await attempt(lambda: self.orchestrator.drive_if_free(given["batch_id"], run=given["run"]))
        if report.ending is DriveEnding.HELD:
            # The server has it tried again by itself: a turn of the workflow would wait for the worker that
            # died, ten seconds by default; decision 322.
            after = timedelta(seconds=min(report.retry_after or 0, _LONGEST_PAUSE) + _AFTER_THE_END)
            message = (
                "another driver holds the lease of the run; this step asks again when that lease may have "
                "ended"
            )
            raise again(message, HELD, after=after)
        status = None if report.status is None else report.status.value
        return {"ending": report.ending.value, "status": status, "retry_after": report.retry_after}

    @activity.defn(name=SWEEP)
    async def sweep(self, payload: Any) -> Mapping[str, Any]:  # noqa: ANN401 - as for the other
        """
        Wake waiting runs, deliver audit events, and return the number of each; a Temporal activity.
        """
        given = read_payload(payload, "limit")
        return await attempt(partial(self._sweep, given["limit"]))

    async def _sweep(self, limit: int) -> Mapping[str, Any]:
        runs = await self.orchestrator.waiting_runs(limit=limit)
        async with open_task_group() as tasks:
            for run in runs:
                tasks.start_soon(self._start, run.batch_id, run.run)
        return {"runs": len(runs), "audit_events": await self.orchestrator.deliver_audit()}

    async def _start(self, batch_id: str, run: int, *, start_signal: str | None = None) -> None:
        payload = {"version": VERSION, "batch_id": batch_id, "run": run, "heartbeat": self.heartbeat}
        await self.client.start_workflow(
            DRIVE,
            payload,
            id=f"{self.prefix}-{batch_id}-{run}",
            task_queue=self.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal=start_signal,
        )
