"""
Tables in a schema of their own or under a prefix, beside a host's of the same names.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, LiteralString

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("psycopg")

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from named_tables import HOSTS_OWN, OPENED
from sqlalchemy import URL, create_engine, inspect

from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    create_schema,
    metadata,
    metadata_for,
    row_level_security,
)
from proxy_orchestration.storage.sql.database.versions import VERSION_TABLE
from proxy_orchestration.testing.contracts.registration.samples import accepted, batch_of

if TYPE_CHECKING:
    from postgres_server.databases import Databases

pytestmark = pytest.mark.postgresql(asyncio_only=True)

WHERE: Final[list[dict[str, str]]] = [
    {"prefix": "bulk_"},
    {"schema": "bulk"},
    {"schema": "Bulk-1", "prefix": "own_"},
]


@pytest.fixture(scope="module")
def hosts(postgresql: Databases) -> URL:
    """
    A database with a host's own tables of the names that we use too.
    """
    url = postgresql.empty()
    for name in HOSTS_OWN:
        postgresql.execute(url.database, f"CREATE TABLE {name} AS SELECT 1 AS of_the_host")  # type: ignore[arg-type]  # our own names
    return url


@cache
def _names(**where: str) -> list[str]:
    # Kept, since a copy of all tables takes longer than most checks.
    return [
        f'"{where.get("schema", "public")}".{table.name}'
        for table in reversed(metadata_for(**where).sorted_tables)
    ]


def _emptied(postgresql: Databases, url: URL, where: dict[str, str]) -> URL:
    names = _names(**where)
    if postgresql.execute(url.database, f"SELECT to_regclass('{names[0]}')")[0][0]:  # type: ignore[arg-type]  # our own names
        postgresql.execute(url.database, ";".join(f"DELETE FROM {name}" for name in names))  # type: ignore[arg-type]  # noqa: S608 - our own names
    return url


# A prefix alone is what the kit has on SQLite, and the last of these has one too.
@pytest.mark.parametrize("where", [pytest.param(WHERE[1], marks=pytest.mark.full), WHERE[-1]], ids=str)
@pytest.mark.parametrize(("store", "check"), OPENED, ids=str)
async def test_every_store_keeps_its_contract_elsewhere(
    postgresql: Databases, hosts: URL, store: Any, check: Any, where: dict[str, str]
) -> None:
    """
    Each of its statements finds its tables, and the host's are as they were.
    """
    url = _emptied(postgresql, hosts, where)
    await check(lambda: store.open(url, **where))

    theirs = " UNION ALL ".join(f"SELECT '{name}', * FROM {name}" for name in HOSTS_OWN)  # noqa: S608 - our own names
    assert [(name, 1) for name in HOSTS_OWN] == list(postgresql.execute(url.database, theirs))  # type: ignore[arg-type]  # as above


def test_without_a_choice_the_host_s_tables_are_a_clash(postgresql: Databases, hosts: URL) -> None:
    """
    It names them and the cure, and makes nothing.
    """
    engine = create_engine(hosts)
    with pytest.raises(
        RepositoryUnavailableError, match=r"names: activities, items[\s\S]+prefix=[\s\S]+schema"
    ):
        create_schema(engine)
    engine.dispose()

    assert [(None,)] == list(postgresql.execute(hosts.database, "SELECT to_regclass('public.batches')"))


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        ("CREATE TYPE items AS ENUM ('one', 'two')", "items"),
        ("CREATE DOMAIN runs AS integer", "runs"),
        ("CREATE SEQUENCE ix_batches_settled", "ix_batches_settled"),
        ("CREATE TABLE own AS SELECT 1 AS n; CREATE INDEX pk_outcomes ON own (n)", "pk_outcomes"),
        ("CREATE MATERIALIZED VIEW uq_batches_batch_id AS SELECT 1 AS n", "uq_batches_batch_id"),
    ],
)
def test_whatever_has_a_name_of_ours_is_named(postgresql: Databases, thing: LiteralString, name: str) -> None:
    """
    Types, sequences, indexes and constraints too: with the cure, and nothing was made.
    """
    url = postgresql.empty()
    postgresql.execute(url.database, thing)
    engine = create_engine(url)
    with pytest.raises(
        RepositoryUnavailableError, match=rf"name {name}\.[\s\S]+prefix=[\s\S]+schema[\s\S]+Nothing was"
    ):
        create_schema(engine)

    assert [(None,)] == list(postgresql.execute(url.database, "SELECT to_regclass('public.batches')"))
    create_schema(engine, schema="bulk")
    engine.dispose()


@pytest.mark.parametrize("where", WHERE, ids=str)
def test_what_is_made_elsewhere_is_what_its_metadata_says(
    postgresql: Databases, where: dict[str, str]
) -> None:
    """
    A host's own Alembic finds nothing to change, and each name is within the server's length.
    """
    engine = create_engine(postgresql.empty())
    create_schema(engine, **where)
    schema, table = where.get("schema"), where.get("prefix", "") + VERSION_TABLE
    options = {
        "version_table": table,
        "version_table_schema": schema,
        "include_schemas": True,
        "compare_type": True,
        "compare_server_default": True,
    }
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert [] == compare_metadata(context, metadata_for(**where))
        made = set(inspect(connection).get_table_names(schema=schema))
    engine.dispose()

    assert {table, *(one.name for one in metadata_for(**where).tables.values())} == made


async def test_an_existing_database_keeps_its_names(postgresql: Databases) -> None:
    """
    What is asked for elsewhere is made anew there, and nothing is renamed.
    """
    url = postgresql.new()
    engine = create_engine(url)
    store = SqlActivityRepository(engine)
    batch_id = await accepted(store, batch_of(1))
    create_schema(engine)
    create_schema(engine, prefix="bulk_")

    assert await store.get(batch_id) is not None
    assert await SqlActivityRepository(engine, prefix="bulk_").get(batch_id) is None
    engine.dispose()


async def test_a_host_s_search_path_stays(postgresql: Databases) -> None:
    """
    Ours is of our own transactions.
    """
    engine = create_engine(postgresql.empty(), pool_size=1, max_overflow=0)
    create_schema(engine, schema="bulk")
    await accepted(SqlActivityRepository(engine, schema="bulk"), batch_of(1))
    with engine.connect() as connection:
        assert '"$user", public' == connection.exec_driver_sql("SHOW search_path").scalar_one()
    engine.dispose()


@pytest.mark.parametrize("where", WHERE, ids=str)
def test_the_script_of_row_level_security_goes_along(postgresql: Databases, where: dict[str, str]) -> None:
    """
    It closes these tables, twice over, and touches no table of the host's.
    """
    url = postgresql.empty()
    engine = create_engine(url)
    with engine.begin() as connection:
        for name in HOSTS_OWN:
            connection.exec_driver_sql(f"CREATE TABLE {name} (of_the_host INTEGER)")
    create_schema(engine, **where)
    for _ in range(2):
        with engine.begin() as connection:
            connection.exec_driver_sql(row_level_security(**where))
    engine.dispose()
    ours = {where.get("prefix", "") + name for name in (*metadata.tables, VERSION_TABLE)}
    closed = postgresql.execute(
        url.database,
        "SELECT relnamespace::regnamespace::text, relname FROM pg_class WHERE relforcerowsecurity",
    )

    assert {(_quoted(where.get("schema", "public")), name) for name in ours} == set(closed)
    with psycopg.connect(
        host=str(postgresql.socket_folder), user="tester", dbname=url.database
    ) as connection:
        connection.execute("SET ROLE authenticated")
        table = f'"{where.get("schema", "public")}".{where.get("prefix", "")}batches'
        assert [] == connection.execute(f"SELECT batch_id FROM {table}").fetchall()  # type: ignore[arg-type]  # noqa: S608 - our own names
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"DELETE FROM {table}")  # type: ignore[arg-type]  # noqa: S608 - our own names


def _quoted(schema: str) -> str:
    return schema if schema.islower() else f'"{schema}"'
