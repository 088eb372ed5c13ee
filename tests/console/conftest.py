from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.registration.standard.service import StandardRegistrationService
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock

if TYPE_CHECKING:
    from console_site import Site


@pytest.fixture
def clock() -> FakeClock:
    """
    The clock of orchestrator and store, which goes by itself once nothing else happens.
    """
    return FakeClock(datetime(2026, 11, 21, 9, 0, tzinfo=UTC), moves_after=0)


@pytest.fixture
def parts() -> dict[str, Any]:
    """
    What a test gives the console beyond the usual.
    """
    return {}


@pytest.fixture
def service() -> Any:
    """
    The service that registers; `None` for the standard one.
    """
    return None


@pytest.fixture
async def site(clock: FakeClock, service: Any, parts: dict[str, Any]) -> AsyncIterator[Site]:
    """
    A host with the console, where anna is signed in.
    """
    from console_site import opened_site  # noqa: PLC0415 - needs extras

    repository = MemoryActivityRepository(clock=clock)
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=service or StandardRegistrationService(repository=repository, clock=clock),
        repository=repository,
        clock=clock,
    )
    async with opened_site(orchestrator, clock, **parts) as site:
        yield site
