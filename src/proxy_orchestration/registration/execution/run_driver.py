"""
Drives one run: claims items, has them attended to, records what came of them.

The driver is the only writer of its run. Each write appends the outcomes that
finished meanwhile, claims further items and renews the lease, in one fenced
transaction; what it wrote is published afterwards and never before.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio
import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import (
    Notifier,
    Subscription,
    WorkQueue,
    open_task_group,
    shielded_write,
)
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import LeaseLostError, OrchestrationError, RepositoryUnavailableError
from proxy_orchestration.registration.execution.attempts import Attempt, StopReason, never_begun
from proxy_orchestration.registration.execution.worker_pool import Workforce
from proxy_orchestration.registration.ports import BatchLedger, ProxyRegistrationService
from proxy_orchestration.registration.runs import Commit, Committed, ItemOutcome, Lease, LogPage, WorkItem
from proxy_orchestration.registration.settings import BulkSettings

_HEARTBEATS_PER_LEASE = 3
_CLOSE_ENOUGH = 1e-6

T = TypeVar("T")

_log = logging.getLogger(_loggers.DRIVER)


@attrs.define(eq=False, kw_only=True)
class RunDriver:
    """
    One driver of one run, for as long as its lease lasts.
    """

    lease: Lease
    service: ProxyRegistrationService
    ledger: BatchLedger
    clock: Clock
    settings: BulkSettings
    limiter: anyio.CapacityLimiter
    progress: Notifier[LogPage]
    wishes: Notifier[None]
    _workforce: Workforce = attrs.field(init=False)
    _tail: int = attrs.field(default=0, init=False)
    _held: int = attrs.field(default=0, init=False)
    _stop: StopReason | None = attrs.field(default=None, init=False)
    _grace_ends: float = attrs.field(default=math.inf, init=False)
    _first_call: float | None = attrs.field(default=None, init=False)
    _reported: float = attrs.field(default=0.0, init=False)
    _written_at: float = attrs.field(default=0.0, init=False)
    _over: bool = attrs.field(default=False, init=False)
    _alarm: Subscription[None] = attrs.field(factory=Subscription, init=False)

    def __attrs_post_init__(self) -> None:
        self._workforce = Workforce(
            lease=self.lease,
            service=self.service,
            clock=self.clock,
            settings=self.settings,
            limiter=self.limiter,
            stop=lambda: self._stop,
            on_call=self._note_call,
        )

    @property
    def _pool(self) -> WorkQueue[Attempt, ItemOutcome]:
        return self._workforce.pool

    @property
    def _unclaimed(self) -> int:
        return self._end - self._tail - self._held

    @property
    def _end(self) -> int:
        return self.lease.base + self.lease.run_items

    async def drive(self) -> AuditEvent:
        """
        Settle every item of the run, then the run, and return its audit event.

        Leaving early, by cancellation or an error, stores what had finished
        and gives up the lease; calls in flight are in doubt then.

        Raises:
            LeaseLostError: another driver took over; nothing more was written.
            AtomicModeError: all or nothing, and the service cannot; nothing was claimed.
            RepositoryUnavailableError: the store failed; the batch is resumable.
        """
        try:
            await self._attend_to_all()
            return await self._bounded(self._settle)
        except LeaseLostError:
            self._over = True
            raise
        finally:
            if not self._over:
                await self._leave_quietly()

    async def _attend_to_all(self) -> None:
        self._begin()
        async with open_task_group() as crew:
            self._workforce.start(crew)
            crew.start_soon(self._keep_time)
            crew.start_soon(self._look_for_wish)
            await self._record()
            crew.cancel_scope.cancel()

    def _begin(self) -> None:
        self._tail = self.lease.tail
        self._written_at = self.clock.monotonic()
        self._workforce.recruit()
        begun = self._attempts(attrs.evolve(work, in_doubt=True) for work in self.lease.begun)
        self._held = len(begun)
        self._assign(begun)
        if self.lease.cancel_wished:
            self._heed(StopReason.CANCEL_WISHED)
        elif self._budget_left() <= 0:
            self._heed(StopReason.TIME_BUDGET_SPENT)

    def _attempts(self, claimed: Iterable[WorkItem]) -> list[Attempt]:
        return [Attempt.at(work, batch_id=self.lease.batch_id) for work in claimed]

    def _note_call(self) -> None:
        if self._first_call is None:
            self._first_call = self.clock.monotonic()

    async def _record(self) -> None:
        while self._tail < self._end:
            outcomes = self._pool.oldest_results(self._workforce.most_per_commit)
            claim = self._claim_size(len(outcomes))
            if outcomes or claim or self._heartbeat_is_due():
                await self._write(outcomes, claim)
            else:
                await self._pool.wait_for_results()

    def _claim_size(self, finishing: int) -> int:
        window = self._workforce.window
        room = window - self._held + finishing
        if room < window // 2 and self._workforce.is_busy(self._held - finishing):
            return 0
        return max(0, min(self._unclaimed, room))

    async def _write(self, outcomes: tuple[ItemOutcome, ...], claim: int) -> None:
        committed = await self._bounded(lambda: self._commit(outcomes, claim))
        self._held += len(committed.claimed)
        self._assign(self._attempts(committed.claimed))
        if committed.cancel_wished:
            self._heed(StopReason.CANCEL_WISHED)

    def _assign(self, attempts: Iterable[Attempt]) -> None:
        """
        Queue items for the workers; after a stop only those begun, the others are settled here.
        """
        if self._stop is None:
            self._workforce.assign(attempts, unclaimed=self._unclaimed)
            return
        begun: list[Attempt] = []
        for attempt in attempts:
            if attempt.begun:
                begun.append(attempt)
            else:
                self._pool.put_result(never_begun(attempt, self._stop, now=self.clock.now()))
        self._workforce.assign(begun, unclaimed=self._unclaimed)

    async def _commit(self, outcomes: tuple[ItemOutcome, ...], claim: int) -> Committed:
        driven = self._driven()
        sent_at = self.clock.monotonic()
        committed = await self.ledger.commit(
            self.lease,
            Commit(
                outcomes=outcomes,
                claim=claim,
                driven_for=driven - self._reported,
                ttl=self.settings.lease_ttl,
            ),
        )
        self._reported = driven
        self._written_at = sent_at
        self._pool.discard_results(len(outcomes))
        self._held -= len(outcomes)
        self._tail = committed.tail
        self._publish(outcomes)
        return committed

    def _publish(self, outcomes: tuple[ItemOutcome, ...]) -> None:
        page = LogPage(run=self.lease.run, first=self._tail - len(outcomes) + 1, outcomes=outcomes)
        self.progress.notify(self.lease.batch_id, page if outcomes else None)

    async def _settle(self) -> AuditEvent:
        event = await self.ledger.settle(
            self.lease, settled_at=self.clock.now(), audit_hold=2 * self.settings.audit_timeout
        )
        self._over = True
        self.progress.notify(self.lease.batch_id)
        return event

    async def _leave(self) -> None:
        try:
            # In any case once, for the time driven; then until all that finished is stored.
            while await self._store_finished():
                pass
        finally:
            if self._tail < self._end:
                await self.ledger.release(self.lease)
                self.progress.notify(self.lease.batch_id)
        if self._tail == self._end:
            await self._settle()

    async def _store_finished(self) -> bool:
        outcomes = self._pool.oldest_results(self._workforce.most_per_commit)
        await self._commit(outcomes, 0)
        return len(outcomes) == self._workforce.most_per_commit

    async def _leave_quietly(self) -> None:
        try:
            await self._bounded(self._leave)
        except OrchestrationError as error:
            _log.warning(
                "could not release run %d of batch %s: %s",
                self.lease.run,
                self.lease.batch_id,
                error,
                extra=_about(self.lease, error),
            )

    async def _bounded(self, write: Callable[[], Awaitable[T]]) -> T:
        """
        Let a write that records the truth finish although the host shuts down, but not for ever.
        """
        now = self.clock.monotonic()
        left = max(self._heartbeat_period, self._written_at + self.settings.lease_ttl - now)
        try:
            return await shielded_write(write, clock=self.clock, seconds=left)
        except TimeoutError as error:
            reason = "The store did not answer within the lease."
            raise RepositoryUnavailableError(
                reason, advice="Check the store, then resume the batch."
            ) from error

    def _heed(self, stop: StopReason) -> None:
        if self._stop is not None:
            return
        self._stop = stop
        grace = self.settings.cancel_grace if stop is StopReason.CANCEL_WISHED else 0.0
        self._grace_ends = self.clock.monotonic() + grace
        for member in self._workforce.members:
            member.cut(calls=False)
        self._assign(self._workforce.withdraw())
        self._alarm.notify()

    async def _keep_time(self) -> None:
        while True:
            now = self.clock.monotonic() + _CLOSE_ENOUGH
            if self._stop is None and self._budget_left() <= _CLOSE_ENOUGH:
                self._heed(StopReason.TIME_BUDGET_SPENT)
            for member in self._workforce.members:
                over = now >= self._grace_ends and not member.concluding
                if over or now >= member.deadline:
                    member.cut(calls=True)
            if now >= self._grace_ends:
                self._grace_ends = math.inf
            if self._heartbeat_is_due():
                self._pool.wake_collector()
            await self._alarm.wait(self.clock, self._until_next_alarm())

    def _until_next_alarm(self) -> float:
        now = self.clock.monotonic()
        alarms = [member.deadline for member in self._workforce.members]
        first = min(*alarms, self._grace_ends) - now
        budget = math.inf if self._stop else self._budget_left()
        return max(0.0, min(first, budget, self.settings.call_timeout, self._heartbeat_period))

    @property
    def _heartbeat_period(self) -> float:
        return self.settings.lease_ttl / _HEARTBEATS_PER_LEASE

    def _heartbeat_is_due(self) -> bool:
        return self.clock.monotonic() - self._written_at >= self._heartbeat_period - _CLOSE_ENOUGH

    def _driven(self) -> float:
        return 0.0 if self._first_call is None else self.clock.monotonic() - self._first_call

    def _budget_left(self) -> float:
        budget = self.settings.time_budget
        return math.inf if budget is None else budget - self.lease.driven_for - self._driven()

    async def _look_for_wish(self) -> None:
        with self.wishes.subscribe(self.lease.batch_id) as subscription:
            while self._stop is not StopReason.CANCEL_WISHED:
                notified = await subscription.wait(self.clock, self.settings.poll_interval)
                silent = self.clock.monotonic() - self._written_at >= self.settings.poll_interval
                if notified or silent:
                    await self._read_wish()

    async def _read_wish(self) -> None:
        try:
            record = await self.ledger.get(self.lease.batch_id)
        except RepositoryUnavailableError as error:
            _log.warning(
                "could not look for a wish to cancel batch %s: %s",
                self.lease.batch_id,
                error,
                extra=_about(self.lease, error),
            )
            return
        if record is not None and record.run == self.lease.run and record.cancel_wished_at is not None:
            self._heed(StopReason.CANCEL_WISHED)


def _about(lease: Lease, error: OrchestrationError) -> dict[str, object]:
    return {"batch_id": lease.batch_id, "run": lease.run, "error": type(error).__name__}
