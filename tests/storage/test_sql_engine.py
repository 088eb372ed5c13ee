"""
How the SQL store sets up its connections, and what they read by.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import anyio
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.pool import NullPool, StaticPool
from sqlalchemy.schema import CreateTable

from proxy_orchestration._extras import needs_extra
from proxy_orchestration.errors import (
    BatchStateError,
    InvalidTypeError,
    MissingExtraError,
    UnknownMentorError,
)
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
    create_schema,
    metadata,
)
from proxy_orchestration.storage.sql.database.engines import open_engine
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    NOON,
    accepted,
    batch_of,
    claim,
    ended,
    lease_of,
    log_of,
    mentors,
    rerun,
    settled_batch,
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """
    A host's own engine over a file with the schema.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'store.db'}")
    create_schema(engine)
    yield engine
    engine.dispose()


def _pragmas(engine: Engine) -> dict[str, object]:
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    with engine.connect() as connection:
        return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}


def test_every_connection_of_our_own_is_durable_and_waits(tmp_path: Path) -> None:
    """
    WAL, `synchronous=FULL` (2), foreign keys and a busy timeout of ten seconds.
    """
    opened = open_engine(f"sqlite:///{tmp_path / 'store.db'}")
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}

    assert expected == _pragmas(opened)
    opened.dispose()


async def test_only_writes_begin_with_the_write_lock(engine: Engine) -> None:
    """
    A read beside a long write never waits; a write takes the lock before it reads.
    """
    begun: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("BEGIN"):
            begun.append(statement)

    repository = SqlActivityRepository(engine)
    await repository.get("no-such-batch")
    await repository.relabel("no-such-batch", None)

    assert ["BEGIN", "BEGIN IMMEDIATE"] == begun


async def test_reads_go_on_beside_a_write_of_another_connection(engine: Engine) -> None:
    """
    WAL keeps readers and the writer apart.
    """
    repository = SqlActivityRepository(engine)
    batch_id = await accepted(repository, batch_of(1))
    with engine.connect() as writer:
        writer.exec_driver_sql("UPDATE batches SET label = 'not committed'")
        record = await repository.get(batch_id)

    assert record is not None
    assert record.label is None


@pytest.mark.parametrize(
    "backends",
    [
        ("asyncio", "asyncio"),
        ("trio", "trio"),
        ("asyncio", "trio"),
    ],
    ids="-".join,
)
def test_a_repository_made_at_import_serves_several_event_loops(
    engine: Engine, backends: tuple[str, ...]
) -> None:
    """
    Nothing in it belongs to the first loop that it met.
    """
    repository = SqlActivityRepository(engine)

    async def use() -> None:
        async with anyio.create_task_group() as crew:
            for _ in range(4):
                crew.start_soon(accepted, repository, batch_of(1))

    for backend in backends:
        anyio.run(use, backend=backend)

    with engine.connect() as connection:
        assert 8 == connection.exec_driver_sql("SELECT count(*) FROM batches").scalar()


_NAMED_IN_MEMORY: Final = "sqlite:///file:shared?mode=memory&cache=shared&uri=true"


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", _NAMED_IN_MEMORY]
)
def test_an_in_memory_database_is_refused(url: str) -> None:
    """
    Each thread would see another one.
    """
    with pytest.raises(ValueError, match="use a file, or the store in memory"):
        SqlActivityRepository(create_engine(url, poolclass=NullPool))


@pytest.mark.parametrize("name", ["", "store.db"])
def test_an_engine_whose_connection_is_everybody_s_is_refused(tmp_path: Path, name: str) -> None:
    """
    A reader would see, and end, what a writer is about to write.
    """
    engine = create_engine(f"sqlite:///{tmp_path / name if name else ''}", poolclass=StaticPool)
    for use in (create_schema, SqlActivityRepository, SqlNotificationRepository):
        with pytest.raises(ValueError, match=r"use .*the store in memory"):
            use(engine)
    engine.dispose()


async def test_a_database_named_by_a_uri_is_used(tmp_path: Path) -> None:
    """
    The URI's own options stay the host's business.
    """
    async with SqlActivityRepository.open(f"sqlite:///file:{tmp_path / 'store.db'}?uri=true") as repository:
        batch_id = await accepted(repository, batch_of(1))

        assert await repository.get(batch_id) is not None


async def test_a_process_may_change_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A relative path means the file that was opened, and no other.
    """
    monkeypatch.chdir(tmp_path)
    async with SqlActivityRepository.open("sqlite:///store.db") as repository:
        batch_id = await accepted(repository, batch_of(1))
        monkeypatch.chdir(tmp_path.parent)

        assert await repository.relabel(batch_id, "still there")


async def test_an_item_gets_one_outcome_per_run(engine: Engine) -> None:
    """
    A driver's mistake changes nothing, and is told like in every other store.
    """
    repository = SqlActivityRepository(engine)
    batch_id = await accepted(repository, batch_of(2))
    lease = await lease_of(repository, batch_id)
    first, second = await claim(repository, lease, 2)
    await repository.commit(lease, Commit(outcomes=(ended(first),), ttl=LONG))

    with pytest.raises(BatchStateError, match="already has an outcome in this run"):
        await repository.commit(lease, Commit(outcomes=(ended(second), ended(first)), ttl=LONG))
    assert 1 == len(await log_of(repository, batch_id))


def test_only_a_missing_library_is_told_as_a_missing_extra() -> None:
    """
    A defect in an installed library keeps its own error.
    """
    with (
        pytest.raises(ModuleNotFoundError, match="no_such_library"),
        needs_extra("sql", "sqlalchemy", needed_by="x"),
    ):
        importlib.import_module("no_such_library")


def test_a_missing_library_is_told_with_its_extra() -> None:
    """
    The line to install it is in the error.
    """
    with (
        pytest.raises(MissingExtraError, match=r"pip install 'proxy-orchestration\[sql\]'"),
        needs_extra("sql", "no_such_library", needed_by="x"),
    ):
        importlib.import_module("no_such_library")


async def test_a_run_over_unknown_mentors_is_not_opened(engine: Engine) -> None:
    """
    The store does not drop a mentor in silence.
    """
    repository = SqlActivityRepository(engine)
    batch_id = await settled_batch(repository, ItemState.FAILED)
    with pytest.raises(UnknownMentorError) as error:
        await repository.open_run(rerun(batch_id, [*mentors(1), "mentor-9"]))

    assert ("mentor-9",) == error.value.mentor_ids


def test_the_store_clock_of_sqlite_has_fractions_of_a_second(engine: Engine) -> None:
    """
    It agrees with the database's own seconds, and differs within one second.
    """
    with engine.connect() as connection:
        whole = float(connection.exec_driver_sql("SELECT strftime('%s', 'now')").scalar_one())
        now = connection.execute(store_now().select()).scalar_one()
        exact = connection.exec_driver_sql(
            "SELECT (julianday('2026-03-04 12:00:00.250') - 2440587.5) * 86400.0"
        ).scalar_one()

    assert 0 <= now - whole < 2
    assert NOON.timestamp() == pytest.approx(exact, abs=0.001)


def test_the_schema_and_the_clock_can_be_said_to_postgresql() -> None:
    """
    The one module of differences has a word for it.
    """
    dialect: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    tables = [str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables]

    assert "clock_timestamp()" in str(store_now().compile(dialect=dialect))
    assert any("TIMESTAMP WITH TIME ZONE" in table for table in tables)
    assert not any("ROWID" in table for table in tables)


@pytest.mark.parametrize("given", ["sqlite:///batches.db", None, Engine], ids=str)
@pytest.mark.parametrize(
    "opened", [SqlActivityRepository, SqlNotificationRepository, SqlVisibilityRegistry, create_schema]
)
def test_what_is_no_engine_is_refused(opened, given):
    """
    With what makes one, and what takes an address.
    """
    with pytest.raises(InvalidTypeError, match=r"sqlalchemy\.create_engine.*use `open\(url\)`"):
        opened(given)
