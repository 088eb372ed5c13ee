"""
Row-level security on a real server: who reads what, and that nobody but the service writes.
"""

# ruff: noqa: S608 - the statements are of names in this file and of our own tables

from __future__ import annotations

import re
from typing import Any, Final

import pytest

pytest.importorskip("psycopg")

import psycopg
from client_worlds import BERGEN, World, become, claims, fate, rows

from proxy_orchestration.storage.sql import (
    metadata,
    row_level_security,
)
from proxy_orchestration.storage.sql.database.versions import VERSION_TABLE

pytestmark = pytest.mark.postgresql

DENIED: Final = "42501"
TABLES: Final = sorted([*metadata.tables, VERSION_TABLE])
READABLE: Final = {
    "batches": "coordinator_id",
    "items": "mentor_id",
    "runs": "batch",
    "outcomes": "item",
    "activities": "registered_by",
    "acknowledgements": "acknowledged_by",
    "notifications": "recipient_id",
}
"""What clients may read, each with a column that tells whose it is."""

PRIVATE: Final = {
    "items": ["activity"],
    "runs": ["actor", "cancel_reason", "lease_until"],
    "activities": ["notes", "details", "idempotency_key", "duplicate_key"],
    "acknowledgements": ["note"],
    "notifications": ["note", "acknowledged_by"],
}
"""What stays with the service in those tables: free text about people, and the machinery."""


def _first_column(table: str) -> str:
    return "version_num" if table == VERSION_TABLE else metadata.tables[table].columns.keys()[0]


def _seen(connection: psycopg.Connection[Any]) -> dict[str, list[Any]]:
    """
    Return what a client finds in every table that clients may read.
    """
    return {table: rows(connection, f"SELECT {column} FROM {table}") for table, column in READABLE.items()}


def test_the_script_names_every_table_and_no_other() -> None:
    """
    A new table that the script does not name fails here.
    """
    named = re.findall(r"^ {4}'(\w+)',?$", row_level_security(), re.MULTILINE)

    assert TABLES == named


def test_every_table_is_closed_to_its_owner_too(world: World) -> None:
    """
    Enabled and forced, as the server itself says.
    """
    query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    with world.login("tester") as connection:
        there = rows(connection, query)
        forced = rows(connection, f"{query} AND relrowsecurity AND relforcerowsecurity")

    assert TABLES == there
    assert TABLES == forced


@pytest.mark.parametrize("role", ["coordinator", "chapter_admin"])
def test_who_oversees_an_organization_reads_that_one_only(world: World, role: str) -> None:
    """
    All batches of it, and nothing of the others'.
    """
    with world.login(world.service) as connection:
        ours = "SELECT id FROM batches WHERE organization_id = 'chapter-bergen'"
        (batch,) = rows(connection, ours)
    with world.request("authenticated", claims("admin-3", role, organization_id=BERGEN)) as connection:
        seen = _seen(connection)

    assert {
        "batches": ["coord-204"],
        "items": ["coord-204", "mentor-3", "mentor-4"],
        "runs": [batch] * 2,
        "outcomes": [0, 1, 2, 2],
        "activities": ["coord-204"] * 2,
        "acknowledgements": ["coord-204"],
        "notifications": [],
    } == seen


def test_a_coordinator_reads_what_colleagues_registered(world: World) -> None:
    """
    The organization is the boundary here; the library's own verbs draw a narrower one.
    """
    with world.request("authenticated", claims("coord-119", "coordinator")) as connection:
        seen = _seen(connection)

    assert ["coord-119", "coord-120"] == seen["batches"]
    assert ["coord-119"] == seen["notifications"]


def test_a_mentor_reads_own_activities_and_own_notices(world: World) -> None:
    """
    And no batch, item, run, outcome or acknowledgement.
    """
    with world.request("authenticated", claims("mentor-1", "peer_mentor")) as connection:
        seen = _seen(connection)
        whose = rows(connection, "SELECT DISTINCT attributed_to FROM activities")

    assert {"activities": ["coord-119", "coord-120"], "notifications": ["mentor-1"] * 2} == {
        table: found for table, found in seen.items() if found
    }
    assert ["mentor-1"] == whose


@pytest.mark.parametrize(
    "told",
    [
        "",
        "{}",
        claims("", "coordinator", organization_id=""),
        claims("nobody", "coordinator", organization_id="chapter-of-nobody"),
        claims("nobody", "service"),
        '{"sub": "x", "app_metadata": {"organization_id": "chapter-oslo", "roles": "coordinator"}}',
        '{"sub": "x", "user_metadata": {"organization_id": "chapter-oslo", "roles": ["coordinator"]}}',
        '{"sub": "x", "organization_id": "chapter-oslo", "roles": ["coordinator"]}',
    ],
    ids=[
        "no token",
        "empty",
        "blank",
        "elsewhere",
        "not a coordinator",
        "roles as text",
        "by oneself",
        "at the top",
    ],
)
def test_claims_that_say_nothing_of_ours_show_nothing(world: World, told: str) -> None:
    """
    Only `app_metadata` counts, which people cannot change themselves.
    """
    with world.request("authenticated", told) as connection:
        seen = _seen(connection)

    assert {table: [] for table in READABLE} == seen


def test_claims_that_are_no_json_are_an_error(world: World) -> None:
    """
    Nothing is shown rather than guessed.
    """
    with world.request("authenticated", "coordinator") as connection:
        refusals = {fate(connection, f"SELECT {column} FROM {table}") for table, column in READABLE.items()}

    assert {"22P02"} == refusals


@pytest.mark.parametrize("table", TABLES)
def test_clients_write_in_no_table(world: World, table: str) -> None:
    """
    Every table of the metadata is asked about, so that a new one cannot be forgotten.
    """
    column = _first_column(table)
    writes = [
        f"INSERT INTO {table} DEFAULT VALUES",
        f"UPDATE {table} SET {column} = {column}",
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
        f"COPY {table} FROM '/dev/null'",
        f"SELECT {column} FROM {table} FOR UPDATE",
        f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE",
    ]
    for role in ("anon", "authenticated"):
        with world.request(role, claims("coord-119", "coordinator", role=role)) as connection:
            assert dict.fromkeys(writes, DENIED) == {write: fate(connection, write) for write in writes}


@pytest.mark.parametrize("table", TABLES)
def test_grants_alone_let_no_client_write(world: World, table: str) -> None:
    """
    A careless grant meets the policies: nothing new comes in, and what exists is not touched.
    """
    column = _first_column(table)
    writes = {
        f"INSERT INTO {table} SELECT * FROM specimen": DENIED,
        f"UPDATE {table} SET {column} = {column}": 0,
        f"DELETE FROM {table}": 0,
    }
    with world.login("tester") as connection:
        connection.execute(f"CREATE TEMPORARY TABLE specimen AS SELECT * FROM {table} LIMIT 1")
        connection.execute(f"GRANT ALL ON {table}, specimen TO anon, authenticated")
        for role in ("anon", "authenticated"):
            become(connection, role, claims("coord-119", "coordinator", role=role))

            assert writes == {write: fate(connection, write) for write in writes}
            connection.execute("RESET ROLE")


@pytest.mark.parametrize("table", TABLES)
def test_anonymous_clients_read_nothing(world: World, table: str) -> None:
    """
    Not even an empty answer, whatever they claim.
    """
    with world.request("anon", claims("coord-119", "coordinator", role="anon")) as connection:
        assert DENIED == fate(connection, f"SELECT {_first_column(table)} FROM {table}")


@pytest.mark.parametrize("table", [table for table in TABLES if table not in READABLE])
def test_what_only_the_service_needs_is_read_by_no_client(world: World, table: str) -> None:
    """
    Outboxes, guards, keys, work and logs are refused.
    """
    with world.request("authenticated", claims("coord-119", "coordinator")) as connection:
        assert DENIED == fate(connection, f"SELECT {_first_column(table)} FROM {table}")


def test_notes_and_machinery_are_read_by_no_client(world: World) -> None:
    """
    Also in rows that are theirs.
    """
    with world.request("authenticated", claims("coord-119", "coordinator")) as connection:
        fates = {
            fate(connection, f"SELECT {column} FROM {table}")
            for table, columns in PRIVATE.items()
            for column in columns
        }

    assert {DENIED} == fates


def test_numbers_of_new_rows_are_out_of_reach(world: World) -> None:
    """
    A client that advances or reads a sequence learns how much others write.
    """
    sequences = "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
    with world.request("authenticated", claims("coord-119", "coordinator")) as connection:
        names = rows(connection, sequences)
        fates = {
            fate(connection, query.format(name))
            for name in names
            for query in ("SELECT nextval('{}')", "SELECT last_value FROM {}", "SELECT setval('{}', 1)")
        }

    assert len(names) >= 3
    assert {DENIED} == fates
