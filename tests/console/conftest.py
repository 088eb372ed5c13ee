from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")
pytest.importorskip("babel")
pytest.importorskip("httpx")

import httpx
from console_site import ADDRESS, START, Directory, Site, site_of

from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.registration.standard.service import StandardRegistrationService
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """
    The clock of orchestrator and store.
    """
    return FakeClock(START, moves_after=0)


@pytest.fixture
def parts() -> dict[str, Any]:
    """
    What a test gives the console beyond the usual.
    """
    return {}


@pytest.fixture
def service(clock: FakeClock) -> Any:
    """
    The service that registers; `None` for the standard one.
    """
    return None


@pytest.fixture
async def site(clock: FakeClock, service: Any, parts: dict[str, Any]) -> AsyncIterator[Site]:
    """
    A host with the console, where anna is signed in.
    """
    repository = MemoryActivityRepository(clock=clock)
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=service or StandardRegistrationService(repository=repository, clock=clock),
        repository=repository,
        clock=clock,
    )
    directory = Directory()
    app, signed_in = site_of(orchestrator, **{"directory": directory, **parts})
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS, follow_redirects=True) as browser:
        yield Site(
            orchestrator=orchestrator,
            clock=clock,
            directory=directory,
            browser=browser,
            signed_in=signed_in,
        )
