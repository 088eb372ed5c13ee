"""
A fleet on Procrastinate whose jobs and batches are in memory.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
from procrastinate import App
from procrastinate.job_context import AbortReason
from procrastinate.testing import InMemoryConnector

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    ProxyActivity,
    RetryPolicy,
    Role,
)
from proxy_orchestration.engines.procrastinate import CATCH_UP
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock, RecordingAuditLogger, ScriptedRegistrationService

COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
START = datetime(2026, 1, 1, tzinfo=UTC)
VISIT = ProxyActivity(activity_type="visit", activity_date=START.date(), duration_minutes=45)


@attrs.define(eq=False)
class World:
    """
    A fleet of one worker, whose jobs and batches are in memory.
    """

    connector: InMemoryConnector = attrs.field(factory=InMemoryConnector)
    clock: FakeClock = attrs.field(factory=lambda: FakeClock(START))
    service: ScriptedRegistrationService = attrs.field(factory=ScriptedRegistrationService)
    audit: RecordingAuditLogger = attrs.field(factory=RecordingAuditLogger)
    app: App = attrs.field(init=False)
    orchestrator: BulkRegistrationOrchestrator = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.app = App(connector=self.connector, periodic_defaults={"max_delay": CATCH_UP})
        self.orchestrator = BulkRegistrationOrchestrator(
            registration_service=self.service,
            repository=MemoryActivityRepository(self.clock),
            audit_logger=self.audit,
            clock=self.clock,
            settings=BulkSettings(retry=RetryPolicy(jitter=0.0)),
        )

    async def accept(self, mentors: int = 3) -> str:
        """
        Return the id of a batch that nobody drives.
        """
        names = [f"mentor-{number}" for number in range(mentors)]
        request = BulkRegistrationRequest.for_mentors(names, VISIT)
        result = await self.orchestrator.submit_bulk_registration(request, actor=COORDINATOR, drive=False)
        return result.batch_id

    async def work(self) -> None:
        """
        Run a worker until no job is left that is due.
        """
        self.app.periodic_registry.periodic_tasks.clear()  # so that what happens depends on no minute
        await self.app.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)

    def jobs(self, status: str | None = None) -> list[dict[str, Any]]:
        """
        Return the jobs that drive, in the order in which they came.
        """
        found = [job for job in self.connector.jobs.values() if job["task_name"].endswith(".drive")]
        return [job for job in found if status in {None, job["status"]}]

    def status_of(self, batch_id: str) -> Any:
        """
        Return how the one job for that batch ended.
        """
        (job,) = [job for job in self.jobs() if job["args"]["batch_id"] == batch_id]
        return job["status"]


@attrs.frozen
class Context:
    """
    What a job is told of its worker.
    """

    reason: AbortReason | None = None

    def abort_reason(self) -> AbortReason | None:
        """
        Return why the job is to end.
        """
        return self.reason


async def drive(world: World, reason: AbortReason | None = None, /, **payload: Any) -> Any:
    """
    Do what a worker does with a job.
    """
    return await world.app.tasks["proxy_orchestration.drive"].func(Context(reason), **payload)


async def sweep(world: World) -> Any:
    """
    Do what the periodic job does.
    """
    return await world.app.tasks["proxy_orchestration.sweep"].func(timestamp=1)
