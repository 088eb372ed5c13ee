"""
The methods for hosts and engines that decide when to drive; without an actor.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from anyio.lowlevel import checkpoint_if_cancelled

from proxy_orchestration._arguments import whole_number
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.errors import AtomicModeError
from proxy_orchestration.registration.arguments import check_arguments
from proxy_orchestration.registration.batches import BatchSummary
from proxy_orchestration.registration.drive_reports import DriveEnding, DriveReport, WaitingRun
from proxy_orchestration.registration.execution.coordinator import Coordinator, GivenUp
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.ownership import check_service
from proxy_orchestration.registration.ports import ActivityRepository
from proxy_orchestration.registration.runs import Lease, LeaseHeld, RunPaused
from proxy_orchestration.registration.states import BulkStatus

_MOST_RUNS: Final = 1_000

_check_limit = whole_number(at_least=1, at_most=_MOST_RUNS)


class HostingVerbs:
    """
    The part of an orchestrator that an engine's jobs call: each call ends by itself, and says how.
    """

    __slots__ = ()

    repository: ActivityRepository
    _coordinator: Coordinator

    async def drive_if_free(self, batch_id: str, *, run: int | None = None) -> DriveReport:
        """
        Drive the batch's current run unless somebody does, and tell where it stands; for an engine's job.

        It may be called any number of times for one run, at once or later: a job
        is a wake-up, and what is done twice is asked twice and written once. Reads
        no outcomes. Progress is published as by any driver. A cancellation of this call is
        its host's stop: the lease is released at once, the batch is resumable, and the
        cancellation leaves, so that no job ends well with its batch half done.

        Args:
            batch_id: the batch.
            run: the run that the job was made for; one that is no longer current is GONE. It
                keeps a wake-up that comes late from driving what has its own. `None`: the current one.

        Raises:
            WrongServiceError: another service accepted it.
            AtomicModeError: it is all or nothing, and the service cannot do that.
            RepositoryUnavailableError: the store failed; the batch is resumable.
        """
        check_arguments(batch_id=batch_id, run=run)
        if run is None or self._coordinator.service_name is not None:
            record = await self.repository.get(batch_id)
            if record is None or run not in {None, record.run}:
                return _gone(batch_id, record)
            check_service(record, self._coordinator.service_name)
            run = record.run
        report = await self._drive_if_free(batch_id, run)
        await checkpoint_if_cancelled()  # on trio a shielded write returns all the same
        return report

    async def _drive_if_free(self, batch_id: str, run: int) -> DriveReport:
        match await self._coordinator.acquire(batch_id, run):
            case Lease() as lease:
                try:
                    return await self._drive(lease)
                except AtomicModeError:
                    # Stays so for as long as this process has its service; its sweeps would wake it for ever.
                    self._coordinator.beyond_us.add((batch_id, run))
                    raise
            case LeaseHeld(remaining=remaining):
                return _report(batch_id, run, DriveEnding.HELD, retry_after=remaining)
            case RunPaused():
                return _report(batch_id, run, DriveEnding.PAUSED)
            case _:
                return await self._look_up(batch_id, run)

    async def _drive(self, lease: Lease) -> DriveReport:
        settings = self._coordinator.settings
        match await self._coordinator.drive_while_due(lease, patience=settings.poll_interval):
            case AuditEvent(status=status):
                return _settled(lease.batch_id, lease.run, BulkStatus(status))
            case GivenUp(is_paused=True):
                return _report(lease.batch_id, lease.run, DriveEnding.PAUSED)
            case GivenUp(due_in=due_in):
                return _report(lease.batch_id, lease.run, DriveEnding.WAITING, retry_after=due_in)
            case _:
                # Whoever took it holds it for that long, should it die; decision 311.
                return _report(lease.batch_id, lease.run, DriveEnding.LOST, retry_after=settings.lease_ttl)

    async def _look_up(self, batch_id: str, run: int) -> DriveReport:
        summary = await self.repository.read_summary(batch_id)
        if summary is None or summary.run != run:
            return _gone(batch_id, summary)
        return _settled(batch_id, run, summary.status)

    async def waiting_runs(self, *, limit: int = 100) -> Sequence[WaitingRun]:
        """
        Return the runs of which something is due and that nobody drives, by when their batches came.

        Runs whose driver died are among them once its lease is over; paused ones, those that
        another service accepted, and those that `drive_if_free` of this object refused with an
        `AtomicModeError`, are not. An engine that asks every few seconds needs no other
        outbox: whatever was accepted and woke nobody is found here.

        Args:
            limit: at most so many, 1 to 1000.

        Raises:
            InvalidValueError: the limit is out of range.
            RepositoryUnavailableError: the store failed.
        """
        _check_limit("limit", limit)
        beyond_us = self._coordinator.beyond_us
        asked = limit + len(beyond_us)
        found = await self._coordinator.find_drivable(limit=asked, due_only=True)
        if len(found) < asked:
            beyond_us &= {(run.batch_id, run.run) for run in found}  # the others are settled, or gone
        free = (run for run in found if run.lease_remaining <= 0 and (run.batch_id, run.run) not in beyond_us)
        return tuple(WaitingRun(batch_id=run.batch_id, run=run.run) for run in islice(free, limit))

    async def deliver_audit(self) -> int:
        """
        Tell the audit logger of settled runs that it did not take yet, and `on_run_settled` likewise.

        Each event that nobody holds is tried once. `serve` and `resume_interrupted` do so by
        themselves; a host that only uses an engine calls this every minute or so.

        Returns:
            how many events the audit logger took.

        Raises:
            RepositoryUnavailableError: the store failed.
        """
        taken = await self._coordinator.audit.deliver_pending()
        await self._coordinator.endings.tell_pending()
        return taken


def _report(batch_id: str, run: int, ending: DriveEnding, *, retry_after: float | None = None) -> DriveReport:
    return DriveReport(batch_id=batch_id, run=run, ending=ending, retry_after=retry_after)


def _settled(batch_id: str, run: int, status: BulkStatus) -> DriveReport:
    return DriveReport(batch_id=batch_id, run=run, ending=DriveEnding.SETTLED, status=status)


def _gone(batch_id: str, batch: BatchRecord | BatchSummary | None) -> DriveReport:
    return DriveReport(batch_id=batch_id, run=None if batch is None else batch.run, ending=DriveEnding.GONE)
