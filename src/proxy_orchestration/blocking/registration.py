"""
Bulk registration as plain calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import ClassVar, Final, Self

from proxy_orchestration.access import Actor
from proxy_orchestration.blocking.calls import Call, Loop
from proxy_orchestration.blocking.part import Backend, BlockingPart
from proxy_orchestration.blocking.verbs import asking, holding, waiting
from proxy_orchestration.errors import OrchestratorClosedError
from proxy_orchestration.registration.batches import BulkProgressUpdate, BulkSubmissionResult
from proxy_orchestration.registration.host_connections import ConnectionOfThread, RunInThread
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.registration.progress import BatchRun
from proxy_orchestration.registration.requests import BulkRegistrationRequest


class BlockingBatchRun(Iterator[BulkProgressUpdate]):
    """
    One run of a batch, as an iterator of progress updates; see `BatchRun`.

    Attributes:
        batch_id: the batch.
        run: the run that was current when this was opened.
        total: items of the whole batch.
    """

    def __init__(self, run: BatchRun, loop: Loop) -> None:
        self._run = run
        self._loop = loop
        self.batch_id: Final = run.batch_id
        self.run: Final = run.run
        self.total: Final = run.total

    @property
    def ended(self) -> bool:
        """
        Return whether the iteration has ended: the run is settled, or it was driven here and is paused.
        """
        return self._run.ended

    @property
    def result(self) -> BulkSubmissionResult:
        """
        Return the batch as it stood when the `with` block was left.

        Raises:
            BatchStateError: the block was not left yet, or was left before the run was settled.
                After `watch_batch`, read the batch's status instead.
            BatchNotFoundError: the batch was deleted meanwhile.
        """
        return self._run.result

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> BulkProgressUpdate:
        call = Call(partial(_next, self._run), self._loop)
        update = call.run()
        if update is None:
            raise StopIteration
        return update


async def _next(run: BatchRun) -> BulkProgressUpdate | None:
    return await anext(run, None)


class BlockingOrchestrator(BlockingPart[BulkRegistrationOrchestrator]):
    """
    The verbs of a `BulkRegistrationOrchestrator` as plain calls, for hosts that are not async.

    The calls run in an event loop in a separate thread. The loop starts at the first call, and in a
    forked child at the first call there. Any number of threads may call at once. Make one object
    for each process, and close it when the process ends, or use it as a context manager.

    An exception that is raised in a waiting thread, such as `KeyboardInterrupt` or a task queue's
    time limit, cancels the call. It leaves the call once the cancelled work has ended: the lease is
    released, and a batch that was being driven is resumable. A second interrupt does not wait for
    that.

    Args:
        orchestrator: the orchestrator, or a function that returns an async context manager which
            opens an orchestrator with its store. The context manager is entered and left in the
            event loop, once in each process that calls.
        backend: the event loop, `asyncio` or `trio`.

    Raises:
        MisconfiguredError: `orchestrator` is neither of these, or `backend` is not a known event
            loop.
    """

    _kind: ClassVar[type] = BulkRegistrationOrchestrator
    _argument: ClassVar[str] = "orchestrator"

    def __init__(
        self,
        orchestrator: BulkRegistrationOrchestrator
        | Callable[[], AbstractAsyncContextManager[BulkRegistrationOrchestrator]],
        *,
        backend: Backend = "asyncio",
    ) -> None:
        super().__init__(orchestrator, backend=backend)

    submit_bulk_registration: Final = waiting(BulkRegistrationOrchestrator.submit_bulk_registration)

    def submit_within(
        self, connection: object, request: BulkRegistrationRequest, *, actor: Actor
    ) -> BulkSubmissionResult:
        """
        Accept a batch in this thread's open transaction.

        It exists once you commit, and never if you roll back.

        The SQL statements run on the connection in this thread. Access and conflicts are checked in
        the event loop, as always. Nothing is driven. After your commit, `serve`,
        `resume_interrupted` or an engine finds the run. See
        `BulkRegistrationOrchestrator.submit_within`.

        Args:
            connection: this thread's connection, of a kind that the repository's `within` accepts.
            request: the mentors and their activities.
            actor: who submits; every record is attributed to this person.
        """

        async def submit(part: BulkRegistrationOrchestrator, run: RunInThread) -> BulkSubmissionResult:
            return await part.submit_within(ConnectionOfThread(connection, run), request, actor=actor)

        return self._call_with_errands("submit_within", submit).run()

    preview: Final = waiting(BulkRegistrationOrchestrator.preview)
    stream_bulk_registration: Final = holding(
        BulkRegistrationOrchestrator.stream_bulk_registration, BlockingBatchRun
    )
    retry_failed_items: Final = waiting(BulkRegistrationOrchestrator.retry_failed_items)
    resolve_conflicts: Final = waiting(BulkRegistrationOrchestrator.resolve_conflicts)
    cancel_batch: Final = waiting(BulkRegistrationOrchestrator.cancel_batch)
    pause_batch: Final = waiting(BulkRegistrationOrchestrator.pause_batch)
    resume_batch: Final = waiting(BulkRegistrationOrchestrator.resume_batch)
    drive_batch: Final = holding(BulkRegistrationOrchestrator.drive_batch, BlockingBatchRun)
    watch_batch: Final = holding(BulkRegistrationOrchestrator.watch_batch, BlockingBatchRun)
    relabel_batch: Final = waiting(BulkRegistrationOrchestrator.relabel_batch)
    delete_batch: Final = waiting(BulkRegistrationOrchestrator.delete_batch)
    resume_interrupted: Final = waiting(BulkRegistrationOrchestrator.resume_interrupted)
    take_over: Final = waiting(BulkRegistrationOrchestrator.take_over)
    drive_if_free: Final = waiting(BulkRegistrationOrchestrator.drive_if_free)
    waiting_runs: Final = waiting(BulkRegistrationOrchestrator.waiting_runs)
    deliver_audit: Final = waiting(BulkRegistrationOrchestrator.deliver_audit)
    health: Final = asking(BulkRegistrationOrchestrator.health)
    check_health: Final = waiting(BulkRegistrationOrchestrator.check_health)

    get_bulk_submission_status: Final = waiting(BulkRegistrationOrchestrator.get_bulk_submission_status)
    get_batch_summary: Final = waiting(BulkRegistrationOrchestrator.get_batch_summary)
    read_items: Final = waiting(BulkRegistrationOrchestrator.read_items)
    list_batches: Final = waiting(BulkRegistrationOrchestrator.list_batches)

    purge: Final = waiting(BulkRegistrationOrchestrator.purge)
    purge_audit_events: Final = waiting(BulkRegistrationOrchestrator.purge_audit_events)
    purge_tombstones: Final = waiting(BulkRegistrationOrchestrator.purge_tombstones)
    export_mentor: Final = waiting(BulkRegistrationOrchestrator.export_mentor)
    erase_mentor: Final = waiting(BulkRegistrationOrchestrator.erase_mentor)

    def serve(self) -> None:
        """
        Drive accepted and stalled batches and deliver audit events, until this thread is interrupted.

        Returns when another thread closes this object. Failures are logged and tried again after
        growing pauses; `health` shows the state.
        """
        try:
            self._call("serve", BulkRegistrationOrchestrator.serve).run()
        except OrchestratorClosedError:
            if not self._is_closed:
                raise
