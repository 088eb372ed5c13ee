"""
The view of who is hidden now, on SQLite, and what its functions refuse.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.visibility_records import Restoration
from proxy_orchestration.storage.sql import (
    SqlVisibilityRegistry,
    hidden_mentors_policy,
    hidden_mentors_view,
)
from proxy_orchestration.testing.contracts.notification.samples import end_of

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
FAR_AHEAD = datetime(2226, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("prefix", ["", "bulk_"])
async def test_the_view_compares_the_dates_itself(tmp_path: Path, prefix: str) -> None:
    """
    No run hid anybody: all ends were ahead of the last one. Whom a person restored is not in it.
    """
    path = tmp_path / "store.db"
    before = LONG_AGO - timedelta(days=1)
    restored = Restoration(
        mentor_id="restored", certificate_type=None, organization_id="o", by="c", reason="", at=LONG_AGO
    )
    async with SqlVisibilityRegistry.open(f"sqlite:///{path}", prefix=prefix) as registry:
        ends = [("over", LONG_AGO), ("ahead", FAR_AHEAD), ("restored", LONG_AGO)]
        await registry.track([end_of(mentor_id, ends_at) for mentor_id, ends_at in ends], at=before)
        await registry.restore(restored)
    connection = sqlite3.connect(path)
    try:
        for _ in range(2):
            connection.executescript(hidden_mentors_view("sqlite", prefix=prefix))
        hidden = connection.execute(f"SELECT * FROM {prefix}hidden_mentors").fetchall()  # noqa: S608 - our own names
    finally:
        connection.close()

    assert [("over", LONG_AGO.isoformat())] == hidden


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"database": "oracle"}, "database"),
        ({"database": "sqlite", "schema": "bulk"}, "schema"),
        ({"database": "postgresql", "schema": 'a"b'}, "schema"),
        ({"database": "postgresql", "prefix": "Bulk"}, "prefix"),
    ],
)
def test_what_is_no_name_is_refused(wrong: dict[str, Any], name: str) -> None:
    """
    It would be written into the SQL.
    """
    with pytest.raises(InvalidValueError, match=name):
        hidden_mentors_view(**wrong)


@pytest.mark.parametrize("name", ["table", "column", "role", "table_schema", "schema"])
def test_a_policy_s_names_are_checked(name: str) -> None:
    """
    Likewise.
    """
    with pytest.raises(InvalidValueError, match=name):
        hidden_mentors_policy(**{"table": "profiles", "column": "id", name: 'x"; drop'})
