"""
Within a transaction of the host's on SQLite: what goes wrong, and what stays as it was.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.orm import Session

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkStatus,
    HostTransactionError,
    MisconfiguredError,
    RepositoryUnavailableError,
    RunHookError,
)
from proxy_orchestration.errors import SchemaVersionError
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema
from proxy_orchestration.storage.sql.dialect import pragmas
from proxy_orchestration.testing import ScriptedRegistrationService
from proxy_orchestration.testing.contracts.registration.samples import COORDINATOR, accepted, batch_of

pytestmark = pytest.mark.dateless

REQUEST = BulkRegistrationRequest(entries=batch_of(2).entries)


@pytest.fixture
def anyio_backend() -> str:
    """
    Below the event loop both are the same; the kit runs on each.
    """
    return "asyncio"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """
    Where the database is.
    """
    return tmp_path / "store.db"


@pytest.fixture
async def repository(file: Path) -> AsyncIterator[SqlActivityRepository]:
    """
    A store whose database has the host's orders, too.
    """
    async with SqlActivityRepository.open(f"sqlite:///{file}") as repository:
        with repository.engine.begin() as connection:
            connection.execute(text("CREATE TABLE orders (name TEXT)"))
        yield repository


@contextmanager
def _begun(file: Path, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(file, isolation_level=None, timeout=7)
    try:
        connection.execute(begin)
        yield connection
    finally:
        connection.close()


@contextmanager
def _host(file: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{file}")
    try:
        yield engine
    finally:
        engine.dispose()


def _orchestrator(repository: Any) -> BulkRegistrationOrchestrator:
    return BulkRegistrationOrchestrator(
        registration_service=ScriptedRegistrationService(), repository=repository
    )


async def test_order_and_batch_are_one(repository: SqlActivityRepository, file: Path) -> None:
    """
    And whoever drives finds the batch by looking.
    """
    bulk = _orchestrator(repository)
    with _host(file) as engine:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO orders VALUES ('first')"))
            waiting = await bulk.submit_within(connection, REQUEST, actor=COORDINATOR)
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO orders VALUES ('second')"))
            gone = await bulk.submit_within(connection, REQUEST, actor=COORDINATOR)
            connection.rollback()
        with engine.connect() as connection:
            orders = connection.execute(text("SELECT name FROM orders")).scalars().all()
    driven = await bulk.resume_interrupted()
    done = await bulk.get_bulk_submission_status(waiting.batch_id, actor=COORDINATOR)

    assert ["first"] == orders
    assert [waiting.batch_id] == list(driven)
    assert BulkStatus.SUCCESS is done.status
    assert await repository.get(gone.batch_id) is None


async def test_a_session_s_connection_serves(repository: SqlActivityRepository, file: Path) -> None:
    """
    The session itself is told what to give.
    """
    with _host(file) as engine, Session(engine) as session, session.begin():
        session.execute(text("INSERT INTO orders VALUES ('first')"))
        with pytest.raises(MisconfiguredError, match=r"session\.connection"):
            repository.within(session)
        batch_id = await accepted(repository.within(session.connection()), batch_of(1))

    assert await repository.get(batch_id)


async def test_without_a_transaction_nothing_is_stored(repository: SqlActivityRepository, file: Path) -> None:
    """
    Neither where SQLAlchemy has begun none, nor where its driver has not.
    """
    with _host(file) as engine, engine.connect() as connection:
        with pytest.raises(HostTransactionError, match="not in a transaction"):
            await repository.within(connection).accept(batch_of(1))
        with connection.begin(), pytest.raises(HostTransactionError, match="BEGIN IMMEDIATE"):
            await repository.within(connection).accept(batch_of(1))

    assert 0 == (await _orchestrator(repository).list_batches(actor=COORDINATOR)).total


async def test_beside_another_writer_it_fails_at_once(repository: SqlActivityRepository, file: Path) -> None:
    """
    A transaction that was not begun to write would wait as long as its own timeout for nothing.
    """
    with _begun(file) as writer, _begun(file, "BEGIN") as connection:
        connection.execute("SELECT * FROM orders").fetchall()
        with pytest.raises(HostTransactionError, match="begin again with BEGIN IMMEDIATE"):
            await repository.within(connection).accept(batch_of(1))
        still_open = connection.in_transaction
        connection.execute("ROLLBACK")
        writer.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        batch_id = await accepted(repository.within(connection), batch_of(1))
        connection.execute("COMMIT")

    assert still_open
    assert await repository.get(batch_id)


async def test_a_transaction_that_looked_before_another_wrote_is_told(
    repository: SqlActivityRepository, file: Path
) -> None:
    """
    It could never write, however long it waited.
    """
    with _begun(file, "BEGIN") as connection:
        connection.execute("SELECT * FROM orders").fetchall()
        await accepted(repository, batch_of(1))

        with pytest.raises(HostTransactionError, match="has written"):
            await repository.within(connection).accept(batch_of(1))


async def test_other_writes_fail_in_time_and_go_on_afterwards(
    repository: SqlActivityRepository, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whoever else accepts waits for the host's transaction, in a group or alone, and is not stuck behind it.
    """
    monkeypatch.setitem(pragmas._NEEDED, "busy_timeout", 50)
    outcomes: list[Any] = []

    async def accept(store: SqlActivityRepository) -> None:
        try:
            outcomes.append(await store.accept(batch_of(1)))
        except RepositoryUnavailableError as error:
            outcomes.append(error.reason)

    with _host(file) as engine:
        other = SqlActivityRepository(engine)
        with _begun(file) as connection:
            batch_id = await accepted(repository.within(connection), batch_of(1))
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(accept, other)
            connection.execute("COMMIT")
        failed, outcomes[:] = list(outcomes), []
        await accept(other)

    assert 3 * ["The database is locked by another process."] == failed
    assert outcomes[0].created
    assert await repository.get(batch_id)


async def test_the_connection_is_as_it_was(repository: SqlActivityRepository, file: Path) -> None:
    """
    Its wait for others, how it makes rows, and a savepoint of the host's around it, of the same name as ours.
    """
    with _begun(file) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("INSERT INTO orders VALUES ('kept')")
        connection.execute("SAVEPOINT sa_savepoint_1")
        connection.execute("INSERT INTO orders VALUES ('undone')")
        batch_id = await accepted(repository.within(connection), batch_of(2))
        found = await repository.within(connection).read_items(batch_id)
        connection.execute("ROLLBACK TO SAVEPOINT sa_savepoint_1")
        timeout = connection.execute("PRAGMA busy_timeout").fetchone()["timeout"]
        connection.execute("COMMIT")
        orders = [row["name"] for row in connection.execute("SELECT name FROM orders")]

    assert (2, 7_000, ["kept"]) == (len(found), timeout, orders)
    assert await repository.get(batch_id) is None


async def test_a_connection_that_is_of_no_use_is_refused(
    repository: SqlActivityRepository, file: Path
) -> None:
    """
    Closed, or opened by another thread.
    """
    made: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
    may_end = threading.Event()

    def lend() -> None:
        with _begun(file) as connection:
            made.put(connection)
            may_end.wait(LONGEST_WAIT)

    thread = threading.Thread(target=lend)
    thread.start()
    closed = sqlite3.connect(file)
    closed.close()
    try:
        for connection in (closed, made.get(timeout=LONGEST_WAIT)):
            with pytest.raises(HostTransactionError, match="closed, or was opened in another thread"):
                await repository.within(connection).accept(batch_of(1))
    finally:
        may_end.set()
        thread.join()


async def test_without_our_schema_that_is_said(file: Path, repository: SqlActivityRepository) -> None:
    """
    A host may be connected to another database.
    """
    with _begun(file.with_name("other.db")) as connection, pytest.raises(SchemaVersionError):
        await repository.within(connection).accept(batch_of(1))


async def test_a_prefix_and_a_function_hold_within_too(file: Path) -> None:
    """
    Ours are renamed, the host's are not; what the function raises undoes the batch alone.
    """

    def write(connection: Connection, batch_id: str, run: int) -> None:
        connection.execute(text("INSERT INTO items VALUES (:batch)"), {"batch": f"{batch_id}, {run}"})
        if batch_id == "batch-2":
            raise LookupError

    with _host(file) as engine:
        create_schema(engine, prefix="bulk_")
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE items (batch TEXT)"))
        repository = SqlActivityRepository(engine, prefix="bulk_", on_run_opened=write)
        with _begun(file) as connection:
            within = repository.within(connection)
            await accepted(within, batch_of(2, batch_id="batch-1"))
            with pytest.raises(RunHookError, match="LookupError"):
                await accepted(within, batch_of(2, batch_id="batch-2"))
            connection.execute("COMMIT")
            rows = connection.execute("SELECT * FROM items").fetchall()
        there = [await repository.get(name) is not None for name in ("batch-1", "batch-2")]

    assert [("batch-1, 1",)] == rows
    assert [True, False] == there


@pytest.mark.parametrize("end", [Connection.rollback, Connection.close], ids=["rollback", "close"])
async def test_a_function_that_ends_its_connection_s_transaction_undoes_the_batch_alone(
    repository: SqlActivityRepository, file: Path, end: Any
) -> None:
    """
    It is a `RunHookError`, as in a transaction of ours, and the host's own goes on from where it was.
    """
    repository.on_run_opened = lambda connection, *_: end(connection)
    with _begun(file) as connection:
        connection.execute("INSERT INTO orders VALUES ('kept')")
        with pytest.raises(RunHookError, match="ended the transaction"):
            await repository.within(connection).accept(batch_of(2, batch_id="batch-1"))
        timeout = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute("COMMIT")
        orders = connection.execute("SELECT name FROM orders").fetchall()
        batches = connection.execute("SELECT * FROM batches").fetchall()

    assert ([("kept",)], [], (7_000,)) == (orders, batches, timeout)


async def test_an_interruption_within_a_statement_undoes_the_batch_alone(
    repository: SqlActivityRepository, file: Path
) -> None:
    """
    SQLAlchemy gives such a connection up, and with it the savepoint that it knows of.
    """

    def interrupt(_cursor: Any, statement: str, *_: Any) -> None:
        if "INTO runs" in statement:
            raise KeyboardInterrupt

    with _host(file) as engine:
        event.listen(engine, "do_execute", interrupt)
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO orders VALUES ('kept')"))
            before = connection.execute(text("PRAGMA busy_timeout")).scalar()
            with pytest.raises(KeyboardInterrupt):
                await repository.within(connection).accept(batch_of(2, batch_id="batch-1"))
            after = connection.execute(text("PRAGMA busy_timeout")).scalar()
        with engine.connect() as connection:
            orders = connection.execute(text("SELECT name FROM orders")).scalars().all()
            batches = connection.execute(text("SELECT * FROM batches")).all()

    assert (["kept"], []) == (orders, batches)
    assert before == after


@pytest.mark.parametrize("by_scope", [True, False], ids=["scope", "task"])
@pytest.mark.parametrize("words", ["INTO batches", "INTO runs"])
async def test_a_host_that_is_cancelled_has_no_half_of_a_batch(
    repository: SqlActivityRepository, file: Path, words: str, by_scope: bool
) -> None:
    """
    The cancellation leaves as itself, and whoever commits all the same commits a batch with its items.
    """
    pytest.importorskip("aiosqlite")
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - an extra

    task, scope, left_by = asyncio.current_task(), anyio.CancelScope(), []
    assert task is not None

    def cancel(_cursor: Any, statement: str, *_: Any) -> None:
        if words in statement and not left_by:
            left_by.append(None)
            (scope if by_scope else task).cancel()

    engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
    event.listen(engine.sync_engine, "do_execute", cancel)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO orders VALUES ('kept')"))
        before = (await connection.execute(text("PRAGMA busy_timeout"))).scalar()
        with scope:
            try:
                await repository.within(connection).accept(batch_of(2, batch_id="batch-1"))
            except asyncio.CancelledError:
                left_by.append("cancellation")
                if by_scope:
                    raise
                task.uncancel()
        after = (await connection.execute(text("PRAGMA busy_timeout"))).scalar()
    await engine.dispose()

    assert [None, "cancellation"] == left_by
    assert before == after
    assert 2 == len(await repository.read_items("batch-1"))


async def test_an_orchestrator_over_it_accepts_and_does_nothing_else(
    repository: SqlActivityRepository, file: Path
) -> None:
    """
    With `drive=False`; driving is refused before anything is stored.
    """
    with _begun(file) as connection:
        inside = _orchestrator(repository.within(connection))
        for refused in (
            inside.submit_bulk_registration(REQUEST, actor=COORDINATOR),
            inside.resume_interrupted(),
        ):
            with pytest.raises(HostTransactionError):
                await refused
        with pytest.raises(HostTransactionError, match="nobody can drive"):
            await repository.within(connection).accept_and_begin(batch_of(1), ttl=30, claim=1, called=1)
        assert 0 == (await inside.list_batches(actor=COORDINATOR)).total
        await inside.submit_bulk_registration(REQUEST, actor=COORDINATOR, drive=False)
        assert 1 == (await inside.list_batches(actor=COORDINATOR)).total
        connection.execute("COMMIT")

    assert 1 == (await _orchestrator(repository).list_batches(actor=COORDINATOR)).total
