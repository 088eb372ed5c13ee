"""
A coordinator's batches, and what Temporal makes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import attrs
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    BulkSubmissionResult,
    ProxyActivity,
    Role,
)
from proxy_orchestration.engines.temporal import TemporalRegistrations
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import ScriptedRegistrationService

ANNA = Actor(user_id="coord-119", roles={Role.COORDINATOR}, organization_id="oslo")
VISIT = ProxyActivity(activity_type="visit", activity_date=date(2026, 11, 3), duration_minutes=45)
MENTORS = tuple(f"mentor-{number}" for number in range(4))


@attrs.define(eq=False)
class TemporalWorld:
    """
    One store, in this process, with as many orchestrators and workers over it as a test wants.
    """

    client: Client
    name: str
    repository: MemoryActivityRepository = attrs.field(factory=MemoryActivityRepository)
    service: Any = attrs.field(factory=ScriptedRegistrationService)
    settings: BulkSettings = attrs.field(factory=lambda: BulkSettings(poll_interval=0.05))

    def registrations(self, **changes: Any) -> TemporalRegistrations:
        """
        Return what one process has: its own orchestrator over the store, and the engine.
        """
        parts = {"registration_service": self.service, "settings": self.settings, **changes}
        orchestrator = BulkRegistrationOrchestrator(repository=self.repository, **parts)
        return TemporalRegistrations(orchestrator, self.client, task_queue=self.name, prefix=self.name)

    def worker(self, *engines: Any) -> Worker:
        """
        Return a worker; entered, it works.
        """
        return Worker(
            self.client,
            task_queue=self.name,
            workflows=[each for engine in engines for each in engine.workflows],
            activities=[each for engine in engines for each in engine.activities],
            graceful_shutdown_timeout=timedelta(seconds=10),
        )

    async def accepted(
        self, engine: TemporalRegistrations, mentors: Sequence[str] = MENTORS
    ) -> BulkSubmissionResult:
        """
        Have a batch accepted that nobody drives.
        """
        request = BulkRegistrationRequest.for_mentors(mentors, VISIT)
        return await engine.orchestrator.submit_bulk_registration(request, actor=ANNA, drive=False)

    def workflow_of(self, batch: BulkSubmissionResult) -> WorkflowHandle[Any, Any]:
        """
        Return the workflow of the batch's run.
        """
        return self.client.get_workflow_handle(f"{self.name}-{batch.batch_id}-{batch.run}")
