"""
Within a transaction of the host's on PostgreSQL: what stays as it was, and what only this database does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, Final

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
psycopg = pytest.importorskip("psycopg")

from sqlalchemy import URL, Connection, create_engine, text  # noqa: E402 - after what may be missing

from proxy_orchestration import (  # noqa: E402 - as above
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    HostTransactionError,
    MisconfiguredError,
    RepositoryUnavailableError,
)
from proxy_orchestration.blocking import BlockingOrchestrator  # noqa: E402 - as above
from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: E402 - as above
from proxy_orchestration.storage.sql.database import host_transactions  # noqa: E402 - as above
from proxy_orchestration.storage.sql.dialect import sessions  # noqa: E402 - as above
from proxy_orchestration.testing import ScriptedRegistrationService  # noqa: E402 - as above
from proxy_orchestration.testing.contracts.registration.samples import (  # noqa: E402 - as above
    COORDINATOR,
    NOON,
    accepted,
    batch_of,
)

pytestmark = pytest.mark.postgresql(asyncio_only=True)

REQUEST: Final = BulkRegistrationRequest(entries=batch_of(2).entries)
_SETTINGS: Final = (
    "SELECT name || '=' || setting FROM pg_settings WHERE name <> 'transaction_read_only' ORDER BY name"
)


def _arguments(url: URL) -> dict[str, Any]:
    return url.translate_connect_args(database="dbname", username="user") | dict(url.query)


@contextmanager
def _connected(url: URL, kind: Any = psycopg.Connection, **options: Any) -> Iterator[Any]:
    with closing(kind.connect(**_arguments(url), **options)) as connection:
        yield connection


class WatchedConnection(psycopg.Connection[Any]):
    """
    Notes what ends or shapes its transactions.
    """

    seen: list[str]

    def commit(self) -> None:
        """
        Note it.
        """
        self.seen.append("commit")
        super().commit()

    def rollback(self) -> None:
        """
        Note it.
        """
        self.seen.append("rollback")
        super().rollback()

    def set_isolation_level(self, value: Any) -> None:
        """
        Note it.
        """
        self.seen.append("isolation level")
        super().set_isolation_level(value)

    def set_autocommit(self, value: bool) -> None:
        """
        Note it.
        """
        self.seen.append("autocommit")
        super().set_autocommit(value)


async def test_nothing_of_ours_ends_or_shapes_the_transaction(postgresql_url: URL) -> None:
    """
    Every setting is what it was, in the transaction and after it; moments are read as they are.
    """
    options = "-c TimeZone=Europe/Oslo -c DateStyle=German"
    async with SqlActivityRepository.open(postgresql_url) as repository:
        with _connected(postgresql_url, WatchedConnection, options=options) as connection:
            connection.seen = []
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            before = connection.execute(_SETTINGS).fetchall()
            connection.seen.clear()
            within = repository.within(connection)
            batch_id = await accepted(within, batch_of(2))
            result = await within.read_result(batch_id)
            seen, after = list(connection.seen), connection.execute(_SETTINGS).fetchall()
            connection.commit()

    assert [] == seen
    assert before == after
    assert result is not None
    assert NOON == result.submitted_at


async def test_a_transaction_that_is_of_no_use_is_told(postgresql_url: URL) -> None:
    """
    That each statement ends, that has failed, whose connection is closed, or that is another database's.
    """
    async with SqlActivityRepository.open(postgresql_url) as repository:
        with (
            _connected(postgresql_url, autocommit=True) as connection,
            pytest.raises(HostTransactionError, match="not in a transaction"),
        ):
            await repository.within(connection).accept(batch_of(1))
        with pytest.raises(HostTransactionError, match="closed"):
            await repository.within(connection).accept(batch_of(1))
        with _connected(postgresql_url) as connection:
            with suppress(psycopg.Error):
                connection.execute("SELECT 1/0")
            with pytest.raises(HostTransactionError, match="has failed already"):
                await repository.within(connection).accept(batch_of(1))
        with closing(sqlite3.connect(":memory:")) as other, pytest.raises(MisconfiguredError):
            repository.within(other)
        engine = create_engine("sqlite://")
        with engine.connect() as other, pytest.raises(MisconfiguredError, match=r"sqlite\+pysqlite"):
            repository.within(other)
        engine.dispose()


async def test_a_key_that_another_took_meanwhile_is_the_host_s_to_repeat(postgresql_url: URL) -> None:
    """
    In a transaction that sees one moment alone; what it did before is kept until its owner decides.
    """
    batch = batch_of(1, idempotency_key="form-7")
    async with SqlActivityRepository.open(postgresql_url) as repository:
        with _connected(postgresql_url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("CREATE TABLE orders (name text)")
            await accepted(repository, batch)
            with pytest.raises(RepositoryUnavailableError, match="kept blocking each other") as raised:
                await repository.within(connection).accept(batch)
            usable = connection.execute("SELECT count(*) FROM orders").fetchone()

    assert "40001" == raised.value.__cause__.orig.sqlstate  # type: ignore[union-attr]  # the driver's own
    assert (0,) == usable


async def test_a_key_in_another_s_open_transaction_is_not_waited_for_for_ever(
    postgresql_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whoever is to end that one may wait for this thread; what this one did before stays.
    """
    monkeypatch.setattr(sessions, "_PATIENCE", "50ms")
    batch = batch_of(1, idempotency_key="form-7")
    async with SqlActivityRepository.open(postgresql_url) as repository:
        with _connected(postgresql_url) as first, _connected(postgresql_url) as second:
            batch_id = await accepted(repository.within(first), batch)
            second.execute("CREATE TABLE orders (name text)")
            with pytest.raises(RepositoryUnavailableError):
                await repository.within(second).accept(batch)
            usable = second.execute("SELECT count(*), current_setting('lock_timeout') FROM orders").fetchone()
            second.rollback()
            first.commit()
        there = await repository.get(batch_id)

    assert (0, "0") == usable
    assert there is not None


async def test_awaited_statements_without_an_answer_end(
    postgresql_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The connection is of no use then, which its host is told.
    """
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - an extra

    monkeypatch.setattr(host_transactions, "_LONGEST", 0.05)
    sleep = text("SELECT pg_sleep(2)")

    def hang(connection: Connection, *_: object) -> None:
        connection.execute(sleep)

    engine = create_async_engine(postgresql_url)
    async with SqlActivityRepository.open(postgresql_url, on_run_opened=hang) as repository:
        async with engine.connect() as connection:
            await connection.begin()
            with pytest.raises(RepositoryUnavailableError, match="in time"):
                await repository.within(connection).accept(batch_of(1, batch_id="batch-1"))
            await connection.invalidate()
        there = await repository.get("batch-1")
    await engine.dispose()

    assert there is None


async def test_a_function_that_lost_a_race_is_called_again_with_the_whole_transaction(
    postgresql_url: URL,
) -> None:
    """
    As the database asks for it, and as without a function of the host's.
    """
    runs: list[int] = []
    lose = "DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = 'serialization_failure'; END $$"

    def lose_once(connection: Connection, _batch_id: str, run: int) -> None:
        runs.append(run)
        if len(runs) == 1:
            connection.execute(text(lose))

    async with SqlActivityRepository.open(postgresql_url, on_run_opened=lose_once) as repository:
        batch_id = await accepted(repository, batch_of(1))
        there = await repository.get(batch_id)

    assert [1, 1] == runs
    assert there is not None


def _order(connection: Connection, batch_id: str, run: int) -> None:
    connection.execute(text("INSERT INTO orders VALUES (:batch)"), {"batch": f"{batch_id}, {run}"})


@pytest.mark.parametrize("path", ["-c search_path=app", "-c search_path=app,public"])
async def test_a_function_finds_the_host_s_tables_and_we_ours(postgresql_url: URL, path: str) -> None:
    """
    With a schema of ours on its own, in our transactions and within the host's.
    """
    with _connected(postgresql_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS app, bulk CASCADE")
        connection.execute("CREATE SCHEMA app CREATE TABLE orders (name text)")
    url = postgresql_url.update_query_dict({"options": path})
    try:
        async with SqlActivityRepository.open(url, schema="bulk", on_run_opened=_order) as repository:
            first = await accepted(repository, batch_of(1))
            with _connected(url) as connection:
                second = await accepted(repository.within(connection), batch_of(1))
                rows = connection.execute("SELECT name FROM orders ORDER BY ctid").fetchall()
                search_path = connection.execute("SHOW search_path").fetchone()
                connection.commit()
            there = [await repository.get(batch_id) is not None for batch_id in (first, second)]
    finally:
        with _connected(postgresql_url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA app, bulk CASCADE")

    assert [(f"{first}, 1",), (f"{second}, 1",)] == rows
    assert path.partition("=")[2] == search_path[0].replace(", ", ",")
    assert [True, True] == there


@pytest.fixture
def django_connection(postgresql_url: URL) -> Iterator[Any]:
    """
    Django's connection to the database, whose zone is not ours.
    """
    pytest.importorskip("django")
    from django_host import django_database  # noqa: PLC0415 - needs Django

    arguments = _arguments(postgresql_url)
    with django_database(
        "bulk",
        ENGINE="django.db.backends.postgresql",
        NAME=arguments.pop("dbname"),
        USER=arguments.pop("user", ""),
        TIME_ZONE="Europe/Oslo",
        OPTIONS=arguments,
    ) as connection:
        yield connection


def test_an_order_of_django_s_and_its_batch_are_one(postgresql_url: URL, django_connection: Any) -> None:
    """
    Under a key, asked for twice; what Django's connection reads as its own zone's is read as it is.
    """
    from django.db import transaction  # noqa: PLC0415 - needs Django

    batches: list[Any] = []
    request = BulkRegistrationRequest(entries=REQUEST.entries, idempotency_key="form-7")
    engine = create_engine(postgresql_url)
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=ScriptedRegistrationService(), repository=SqlActivityRepository(engine)
    )
    with BlockingOrchestrator(orchestrator) as blocking:
        for fails in (True, False):
            with suppress(ZeroDivisionError), transaction.atomic(using="bulk"):
                connection = django_connection.connection
                batches += [blocking.submit_within(connection, request, actor=COORDINATOR) for _ in range(2)]
                1 / (not fails)
        (stored,) = blocking.list_batches(actor=COORDINATOR).batches
    engine.dispose()

    assert [stored.batch_id] * 2 == [batch.batch_id for batch in batches[2:]]
    assert batches[2] == batches[3]
