"""
The library is upgraded where row-level security is on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("psycopg")

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine

from proxy_orchestration.storage.sql import create_schema, row_level_security
from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS

if TYPE_CHECKING:
    from postgres_server.databases import Databases

pytestmark = pytest.mark.postgresql

_POLICIES = "SELECT polrelid::regclass::text, polname FROM pg_policy ORDER BY 1, 2"
_OWNER = "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'proxy_orchestration_auth'"


@contextmanager
def _engine(url: URL) -> Iterator[Engine]:
    engine = create_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _take_back(connection: Connection) -> None:
    """
    Undo every revision after 0004, which was the last one that altered a column.
    """
    with Operations.context(MigrationContext.configure(connection)):
        for revision in ScriptDirectory(str(MIGRATIONS)).walk_revisions(base="0004"):
            if revision.revision != "0004":
                revision.module.downgrade()
    connection.exec_driver_sql("UPDATE proxy_orchestration_version SET version_num = '0004'")


def test_a_schema_with_the_script_s_policies_is_upgraded_and_closed_until_it_runs_again(
    postgresql: Databases,
) -> None:
    """
    A migration alters columns that the policies name; the service's own policies stay.
    """
    url = postgresql.new()
    with _engine(url) as engine:
        with engine.begin() as connection:
            connection.exec_driver_sql(row_level_security())
        whole = postgresql.execute(url.database, _POLICIES)
        with engine.begin() as connection:
            _take_back(connection)
            connection.exec_driver_sql("UPDATE proxy_orchestration_version SET version_num = '0003'")
        before = postgresql.execute(url.database, _POLICIES)

        create_schema(engine)
        between = postgresql.execute(url.database, _POLICIES)
        with engine.begin() as connection:
            connection.exec_driver_sql(row_level_security())

    assert whole == postgresql.execute(url.database, _POLICIES)
    assert {"proxy_orchestration_owner", "proxy_orchestration_service"} == {name for _, name in between}
    assert {table for table, _ in before} == {table for table, _ in between}


def test_clients_read_on_through_an_upgrade_that_only_adds(postgresql: Databases) -> None:
    """
    From the revision on after which nothing is altered; the script runs again for what is new.
    """
    url = postgresql.new()
    with _engine(url) as engine:
        with engine.begin() as connection:
            connection.exec_driver_sql(row_level_security())
            _take_back(connection)
        before = postgresql.execute(url.database, _POLICIES)

        create_schema(engine)

    assert before == postgresql.execute(url.database, _POLICIES)


def test_a_script_that_a_superuser_runs_serves_the_owner_of_the_tables(postgresql: Databases) -> None:
    """
    Who owns the tables needs no grant, whoever ran the script.
    """
    url = postgresql.new()
    postgresql.execute(
        url.database,
        "CREATE ROLE keeper_of_tables",
        "ALTER TABLE activities OWNER TO keeper_of_tables",
    )
    with _engine(url) as engine, engine.begin() as connection:
        connection.exec_driver_sql(row_level_security())

    assert [("keeper_of_tables",)] == list(postgresql.execute(url.database, _OWNER))
    postgresql.execute(
        url.database,
        "REASSIGN OWNED BY keeper_of_tables TO tester",
        "DROP OWNED BY keeper_of_tables",
        "DROP ROLE keeper_of_tables",
    )
