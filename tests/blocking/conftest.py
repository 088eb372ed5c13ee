"""
A host that is not async: its threads, its store in memory, and a service that a test scripts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import attrs
import pytest

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    ProxyActivity,
    Role,
)
from proxy_orchestration.blocking import BlockingOrchestrator
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import ScriptedRegistrationService

_COORDINATOR = Actor(user_id="coord-119", roles={Role.COORDINATOR}, organization_id="chapter-oslo")
_VISIT = ProxyActivity(activity_type="visit", activity_date=date(2025, 12, 30), duration_minutes=45)


@attrs.define(eq=False)
class Host:
    """
    One blocking orchestrator and what stands around it.
    """

    backend: str
    service: ScriptedRegistrationService = attrs.field(factory=ScriptedRegistrationService)
    repository: MemoryActivityRepository = attrs.field(factory=MemoryActivityRepository)
    actor: Actor = _COORDINATOR
    blocking: BlockingOrchestrator = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.blocking = BlockingOrchestrator(self.orchestrator(), backend=self.backend)

    def orchestrator(self) -> BulkRegistrationOrchestrator:
        """
        Return an orchestrator over the store and the service.
        """
        return BulkRegistrationOrchestrator(registration_service=self.service, repository=self.repository)

    def request(self, *mentor_ids: str, key: str | None = None) -> BulkRegistrationRequest:
        """
        Return a request for one visit with each of them.
        """
        return BulkRegistrationRequest.for_mentors(mentor_ids, _VISIT, idempotency_key=key)


@pytest.fixture
def host(anyio_backend: str) -> Iterator[Host]:
    """
    A host whose object is closed at the end.
    """
    made = Host(anyio_backend)
    yield made
    made.blocking.close()
