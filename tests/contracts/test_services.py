from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from own_records import look_at_its_records

from proxy_orchestration.clock import SystemClock
from proxy_orchestration.registration.activities import ProxyRegistration
from proxy_orchestration.registration.ports import ProxyRegistrationService
from proxy_orchestration.registration.standard.service import StandardRegistrationService
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import (
    BulkRegistrationService,
    CheckingBulkRegistrationService,
    CheckingRegistrationService,
    LookupRegistrationService,
    ManyLookupsRegistrationService,
    Reply,
    ScriptedRegistrationService,
    reject,
    succeed,
)
from proxy_orchestration.testing.contracts import (
    Check,
    Opener,
    bulk_registration,
    conflict_check,
    registration_lookup,
    registration_service,
)

Service: TypeAlias = Opener[ProxyRegistrationService]

_STANDARD = [
    "standard on memory",
    "standard on sqlite",
    pytest.param("standard on postgresql", marks=pytest.mark.postgresql(asyncio_only=True)),
]
_DOUBLES = ["scripted", "lookup", "bulk", "bulk and lookup", "checking", "checking and bulk"]
_ALL = [*_DOUBLES, *_STANDARD]
_LOOKING_UP = [*(name for name in _DOUBLES if "lookup" in name or "and bulk" in name), *_STANDARD]
_WRITING_MANY = [*(name for name in _DOUBLES if "bulk" in name), *_STANDARD]
_CHECKING = [*(name for name in _DOUBLES if "checking" in name), *_STANDARD]


def _reject_ancient(registration: ProxyRegistration, _attempt: int) -> Reply:
    oldest = SystemClock().now().date() - timedelta(days=90)
    return succeed() if registration.activity.activity_date >= oldest else reject("date_too_old", "Too old.")


def _double(name: str) -> ProxyRegistrationService:
    match name:
        case "scripted":
            return ScriptedRegistrationService(_reject_ancient)
        case "lookup":
            return LookupRegistrationService(_reject_ancient)
        case "bulk":
            return BulkRegistrationService(_reject_ancient)
        case "bulk and lookup":
            return ManyLookupsRegistrationService(_reject_ancient)
        case "checking":
            return look_at_its_records(CheckingRegistrationService(_reject_ancient))
        case _:
            return look_at_its_records(CheckingBulkRegistrationService(_reject_ancient))


@asynccontextmanager
async def _open_standard_on_sql(url: Any) -> AsyncIterator[ProxyRegistrationService]:
    from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: PLC0415 - an extra

    async with SqlActivityRepository.open(url) as repository:
        yield StandardRegistrationService(repository=repository)


@asynccontextmanager
async def _open(service: ProxyRegistrationService) -> AsyncIterator[ProxyRegistrationService]:
    yield service


@pytest.fixture
def open_service(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Service:
    """
    Open the service of that name, unused.
    """
    if name == "standard on sqlite" and importlib.util.find_spec("sqlalchemy") is None:
        pytest.skip("the extra sql is not installed")
    urls: dict[str, Any] = {"standard on sqlite": f"sqlite:///{tmp_path / 'store.db'}"}
    if name == "standard on postgresql":
        urls[name] = request.getfixturevalue("postgresql_url")

    def opened() -> AbstractAsyncContextManager[ProxyRegistrationService]:
        if name in urls:
            return _open_standard_on_sql(urls[name])
        if name == "standard on memory":
            return _open(StandardRegistrationService(repository=MemoryActivityRepository()))
        return _open(_double(name))

    return opened


@pytest.mark.parametrize("name", _ALL)
@pytest.mark.parametrize("check", registration_service, ids=str)
async def test_a_service_keeps_its_contract(
    check: Check[ProxyRegistrationService], open_service: Service
) -> None:
    """
    Every promise of the port holds for every service.
    """
    await check(open_service)


@pytest.mark.parametrize("name", _LOOKING_UP)
@pytest.mark.parametrize("check", registration_lookup, ids=str)
async def test_a_service_that_looks_up_keeps_its_contract(
    check: Check[ProxyRegistrationService], open_service: Service
) -> None:
    """
    Every promise of the optional ability holds for the services that have it.
    """
    await check(open_service)


@pytest.mark.parametrize("name", _WRITING_MANY)
@pytest.mark.parametrize("check", bulk_registration, ids=str)
async def test_a_service_that_writes_many_keeps_its_contract(
    check: Check[ProxyRegistrationService], open_service: Service
) -> None:
    """
    Every promise about many at once holds for the services that offer it.
    """
    await check(open_service)


@pytest.mark.parametrize("name", _CHECKING)
@pytest.mark.parametrize("check", conflict_check, ids=str)
async def test_a_service_that_finds_conflicts_keeps_its_contract(
    check: Check[ProxyRegistrationService], open_service: Service
) -> None:
    """
    Every promise about conflicts holds for the services that look for them.
    """
    await check(open_service)
