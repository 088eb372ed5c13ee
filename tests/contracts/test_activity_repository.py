from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from proxy_orchestration.registration.ports import ActivityRepository
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FaultyActivityRepository
from proxy_orchestration.testing.contracts import (
    Check,
    Opener,
    activity_records,
    audit_outbox,
    batch_catalogue,
    endings_outbox,
    retention,
    run_ledger,
)

Store: TypeAlias = Opener[ActivityRepository]

_HAS_SQL = all(
    importlib.util.find_spec(name) for name in ("sqlalchemy", "alembic", "proxy_orchestration.storage.sql")
)


@asynccontextmanager
async def _open_memory() -> AsyncIterator[ActivityRepository]:
    yield MemoryActivityRepository()


@asynccontextmanager
async def _open_faultless() -> AsyncIterator[ActivityRepository]:
    yield FaultyActivityRepository(MemoryActivityRepository())


def _open_sql(url: Any) -> AbstractAsyncContextManager[ActivityRepository]:
    from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: PLC0415 - an extra

    return SqlActivityRepository.open(url)


@pytest.fixture(
    params=[
        "memory",
        "faultless",
        pytest.param(
            "sqlite", marks=pytest.mark.skipif(not _HAS_SQL, reason="the extra sql is not installed")
        ),
        pytest.param("postgresql", marks=pytest.mark.postgresql(asyncio_only=True)),
    ]
)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """
    Every store of activities that the core and its extras have.
    """
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
        return lambda: _open_sql(url)
    openers: dict[str, Store] = {
        "memory": _open_memory,
        "faultless": _open_faultless,
        "sqlite": lambda: _open_sql(f"sqlite:///{tmp_path / 'store.db'}"),
    }
    return openers[request.param]


@pytest.mark.parametrize(
    "check",
    [*batch_catalogue, *run_ledger, *audit_outbox, *endings_outbox, *retention, *activity_records],
    ids=str,
)
async def test_a_store_keeps_its_contract(check: Check[Any], open_store: Store) -> None:
    """
    Every promise of the six ports holds for every store.
    """
    await check(open_store)
