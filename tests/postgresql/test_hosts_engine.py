"""
An engine that a host hands in is left as it was: the host's own queries see what they saw before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("psycopg")

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
    create_schema,
)
from proxy_orchestration.testing.contracts import activity_records, batch_catalogue
from proxy_orchestration.testing.contracts.registration.samples import accepted, batch_of

pytestmark = pytest.mark.postgresql

_OSLO: Final = {"connect_args": {"options": "-c TimeZone=Europe/Oslo -c DateStyle=German"}}
_SETTINGS: Final = (
    "SELECT name || '=' || setting FROM pg_settings WHERE NOT starts_with(name, 'transaction_') ORDER BY name"
)
_LATE_EVENING: Final = "SELECT CAST(CAST('2026-03-04T23:30:00+00:00' AS timestamptz) AS date)::text"


@contextmanager
def _pool_of_one(url: URL, **options: Any) -> Iterator[Engine]:
    engine = create_engine(url, pool_size=1, max_overflow=0, **options)
    try:
        yield engine
    finally:
        engine.dispose()


def _of_the_driver(connection: Connection) -> dict[str, Any]:
    names = ("autocommit", "isolation_level", "read_only", "deferrable", "prepare_threshold")
    return {name: getattr(connection.connection.driver_connection, name) for name in names}


def _state(engine: Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        return {
            "driver": _of_the_driver(connection),
            "settings": list(connection.exec_driver_sql(_SETTINGS).scalars()),
            "day": connection.exec_driver_sql(_LATE_EVENING).scalar_one(),
            "hides": engine.hide_parameters,
        }


async def _use(engine: Engine) -> None:
    create_schema(engine)
    repository = SqlActivityRepository(engine)
    batch_id = await accepted(repository, batch_of(2))
    await repository.get(batch_id)
    await SqlNotificationRepository(engine).notifications_for("someone")
    await SqlVisibilityRegistry(engine).hidden(["mentor-1"], at=batch_of(1).submitted_at)


@pytest.mark.parametrize(
    "options", [{}, {"isolation_level": "AUTOCOMMIT"}, {"isolation_level": "SERIALIZABLE"}], ids=str
)
async def test_a_host_s_sessions_are_as_they_were(postgresql_url: URL, options: dict[str, Any]) -> None:
    """
    Every setting of the server, of the driver and of the engine, on the very connection that we used.
    """
    with _pool_of_one(postgresql_url, **_OSLO, **options) as engine:
        before = _state(engine)
        await _use(engine)
        after = _state(engine)
        listening = [bool(getattr(target.dispatch, name)) for target, name in _hooks(engine)]

    assert "05.03.2026" == before["day"]
    assert before == after
    assert [False, False] == listening


def _hooks(engine: Engine) -> list[tuple[Any, str]]:
    return [(engine.pool, "checkout"), (engine, "begin")]


async def test_a_failed_transaction_leaves_the_connection_as_it_was(postgresql_url: URL) -> None:
    """
    Whether it was refused by us or by the database.
    """
    with _pool_of_one(postgresql_url, **_OSLO) as engine:
        before = _state(engine)
        repository = SqlActivityRepository(engine)
        for statement in ("SELECT 1/0", "SELECT pg_terminate_backend(pg_backend_pid())"):
            with pytest.raises(Exception, match=r"refused|failed|cut|cannot"):
                await repository._transactions.write(
                    lambda connection, statement=statement: connection.exec_driver_sql(statement)
                )

        assert before == _state(engine)


async def test_a_database_that_is_read_only_by_default_is_not_written_to(postgresql_url: URL) -> None:
    """
    Neither by us, nor afterwards by the host, whose default stays in force.
    """
    with _pool_of_one(
        postgresql_url, connect_args={"options": "-c default_transaction_read_only=on"}
    ) as engine:
        repository = SqlActivityRepository(engine)
        await repository.get("no-such-batch")
        with pytest.raises(RepositoryUnavailableError, match="read-only"):
            await accepted(repository, batch_of(1))
        with engine.connect() as connection, pytest.raises(DBAPIError, match="read-only"):
            connection.exec_driver_sql("CREATE TABLE of_the_host (id integer)")


async def test_a_host_s_read_only_connections_are_not_written_to(postgresql_url: URL) -> None:
    """
    What the driver was told counts as what the server was told.
    """
    with _pool_of_one(postgresql_url) as engine:
        repository = SqlActivityRepository(engine.execution_options(postgresql_readonly=True))

        with pytest.raises(RepositoryUnavailableError, match="read-only"):
            await accepted(repository, batch_of(1))


@pytest.mark.parametrize("name", ["checkout", "begin"])
async def test_a_host_s_listeners_go_on_working(postgresql_url: URL, name: str) -> None:
    """
    What they set when a connection is taken or a transaction begins holds in ours too.
    """
    with _pool_of_one(postgresql_url) as engine:
        if name == "checkout":
            event.listen(engine, name, lambda driver, *_: driver.execute("SET app.tenant = 'oslo'"))
        else:
            event.listen(engine, name, lambda own: own.exec_driver_sql("SET LOCAL app.tenant = 'oslo'"))
        transactions = SqlActivityRepository(engine)._transactions
        found = [
            await run(lambda connection: connection.exec_driver_sql("SHOW app.tenant").scalar_one())
            for run in (transactions.read, transactions.write)
        ]

    assert ["oslo", "oslo"] == found


@pytest.mark.parametrize("check", [*batch_catalogue, *activity_records], ids=str)
async def test_the_contract_holds_on_a_host_s_engine(postgresql_url: URL, check: Any) -> None:
    """
    With a time zone, a style of dates and an isolation of the host's own.
    """

    @contextmanager
    def engine() -> Iterator[Engine]:
        with _pool_of_one(postgresql_url, **_OSLO) as one:
            yield one

    with engine() as one:
        await check(lambda: _Opened(SqlActivityRepository(one)))


class _Opened:
    def __init__(self, repository: SqlActivityRepository) -> None:
        self.repository = repository

    async def __aenter__(self) -> SqlActivityRepository:
        return self.repository

    async def __aexit__(self, *_: object) -> None:
        pass
