"""
Recovery: driving what others left, once, at start-up, or for as long as a process lives.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import anyio
import attrs
from anyio.abc import TaskStatus

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee
from proxy_orchestration._concurrency import Tasks, open_task_group
from proxy_orchestration._outages import Outage
from proxy_orchestration.errors import OrchestrationError, RepositoryUnavailableError
from proxy_orchestration.registration.execution.coordinator import Coordinator
from proxy_orchestration.registration.runs import DrivableRun, Lease, LeaseHeld

_PAGE = 100
_MOST_RUNS = 50
"""Runs driven at once at least, however few calls may be in flight: they take turns at the calls."""

_LONGEST_PAUSE = 30.0
_MOST_DOUBLINGS = 20

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
                _log_stopped(found, error)  # one batch's failure must not stop the others
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

    def postponed(self, now: float, *, among: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        """
        Return those that are to be left alone now; forget those that are not among what is to be driven.
        """
        for run in [*self._until]:
            if run not in among:
                del self._until[run], self._times[run]  # settled, or gone
        return {run for run, end in self._until.items() if end > now}


@attrs.define(eq=False, kw_only=True)
class RecoveryService:
    """
    Drives whatever is accepted or stalled, until cancelled.
    """

    coordinator: Coordinator
    _driving: set[tuple[str, int]] = attrs.field(factory=set, init=False)
    _backoff: Backoff = attrs.field(factory=Backoff, init=False)
    _looking: Outage = attrs.field(factory=Outage, init=False)
    _delivering: Outage = attrs.field(factory=Outage, init=False)
    _waited_for: set[tuple[str, int, int]] = attrs.field(factory=set, init=False)

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
                else:
                    await subscription.wait(clock, usual)
                await self._look(tasks)

    async def _look(self, tasks: Tasks) -> None:
        clock, health = self.coordinator.clock, self.coordinator.health
        try:
            await self._start_free_runs(tasks)
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            health.failed(error)
            if self._looking.note(error, now=clock.monotonic()):
                _log.error("could not look for work: %s", _said(error), extra={"error": type(error).__name__})
            return
        lasted = self._looking.end(now=clock.monotonic())
        if lasted is not None:
            _log.warning("work is looked for again after %.1f s", lasted, extra={"seconds": lasted})

    async def _start_free_runs(self, tasks: Tasks) -> None:
        room = _max_runs(self.coordinator) - len(self._driving)
        limit = _PAGE + len(self._driving) + len(self._backoff)
        found = await self.coordinator.find_drivable(limit=limit, due_only=True)
        names = {(run.batch_id, run.run) for run in found}
        taken = self._driving | self._backoff.postponed(self.coordinator.clock.monotonic(), among=names)
        free = [run for run in found if run.lease_remaining <= 0 and (run.batch_id, run.run) not in taken]
        for run in free[:room]:
            self._driving.add((run.batch_id, run.run))
            tasks.start_soon(self._drive, run)
        self._tell_of_dead_drivers(found)
        await self.coordinator.health.saw(found, driven=self._driving)

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

    async def _drive(self, found: DrivableRun) -> None:
        name = (found.batch_id, found.run)
        clock, pause = self.coordinator.clock, self.coordinator.settings.poll_interval
        try:
            lease = await self.coordinator.acquire(found.batch_id, found.run)
            if isinstance(lease, Lease):
                await self.coordinator.drive_while_leased(lease, patience=pause)
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            times = self._backoff.postpone(name, now=clock.monotonic(), pause=pause)
            if times & (times - 1) == 0:  # the first, second, fourth, eighth time: ever more rarely
                _log_stopped(found, error)
        finally:
            self._driving.discard(name)
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
                    "could not deliver audit events: %s", _said(error), extra={"error": type(error).__name__}
                )
            return
        lasted = self._delivering.end(now=clock.monotonic())
        if lasted is not None:
            _log.warning("audit events are delivered again after %.1f s", lasted, extra={"seconds": lasted})


def _told(error: BaseException) -> OrchestrationError:
    if isinstance(error, OrchestrationError):
        return error
    reason = f"A batch could not be driven ({type(error).__name__})."
    return RepositoryUnavailableError(reason, advice="See the log for which; the others were driven.")


def _max_runs(coordinator: Coordinator) -> int:
    return max(_MOST_RUNS, coordinator.settings.max_calls_in_flight)


def _said(error: BaseException) -> object:
    return error if isinstance(error, OrchestrationError) else type(error).__name__


def _log_waiting(found: DrivableRun) -> None:
    _log.warning(
        "batch %s is held by a driver that may be dead; waiting %.1f s for its lease",
        found.batch_id,
        found.lease_remaining,
        extra={"batch_id": found.batch_id, "run": found.run},
    )


def _log_stopped(found: DrivableRun, error: BaseException) -> None:
    _log.error(
        "stopped driving batch %s: %s",
        found.batch_id,
        _said(error),
        extra={"batch_id": found.batch_id, "run": found.run, "error": type(error).__name__},
    )
