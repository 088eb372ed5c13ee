"""
Drives one run: claims items, lets workers call the service, and stores the outcomes.

The driver is the only writer of its run. Each write appends the outcomes that
finished meanwhile, claims further items and renews the lease, in one fenced
transaction; what it wrote is published afterwards and never before.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import (
    Notifier,
    Subscription,
    WorkQueue,
    open_task_group,
)
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import LeaseLostError, OrchestrationError
from proxy_orchestration.registration.execution.attempts import (
    Attempt,
    StopReason,
    driver_lost,
    never_begun,
)
from proxy_orchestration.registration.execution.cancel_watch import CancelWatch, WatchedRun
from proxy_orchestration.registration.execution.look_ahead import LookAhead
from proxy_orchestration.registration.execution.run_context import RunContext
from proxy_orchestration.registration.execution.run_pause import RunPause
from proxy_orchestration.registration.execution.run_writer import RunWriter
from proxy_orchestration.registration.execution.suspects import LeftBehind, SuspectQueue, SuspectTurns
from proxy_orchestration.registration.execution.time_budget import TimeBudget
from proxy_orchestration.registration.execution.waiting import (
    Chunk,
    WaitingItems,
    called_again,
    regrouped,
    waiting,
)
from proxy_orchestration.registration.execution.worker_pool import WorkerPool
from proxy_orchestration.registration.ports import BatchLedger, SupportsFusedWrites
from proxy_orchestration.registration.runs import (
    Commit,
    Committed,
    ItemOutcome,
    Lease,
    LogPage,
    UnfinishedItem,
    WorkItem,
)
from proxy_orchestration.registration.settings import BulkSettings

_CLOSE_ENOUGH = 1e-6

_log = logging.getLogger(_loggers.DRIVER)


def _own_turns(driver: RunDriver) -> SuspectTurns:
    return SuspectTurns(driver.context.clock, driver.context.settings.lease_ttl)


@attrs.define(eq=False, kw_only=True)
class RunDriver:
    """
    One driver of one run, for as long as its lease lasts.

    Attributes:
        context: the run.
        ledger: where it is written.
        fused: the ledger, if it does two writes in one transaction.
        progress: wakes watchers of a batch in this process.
        cancel_watch: tells this driver when its batch is cancelled or paused.
        turns: when this driver may call suspects.
        patience: the lease is given up when nothing is due for longer than that.
    """

    context: RunContext
    ledger: BatchLedger
    progress: Notifier[LogPage]
    cancel_watch: CancelWatch
    turns: SuspectTurns = attrs.field(default=attrs.Factory(_own_turns, takes_self=True))
    patience: float = math.inf
    fused: SupportsFusedWrites | None = None
    _workers: WorkerPool = attrs.field(init=False)
    _ahead: LookAhead = attrs.field(init=False)
    _watched: WatchedRun = attrs.field(init=False)
    _failures: list[BaseException] = attrs.field(factory=list, init=False)
    _suspects: SuspectQueue = attrs.field(init=False)
    _due: list[Chunk] = attrs.field(factory=list, init=False)
    _writer: RunWriter = attrs.field(init=False)
    _held: int = attrs.field(default=0, init=False)
    _pause: RunPause = attrs.field(init=False)
    _grace_ends: float = attrs.field(default=math.inf, init=False)
    _reported: float = attrs.field(default=0.0, init=False)
    _budget: TimeBudget = attrs.field(init=False)
    _alarm: Subscription[None] = attrs.field(factory=Subscription, init=False)

    def __attrs_post_init__(self) -> None:
        self._budget = TimeBudget(context=self.context)
        self._workers = WorkerPool(context=self.context, on_failure=self._fail)
        self._suspects = SuspectQueue(turns=self.turns, run=self)
        self._writer = RunWriter(
            context=self.context, ledger=self.ledger, fused=self.fused, progress=self.progress
        )
        self._pause = RunPause(
            context=self.context, workers=self._workers, writer=self._writer, take_due=self._take_due
        )
        self._watched = WatchedRun(
            context=self.context,
            last_write=lambda: self._writer.written_at,
            on_cancel=lambda: self._stop_for(StopReason.CANCEL_REQUESTED),
            on_pause=self._pause.begin,
            on_error=self._fail,
        )
        self._ahead = LookAhead(
            called=self._lease.called,
            claimed=self._lease.claimed,
            speed=self.context.speed,
            counted_from=self._clock.monotonic(),
            step=self._workers.step,
        )
        self._waiting.on_arrival = self._note_arrival

    @property
    def _lease(self) -> Lease:
        return self.context.lease

    @property
    def _clock(self) -> Clock:
        return self.context.clock

    @property
    def _settings(self) -> BulkSettings:
        return self.context.settings

    @property
    def _results(self) -> WorkQueue[Attempt, ItemOutcome]:
        return self._workers.items

    @property
    def _waiting(self) -> WaitingItems:
        return self.context.waiting

    @property
    def _active(self) -> int:
        """
        Return how many claimed items are on their way through the workers, or done and not durable.
        """
        return self._held - self._waiting.count - self._suspects.count

    @property
    def _unclaimed(self) -> int:
        return self._writer.left - self._held

    async def drive(self) -> AuditEvent | None:
        """
        Settle every item of the run, then the run, and return its audit event.

        Return `None` when the lease was given up, since nothing is due for
        longer than this driver's patience, or since the run is paused.

        Leaving early, by cancellation or an error, stores what had finished
        and gives up the lease; calls in flight are in doubt then.

        Raises:
            LeaseLostError: another driver took over; nothing more was written.
            AtomicModeError: all or nothing, and the service cannot; nothing was claimed.
            RepositoryUnavailableError: the store failed; the batch is resumable.
        """
        try:
            await self._drive_items()
            if not self._writer.left and not self._writer.is_over:
                await self._writer.shielded(self._writer.settle)
        except LeaseLostError:
            self._writer.is_over = True
            raise
        else:
            return self._writer.event
        finally:
            self.turns.note(self, busy=False)
            if not self._writer.is_over:
                await self._leave_quietly()

    async def _drive_items(self) -> None:
        self.turns.note(self, busy=True)
        self._begin()
        async with self.cancel_watch.watching(self._watched), open_task_group() as tasks:
            self._workers.start(tasks)
            tasks.start_soon(self._keep_time)
            if self._suspects.chunks:
                tasks.start_soon(self._suspects.hold_turn, self._results.wake_collector)
            try:
                await self._write_until_settled()
            except BaseException:
                tasks.start_soon(self._workers.end)
                raise
            if self._writer.left:
                tasks.start_soon(self._workers.end)
            else:
                self._workers.dismiss()
            tasks.cancel_scope.cancel()

    def _begin(self) -> None:
        # A take-over writes nothing: what another driver may have been calling is in doubt.
        left = LeftBehind.of(
            self._lease, max_takeovers=self._settings.max_takeovers, together=self.context.is_atomic
        )
        self._suspects.chunks = left.suspects
        self._ahead.hold_back(left.uncalled)
        for chunk, seconds in left.waiting:
            self._waiting.take(chunk, seconds)
        for attempt in left.lost:
            self._results.put_result(driver_lost(attempt, now=self._clock.now()))
        # Claimed with the lease, so as to save a commit.
        self._ahead.hold_back(self._attempts(self._lease.claimed_now))
        self._assign(self._ahead.allow(self._lease.called))
        self._held = (
            len(self._lease.claimed_now)
            + self._waiting.count
            + len(left.uncalled)
            + len(left.lost)
            + self._suspects.count
        )
        if self._lease.cancel_wished:
            self._stop_for(StopReason.CANCEL_REQUESTED)
        elif self._budget.left() <= 0:
            self._stop_for(StopReason.TIME_BUDGET_SPENT)

    def _attempts(self, claimed: Iterable[WorkItem]) -> list[Attempt]:
        return [Attempt.at(work, batch_id=self._lease.batch_id) for work in claimed]

    def _fail(self, error: BaseException) -> None:
        """
        End this driver by what somebody who works for it raised.
        """
        self._failures.append(error)
        self._results.wake_collector()

    def _note_arrival(self) -> None:
        self._results.wake_collector()
        self._alarm.notify()

    async def _write_until_settled(self) -> None:
        while self._writer.left:
            if self._failures:
                raise self._failures[0]
            await self._workers.add_workers()
            await self._pause.store()
            if not self._waiting.is_paused:
                self._due += self._waiting.take_due(self._clock.monotonic() + _CLOSE_ENOUGH)
            outcomes = self._results.oldest_results(self._workers.most_per_commit)
            claim = self._claim_size(len(outcomes))
            alone = self._next_alone(len(outcomes), claim)
            if outcomes or claim or alone or self._has_to_write():
                await self._write(outcomes, claim, alone)
            elif self._gives_up():
                return
            else:
                self.turns.note(self, busy=self._active > len(self._suspects.alone))
                await self._results.wait_for_results()

    def _has_to_write(self) -> bool:
        starved = (
            self._ahead.held_back
            and not self._workers.queued
            and self._free_workers()
            and not self._waiting.everyone_waits()
        )
        return bool(self._due or self._waiting.has_untold or starved or self._writer.heartbeat_is_due())

    def _claim_size(self, finishing: int) -> int:
        if self._waiting.everyone_waits():
            return 0
        window, active = self._workers.window, self._active
        room = window - active + finishing
        # Half a window at a time: a claim per item that finishes would be a commit per item.
        if room < window // 2 and self._workers.is_busy(active - finishing, held_back=self._ahead.held_back):
            return 0
        return max(0, min(self._unclaimed, room))

    def _next_alone(self, finishing: int, claim: int) -> Chunk:
        """
        Return the suspect that is called from the next commit on, if there is nothing else to do.
        """
        others = claim or self._due or self._ahead.held_back or self._unclaimed
        if not self._suspects.chunks or others or self._waiting.is_paused:
            return ()
        return () if self._active > finishing else self._suspects.next()

    def _gives_up(self) -> bool:
        """
        Tell whether nothing is due for longer than this driver waits for.
        """
        if self._waiting.is_paused:
            self.context.state.due_in = 0.0
            return self._active == self._ahead.held_back
        everyone = self._waiting.everyone_waits()
        idle = self._active == self._ahead.held_back and not self._suspects.chunks
        if not idle or (self._unclaimed and not everyone) or self.context.state.stop is not None:
            return False
        self.context.state.due_in = self._next_due() - self._clock.monotonic()
        return self.patience < self.context.state.due_in

    def _next_due(self) -> float:
        return min(self._first_due(), self._clock.monotonic() + self._budget.left())

    def _first_due(self) -> float:
        if self._waiting.is_paused:
            return math.inf
        everyone = self._waiting.everyone_until if self._waiting.everyone_waits() else math.inf
        return min(self._waiting.first_due, everyone)

    async def _write(self, outcomes: tuple[ItemOutcome, ...], claim: int, alone: Chunk) -> None:
        self._ahead.note_results(len(outcomes), self._clock.monotonic())
        due = self._take_due()
        told = (
            *self._pause.told(self._waiting.untold(), self._suspects.alone),
            *(called_again(one) for chunk in due for one in chunk),
        )
        called = self._called_after(claim)
        commit = Commit(
            outcomes=outcomes,
            claim=claim,
            ttl=self._settings.lease_ttl,
            called=called,
            unfinished=told,
            alone=alone[0].work.place if alone else None,
        )
        try:
            committed = await self._writer.shielded(lambda: self._commit(commit))
        except BaseException:
            self._due += due  # nobody called them
            raise
        self._waiting.note_told()
        self._held += len(committed.claimed)
        self._ahead.hold_back(self._attempts(committed.claimed))
        alone = () if committed.paused else alone
        self._suspects.note_stored(alone)
        # No more than was claimed, which is nothing once the run is paused.
        for chunk in (self._ahead.allow(min(called, self._ahead.claimed)), *regrouped(due), alone):
            self._assign(chunk)
        if self.context.state.stop is not None:
            self._assign(self._ahead.drain())
        elif committed.cancel_wished:
            self._stop_for(StopReason.CANCEL_REQUESTED)
        elif committed.paused:
            self._pause.begin()

    def _called_after(self, claim: int) -> int:
        if self.context.state.stop is not None or self._waiting.everyone_waits():
            return self._ahead.called
        return self._ahead.place_after(claim, queued=self._workers.queued, free=self._free_workers())

    def _free_workers(self) -> int:
        busy = self._active - self._ahead.held_back - self._workers.queued - self._results.finished
        return self._ahead.free(max(0, busy))

    def _assign(self, attempts: Iterable[Attempt]) -> None:
        """
        Queue items for the workers; after a stop only those begun, the others are settled here.
        """
        stop = self.context.state.stop
        if stop is None:
            self._workers.assign(attempts, unclaimed=self._unclaimed + self._ahead.held_back)
            return
        # Here and not by a worker, since all of them may be waiting for calls that hang; decision 17.
        begun: list[Attempt] = []
        for attempt in attempts:
            if attempt.begun:
                begun.append(attempt)
            else:
                self._results.put_result(never_begun(attempt, stop, now=self._clock.now()))
        self._workers.assign(begun, unclaimed=self._unclaimed)

    async def _commit(self, commit: Commit) -> Committed:
        driven, sent_at = self._budget.driven(), self._clock.monotonic()
        first = self.context.state.first_call_at
        committed = await self._writer.commit(
            attrs.evolve(
                commit,
                driven_for=driven - self._reported,
                since_first_call=None if first is None else sent_at - first,
            )
        )
        self._ahead.note_commit(sent_at, self._clock.monotonic())
        self._reported = driven
        self._results.discard_results(len(commit.outcomes))
        self._held -= len(commit.outcomes)
        return committed

    async def _leave(self) -> None:
        try:
            # In any case once, for what was under way; then until all that finished is stored.
            while await self._write_finished():
                pass
            if not self._writer.left and not self._writer.is_over:
                await self._writer.settle()
        finally:
            # Also when those writes failed: nobody should have to wait for the lease of a driver that left.
            if not self._writer.is_over:
                await self.ledger.release(self._lease, due_in=self.context.state.due_in)
                self.progress.notify(self._lease.batch_id)

    async def _write_finished(self) -> bool:
        outcomes = self._results.oldest_results(self._workers.most_per_commit)
        commit = Commit(
            outcomes=outcomes,
            ttl=self._settings.lease_ttl,
            called=self._ahead.called,
            unfinished=self._left_behind(),
        )
        await self._commit(commit)
        return len(outcomes) == self._workers.most_per_commit

    def _left_behind(self) -> tuple[UnfinishedItem, ...]:
        """
        Return what is known of items that this driver took up and leaves without an outcome.
        """
        under_way = [*self._workers.interrupted(), *(attempt for chunk in self._due for attempt in chunk)]
        alone = {attempt.work.place for attempt in self._suspects.alone}
        left = [
            # Cut by us, and no driver died of it; but who never came back from a call stays a suspect.
            called_again(attempt) if attempt.work.place in alone else waiting(attempt, 0.0)
            for attempt in under_way
        ]
        return (*self._pause.told(self._waiting.untold(), self._suspects.alone), *left)

    async def _leave_quietly(self) -> None:
        try:
            await self._writer.shielded(self._leave)
        except OrchestrationError as error:
            _log.warning(
                "the lease on run %d of batch %s could not be released: %s",
                self._lease.run,
                self._lease.batch_id,
                error,
                extra={
                    "batch_id": self._lease.batch_id,
                    "run": self._lease.run,
                    "error": type(error).__name__,
                },
            )

    def _stop_for(self, stop: StopReason) -> None:
        if self.context.state.stop is not None:
            return
        self.context.state.stop = stop
        self._waiting.is_paused = False  # what is over cannot wait
        grace = self._settings.cancel_grace if stop is StopReason.CANCEL_REQUESTED else 0.0
        self._grace_ends = self._clock.monotonic() + grace
        for calls in self._workers.calls:
            calls.cut(calls=False)
        waited = [attempt for chunk in self._take_due() for attempt in chunk] + self._waiting.drain()
        self._assign([*self._workers.drain(), *self._ahead.drain(), *waited])
        if self.context.lookup is None:
            # Nobody is asked about them any more, so nobody dies of it.
            self._assign(self._suspects.drain())
        self._results.wake_collector()
        self._alarm.notify()

    def _take_due(self) -> list[Chunk]:
        due, self._due = self._due, []
        return due

    async def _keep_time(self) -> None:
        while True:
            now = self._clock.monotonic() + _CLOSE_ENOUGH
            goes_on = self.context.state.stop is None and not self._waiting.is_paused
            if goes_on and self._budget.left() <= _CLOSE_ENOUGH:
                self._stop_for(StopReason.TIME_BUDGET_SPENT)
            # One task keeps the time for all: an alarm for each call would cost more than it; decision 16.
            for calls in self._workers.calls:
                over = now >= self._grace_ends and not calls.concluding
                if over or now >= calls.deadline:
                    calls.cut(calls=True)
            # Once: the grace cuts calls, not the look-ups that settle their doubt afterwards.
            if now >= self._grace_ends:
                self._grace_ends = math.inf
            if self._writer.heartbeat_is_due() or self._first_due() <= now:
                self._results.wake_collector()
            await self._alarm.wait(self._clock, self._until_next_alarm())

    def _until_next_alarm(self) -> float:
        now = self._clock.monotonic()
        alarms = [calls.deadline for calls in self._workers.calls]
        first = min(*alarms, self._grace_ends, self._first_due()) - now
        is_over = self.context.state.stop or self._waiting.is_paused
        budget = math.inf if is_over else self._budget.left()
        return max(0.0, min(first, budget, self._settings.call_timeout, self._writer.heartbeat_period))
