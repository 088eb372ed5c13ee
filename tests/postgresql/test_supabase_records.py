"""
The records over a real PostgREST: every contract, on both event loops.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("psycopg")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")

from proxy_orchestration import StandardRegistrationService
from proxy_orchestration.testing.contracts import (
    activity_records,
    bulk_registration,
    conflict_check,
    registration_lookup,
    registration_service,
)

if TYPE_CHECKING:
    from supabase_project import Project

pytestmark = pytest.mark.postgresql


@pytest.fixture(params=["asyncio", pytest.param("trio", marks=pytest.mark.full)])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """
    Without a server all of it runs on both event loops every day, and over a real one at night.
    """
    backend: str = request.param
    return backend


@pytest.mark.parametrize("check", activity_records, ids=str)
async def test_records_over_postgrest_keep_their_contract(project: Project, check: Any) -> None:
    """
    What the stores in memory and over SQL promise.
    """
    await check(project.records)


@pytest.mark.parametrize(
    "check", [*registration_service, *registration_lookup, *bulk_registration, *conflict_check], ids=str
)
async def test_the_standard_service_over_postgrest_keeps_its_contracts(project: Project, check: Any) -> None:
    """
    One by one, many at once, looked up, and with conflicts told beforehand.
    """

    @asynccontextmanager
    async def open_service() -> Any:
        async with project.records() as records:
            yield StandardRegistrationService(repository=records)

    await check(open_service)
