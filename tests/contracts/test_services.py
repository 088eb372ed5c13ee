from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy_orchestration.registration.ports import ProxyRegistrationService
from proxy_orchestration.registration.service import StandardRegistrationService
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import LookupRegistrationService, ScriptedRegistrationService
from proxy_orchestration.testing.contracts import Check, Opener, registration_lookup, registration_service


@asynccontextmanager
async def _open_scripted() -> AsyncIterator[ProxyRegistrationService]:
    yield ScriptedRegistrationService()


@asynccontextmanager
async def _open_lookup() -> AsyncIterator[ProxyRegistrationService]:
    yield LookupRegistrationService()


@asynccontextmanager
async def _open_standard() -> AsyncIterator[ProxyRegistrationService]:
    yield StandardRegistrationService(repository=MemoryActivityRepository())


@pytest.mark.parametrize("open_service", [_open_scripted, _open_lookup, _open_standard])
@pytest.mark.parametrize("check", registration_service, ids=str)
async def test_a_service_keeps_its_contract(
    check: Check[ProxyRegistrationService], open_service: Opener[ProxyRegistrationService]
) -> None:
    """
    Every promise of the port holds for every service.
    """
    await check(open_service)


@pytest.mark.parametrize("open_service", [_open_lookup, _open_standard])
@pytest.mark.parametrize("check", registration_lookup, ids=str)
async def test_a_service_that_looks_up_keeps_its_contract(
    check: Check[ProxyRegistrationService], open_service: Opener[ProxyRegistrationService]
) -> None:
    """
    Every promise of the optional ability holds for the services that have it.
    """
    await check(open_service)
