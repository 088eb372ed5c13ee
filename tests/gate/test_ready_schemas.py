"""
What new SQLite databases get in place of the migrations is what the migrations make.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from unittest.mock import Mock

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from ready_schemas import Upgrade
from sqlalchemy import create_engine

from proxy_orchestration.storage.sql import create_schema, metadata
from proxy_orchestration.storage.sql.database import migrate

_MIGRATIONS: Final = getattr(migrate._upgrade, "migrations", migrate._upgrade)


def _made(file: Path) -> tuple[list[Any], dict[str, list[Any]]]:
    """
    Create the schema in a new file; return all its definitions, and the rows of each table.
    """
    engine = create_engine(f"sqlite:///{file}")
    create_schema(engine)
    with engine.connect() as connection:
        told = connection.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_master").all()
        rows = {
            name: [*connection.exec_driver_sql(f'SELECT * FROM "{name}"').all()]  # noqa: S608 - our own names
            for kind, name, *_ in told
            if kind == "table"
        }
    engine.dispose()
    return [*map(tuple, told)], rows


def test_a_copied_schema_is_the_migrated_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Every definition, in its order, and the row that says its version.
    """
    monkeypatch.setattr(migrate, "_upgrade", _MIGRATIONS)
    migrated = _made(tmp_path / "migrated.db")
    upgrades = Mock(side_effect=_MIGRATIONS)
    monkeypatch.setattr(migrate, "_upgrade", Upgrade(upgrades))
    first, second = _made(tmp_path / "first.db"), _made(tmp_path / "second.db")

    assert migrated == first
    assert migrated == second
    assert 1 == upgrades.call_count
    assert {*metadata.tables} < {*migrated[1]}


def test_a_database_with_a_table_goes_through_the_migrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whatever was copied before.
    """
    upgrades = Mock(side_effect=_MIGRATIONS)
    monkeypatch.setattr(migrate, "_upgrade", Upgrade(upgrades))
    _made(tmp_path / "empty.db")
    engine = create_engine(f"sqlite:///{tmp_path / 'own.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE own (n INTEGER)")
    engine.dispose()
    definitions, _ = _made(tmp_path / "own.db")

    assert 2 == upgrades.call_count
    assert ("table", "own", "own", "CREATE TABLE own (n INTEGER)") in definitions
