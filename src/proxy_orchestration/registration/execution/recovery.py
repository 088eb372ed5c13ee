"""
Recovery: drives runs without a driver, once at start-up or for as long as a process lives.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio
import attrs
from anyio.abc import TaskStatus

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee
from proxy_orchestration._concurrency import Tasks, open_task_group
from proxy_orchestration._outages import Outage
from proxy_orchestration.errors import OrchestrationError, RepositoryUnavailableError
from proxy_orchestration.registration.execution.coordinator import Coordinator
from proxy_orchestration.registration.ports import SupportsTakingFreeRuns
from proxy_orchestration.registration.runs import DrivableRun, Lease, LeaseHeld

_PAGE = 100
_MOST_RUNS = 50
"""Runs driven at once at least, however few calls may be in flight: they take turns at the calls."""

_LONGEST_PAUSE = 30.0
_MOST_DOUBLINGS = 20
_FORGOTTEN_AFTER = 600.0
"""Seconds after its pause for which it is known how often a run went wrong."""

_TOP_UP = 0.05
"""Seconds in which further runs may end before their places are filled, where only a few are free."""

_FEW = 5
"""The part of all places that is few."""

_REST = 50.0
"""A look at all that is open is followed by so many times its length without one."""

_RENEWED = 0.1
"""Seconds by which a lease must end later than it did to count as renewed."""

_log = logging.getLogger(_loggers.SERVING)


@attrs.define(eq=False, kw_only=True)
class RecoveryPass:
    """
    One pass over everything that is not settled.
    """

    coordinator: Coordinator
    _driven: list[str] = attrs.field(factory=list, init=False)
    _failures: list[BaseException] = attrs.field(factory=list, init=False)
    _slots: anyio.CapacityLimiter = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._slots = anyio.CapacityLimiter(_max_runs(self.coordinator))

    async def resume(self) -> Sequence[str]:
        """
        Drive every run that is free or whose driver is dead, then deliver pending audit events.

        Returns:
            the batches driven to the end here, each once, in that order.

        Raises:
            RepositoryUnavailableError: the store failed for a batch; the
                others were driven all the same.
        """
        seen: set[tuple[str, int]] = set()
        while runs := await self._unseen(seen):
            async with open_task_group() as tasks:
                for run in runs:
                    seen.add((run.batch_id, run.run))
                    tasks.start_soon(self._take_up, run)
        await self.coordinator.audit.deliver_pending(wait=True)
        await self.coordinator.endings.tell_pending(wait=True)
        if self._failures:
            raise _told(self._failures[0])
        return tuple(dict.fromkeys(self._driven))

    async def _unseen(self, seen: set[tuple[str, int]]) -> list[DrivableRun]:
        found = await self.coordinator.find_drivable(limit=_PAGE + len(seen))
        return [run for run in found if (run.batch_id, run.run) not in seen]

    async def _take_up(self, found: DrivableRun) -> None:
        # Counted by runs, not by calls, or one large batch would keep all others waiting; decision 54.
        async with self._slots:
            try:
                lease = await self._await_lease(found)
                if lease is not None and await self.coordinator.drive_while_leased(lease):
                    self._driven.append(found.batch_id)
            except BaseException as error:
                if not comes_from_callee(error):
                    raise
                _log_stopped(found.batch_id, found.run, error)  # one batch's failure must not stop the others
                self._failures.append(error)

    async def _await_lease(self, found: DrivableRun) -> Lease | None:
        """
        Acquire the run, waiting for a dead driver's lease; `None` when it is driven or settled.
        """
        clock = self.coordinator.clock
        ends = clock.monotonic() + found.lease_remaining
        if found.lease_remaining > 0:
            _log_waiting(found)
        with self.coordinator.progress.subscribe(found.batch_id) as subscription:
            while True:
                asked_at = clock.monotonic()
                match await self.coordinator.acquire(found.batch_id, found.run):
                    case Lease() as lease:
                        return lease
                    case LeaseHeld(fence=fence, remaining=remaining):
                        # Counted from the asking: a slow answer would make a dead lease look renewed.
                        renewed = asked_at + remaining > ends + _RENEWED
                        if renewed or fence != found.fence:
                            return None
                        await subscription.wait(
                            clock, min(remaining, self.coordinator.settings.poll_interval)
                        )
                    case _:
                        return None


@attrs.define(eq=False)
class Backoff:
    """
    Runs that went wrong, and how long each is left alone: longer every time, so that others have a turn.
    """

    _until: dict[tuple[str, int], float] = attrs.field(factory=dict, init=False)
    _times: dict[tuple[str, int], int] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._until)

    def postpone(self, run: tuple[str, int], *, now: float, pause: float) -> int:
        """
        Leave a run alone that just went wrong: for a pause, then for two, four, and up to half a minute.

        Returns:
            how often it went wrong, this time included.
        """
        times = self._times.get(run, 0)
        pause_now = pause * 2 ** min(times, _MOST_DOUBLINGS)
        self._until[run] = now + min(pause_now, max(pause, _LONGEST_PAUSE))
        self._times[run] = times + 1
        return times + 1

    def postponed(self, now: float) -> set[tuple[str, int]]:
        """
        Return those that are to be left alone now; forget those that nobody has postponed for long.
        """
        for run in [run for run, end in self._until.items() if end + _FORGOTTEN_AFTER <= now]:
            self.forget(run)  # settled elsewhere, or gone
        return {run for run, end in self._until.items() if end > now}

    def forget(self, run: tuple[str, int]) -> None:
        """
        Forget a run that was driven and did not go wrong.
        """
        self._until.pop(run, None)
        self._times.pop(run, None)


@attrs.define(eq=False, kw_only=True)
class RecoveryService:
    """
    Drives whatever is accepted or stalled, until cancelled.
    """

    coordinator: Coordinator
    _driving: set[tuple[str, int]] = attrs.field(factory=set, init=False)
    _backoff: Backoff = attrs.field(factory=Backoff, init=False)
    _looking: Outage = attrs.field(factory=Outage, init=False)
    _taking: Outage = attrs.field(factory=Outage, init=False)
    _delivering: Outage = attrs.field(factory=Outage, init=False)
    _waited_for: set[tuple[str, int, int]] = attrs.field(factory=set, init=False)
    _more_wait: bool = attrs.field(default=True, init=False)
    _look_again_at: float = attrs.field(default=-math.inf, init=False)
    _free: set[tuple[str, int]] = attrs.field(factory=set, init=False)

    async def serve(self, *, task_status: TaskStatus[None]) -> None:
        """
        Look for work when woken and at every poll interval; signal readiness after the first look.
        """
        self.coordinator.health.serving += 1
        try:
            async with open_task_group() as tasks:
                await self._look(tasks)
                task_status.started()
                tasks.start_soon(self._keep_delivering)
                await self._keep_looking(tasks)
        finally:
            self.coordinator.health.serving -= 1

    async def _keep_looking(self, tasks: Tasks) -> None:
        clock, usual = self.coordinator.clock, self.coordinator.settings.poll_interval
        with self.coordinator.work.subscribe("") as subscription:
            while True:
                if self._looking.failures:
                    # Slept through wake-ups: the runs that an outage stops are many, and no sign of its end.
                    await clock.sleep(self._looking.pause(usual))
                elif await subscription.wait(clock, usual) and self._has_few_places():
                    await clock.sleep(min(_TOP_UP, usual))
                await self._look(tasks)

    def _has_few_places(self) -> bool:
        """
        Tell whether it is worth waiting until more runs have ended: more are free than there are places.
        """
        takes = self.coordinator.taking is not None
        return takes and self._more_wait and 0 < self._places < _max_runs(self.coordinator) // _FEW

    @property
    def _places(self) -> int:
        return max(0, _max_runs(self.coordinator) - len(self._driving))

    async def _look(self, tasks: Tasks) -> None:
        clock, health = self.coordinator.clock, self.coordinator.health
        try:
            await self._start_free_runs(tasks)
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            health.failed(error)
            if self._looking.note(error, now=clock.monotonic()):
                _log.error(
                    "waiting runs could not be read: %s", _said(error), extra={"error": type(error).__name__}
                )
            return
        lasted = self._looking.end(now=clock.monotonic())
        if lasted is not None:
            _log.warning("waiting runs are read again after %.1f s", lasted, extra={"seconds": lasted})

    async def _start_free_runs(self, tasks: Tasks) -> None:
        taking = self.coordinator.taking
        taken = taking is not None and await self._take_together(taking, tasks)
        if taken and self.coordinator.clock.monotonic() < self._look_again_at:
            self.coordinator.health.answered()
        else:
            await self._look_at_all(tasks, one_by_one=not taken)

    async def _take_together(self, taking: SupportsTakingFreeRuns, tasks: Tasks) -> bool:
        """
        Fill the free places by one write; return `False` where that cannot be done, and each has to be tried.
        """
        try:
            await self._take_free_runs(taking, tasks)
        except BaseException as error:
            if not comes_from_callee(error) or isinstance(error, RepositoryUnavailableError):
                raise
            # One that cannot be read would keep all others waiting; by itself it is only postponed.
            if self._taking.note(error, now=self.coordinator.clock.monotonic()):
                name = type(error).__name__
                _log.error(
                    "waiting runs could not be acquired together: %s", _said(error), extra={"error": name}
                )
            return False
        self._taking.end(now=self.coordinator.clock.monotonic())
        return True

    async def _take_free_runs(self, taking: SupportsTakingFreeRuns, tasks: Tasks) -> None:
        places, patience = self._places, self.coordinator.settings.poll_interval
        self._more_wait = True
        if not places:
            return
        leases = await self.coordinator.take_free_runs(taking, limit=places, except_for=self._left_alone())
        self._more_wait = len(leases) == places
        for lease in leases:
            drive = partial(self.coordinator.drive_taken, lease, patience=patience)
            self._start(tasks, (lease.batch_id, lease.run), drive)

    def _left_alone(self) -> set[str]:
        # What went wrong is left out here and not put off in the store: another process may do better,
        # and a store that fails takes no further write; decision 292.
        now = self.coordinator.clock.monotonic()
        return {batch_id for batch_id, _ in self._driving | self._backoff.postponed(now)}

    async def _look_at_all(self, tasks: Tasks, *, one_by_one: bool) -> None:
        """
        See what waits and whose driver may be dead; acquire what is free, or what taking has left.
        """
        clock, settings = self.coordinator.clock, self.coordinator.settings
        began = clock.monotonic()
        limit = _PAGE + len(self._driving) + len(self._backoff)
        found = await self.coordinator.find_drivable(limit=limit, due_only=True)
        now = clock.monotonic()
        # It reads every open run; who has many of them is looked at more rarely, and dead drivers in time.
        rest = min(_REST * (now - began), settings.lease_ttl / 4)
        self._look_again_at = now + max(settings.poll_interval, rest)
        taken = self._driving | self._backoff.postponed(now)
        free = [run for run in found if run.lease_remaining <= 0 and (run.batch_id, run.run) not in taken]
        for run in (free if one_by_one else self._left_over(free))[: self._places]:
            self._start(tasks, (run.batch_id, run.run), partial(self._acquire_and_drive, run))
        self._tell_of_dead_drivers(found)
        await self.coordinator.health.saw(found, driven=self._driving)

    def _left_over(self, free: Sequence[DrivableRun]) -> Sequence[DrivableRun]:
        """
        Return what was free at the look before, too, and was not taken since.
        """
        before, self._free = self._free, {(run.batch_id, run.run) for run in free}
        return [] if self._more_wait else [run for run in free if (run.batch_id, run.run) in before]

    def _start(self, tasks: Tasks, name: tuple[str, int], drive: Callable[[], Awaitable[object]]) -> None:
        self._driving.add(name)
        tasks.start_soon(self._drive, name, drive)

    def _tell_of_dead_drivers(self, found: Sequence[DrivableRun]) -> None:
        """
        Say once for each lease that it is waited for; one that is renewed as it should be is not.
        """
        # A driver renews its lease in its first third, so whose lease is half over may be dead; decision 124.
        doubtful = {
            (run.batch_id, run.run, run.fence): run
            for run in found
            if 0 < run.lease_remaining <= self.coordinator.settings.lease_ttl / 2
        }
        for lease, run in doubtful.items():
            if lease not in self._waited_for:
                _log_waiting(run)
        self._waited_for = {*doubtful}

    async def _acquire_and_drive(self, found: DrivableRun) -> None:
        lease = await self.coordinator.acquire(found.batch_id, found.run)
        if isinstance(lease, Lease):
            patience = self.coordinator.settings.poll_interval
            await self.coordinator.drive_while_leased(lease, patience=patience)

    async def _drive(self, name: tuple[str, int], drive: Callable[[], Awaitable[object]]) -> None:
        clock, pause = self.coordinator.clock, self.coordinator.settings.poll_interval
        try:
            await drive()
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            times = self._backoff.postpone(name, now=clock.monotonic(), pause=pause)
            if times & (times - 1) == 0:  # the first, second, fourth, eighth time: ever more rarely
                _log_stopped(*name, error)
        else:
            self._backoff.forget(name)
        finally:
            self._driving.discard(name)
            if self._more_wait:
                self.coordinator.work.notify("")

    async def _keep_delivering(self) -> None:
        clock, usual = self.coordinator.clock, self.coordinator.settings.poll_interval
        while True:
            await self._deliver_pending()
            await clock.sleep(self._delivering.pause(usual))

    async def _deliver_pending(self) -> None:
        clock = self.coordinator.clock
        try:
            await self.coordinator.audit.deliver_pending()
            await self.coordinator.endings.tell_pending()
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            if self._delivering.note(error, now=clock.monotonic()):
                _log.error(
                    "audit events could not be delivered: %s",
                    _said(error),
                    extra={"error": type(error).__name__},
                )
            return
        lasted = self._delivering.end(now=clock.monotonic())
        if lasted is not None:
            _log.warning("audit events are delivered again after %.1f s", lasted, extra={"seconds": lasted})


def _told(error: BaseException) -> OrchestrationError:
    if isinstance(error, OrchestrationError):
        return error
    reason = f"A batch could not be driven ({type(error).__name__})."
    return RepositoryUnavailableError(
        reason, advice="The log names the batch. The other batches were driven."
    )


def _max_runs(coordinator: Coordinator) -> int:
    return max(_MOST_RUNS, coordinator.settings.max_calls_in_flight)


def _said(error: BaseException) -> object:
    return error if isinstance(error, OrchestrationError) else type(error).__name__


def _log_waiting(found: DrivableRun) -> None:
    _log.warning(
        "the lease of batch %s is held by a driver that may have died; waiting %.1f s for it to end",
        found.batch_id,
        found.lease_remaining,
        extra={"batch_id": found.batch_id, "run": found.run},
    )


def _log_stopped(batch_id: str, run: int, error: BaseException) -> None:
    _log.error(
        "stopped driving batch %s: %s",
        batch_id,
        _said(error),
        extra={"batch_id": batch_id, "run": run, "error": type(error).__name__},
    )
