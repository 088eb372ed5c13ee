from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from proxy_orchestration.storage.sql import SqlNotificationRepository, SqlVisibilityRegistry
from proxy_orchestration.testing.contracts import (
    Check,
    device_answer_counts,
    notice_book,
    push_outbox,
    visibility_registry,
)


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql(asyncio_only=True))]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """
    An empty database of each kind.
    """
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return request.getfixturevalue("postgresql_url")


@pytest.mark.parametrize("check", [*notice_book, *push_outbox, *device_answer_counts], ids=str)
async def test_the_sql_store_keeps_notices_and_messages(check: Check[Any], url: Any) -> None:
    """
    Every promise of both ports holds for it.
    """
    await check(lambda: SqlNotificationRepository.open(url))


@pytest.mark.parametrize("check", visibility_registry, ids=str)
async def test_the_sql_registry_hides_and_shows(check: Check[Any], url: Any) -> None:
    """
    Every promise of the port holds for it.
    """
    await check(lambda: SqlVisibilityRegistry.open(url))
