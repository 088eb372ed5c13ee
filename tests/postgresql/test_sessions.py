"""
How the SQL store sets up its connections to PostgreSQL, and what they read by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("psycopg")

from sqlalchemy import URL, Connection, Engine, create_engine

from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.storage.sql.database.engines import open_engine
from proxy_orchestration.storage.sql.database.names import Names
from proxy_orchestration.storage.sql.dialect.connections import for_writing, transaction
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.testing.contracts.registration.samples import accepted, batch_of

if TYPE_CHECKING:
    from postgres_server.databases import Databases

pytestmark = pytest.mark.postgresql


def _setting(connection: Connection, name: str) -> Any:
    return connection.exec_driver_sql(f"SHOW {name}").scalar_one()


def _in_ours(engine: Engine, *names: str) -> list[Any]:
    with transaction(for_writing(engine, Names())) as (connection, _):
        return [_setting(connection, name) for name in names]


@pytest.mark.parametrize(("theirs", "ours"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_every_transaction_is_durable(postgresql: Databases, theirs: str, ours: str) -> None:
    """
    A commit waits for the disk, also where the host's databases do not; what is stricter stays.
    """
    url = postgresql.empty()
    postgresql.execute(
        "postgres",
        f"ALTER DATABASE {url.database} SET synchronous_commit = {theirs}",
        f"ALTER DATABASE {url.database} SET \"TimeZone\" = 'Asia/Tokyo'",
        f"ALTER DATABASE {url.database} SET client_encoding = 'LATIN1'",
        f"ALTER DATABASE {url.database} SET \"DateStyle\" = 'German, DMY'",
    )
    found = []
    for engine in (open_engine(url), create_engine(url)):
        found.append(_in_ours(engine, "synchronous_commit", "TimeZone", "client_encoding", "DateStyle"))
        engine.dispose()

    assert [[ours, "UTC", "UTF8", "ISO, DMY"]] * 2 == found


@pytest.mark.parametrize("default", ["serializable", "read committed"])
async def test_reads_see_one_moment_and_writes_see_what_others_committed(
    postgresql: Databases, default: str
) -> None:
    """
    Whatever the host's databases do by themselves.
    """
    url = postgresql.new()
    postgresql.execute(
        "postgres", f"ALTER DATABASE {url.database} SET default_transaction_isolation = '{default}'"
    )
    names = ("transaction_isolation", "transaction_read_only")
    async with SqlActivityRepository.open(url) as store:
        found = [
            await run(lambda connection: [_setting(connection, name) for name in names])
            for run in (store._transactions.read, store._transactions.write)
        ]

    assert [["repeatable read", "on"], ["read committed", "off"]] == found


@pytest.mark.parametrize(("theirs", "ours"), [("0", "30s"), ("5min", "5min")])
def test_a_process_that_sleeps_in_a_transaction_loses_it(
    postgresql: Databases, theirs: str, ours: str
) -> None:
    """
    Others wait for its locks; but a host's limit is its own, and so is an engine that a host passes.
    """
    url = postgresql.empty()
    name = "idle_in_transaction_session_timeout"
    postgresql.execute("postgres", f"ALTER DATABASE {url.database} SET {name} = '{theirs}'")
    engines = [open_engine(url), create_engine(url)]
    found = []
    for engine in engines:
        found += _in_ours(engine, name)
        engine.dispose()

    assert [ours, theirs] == found


def test_the_store_clock_moves_within_a_transaction(postgresql_url: URL) -> None:
    """
    A lease that is taken late in a long transaction is not shorter for it.
    """
    engine = open_engine(postgresql_url)
    with engine.begin() as connection:
        before, whole = connection.execute(store_now().select().add_columns(_epoch())).one()
        connection.exec_driver_sql("SELECT pg_sleep(0.001)")
        after = connection.execute(store_now().select()).scalar_one()
    engine.dispose()

    assert before < after
    assert abs(before - whole) < 60


def _epoch() -> Any:
    from sqlalchemy import literal_column  # noqa: PLC0415 - of one test

    return literal_column("extract(epoch FROM now())::float8")


async def test_a_host_s_own_engine_serves_both_event_loops(postgresql_url: URL) -> None:
    """
    The driver is synchronous, and runs in threads.
    """
    engine = create_engine(postgresql_url)
    store = SqlActivityRepository(engine)
    batch_id = await accepted(store, batch_of(2))

    assert await store.get(batch_id) is not None
    engine.dispose()
