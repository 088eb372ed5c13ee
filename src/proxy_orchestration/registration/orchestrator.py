"""
The orchestrator of bulk registration with its public methods.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio
import attrs
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint_if_cancelled

from proxy_orchestration.access import AccessPolicy, Action, Actor, CoordinatorAccess
from proxy_orchestration.audit import LoggingAuditLogger, ProxyAuditLogger
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.errors import BatchNotFoundError
from proxy_orchestration.ids import IdRule, usual_id_rule
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.arguments import check_arguments
from proxy_orchestration.registration.batches import BatchSummary, BulkSubmissionResult, CancelReport
from proxy_orchestration.registration.conflicts import ConflictDecision, ConflictReport
from proxy_orchestration.registration.driven_blocks import driven_batch, driven_submission
from proxy_orchestration.registration.execution.coordinator import Coordinator
from proxy_orchestration.registration.execution.health import Health
from proxy_orchestration.registration.execution.recovery import RecoveryPass, RecoveryService
from proxy_orchestration.registration.fresh_results import accepted_result, fresh_result
from proxy_orchestration.registration.host_transactions import HostTransactionVerbs
from proxy_orchestration.registration.hosting import HostingVerbs
from proxy_orchestration.registration.ports import (
    ActivityRepository,
    ClassifyError,
    OnRunSettled,
    OnServiceError,
    ProxyRegistrationService,
)
from proxy_orchestration.registration.progress import BatchRun
from proxy_orchestration.registration.queries import BatchQueries
from proxy_orchestration.registration.reading import ReadingVerbs
from proxy_orchestration.registration.requests import BulkRegistrationRequest
from proxy_orchestration.registration.retention import RetentionVerbs
from proxy_orchestration.registration.service_errors import ServiceHooks
from proxy_orchestration.registration.settings import BulkSettings
from proxy_orchestration.registration.stopping import Stopping
from proxy_orchestration.registration.submission.authorization import Authorization
from proxy_orchestration.registration.submission.retry import Retry
from proxy_orchestration.registration.submission.review import Review
from proxy_orchestration.registration.submission.submit import Accepted, Submission, naming_submission
from proxy_orchestration.registration.submission.ways_in import ways_in
from proxy_orchestration.registration.wiring import check_wiring


@attrs.define(eq=False, kw_only=True)
class BulkRegistrationOrchestrator(ReadingVerbs, HostingVerbs, HostTransactionVerbs, RetentionVerbs):
    """
    Registers one activity on behalf of many mentors, durably and never twice.

    The object holds no state of any batch, so any number of processes may use one repository. Every
    method that acts for a person checks the actor at each call. A batch that the actor may not see
    is treated like one that does not exist. Each method may raise `RepositoryUnavailableError`;
    everything acknowledged before that is safe. An argument that is not valid raises an
    `InvalidInputError` before anything is read, stored or called.

    Args:
        registration_service: registers one activity. It may also have the optional methods of
            `SupportsLookup` (tells whether a record exists), `SupportsBulk` (writes many in one
            call) and `SupportsConflictCheck` (finds existing records beforehand).
        repository: stores the batches.
        audit_logger: is given an event of every settled run, at least once.
        clock: the source of time.
        access_policy: decides who may do, see and register what.
        settings: limits and times.
        classify_error: tells what an exception of the service means if this library's rules do not
            cover it: for example that an HTTP client's own time-out class leaves the call in doubt.
        on_service_error: is called with each exception of the service and the registrations of its
            call, for the host's error tracker. The log shows only the exception's type and place.
        on_run_settled: is called with the batch for each run that settled, at least once. The call
            comes from a process that has this hook: the one that settled the run, or one that finds
            that the call is missing.
        service_name: a name for the service, up to 200 characters. It is stored with each batch
            that is accepted here. An orchestrator with another name never calls its own service for
            such a batch.
        id_rule: decides which mentor ids a new request may have. `usual_id_rule` refuses fillers
            and ids that a spreadsheet has changed.

    Raises:
        MisconfiguredError: a part is unsuitable; the message says what to do.
    """

    registration_service: ProxyRegistrationService
    repository: ActivityRepository
    audit_logger: ProxyAuditLogger = attrs.field(factory=LoggingAuditLogger)
    clock: Clock = attrs.field(factory=SystemClock)
    access_policy: AccessPolicy = attrs.field(factory=CoordinatorAccess)
    settings: BulkSettings = attrs.field(factory=BulkSettings)
    classify_error: ClassifyError | None = None
    on_service_error: OnServiceError | None = None
    on_run_settled: OnRunSettled | None = None
    service_name: str | None = None
    id_rule: IdRule = usual_id_rule
    _coordinator: Coordinator = attrs.field(init=False)
    _authorization: Authorization = attrs.field(init=False)
    _queries: BatchQueries = attrs.field(init=False)
    _submission: Submission = attrs.field(init=False)
    _retry: Retry = attrs.field(init=False)
    _review: Review = attrs.field(init=False)
    _stopping: Stopping = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        check_wiring(self)
        hooks = ServiceHooks(classify_error=self.classify_error, on_service_error=self.on_service_error)
        self._coordinator = Coordinator(
            service=self.registration_service,
            ledger=self.repository,
            audit_logger=self.audit_logger,
            clock=self.clock,
            settings=self.settings,
            hooks=hooks,
            on_run_settled=self.on_run_settled,
            service_name=self.service_name,
        )
        self._authorization = Authorization(ledger=self.repository, access_policy=self.access_policy)
        self._queries = BatchQueries(
            ledger=self.repository,
            authorization=self._authorization,
            clock=self.clock,
            progress=self._coordinator.progress,
            poll_interval=self.settings.poll_interval,
        )
        self._stopping = Stopping(
            coordinator=self._coordinator, authorization=self._authorization, queries=self._queries
        )
        self._submission, self._retry, self._review = ways_in(
            ledger=self.repository,
            service=self.registration_service,
            clock=self.clock,
            authorization=self._authorization,
            settings=self.settings,
            hooks=hooks,
            service_name=self.service_name,
            id_rule=self.id_rule,
        )

    async def submit_bulk_registration(
        self, request: BulkRegistrationRequest, *, actor: Actor, drive: bool = True
    ) -> BulkSubmissionResult:
        """
        Store a batch durably, drive it until it is settled or paused, and return every mentor's outcome.

        If a batch with the same idempotency key and the same entries exists, the call joins it, or
        returns it if it is settled. `request.on_conflict` decides what happens to mentors whose
        registration conflicts.

        Args:
            request: the mentors and their activities.
            actor: the person who submits; every record is attributed to this person.
            drive: if false, return once the batch is accepted. Then `drive_batch`,
                `resume_interrupted` or `serve`, in this process or another one, drives it.

        Raises:
            NotAuthorizedError, EmptySelectionError, DuplicateSelectionError, BatchTooLargeError,
                AtomicModeError, IdempotencyKeyReusedError: nothing was stored. InvalidValueError:
                `id_rule` refuses a mentor's id; nothing was stored. WrongServiceError: the key
                belongs to an open batch that another service accepted. HostTransactionError:
                `drive` is true, and the repository was returned by `within`.
                RepositoryUnavailableError: the store failed; its `batch_id` and `idempotency_key`
                say what to resume, or to submit again.
        """
        check_arguments(request=request, actor=actor, drive=drive)
        store = self._coordinator.accept if drive else None
        accepted = await self._submission.accept(request, actor, drives=drive, store=store)
        with naming_submission(accepted.batch_id, request.idempotency_key):
            return await self._finish(accepted, drive=drive)

    async def preview(self, request: BulkRegistrationRequest, *, actor: Actor) -> ConflictReport:
        """
        Return which mentors of a request conflict with existing records; store nothing.

        A service without a conflict check finds no conflict. The answer may change before the
        request is submitted; the submission checks again.

        Raises:
            NotAuthorizedError, EmptySelectionError, DuplicateSelectionError,
            BatchTooLargeError, AtomicModeError, InvalidValueError: as a submission would.
        """
        check_arguments(request=request, actor=actor)
        return await self._submission.preview(request, actor)

    @asynccontextmanager
    async def stream_bulk_registration(
        self, request: BulkRegistrationRequest, *, actor: Actor
    ) -> AsyncIterator[BatchRun]:
        """
        Store a batch durably, and drive it while you iterate over its progress.

        Leaving the block before the end stops the driving and logs a WARNING. The batch is then
        resumable, and there is no `result`. The task that enters the block must also leave it. A
        streaming response cannot ensure that: submit with `drive=False` there, let `serve` drive,
        and use `watch_batch`. Raises the errors of `submit_bulk_registration`, and:

        Raises:
            WrongTaskError: the task that entered the block has ended, or another task left the
                block.
        """
        check_arguments(request=request, actor=actor)
        accepted = await self._submission.accept(request, actor)
        with naming_submission(accepted.batch_id, request.idempotency_key):
            opened = driven_submission(
                accepted.batch_id, coordinator=self._coordinator, queries=self._queries
            )
            async with opened as batch_run:
                yield batch_run

    async def retry_failed_items(  # noqa: PLR0913 - a verb's own arguments
        self,
        batch_id: str,
        *,
        actor: Actor,
        mentor_ids: Collection[str] | None = None,
        expected_run: int | None = None,
        drive: bool = True,
        activities: Mapping[str, ProxyActivity] | None = None,
    ) -> BulkSubmissionResult:
        """
        Open a new run with the FAILED and UNKNOWN items and drive it; no other item is touched.

        Args:
            batch_id: a settled batch.
            actor: the person who retries, with current roles.
            mentor_ids: retry only these, CANCELLED ones too; `None`: all FAILED and UNKNOWN items.
                A mentor's id means all items of that mentor that can be retried, an item key means
                one item.
            expected_run: the run that the caller saw. It makes a repeated call harmless.
            drive: if false, return once the run is stored.
            activities: activities to register from this run on instead of the earlier ones, by
                mentor id or item key; these items are retried, too. An edited item gets a new
                idempotency key, its conflicts are checked again, and an earlier override no longer
                applies. An all-or-nothing batch is retried as a whole.

        Raises:
            BatchStateError: the batch is not settled, has nothing to retry, or a named item is in
                another state. Or the key of an edited item is in doubt: retry it unchanged first.
            InvalidValueError: an activity cannot be stored, or `mentor_ids` does not name its item.
            StaleRunError: another run is current; nothing changed.
            EmptySelectionError, DuplicateSelectionError, UnknownMentorError, NotAuthorizedError,
            BatchNotFoundError, WrongServiceError.
        """
        named = {"mentor_ids": mentor_ids, "activities": activities}
        check_arguments(batch_id=batch_id, actor=actor, expected_run=expected_run, drive=drive, **named)
        run = await self._retry.open(
            batch_id, actor, mentor_ids=mentor_ids, expected_run=expected_run, activities=activities
        )
        return await self._finish(Accepted(batch_id=batch_id, run=run), drive=drive)

    async def resolve_conflicts(
        self,
        batch_id: str,
        decisions: Mapping[str, ConflictDecision],
        *,
        actor: Actor,
        expected_run: int | None = None,
        drive: bool = True,
    ) -> BulkSubmissionResult:
        """
        Decide, for each mentor who needs a review, what happens, and drive the resulting run.

        A skipped mentor is left out permanently. An overridden mentor is registered although the
        record named by the review exists, and the audit event says so. A mentor without a decision
        continues to wait. An all-or-nothing batch needs all its decisions in one call. A decision
        that is already in force changes nothing. If the existing record may come from an earlier
        call for the same item (code `maybe_own`), only `ConflictDecision.OVERRIDE_MAYBE_OWN`
        overrides it.

        Args:
            batch_id: a settled batch.
            decisions: the decisions, by mentor id (for all waiting items of that mentor) or by item
                key.
            actor: the person who decides, with current roles.
            expected_run: the run that the caller saw. It makes a repeated call harmless, even if
                its mentor needs another review by then.
            drive: if false, return once the run is stored.

        Raises:
            UnknownMentorError: a mentor is not in the batch.
            BatchStateError: the batch is not settled, a mentor needs no review, or `OVERRIDE` was
                given where `OVERRIDE_MAYBE_OWN` is needed.
            StaleRunError: another run is current; nothing changed.
            EmptySelectionError, DuplicateSelectionError, NotAuthorizedError, BatchNotFoundError,
            WrongServiceError.
        """
        check_arguments(
            batch_id=batch_id, decisions=decisions, actor=actor, expected_run=expected_run, drive=drive
        )
        run = await self._review.open(batch_id, decisions, actor, expected_run=expected_run)
        return await self._finish(Accepted(batch_id=batch_id, run=run), drive=drive)

    async def cancel_batch(self, batch_id: str, *, actor: Actor, reason: str | None = None) -> CancelReport:
        """
        Stop a batch: cancel the items that were not begun, and wait for the calls in progress.

        Waits at most `cancel_grace` seconds, and reports the state at that time. A repeated call
        changes nothing and reports again. Items in doubt of a batch that another service accepted
        are left to that service.

        Raises:
            BatchStateError: the batch settled without a cancel.
            NotAuthorizedError, BatchNotFoundError.
        """
        check_arguments(batch_id=batch_id, actor=actor, reason=reason)
        return await self._stopping.cancel(batch_id, actor, reason)

    async def pause_batch(self, batch_id: str, *, actor: Actor) -> BatchSummary:
        """
        Pause a batch that is not settled: no further call begins until it is resumed or cancelled.

        Calls in progress end as usual; this method does not wait for them. A submission, retry or
        decision with `drive=True` returns the batch in its current state. `serve` and
        `resume_interrupted` skip it, `drive_batch` refuses it, and `watch_batch` continues to wait.
        The time budget does not run. A run that was not driven yet stays PENDING, with `paused_at`
        set. A repeated call changes nothing.

        Raises:
            BatchStateError: the batch is settled or being cancelled.
            NotAuthorizedError, BatchNotFoundError.
        """
        check_arguments(batch_id=batch_id, actor=actor)
        return await self._stopping.pause(batch_id, actor)

    async def resume_batch(self, batch_id: str, *, actor: Actor) -> BatchSummary:
        """
        Let a paused batch continue; `serve`, `resume_interrupted` or `drive_batch` drives it.

        If the batch is not paused, nothing changes.

        Raises:
            BatchStateError: the batch is settled or being cancelled.
            NotAuthorizedError, BatchNotFoundError, WrongServiceError.
        """
        check_arguments(batch_id=batch_id, actor=actor)
        return await self._stopping.resume(batch_id, actor)

    @asynccontextmanager
    async def drive_batch(self, batch_id: str) -> AsyncIterator[BatchRun]:
        """
        Drive the batch in this process while you iterate over its progress; for hosts.

        A settled batch yields no updates and has its result at once. If the batch is paused, the
        iteration ends, and there is a result, too. Leaving the block before the end stops the
        driving and logs a WARNING. The batch is then resumable, and there is no `result`. The task
        that enters the block must also leave it; in a streaming response let `serve` drive, and use
        `watch_batch`.

        Raises:
            BatchLeasedError: another driver holds the lease.
            BatchStateError: it is paused; resume it first.
            WrongTaskError: the task that entered the block has ended, or another task left the
                block.
            LeaseLostError: another driver has taken over the batch.
            BatchNotFoundError, WrongServiceError.
        """
        check_arguments(batch_id=batch_id)
        async with driven_batch(batch_id, coordinator=self._coordinator, queries=self._queries) as batch_run:
            yield batch_run

    @asynccontextmanager
    async def watch_batch(self, batch_id: str, *, actor: Actor, after: int = 0) -> AsyncIterator[BatchRun]:
        """
        Follow a batch's progress, after the update with number `after`, until its current run is settled.

        It drives nothing, so any task may continue the block and leave it. Raises
        `NotAuthorizedError` and `BatchNotFoundError`.
        """
        check_arguments(batch_id=batch_id, actor=actor, after=after)
        record = await self._authorization.authorized_batch(batch_id, actor, Action.READ)
        async with self._queries.watching(record, after=after) as batch_run:
            yield batch_run

    async def relabel_batch(self, batch_id: str, label: str | None, *, actor: Actor) -> BulkSubmissionResult:
        """
        Change the label of a batch, up to 200 characters; `None` removes it.

        Raises:
            InvalidValueError: the label is too long.
            NotAuthorizedError, BatchNotFoundError.
        """
        check_arguments(batch_id=batch_id, label=label, actor=actor)
        await self._authorization.authorized_batch(batch_id, actor, Action.RELABEL)
        await self.repository.relabel(batch_id, label)
        return await self._queries.result(batch_id)

    async def delete_batch(self, batch_id: str, *, actor: Actor, with_open_reviews: bool = False) -> None:
        """
        Delete a settled batch. Its audit events stay, and its idempotency key cannot be used again.

        Raises:
            BatchStateError: the batch is not settled; cancel it first. Or mentors wait for a
                decision, and `with_open_reviews` is false.
            NotAuthorizedError, BatchNotFoundError.
        """
        check_arguments(batch_id=batch_id, actor=actor, with_open_reviews=with_open_reviews)
        await self._authorization.authorized_batch(batch_id, actor, Action.DELETE)
        await self._stopping.check_may_delete(batch_id, with_open_reviews=with_open_reviews)
        if not await self.repository.delete(batch_id):
            raise BatchNotFoundError(batch_id)

    async def resume_interrupted(self) -> Sequence[str]:
        """
        Drive every open batch that has no driver, and deliver pending audit events.

        Batches of another `service_name` are skipped, as in `serve`.

        If a driver may have died, it waits for that driver's lease to end, at most `lease_ttl`
        seconds. It stops waiting when the driver turns out to be alive.

        Returns:
            the ids of the batches driven to the end here.
        """
        return await RecoveryPass(coordinator=self._coordinator).resume()

    async def take_over(self, batch_id: str) -> None:
        """
        End the lease of the batch's current driver, so that another driver can take over; for hosts.

        Use it if a driver hangs or is known to be dead, and you do not want to wait for its lease.
        If the driver is alive, its further writes change nothing, it stops, and its calls in
        progress are in doubt. A settled batch stays unchanged.

        Raises:
            BatchNotFoundError.
        """
        check_arguments(batch_id=batch_id)
        record = await self._queries.record(batch_id)
        await self._coordinator.take_over(batch_id, record.run)

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """
        Drive accepted and stalled batches and deliver audit events, until cancelled.

        It ends only when it is cancelled. Failures are logged and tried again after growing pauses;
        `health` shows the state.
        """
        await RecoveryService(coordinator=self._coordinator).serve(task_status=task_status)

    def health(self) -> Health:
        """
        Return what this orchestrator last knew about its store, and the age of that; calls nothing.
        """
        return self._coordinator.health.health()

    async def check_health(self) -> Health:
        """
        Ask the store, for at most five seconds, and return its health; never raises an error.
        """
        return await self._coordinator.check_health()

    async def _finish(self, accepted: Accepted, *, drive: bool) -> BulkSubmissionResult:
        self._coordinator.work.notify("")
        known: BulkSubmissionResult | None = None
        if drive:
            settled = await self._coordinator.drive_until_settled(
                accepted.batch_id, accepted.run, lease=accepted.lease
            )
            known = fresh_result(accepted.new, settled) if accepted.new and settled else None
        elif accepted.new is not None:
            known = accepted_result(accepted.new, accepted.batch_id)
        if known is not None:
            await checkpoint_if_cancelled()  # as a read would: on trio a shielded write returns all the same
            return known
        return await self._queries.result(accepted.batch_id)
