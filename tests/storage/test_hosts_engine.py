"""
An engine over SQLite that a host hands in is left as it was, and so is the file's journal.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
    create_schema,
)
from proxy_orchestration.testing.contracts.registration.samples import accepted, batch_of

_PRAGMAS = ("foreign_keys", "synchronous", "busy_timeout", "journal_mode", "cache_size", "wal_autocheckpoint")


@contextmanager
def _pool_of_one(folder: Path, **options: Any) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{folder / 'own.db'}", pool_size=1, max_overflow=0, **options)
    try:
        yield engine
    finally:
        engine.dispose()


def _state(engine: Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        state: dict[str, Any] = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in _PRAGMAS
        }
        state["isolation_level"] = driver.isolation_level
        state["autocommit"] = getattr(driver, "autocommit", None)
        state["hides"] = engine.hide_parameters
        return state


async def _use(engine: Engine) -> None:
    create_schema(engine)
    repository = SqlActivityRepository(engine)
    batch_id = await accepted(repository, batch_of(2))
    await repository.get(batch_id)
    await SqlNotificationRepository(engine).notifications_for("someone")
    await SqlVisibilityRegistry(engine).hidden(["mentor-1"], at=batch_of(1).submitted_at)


def _modern() -> list[dict[str, Any]]:
    return (
        [{"autocommit": False}, {"autocommit": True}] if sys.version_info >= (3, 12) else []
    )  # how Python 3.12 and later begin


@pytest.mark.parametrize(
    "arguments", [{}, {"isolation_level": None}, {"isolation_level": "DEFERRED"}, *_modern()], ids=str
)
async def test_a_host_s_connections_and_file_are_as_they_were(
    tmp_path: Path, arguments: dict[str, Any]
) -> None:
    """
    Foreign keys, journal, durability and waits are the host's own choice.
    """
    with _pool_of_one(tmp_path, connect_args=arguments) as engine:
        before = _state(engine)
        await _use(engine)
        after = _state(engine)
        listening = [bool(engine.dispatch.begin), bool(engine.pool.dispatch.checkout)]

    assert (0, "delete", False) == (before["foreign_keys"], before["journal_mode"], before["hides"])
    assert before == after
    assert [False, False] == listening


async def test_within_ours_it_is_durable_and_waits(tmp_path: Path) -> None:
    """
    For the length of each of our transactions, whatever the host does without.
    """
    with _pool_of_one(tmp_path) as engine:
        create_schema(engine)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA synchronous = OFF")
        transactions = SqlActivityRepository(engine)._transactions
        found = [
            await run(
                lambda connection: [
                    connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in _PRAGMAS[:3]
                ]
            )
            for run in (transactions.read, transactions.write)
        ]
        after = _state(engine)

    assert [[1, 2, 10_000]] * 2 == found
    assert 0 == after["synchronous"]


async def test_a_host_that_begins_by_itself_is_no_hindrance(tmp_path: Path) -> None:
    """
    As SQLAlchemy's documentation shows it: without the driver's transactions, and by a listener.
    """
    with _pool_of_one(tmp_path, connect_args={"isolation_level": None}) as engine:
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        begun: list[str] = []

        @event.listens_for(engine, "before_cursor_execute")
        def note(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
            begun.append(statement)

        await _use(engine)
        with engine.connect() as connection:
            assert 1 == connection.exec_driver_sql("SELECT count(*) FROM batches").scalar()

    assert "BEGIN IMMEDIATE" in begun


async def test_a_failed_transaction_leaves_the_connection_as_it_was(tmp_path: Path) -> None:
    """
    Also where another process keeps the file locked.
    """
    with _pool_of_one(tmp_path) as engine:
        create_schema(engine)
        before = _state(engine)
        repository = SqlActivityRepository(engine)
        with pytest.raises(RepositoryUnavailableError):
            await repository._transactions.write(
                lambda connection: connection.exec_driver_sql("SELECT * FROM no_such_table")
            )

        assert before == _state(engine)


async def test_connections_that_are_not_kept_serve_too(tmp_path: Path) -> None:
    """
    A host may open one for each use.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'own.db'}", poolclass=NullPool)
    await _use(engine)

    with sqlite3.connect(tmp_path / "own.db") as connection:
        assert [(1,)] == connection.execute("SELECT count(*) FROM batches").fetchall()
    connection.close()
