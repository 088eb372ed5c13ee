"""
The script and the library live with each other: service, owner, and the script once more.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

pytest.importorskip("psycopg")

import psycopg
from client_worlds import World, fate, rows
from sqlalchemy import create_engine

from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    create_schema,
    metadata,
    row_level_security,
)
from proxy_orchestration.storage.sql.database.versions import VERSION_TABLE
from proxy_orchestration.testing.contracts import Check, activity_records, batch_catalogue, push_outbox

pytestmark = pytest.mark.postgresql

TABLES: Final = sorted([*metadata.tables, VERSION_TABLE])


def test_to_run_the_script_again_changes_nothing(world: World) -> None:
    """
    Policies, grants, indexes, triggers and functions are what they were.
    """
    described = (
        "SELECT concat_ws(' ', tablename, policyname, roles, cmd, qual, with_check) FROM pg_policies",
        "SELECT concat_ws(' ', relname, relacl) FROM pg_class WHERE relnamespace = 'public'::regnamespace",
        "SELECT concat_ws(' ', attrelid, attname, attacl) FROM pg_attribute WHERE attacl IS NOT NULL",
        "SELECT concat_ws(' ', tgrelid, tgname) FROM pg_trigger",
        "SELECT prosrc FROM pg_proc WHERE pronamespace = 'proxy_orchestration_auth'::regnamespace",
    )
    with world.login(world.owner) as connection:
        before = [rows(connection, query) for query in described]
        connection.execute(row_level_security())
        after = [rows(connection, query) for query in described]

    assert before == after


def test_the_service_reads_all_that_it_wrote(world: World) -> None:
    """
    The library filled every table as the service, and sees what a superuser sees.
    """
    found = {}
    for user in ("tester", world.service):
        with world.login(user) as connection:
            found[user] = {table: fate(connection, f"SELECT FROM {table}") for table in TABLES}

    assert found["tester"] == found[world.service]
    assert 0 not in found["tester"].values()


def test_the_owner_s_migrations_see_every_row(world: World) -> None:
    """
    Logged in as the owner, who is no superuser: a migration that fills a column fills it everywhere.
    """
    engine = create_engine(world.url(world.owner))
    create_schema(engine)
    engine.dispose()
    with world.login(world.owner) as connection:
        assert 5 == fate(connection, "UPDATE activities SET duplicate_key = duplicate_key, notes = ''")


def test_a_schema_that_lacks_a_table_is_refused_with_advice(world: World) -> None:
    """
    The script says what to do and leaves everything as it was.
    """
    with world.login("tester") as connection:
        connection.execute("ALTER TABLE work RENAME TO chores")

        with pytest.raises(psycopg.errors.UndefinedTable, match=r"work is missing[\s\S]+create_schema"):
            connection.execute(row_level_security())


def test_a_host_s_own_migrations_need_no_version_table(world: World) -> None:
    """
    They keep their revision elsewhere, and the script goes on without ours.
    """
    with world.login("tester") as connection:
        connection.execute(f"DROP TABLE {VERSION_TABLE}")
        connection.execute(row_level_security())


@pytest.mark.parametrize("world", ["plain"], indirect=True)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("check", [*batch_catalogue, *activity_records], ids=str)
async def test_the_library_keeps_its_contract_as_the_service(
    world: World, check: Check[Any], anyio_backend: str
) -> None:
    """
    Under forced policies, as a role that owns nothing.
    """
    url = world.emptied_copy()
    await check(lambda: SqlActivityRepository.open(url))


@pytest.mark.parametrize("world", ["plain"], indirect=True)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("check", push_outbox, ids=str)
async def test_messages_keep_their_contract_as_the_service(
    world: World, check: Check[Any], anyio_backend: str
) -> None:
    """
    The same for the other half.
    """
    url = world.emptied_copy()
    await check(lambda: SqlNotificationRepository.open(url))
