"""
Ways around the library and around the policies, each tried on a real server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

pytest.importorskip("psycopg")

import psycopg
from client_worlds import World, become, claims, fate, rows

pytestmark = pytest.mark.postgresql

DENIED: Final = "42501"
MINE: Final = claims("coord-204", "coordinator", organization_id="chapter-bergen")
"""A coordinator of the smaller organization: whatever else is seen has leaked."""

OWN: Final = ["coord-204"]
WHOSE: Final = "SELECT coordinator_id FROM batches"


@contextmanager
def _prepared(world: World, *statements: str) -> Iterator[psycopg.Connection[Any]]:
    """
    Log in as the gateway, after the owner did something that stays until the end of the test.
    """
    with world.login(world.owner) as connection:
        connection.execute("CREATE SCHEMA workshop")
        connection.execute("GRANT ALL ON SCHEMA workshop TO authenticated")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    try:
        with world.request("authenticated", MINE) as client:
            yield client
    finally:
        world.databases.execute(world.database, "DROP SCHEMA workshop CASCADE")


@pytest.mark.parametrize("world", ["plain"], indirect=True)
def test_a_client_does_not_become_the_service(world: World) -> None:
    """
    The clients' gateway is no member of it; Supabase's is, and checks the token before.
    """
    with world.request("authenticated", MINE) as connection:
        fates = [
            fate(connection, f"SET ROLE {role}")
            for role in ("proxy_orchestration_service", world.service, world.owner, "tester")
        ]
        fates.append(fate(connection, f"SET SESSION AUTHORIZATION {world.owner}"))

    assert [DENIED] * 5 == fates


def test_the_gateway_itself_has_no_rights(world: World) -> None:
    """
    Who drops the role of the token is left with nothing.
    """
    with world.request("authenticated", MINE) as connection:
        connection.execute("RESET ROLE")

        assert DENIED == fate(connection, WHOSE)


def test_row_security_cannot_be_switched_off(world: World) -> None:
    """
    The setting turns a filtered answer into an error, and the tables are the owner's.
    """
    with world.request("authenticated", MINE) as connection:
        fates = [
            fate(connection, statement)
            for statement in (
                "ALTER TABLE batches DISABLE ROW LEVEL SECURITY",
                "ALTER TABLE batches NO FORCE ROW LEVEL SECURITY",
                "DROP POLICY proxy_orchestration_own_organization ON batches",
                "CREATE POLICY mine ON batches USING (true)",
                "ALTER TABLE activities DISABLE TRIGGER proxy_orchestration_attribution",
                "DROP FUNCTION proxy_orchestration_auth.uid() CASCADE",
                (
                    "CREATE OR REPLACE FUNCTION proxy_orchestration_auth.uid() RETURNS text"
                    " LANGUAGE sql AS 'SELECT ''x'''"
                ),
                "SET session_replication_role = replica",
            )
        ]
        connection.execute("SET LOCAL row_security = off")
        fates.append(fate(connection, WHOSE))

    assert [DENIED] * 9 == fates


def test_functions_of_the_client_s_own_do_not_stand_in_for_ours(world: World) -> None:
    """
    A search path with a forged `current_setting` and a forged `=` before the real ones changes nothing.
    """
    with _prepared(world) as connection:
        for statement in (
            (
                "CREATE FUNCTION workshop.current_setting(text, boolean) RETURNS text LANGUAGE sql"
                f" AS $$ SELECT '{claims('coord-119', 'coordinator')}'::text $$"
            ),
            "CREATE FUNCTION workshop.always(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
            "CREATE OPERATOR workshop.= (FUNCTION = workshop.always, LEFTARG = text, RIGHTARG = text)",
            (
                "CREATE FUNCTION workshop.pg_has_role(oid, oid, text) RETURNS boolean LANGUAGE sql"
                " AS 'SELECT true'"
            ),
            "CREATE TABLE workshop.batches AS SELECT 1 AS id, 'chapter-bergen' AS organization_id",
            "SET LOCAL search_path = workshop, pg_catalog, public",
        ):
            connection.execute(statement)

        assert ["chapter-bergen"] == rows(connection, "SELECT proxy_orchestration_auth.organization_id()")
        assert [False] == rows(connection, "SELECT proxy_orchestration_auth.is_service()")
        assert OWN == rows(connection, "SELECT coordinator_id FROM public.batches")
        assert 3 == len(rows(connection, "SELECT mentor_id FROM public.items"))


def test_a_function_that_talks_sees_no_row_of_others(world: World) -> None:
    """
    However cheap it says it is, it is asked after the policies.
    """
    told: list[str | None] = []
    with _prepared(world) as connection:
        connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
        connection.execute(
            "CREATE FUNCTION workshop.talk(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS"
            " $$ BEGIN RAISE NOTICE USING MESSAGE = $1; RETURN true; END $$"
        )
        connection.execute("SELECT batch_id FROM batches WHERE workshop.talk(coordinator_id)")
        connection.execute("SELECT position FROM items WHERE workshop.talk(mentor_id)")

    assert ["coord-204", "coord-204", "mentor-3", "mentor-4"] == sorted(filter(None, told))


def test_a_view_of_the_owner_lends_no_rights(world: World) -> None:
    """
    The owner's rows are for those who log in as the owner; a view for the asker shows the asker's.
    """
    with _prepared(
        world,
        "CREATE VIEW workshop.lent AS SELECT * FROM batches",
        "CREATE VIEW workshop.own WITH (security_invoker = true) AS SELECT coordinator_id FROM batches",
        "GRANT SELECT ON workshop.lent, workshop.own TO authenticated",
    ) as connection:
        lent = rows(connection, "SELECT coordinator_id FROM workshop.lent")
        own = rows(connection, "SELECT coordinator_id FROM workshop.own")

    # The guide's warning: Supabase's owner bypasses every policy, and so do its views.
    assert (3 if world.name == "supabase" else 0) == len(lent)
    assert OWN == own


def test_a_function_with_the_owner_s_rights_reads_nothing_and_writes_nothing(world: World) -> None:
    """
    For the same reason, and with the same exception.
    """
    with _prepared(
        world,
        (
            "CREATE FUNCTION workshop.look() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER"
            " AS 'SELECT coordinator_id FROM public.batches'"
        ),
        (
            "CREATE FUNCTION workshop.wipe() RETURNS bigint LANGUAGE sql SECURITY DEFINER"
            " AS 'WITH gone AS (DELETE FROM public.push_outbox RETURNING 1) SELECT count(*) FROM gone'"
        ),
    ) as connection:
        looked = rows(connection, "SELECT workshop.look()")
        wiped = rows(connection, "SELECT workshop.wipe()")

    assert (([], [0]) if world.name == "plain" else (["coord-119", "coord-120", "coord-204"], [6])) == (
        looked,
        wiped,
    )


def test_copying_out_is_filtered_and_copying_in_is_refused(world: World) -> None:
    """
    The protocol for bulk data is no way around the policies.
    """
    with world.request("authenticated", MINE) as connection:
        with connection.cursor().copy("COPY batches (coordinator_id) TO STDOUT") as copied:
            out = [row[0] for row in copied.rows()]
        whole = fate(connection, "COPY activities TO STDOUT")
        inside = fate(connection, "COPY batches (batch_id) FROM STDIN")

    assert (OWN, DENIED, DENIED) == (out, whole, inside)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO batches (batch_id) VALUES ('b') ON CONFLICT DO NOTHING",
        "WITH gone AS (DELETE FROM batches RETURNING 1) SELECT FROM gone",
        "MERGE INTO batches USING items ON false WHEN MATCHED THEN DELETE",
        "CREATE TABLE workshop.pointing (batch integer REFERENCES public.batches (id))",
        "CREATE TABLE workshop.heir () INHERITS (public.batches)",
        (
            "CREATE TRIGGER mine BEFORE INSERT ON batches FOR EACH ROW EXECUTE FUNCTION"
            " proxy_orchestration_auth.check_attribution()"
        ),
        "CREATE RULE mine AS ON SELECT TO batches DO INSTEAD SELECT 1",
        "CREATE INDEX mine ON activities (notes)",
        "ALTER TABLE batches OWNER TO authenticated",
        "GRANT SELECT ON batches TO anon",
        "CREATE TABLE proxy_orchestration_auth.mine ()",
        "SELECT pg_read_file('PG_VERSION')",
        "SET LOCAL SESSION AUTHORIZATION tester",
    ],
)
def test_no_other_statement_is_a_way_in(world: World, statement: str) -> None:
    """
    Each needs a right that clients do not have.
    """
    with _prepared(world) as connection:
        assert DENIED == fate(connection, statement)


def test_the_planner_s_statistics_tell_nothing_of_others(world: World) -> None:
    """
    They hold frequent values, and are hidden where policies are at work.
    """
    query = "SELECT tablename FROM pg_stats WHERE tablename IN ('batches', 'activities')"
    with world.login("tester") as connection:
        connection.execute("ANALYZE batches, activities")
        known = rows(connection, query)
        become(connection, "authenticated", MINE)
        seen = rows(connection, query)

    assert {"batches", "activities"} == set(known)
    assert [] == seen
