"""
The verbs of bulk registration.
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

    It holds no state of any batch: two of them in two processes over one
    repository are one system. Every verb that acts for a person checks the
    actor itself, every time. Batches that the actor may not know of answer
    like batches that do not exist. Each verb may raise
    `RepositoryUnavailableError`; what was acknowledged before it is safe. An
    argument that means nothing is an `InvalidInputError` before anything is
    read, stored or called.

    Args:
        registration_service: registers one activity; `SupportsLookup` settles doubt,
            `SupportsBulk` writes many at once, `SupportsConflictCheck` finds
            existing records beforehand.
        repository: where batches live.
        audit_logger: told of every settled run, once.
        clock: where time comes from.
        access_policy: who may do, see and register what.
        settings: limits and times.
        classify_error: says what an exception of the service means where this library's
            rules do not: an HTTP client's own time-out class is in doubt, for instance.
        on_service_error: is handed each exception of the service with the registrations of
            its call, for the host's error tracker; the log shows its type and place only.
        on_run_settled: is told of each run that settled, with its batch as it stood then: at least
            once, by whichever process with this hook settles it or recovers what is untold.
        service_name: what the service is called, up to 200 characters; it stands with each batch
            that is accepted here, and an orchestrator with another name calls nothing for it.
        id_rule: what a mentor's id in a new request may look like; `usual_id_rule` refuses
            fillers and what spreadsheets make of ids.

    Raises:
        MisconfiguredError: a part does not fit; the message says what to do.
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
        Accept a batch durably, drive it to its end or its pause, and return every mentor's outcome.

        The same idempotency key with the same entries joins the batch that
        exists, or returns it as it is. Mentors whose registration conflicts
        are dealt with as `request.on_conflict` says.

        Args:
            request: the mentors and their activities.
            actor: who submits; every record is attributed to this person.
            drive: false to return once accepted; `drive_batch`,
                `resume_interrupted` or `serve`, here or elsewhere, drives it.

        Raises:
            NotAuthorizedError, EmptySelectionError, DuplicateSelectionError,
            BatchTooLargeError, AtomicModeError, IdempotencyKeyReusedError:
                nothing was stored.
            InvalidValueError: a mentor's id is nobody's, by `id_rule`; nothing was stored.
            WrongServiceError: its key stands for an open batch that another service accepted.
            HostTransactionError: it is to be driven, and the repository is one that `within` returned.
            RepositoryUnavailableError: the store failed; its `batch_id` and
                `idempotency_key` say what to resume, or to submit again.
        """
        check_arguments(request=request, actor=actor, drive=drive)
        store = self._coordinator.accept if drive else None
        accepted = await self._submission.accept(request, actor, drives=drive, store=store)
        with naming_submission(accepted.batch_id, request.idempotency_key):
            return await self._finish(accepted, drive=drive)

    async def preview(self, request: BulkRegistrationRequest, *, actor: Actor) -> ConflictReport:
        """
        Return which mentors of a request conflict with what is registered; stores nothing.

        A service that cannot check finds no conflict. What is found may have
        changed when the request is submitted; then it is checked again.

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
        Accept a batch and drive it while its progress is iterated.

        Leaving the block before the end stops driving, logs a WARNING and
        leaves the batch resumable; it has no `result` then. The task that
        enters the block leaves it; a streaming response does not keep to
        that, so submit with `drive=False` there, let `serve` drive, and use
        `watch_batch`. Raises what `submit_bulk_registration` raises, and:

        Raises:
            WrongTaskError: the task that entered the block has ended, or another one left it.
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
        Open a new run over the FAILED and UNKNOWN items and drive it; nothing else is touched.

        Args:
            batch_id: a settled batch.
            actor: who retries, with the roles held now.
            mentor_ids: only these; CANCELLED ones too when named. `None`: all failed. A
                mentor's id stands for all their items that can be retried, an item key for one.
            expected_run: the run the caller saw; makes a redelivered retry harmless.
            drive: false to return once the run is stored.
            activities: what to register instead from this run on, by mentor id or item key,
                which names them too; under a new key, conflicts are asked about anew, and an
                override lapses. An all-or-nothing batch is retried as a whole.

        Raises:
            BatchStateError: not settled, nothing to retry, a named item is in another
                state, or the key of an edited one is in doubt: retry it unchanged first.
            InvalidValueError: an activity cannot be kept, or `mentor_ids` leaves it out.
            StaleRunError: another run is current; nothing was done.
            EmptySelectionError, UnknownMentorError, NotAuthorizedError,
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
        Decide mentor by mentor what becomes of those that need a review, and drive it.

        Who is skipped stays out for good; who is overridden is registered over
        the record that the review named, and audited so. Who has no decision
        goes on waiting; an all-or-nothing batch takes all its decisions at
        once. Decisions that are in force already change nothing. A record that
        may be the mentor's own (code `maybe_own`) is overridden by
        `ConflictDecision.OVERRIDE_MAYBE_OWN` only.

        Args:
            batch_id: a settled batch.
            decisions: by mentor id, for all of a mentor's items that wait, or by item key.
            actor: who decides, with the roles held now.
            expected_run: the run the caller saw; makes a redelivered decision
                harmless even where its mentor needs another review.
            drive: false to return once the run is stored.

        Raises:
            UnknownMentorError: a mentor is not in the batch.
            BatchStateError: not settled, a mentor needs no review, or a record
                that may be the mentor's own is to be overridden without saying so.
            StaleRunError: another run is current; nothing was done.
            EmptySelectionError, NotAuthorizedError, BatchNotFoundError,
            WrongServiceError.
        """
        check_arguments(
            batch_id=batch_id, decisions=decisions, actor=actor, expected_run=expected_run, drive=drive
        )
        run = await self._review.open(batch_id, decisions, actor, expected_run=expected_run)
        return await self._finish(Accepted(batch_id=batch_id, run=run), drive=drive)

    async def cancel_batch(self, batch_id: str, *, actor: Actor, reason: str | None = None) -> CancelReport:
        """
        Stop a batch: cancel what was not begun, and wait for the calls in flight.

        Waits `cancel_grace` at most, and reports what is true then. Repeating
        it changes nothing and reports anew. What is in doubt in a batch that
        another service accepted is left to that one.

        Raises:
            BatchStateError: the batch settled without a cancel.
            NotAuthorizedError, BatchNotFoundError.
        """
        check_arguments(batch_id=batch_id, actor=actor, reason=reason)
        return await self._stopping.cancel(batch_id, actor, reason)

    async def pause_batch(self, batch_id: str, *, actor: Actor) -> BatchSummary:
        """
        Pause a batch that is not settled: no further call begins until it is resumed or cancelled.

        Calls in flight end as usual; nothing waits for them here. Whoever
        submits, retries or decides with `drive=True` gets the batch back as it
        stands then, `serve` and `resume_interrupted` pass it over, `drive_batch`
        refuses it, and watchers go on waiting. The time budget stands still. A run
        that nobody drove yet stays PENDING; its `paused_at` tells.
        Repeating it changes nothing.

        Raises:
            BatchStateError: the batch is settled or being cancelled.
            NotAuthorizedError, BatchNotFoundError.
        """
        check_arguments(batch_id=batch_id, actor=actor)
        return await self._stopping.pause(batch_id, actor)

    async def resume_batch(self, batch_id: str, *, actor: Actor) -> BatchSummary:
        """
        Let a paused batch go on; `serve`, `resume_interrupted` or `drive_batch` drives it.

        Nothing changes where it is not paused.

        Raises:
            BatchStateError: the batch is settled or being cancelled.
            NotAuthorizedError, BatchNotFoundError, WrongServiceError.
        """
        check_arguments(batch_id=batch_id, actor=actor)
        return await self._stopping.resume(batch_id, actor)

    @asynccontextmanager
    async def drive_batch(self, batch_id: str) -> AsyncIterator[BatchRun]:
        """
        Drive the batch here and now while its progress is iterated; for hosts.

        A settled batch yields nothing and has its result; one that is paused
        meanwhile ends the iteration and has its result, too. Leaving the block
        before the end stops driving, logs a WARNING and leaves the batch
        resumable; it has no `result` then. The task that enters the block
        leaves it; in a streaming response let `serve` drive, and use `watch_batch`.

        Raises:
            BatchLeasedError: somebody else drives it.
            BatchStateError: it is paused; resume it first.
            WrongTaskError: the task that entered the block has ended, or another one left it.
            LeaseLostError: another driver took it over meanwhile.
            BatchNotFoundError, WrongServiceError.
        """
        check_arguments(batch_id=batch_id)
        async with driven_batch(batch_id, coordinator=self._coordinator, queries=self._queries) as batch_run:
            yield batch_run

    @asynccontextmanager
    async def watch_batch(self, batch_id: str, *, actor: Actor, after: int = 0) -> AsyncIterator[BatchRun]:
        """
        Look on, from the update that follows `after`, until the current run is settled.

        Drives nothing, so any task may go on with the block and leave it. Raises
        `NotAuthorizedError` and `BatchNotFoundError`.
        """
        check_arguments(batch_id=batch_id, actor=actor, after=after)
        record = await self._authorization.authorized_batch(batch_id, actor, Action.READ)
        async with self._queries.watching(record, after=after) as batch_run:
            yield batch_run

    async def relabel_batch(self, batch_id: str, label: str | None, *, actor: Actor) -> BulkSubmissionResult:
        """
        Change what people call the batch; up to 200 characters, `None` for no label.

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
        Remove a settled batch; its audit events and its key's tombstone stay.

        Raises:
            BatchStateError: it is not settled; cancel it first. Or mentors wait for a decision, and
                it was not said that their reviews may go with it.
            NotAuthorizedError, BatchNotFoundError.
        """
        check_arguments(batch_id=batch_id, actor=actor, with_open_reviews=with_open_reviews)
        await self._authorization.authorized_batch(batch_id, actor, Action.DELETE)
        await self._stopping.check_may_delete(batch_id, with_open_reviews=with_open_reviews)
        if not await self.repository.delete(batch_id):
            raise BatchNotFoundError(batch_id)

    async def resume_interrupted(self) -> Sequence[str]:
        """
        Drive every batch that is not settled and that nobody drives, and deliver pending audit events.

        Batches of another `service_name` are passed over, as `serve` does.

        Waits for the lease of a driver that may be dead, `lease_ttl` at most;
        stops waiting when that driver turns out to live.

        Returns:
            the ids of the batches driven to the end here.
        """
        return await RecoveryPass(coordinator=self._coordinator).resume()

    async def take_over(self, batch_id: str) -> None:
        """
        Break the lease of whoever drives the batch, and leave it to the next driver; for hosts.

        For a driver that hangs, or is known to be dead, and whose lease is not
        to be waited for. Should it live, its writes change nothing any more,
        it stops, and its calls under way are in doubt. A settled batch stays
        as it is.

        Raises:
            BatchNotFoundError.
        """
        check_arguments(batch_id=batch_id)
        record = await self._queries.record(batch_id)
        await self._coordinator.take_over(batch_id, record.run)

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """
        Drive accepted and stalled batches and deliver audit events, until cancelled.

        Nothing else ends it: what goes wrong is logged and tried again, ever
        more rarely. `health` tells how it goes.
        """
        await RecoveryService(coordinator=self._coordinator).serve(task_status=task_status)

    def health(self) -> Health:
        """
        Return what this orchestrator last saw of its store, and how old that is; asks nobody.
        """
        return self._coordinator.health.health()

    async def check_health(self) -> Health:
        """
        Ask the store, for five seconds at most, and return what is known then; raises nothing.
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
