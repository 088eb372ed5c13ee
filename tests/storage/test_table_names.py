"""
Tables under a prefix, beside a host's own of the same names.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from named_tables import HOSTS_OWN, OPENED
from sqlalchemy import Engine, create_engine, inspect

from proxy_orchestration.errors import InvalidValueError, RepositoryUnavailableError
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    create_schema,
    metadata,
    metadata_for,
    row_level_security,
)
from proxy_orchestration.storage.sql.database.versions import VERSION_TABLE
from proxy_orchestration.testing.contracts.registration.samples import accepted, batch_of

PREFIX: Final = "bulk_"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Engine]:
    """
    A host's own engine over a file with tables of the names that we use too.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'own.db'}")
    with engine.begin() as connection:
        for name in HOSTS_OWN:
            connection.exec_driver_sql(f"CREATE TABLE {name} (of_the_host INTEGER)")
            connection.exec_driver_sql(f"INSERT INTO {name} VALUES (1)")  # noqa: S608 - our own names
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A file with the tables under the prefix, to be copied: making them takes longer than most checks.
    """
    file = tmp_path_factory.mktemp("prefixed") / "store.db"
    engine = create_engine(f"sqlite:///{file}")
    create_schema(engine, prefix=PREFIX)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return file


# What a name changes is below the threads, where both event loops are the same.
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("store", "check"), OPENED, ids=str)
async def test_every_store_keeps_its_contract_under_a_prefix(
    tmp_path: Path, prefixed: Path, store: Any, check: Any
) -> None:
    """
    Each of its statements finds the tables by their longer names.
    """

    def open_copy() -> Any:
        file = shutil.copy(prefixed, tmp_path / f"{len([*tmp_path.iterdir()])}.db")
        return store.open(f"sqlite:///{file}", prefix=PREFIX)

    await check(open_copy)


def test_each_name_is_the_usual_one_behind_the_prefix() -> None:
    """
    So that a later migration, whose text has the usual ones, finds what it alters.
    """
    for table in metadata.sorted_tables:
        copied = metadata_for(prefix=PREFIX).tables[PREFIX + table.name]
        parts = [
            {str(part.name) for part in (*one.indexes, *one.constraints) if part.name is not None}
            for one in (table, copied)
        ]

        assert {PREFIX + name for name in parts[0]} == parts[1]


async def test_a_host_s_own_tables_are_left_alone(hosts: Engine) -> None:
    """
    Two stores with prefixes of their own live beside them.
    """
    for prefix in (PREFIX, "other_"):
        create_schema(hosts, prefix=prefix)
        create_schema(hosts, prefix=prefix)
        store = SqlActivityRepository(hosts, prefix=prefix)
        assert await store.get(await accepted(store, batch_of(2))) is not None
    with hosts.connect() as connection:
        found = [connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in HOSTS_OWN]  # noqa: S608 - our own names
        names = set(inspect(connection).get_table_names())

    assert [[(1,)]] * len(HOSTS_OWN) == found
    ours = {prefix + name for prefix in (PREFIX, "other_") for name in (*metadata.tables, VERSION_TABLE)}
    assert {*ours, *HOSTS_OWN} == names


@pytest.mark.parametrize("named", ["runs", "Runs"])
def test_a_clash_names_the_table_and_the_cure(tmp_path: Path, named: str) -> None:
    """
    And nothing was made.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'own.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {named} (of_the_host INTEGER)")
    with pytest.raises(RepositoryUnavailableError, match=rf"names: {named}\.[\s\S]+prefix="):
        create_schema(engine)

    assert [named] == inspect(engine).get_table_names()
    engine.dispose()


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        ("CREATE INDEX ix_runs_open ON own (n)", "ix_runs_open"),
        ("CREATE INDEX runs ON own (n)", "runs"),
        ("CREATE TABLE ix_runs_open (n INTEGER)", "ix_runs_open"),
        (
            "CREATE TRIGGER ck_audit_events_kept_content AFTER INSERT ON own BEGIN SELECT 1; END",
            "ck_audit_events_kept_content",
        ),
    ],
)
def test_whatever_has_a_name_of_ours_is_named(tmp_path: Path, thing: str, name: str) -> None:
    """
    Not tables alone: with the cure, and nothing was made.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'own.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE own (n INTEGER)")
        connection.exec_driver_sql(thing)
    with pytest.raises(RepositoryUnavailableError, match=rf"\b{name}\.[\s\S]+prefix=[\s\S]+Nothing was"):
        create_schema(engine)

    assert {"own", *([name] if "TABLE" in thing else [])} == set(inspect(engine).get_table_names())
    create_schema(engine, prefix="bulk_")
    engine.dispose()


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection", "ignore:autogenerate skipping")
def test_a_prefixed_schema_is_what_its_metadata_says(tmp_path: Path) -> None:
    """
    Tables, indexes and constraints, all by names of their own.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'own.db'}")
    create_schema(engine, prefix=PREFIX)
    options = {"version_table": PREFIX + VERSION_TABLE, "compare_type": True, "compare_server_default": True}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert [] == compare_metadata(context, metadata_for(prefix=PREFIX))
        indexes = connection.exec_driver_sql(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
        ).scalars()

        assert all(name.startswith(PREFIX) for name in indexes)
    engine.dispose()


def test_without_a_choice_the_metadata_is_the_tables_own() -> None:
    """
    A host that imports it goes on.
    """
    assert metadata_for() is metadata


def test_no_column_has_a_table_s_name() -> None:
    """
    Names are told apart in the text of a statement, as whole words.
    """
    columns = {column.name for table in metadata.sorted_tables for column in table.columns}

    assert set() == columns & {*metadata.tables, VERSION_TABLE}


def test_the_script_of_row_level_security_goes_along() -> None:
    """
    With every table and index under its longer name, and its roles as they are.
    """
    script, usual = row_level_security(prefix=PREFIX), row_level_security()
    code = "\n".join(line for line in script.splitlines() if not line.startswith("--"))

    assert [] == re.findall(rf"\b(?:{'|'.join([*metadata.tables, VERSION_TABLE])})\b", code)
    assert usual.count("proxy_orchestration_service") == script.count("proxy_orchestration_service")
    assert "create index if not exists bulk_ix_activities_read_by_mentor on bulk_activities" in script


@pytest.mark.parametrize("prefix", ["Bulk_", "1_", "a-b", "x" * 21, "p.", 'p"', "ø"])
def test_what_is_no_prefix_is_refused(tmp_path: Path, prefix: str) -> None:
    """
    Before anything is connected to.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'own.db'}")
    for use in (
        lambda: create_schema(engine, prefix=prefix),
        lambda: SqlActivityRepository(engine, prefix=prefix),
        lambda: metadata_for(prefix=prefix),
        lambda: row_level_security(prefix=prefix),
    ):
        with pytest.raises(InvalidValueError, match="prefix is up to 20"):
            use()
    assert not (tmp_path / "own.db").exists()


async def test_sqlite_has_no_schemas(tmp_path: Path) -> None:
    """
    Which is said, with what to give instead.
    """
    url = f"sqlite:///{tmp_path / 'own.db'}"
    engine = create_engine(url)
    with pytest.raises(InvalidValueError, match="on SQLite give a prefix"):
        create_schema(engine, schema="bulk")
    with pytest.raises(InvalidValueError, match="on SQLite give a prefix"):
        SqlActivityRepository(engine, schema="bulk")
    with pytest.raises(InvalidValueError, match="on SQLite give a prefix"):
        async with SqlActivityRepository.open(url, schema="bulk"):
            pass
