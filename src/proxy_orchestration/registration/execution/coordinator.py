"""
Drives runs until they are settled: in this process, or by waiting for the holder of the lease.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TypeVar

import anyio
import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee
from proxy_orchestration._concurrency import Notifier, ask, shielded_write
from proxy_orchestration.audit import AuditEvent, ProxyAuditLogger
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import LeaseLostError, RepositoryUnavailableError
from proxy_orchestration.registration.activities import forget_decoded_activities
from proxy_orchestration.registration.execution.audit_delivery import AuditDelivery
from proxy_orchestration.registration.execution.cancel_watch import CancelWatch
from proxy_orchestration.registration.execution.endings import Endings
from proxy_orchestration.registration.execution.health import Health, HealthRecord
from proxy_orchestration.registration.execution.limits import AbandonedCalls
from proxy_orchestration.registration.execution.look_ahead import Speed
from proxy_orchestration.registration.execution.run_context import (
    RunContext,
    ServiceAbilities,
    first_claim,
)
from proxy_orchestration.registration.execution.run_driver import RunDriver
from proxy_orchestration.registration.execution.suspects import SuspectTurns
from proxy_orchestration.registration.execution.waiting import Pace
from proxy_orchestration.registration.fresh_results import SettledHere
from proxy_orchestration.registration.ledger import Acceptance, NewBatch
from proxy_orchestration.registration.ports import (
    BatchLedger,
    OnRunSettled,
    ProxyRegistrationService,
    SupportsAcceptAndBegin,
    SupportsFusedWrites,
    SupportsTakingFreeRuns,
)
from proxy_orchestration.registration.runs import Acquisition, DrivableRun, Lease, LeaseHeld, LogPage
from proxy_orchestration.registration.service_errors import ServiceHooks
from proxy_orchestration.registration.settings import BulkSettings

T = TypeVar("T")

_LONGEST_CHECK = 5.0
_MOST_CLAIMED = 2_000
"""Items of many runs that are claimed by one write, however large their batches; the rest follows."""

_log = logging.getLogger(_loggers.DRIVES)


@attrs.frozen(kw_only=True)
class GivenUp:
    """
    A driver gave up its lease, and the run is not settled.

    Attributes:
        due_in: seconds until something of it is due.
        is_paused: whether nothing is until it is resumed.
    """

    due_in: float
    is_paused: bool


@attrs.define(eq=False, kw_only=True)
class Coordinator:
    """
    Coordinates the driving of one orchestrator's runs (it is no person); holds no state of any batch.

    Attributes:
        progress: wakes watchers of a batch in this process.
        cancel_watch: tells the drivers of this process of cancel requests and pauses.
        work: wakes `serve` when something was accepted in this process.
        service_name: what the service is called; `None` where it has no name.
        health: what is known of the store, and of who drives here.
        endings, audit: tell the host of settled runs, and its audit logger.
        beyond_us: runs that this process's service cannot do, by batch and run.
    """

    service: ProxyRegistrationService
    ledger: BatchLedger
    audit_logger: ProxyAuditLogger
    clock: Clock
    settings: BulkSettings
    hooks: ServiceHooks = attrs.field(factory=ServiceHooks)
    on_run_settled: OnRunSettled | None = None
    service_name: str | None = None
    progress: Notifier[LogPage] = attrs.field(factory=Notifier, init=False)
    work: Notifier[None] = attrs.field(factory=Notifier, init=False)
    health: HealthRecord = attrs.field(init=False)
    endings: Endings = attrs.field(init=False)
    audit: AuditDelivery = attrs.field(init=False)
    cancel_watch: CancelWatch = attrs.field(init=False)
    beyond_us: set[tuple[str, int]] = attrs.field(factory=set, init=False)
    _limiter: anyio.CapacityLimiter = attrs.field(init=False)
    _turns: SuspectTurns = attrs.field(init=False)
    _pace: Pace | None = attrs.field(init=False)
    _abandoned: AbandonedCalls = attrs.field(init=False)
    _speed: Speed = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        settings = self.settings
        self._limiter = anyio.CapacityLimiter(settings.max_calls_in_flight)
        self._turns = SuspectTurns(self.clock, settings.lease_ttl)
        rate = settings.calls_per_second
        self._pace = None if rate is None else Pace(self.clock, rate)
        self._abandoned = AbandonedCalls.under(settings, self.clock)
        self.endings = Endings(
            ledger=self.ledger, clock=self.clock, settings=settings, hook=self.on_run_settled
        )
        self.audit = AuditDelivery(
            ledger=self.ledger,
            audit_logger=self.audit_logger,
            clock=self.clock,
            settings=settings,
            write=self._write,
        )
        self.cancel_watch = CancelWatch(
            ledger=self.ledger, clock=self.clock, poll_interval=settings.poll_interval
        )
        self.health = HealthRecord(ledger=self.ledger, clock=self.clock, abandoned=self._abandoned)
        self._speed = Speed(workers=settings.max_concurrency)

    # Asked once, and not before it is needed: a verb that is refused touches neither service nor store.
    @cached_property
    def _abilities(self) -> ServiceAbilities:
        return ServiceAbilities.of(self.service, self.settings)

    @cached_property
    def _fused(self) -> SupportsFusedWrites | None:
        return self.ledger if isinstance(self.ledger, SupportsFusedWrites) else None

    @cached_property
    def taking(self) -> SupportsTakingFreeRuns | None:
        """
        Return the ledger, if it hands out many free runs at once.
        """
        return self.ledger if isinstance(self.ledger, SupportsTakingFreeRuns) else None

    async def find_drivable(self, *, limit: int, due_only: bool = False) -> Sequence[DrivableRun]:
        """
        Return runs that this service may drive, the free ones first: its own, and those without a name.
        """
        if self.service_name is None:
            return await self.ledger.find_drivable(limit=limit, due_only=due_only)
        return await self.ledger.find_drivable(limit=limit, due_only=due_only, service_name=self.service_name)

    async def accept(self, new: NewBatch) -> tuple[Acceptance, Lease | None]:
        """
        Store a batch that is driven here at once, with the lease on it where the store does both in one.
        """
        ledger = self.ledger
        # Without a way to give a claim back, one that came too late would count as called.
        if self._fused is None or not isinstance(ledger, SupportsAcceptAndBegin):
            return await ledger.accept(new), None
        claim, called = first_claim(self._abilities, self.settings, self._speed)
        with self._acquiring():
            # Shielded: a lease that is stored and never heard of would keep everybody waiting for its end.
            return await self._write(
                lambda: ledger.accept_and_begin(new, ttl=self.settings.lease_ttl, claim=claim, called=called),
                take_back=lambda accepted: self._give_up(accepted[1]),
            )

    async def acquire(self, batch_id: str, run: int) -> Acquisition:
        """
        Try to become the run's driver; a lease that arrives too late for a cancelled host is given up.
        """
        with self._acquiring():
            # Shielded: see `accept`.
            return await self._write(
                lambda: self._begin(batch_id, run),
                take_back=self._give_up,
            )

    @contextmanager
    def _acquiring(self) -> Iterator[None]:
        acquiring = object()
        # Counted from here on: a run that begins beside this one waits with its suspects.
        self._turns.note(acquiring, busy=True)
        try:
            yield
        finally:
            self._turns.note(acquiring, busy=False)

    async def _begin(self, batch_id: str, run: int) -> Acquisition:
        ttl = self.settings.lease_ttl
        if self._fused is None:
            return await self.ledger.acquire(batch_id, run, ttl=ttl)
        claim, called = first_claim(self._abilities, self.settings, self._speed)
        return await self._fused.begin(batch_id, run, ttl=ttl, claim=claim, called=called)

    async def take_free_runs(
        self, taking: SupportsTakingFreeRuns, *, limit: int, except_for: Collection[str]
    ) -> Sequence[Lease]:
        """
        Become the driver of so many free runs of the ledger, by one write; `drive_taken` drives each.

        Leases that arrive too late for a cancelled host are given back.
        """
        claim, called = first_claim(self._abilities, self.settings, self._speed)
        take = partial(
            taking.take_free_runs,
            limit=limit,
            ttl=self.settings.lease_ttl,
            claim=min(claim, max(called, _MOST_CLAIMED // limit)),
            called=called,
            except_for=except_for,
            service_name=self.service_name,
        )
        with self._acquiring():
            leases = await self._write(take, take_back=self._give_all_up)
            for lease in leases:
                self._turns.note((lease.batch_id, lease.run), busy=True)
            return leases

    async def drive_taken(self, lease: Lease, *, patience: float) -> AuditEvent | None:
        """
        Drive a run that `take_free_runs` took, as `drive_while_leased` does.
        """
        self._turns.note((lease.batch_id, lease.run), busy=False)  # from here on its driver says so
        return await self.drive_while_leased(lease, patience=patience)

    async def _give_all_up(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            await self._give_up(lease)

    async def take_over(self, batch_id: str, run: int) -> None:
        """
        Break the lease of whoever drives the run, so that anybody may; nothing happens to a settled one.
        """
        # One write for whoever is cancelled in between: a lease that is taken has to be given up again.
        acquisition = await self._write(lambda: self._break_lease(batch_id, run))
        if isinstance(acquisition, Lease):
            _log.warning(
                "the lease on run %d of batch %s was broken at the request of its host",
                run,
                batch_id,
                extra={"batch_id": batch_id, "run": run},
            )
            self.progress.notify(batch_id)
            self.work.notify("")

    async def _break_lease(self, batch_id: str, run: int) -> Acquisition:
        acquisition = await self.ledger.acquire(batch_id, run, ttl=self.settings.lease_ttl, take_over=True)
        await self._give_up(acquisition)
        return acquisition

    async def _give_up(self, acquisition: Acquisition | None) -> None:
        if not isinstance(acquisition, Lease):
            return
        giving_back = self._fused or self.taking
        if acquisition.claimed_now and giving_back is not None:
            await giving_back.give_back(acquisition)
        else:
            await self.ledger.release(acquisition)

    async def _write(
        self,
        write: Callable[[], Awaitable[T]],
        *,
        take_back: Callable[[T], Awaitable[object]] | None = None,
    ) -> T:
        try:
            return await shielded_write(
                write, clock=self.clock, seconds=self.settings.lease_ttl, take_back=take_back
            )
        except TimeoutError as error:
            reason = "The store did not answer in time."
            raise RepositoryUnavailableError(reason, advice="Check the store, and try again.") from error

    async def drive(self, lease: Lease) -> AuditEvent | None:
        """
        Drive a run to its end, and tell the audit logger; return its event, or `None` if it is not the end.

        Raises:
            LeaseLostError: another driver took over.
        """
        driven = await self._drive(lease, patience=math.inf)
        return driven if isinstance(driven, AuditEvent) else None

    async def _drive(self, lease: Lease, *, patience: float) -> AuditEvent | GivenUp:
        context = self._context(lease)
        driver = RunDriver(
            context=context,
            ledger=self.ledger,
            fused=self._fused,
            progress=self.progress,
            cancel_watch=self.cancel_watch,
            turns=self._turns,
            patience=patience,
        )
        self.health.driving += 1
        try:
            event = await driver.drive()
        finally:
            self.health.driving -= 1
            if not self.health.driving:
                forget_decoded_activities()
            context.errors.conclude()
        if event is None:
            return GivenUp(due_in=context.state.due_in, is_paused=context.waiting.is_paused)
        await self.audit.deliver(event)
        await self._tell_endings()
        return event

    def _context(self, lease: Lease) -> RunContext:
        return RunContext(
            lease=lease,
            service=self.service,
            clock=self.clock,
            settings=self.settings,
            limiter=self._limiter,
            abandoned=self._abandoned,
            hooks=self.hooks,
            pace=self._pace,
            speed=self._speed,
            abilities=self._abilities,
            tells_ending=self.on_run_settled is not None,
        )

    async def _tell_endings(self) -> None:
        try:
            await self.endings.tell_pending()
        except RepositoryUnavailableError as error:
            # The run is settled and stored; what was not told is told by the next pass.
            _log.error(
                "settled runs for on_run_settled could not be read: %s",
                error,
                extra={"error": type(error).__name__},
            )

    async def drive_while_leased(self, lease: Lease, *, patience: float = math.inf) -> AuditEvent | None:
        """
        Drive a run to its end, or until another driver took it over; return its event if it was the end.
        """
        driven = await self.drive_while_due(lease, patience=patience)
        return driven if isinstance(driven, AuditEvent) else None

    async def drive_while_due(self, lease: Lease, *, patience: float) -> AuditEvent | GivenUp | None:
        """
        Drive a run to its end, and tell the audit logger; `None` if another driver took it over.

        Args:
            lease: the right to drive it.
            patience: the lease is given up when nothing is due for longer than that, in seconds.
        """
        try:
            return await self._drive(lease, patience=patience)
        except LeaseLostError:
            _log.warning(
                "another driver took over run %d of batch %s",
                lease.run,
                lease.batch_id,
                extra={"batch_id": lease.batch_id, "run": lease.run},
            )
            return None

    async def drive_until_settled(
        self, batch_id: str, run: int, *, lease: Lease | None = None
    ) -> SettledHere | None:
        """
        Return when the run is settled or paused, driving it whenever nobody else does.

        Args:
            batch_id: the batch.
            run: which of its runs.
            lease: the right to drive it, where that was taken already.

        Returns:
            what is known of its end, if it was driven to its end here.
        """
        with self.progress.subscribe(batch_id) as subscription:
            while True:
                match lease or await self.acquire(batch_id, run):
                    case Lease() as held:
                        lease = None
                        # Lost is not settled: whoever took it over may stop, and then it is ours again.
                        if event := await self.drive_while_leased(held):
                            return SettledHere(event=event, pages=tuple(subscription.take_news()))
                    case LeaseHeld(remaining=remaining):
                        await subscription.wait(self.clock, min(remaining, self.settings.poll_interval))
                    case _:
                        return None

    async def check_health(self) -> Health:
        """
        Ask the store for work, for a few seconds at most, and return what is known then.
        """
        try:
            found = await ask(
                lambda: self.find_drivable(limit=1, due_only=True),
                clock=self.clock,
                seconds=min(_LONGEST_CHECK, self.settings.lease_ttl),
            )
            await self.health.saw(found)
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            self.health.failed(error)
        return self.health.health()
