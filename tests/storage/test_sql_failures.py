"""
What the SQL store says when its database fails.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import ArgumentError

from proxy_orchestration.errors import RepositoryUnavailableError, SchemaVersionError
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema
from proxy_orchestration.storage.sql.database.errors import translated_errors
from proxy_orchestration.storage.sql.dialect import pragmas
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    accepted,
    batch_of,
    claim,
    ended,
    lease_of,
    log_of,
    states_of,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """
    A database file that does not exist yet.
    """
    return tmp_path / "store.db"


@asynccontextmanager
async def _opened(file: Path) -> AsyncIterator[SqlActivityRepository]:
    async with SqlActivityRepository.open(f"sqlite:///{file}") as repository:
        yield repository


@contextmanager
def _engine_with(file: Path, pragma: str) -> Iterator[Engine]:
    """
    Open an engine whose connections get one pragma more than the store's own.
    """
    engine = create_engine(f"sqlite:///{file}")
    create_schema(engine)
    engine.dispose()
    event.listen(
        engine, "connect", lambda connection, _record: connection.execute(f"PRAGMA {pragma}").close()
    )
    yield engine
    engine.dispose()


def _remove(file: Path, *, replaced: bool) -> None:
    file.unlink()
    if replaced:
        file.touch()


async def test_a_locked_database_is_unavailable_and_nothing_is_written(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Another connection holds the write lock for longer than we wait, which is ten seconds elsewhere.
    """
    monkeypatch.setitem(pragmas._NEEDED, "busy_timeout", 1)
    with _engine_with(file, "foreign_keys = ON") as engine:
        repository = SqlActivityRepository(engine)
        batch_id = await accepted(repository, batch_of(1))
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(RepositoryUnavailableError, match="locked") as error:
            await repository.acquire(batch_id, 1, ttl=LONG)
        holder.close()

        assert error.value.advice
        assert 1 == (await lease_of(repository, batch_id)).fence


async def test_a_full_database_undoes_the_whole_commit(file: Path) -> None:
    """
    The driver goes on from where it was once there is space.
    """
    async with _opened(file) as repository:
        batch_id = await accepted(repository, batch_of(2_000))
        lease = await lease_of(repository, batch_id)
        work = await claim(repository, lease, 2_000)
    with closing(sqlite3.connect(file)) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    with _engine_with(file, f"max_page_count = {pages}") as engine:
        repository = SqlActivityRepository(engine)
        with pytest.raises(RepositoryUnavailableError, match="full"):
            await repository.commit(lease, Commit(outcomes=tuple(map(ended, work)), ttl=LONG))

        assert [] == await log_of(repository, batch_id)
    async with _opened(file) as repository:
        await repository.commit(lease, Commit(outcomes=tuple(map(ended, work)), ttl=LONG))
        assert {ItemState.SUCCEEDED} == set(await states_of(repository, batch_id))


async def test_a_read_only_database_can_be_read(file: Path) -> None:
    """
    Writes say what to do, reads go on.
    """
    with _engine_with(file, "query_only = 1") as engine:
        repository = SqlActivityRepository(engine)
        with pytest.raises(RepositoryUnavailableError, match="read-only"):
            await repository.accept(batch_of(1))

        assert await repository.get("no-such-batch") is None


@pytest.mark.parametrize("replaced", [False, True], ids=["unlinked", "replaced"])
async def test_a_commit_into_a_file_that_is_gone_is_no_commit(file: Path, *, replaced: bool) -> None:
    """
    SQLite itself would acknowledge it, into a file that nobody can open any more.
    """
    async with _opened(file) as repository:
        batch_id = await accepted(repository, batch_of(1))
        _remove(file, replaced=replaced)
        with pytest.raises(RepositoryUnavailableError, match="deleted or replaced") as error:
            await repository.acquire(batch_id, 1, ttl=LONG)

        assert error.value.advice


async def test_a_missing_schema_is_told_with_the_remedy(file: Path) -> None:
    """
    A host that forgot `create_schema` is told its name, and no table's.
    """
    engine = create_engine(f"sqlite:///{file}")
    repository = SqlActivityRepository(engine)
    for call in (repository.get("no-such-batch"), repository.accept(batch_of(1))):
        with pytest.raises(SchemaVersionError, match="create_schema") as error:
            await call
        assert "batch" not in str(error.value)
    engine.dispose()


async def test_an_older_schema_is_told_like_a_missing_one(file: Path) -> None:
    """
    A column that a later version added is not there.
    """
    with _engine_with(file, "foreign_keys = ON") as engine:
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE batches RENAME COLUMN label TO title")

        with pytest.raises(SchemaVersionError, match="create_schema"):
            await SqlActivityRepository(engine).get("no-such-batch")


async def test_a_newer_schema_is_left_alone(file: Path) -> None:
    """
    Whoever opens it is told to upgrade the library.
    """
    async with _opened(file):
        pass
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("UPDATE proxy_orchestration_version SET version_num = '9999'")
    database.close()

    with pytest.raises(SchemaVersionError, match="Upgrade proxy-orchestration"):
        async with _opened(file):
            pass


async def test_a_newer_schema_is_told_behind_a_host_s_own_engine(file: Path) -> None:
    """
    The guide promises it for every store, not only for those that `open` opened.
    """
    with _engine_with(file, "foreign_keys = ON") as engine:
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE proxy_orchestration_version SET version_num = '9999'")

        with pytest.raises(SchemaVersionError, match="Upgrade proxy-orchestration"):
            await SqlActivityRepository(engine).get("no-such-batch")


def test_a_file_that_is_no_database_is_not_touched(file: Path) -> None:
    """
    Somebody named the wrong file.
    """
    content = b"mentor_id,minutes\n" * 100
    file.write_bytes(content)
    engine = create_engine(f"sqlite:///{file}")
    with pytest.raises(RepositoryUnavailableError, match="not a database"):
        create_schema(engine)
    engine.dispose()

    assert content == file.read_bytes()


async def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    """
    SQLite makes files, not folders.
    """
    with pytest.raises(RepositoryUnavailableError, match="cannot be opened"):
        async with _opened(tmp_path / "no-such-folder" / "store.db"):
            pass


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("database disk image is malformed", "damaged"),
        ("disk I/O error", "The disk failed"),
        ("something new, in table batches, with password hunter2", "The database failed"),
    ],
)
def test_no_message_carries_the_driver_s_words(words: str, reason: str) -> None:
    """
    The words stay in the cause, for the host's own log.
    """
    engine = create_engine("sqlite://")

    def fail(*_: object) -> None:
        raise sqlite3.DatabaseError(words)

    event.listen(engine, "do_connect", fail)
    with pytest.raises(RepositoryUnavailableError, match=reason) as error, translated_errors():
        engine.connect()

    assert words not in str(error.value)
    assert error.value.__cause__ is not None


def test_an_error_of_the_library_between_is_translated_too() -> None:
    """
    Not every failure comes from the driver.
    """
    with pytest.raises(RepositoryUnavailableError, match="Check the database"), translated_errors():
        raise ArgumentError
