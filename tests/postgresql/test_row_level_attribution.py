"""
Who an activity is attributed to, whatever a host grants.
"""

# ruff: noqa: S608 - the statements are of names in this file and of our own tables

from __future__ import annotations

import json
from typing import Any, Final

import pytest

pytest.importorskip("psycopg")

import psycopg
from client_worlds import BERGEN, OSLO, World, become, claims, fate
from psycopg.types.json import Jsonb

pytestmark = pytest.mark.postgresql

DENIED: Final = "42501"
HONEST: Final = {
    "activity_id": "a",
    "registration_id": "r",
    "idempotency_key": "k",
    "batch_id": "b",
    "organization_id": OSLO,
    "registered_by": "coord-119",
    "registered_by_roles": "coordinator",
    "attributed_to": "mentor-1",
    "activity_type": "walk",
    "activity_date": "2026-11-02",
    "duration_minutes": 30,
    "notes": "",
    "details": "{}",
    "recorded_at": "2026-11-02T12:00:00Z",
}
FORGED: Final = [
    {"registered_by": "coord-120"},
    {"registered_by": ""},
    {"organization_id": BERGEN},
    {"registered_by": "mentor-1", "attributed_to": "coord-119"},
]
REGISTER: Final = "SELECT register(%s)"
MINE: Final = claims("coord-119", "coordinator")


def _insert(row: dict[str, Any]) -> str:
    told = json.dumps(row)
    return f"INSERT INTO activities SELECT * FROM jsonb_populate_record(NULL::activities, '{told}')"


def _open_the_door(connection: psycopg.Connection[Any]) -> None:
    """
    Let clients write activities, as a host might that wants to save itself a service.
    """
    connection.execute("GRANT ALL ON activities TO authenticated")
    connection.execute(
        "CREATE POLICY everybody ON activities TO authenticated USING (true) WITH CHECK (true)"
    )


@pytest.mark.parametrize("changed", FORGED, ids=str)
def test_a_client_that_may_write_cannot_write_in_another_s_name(
    world: World, changed: dict[str, str]
) -> None:
    """
    Neither as another person nor in another organization, though a grant and a policy let it.
    """
    with world.login("tester") as connection:
        _open_the_door(connection)
        become(connection, "authenticated", MINE)
        refused = fate(connection, _insert(HONEST | changed))
        written = fate(connection, _insert(HONEST))

    assert (DENIED, 1) == (refused, written)


@pytest.mark.parametrize(
    "told",
    ["", "{}", claims("coord-119", "peer_mentor"), claims("coord-119")],
    ids=["no token", "empty", "mentor", "no role"],
)
def test_a_client_that_is_no_coordinator_registers_nothing(world: World, told: str) -> None:
    """
    Also with an identity and an organization that would fit.
    """
    with world.login("tester") as connection:
        _open_the_door(connection)
        become(connection, "authenticated", told)

        assert DENIED == fate(connection, _insert(HONEST))


def test_nobody_registers_for_oneself(world: World) -> None:
    """
    The schema refuses that by itself.
    """
    with world.login("tester") as connection:
        _open_the_door(connection)
        become(connection, "authenticated", MINE)

        assert "23514" == fate(connection, _insert(HONEST | {"attributed_to": "coord-119"}))


def test_a_record_that_exists_is_not_moved_to_another(world: World) -> None:
    """
    A client changes neither who registered it nor where; what is its own it may correct, if granted.
    """
    with world.login("tester") as connection:
        _open_the_door(connection)
        become(connection, "authenticated", MINE)
        foreign = "UPDATE activities SET registered_by = 'coord-119' WHERE registered_by = 'coord-120'"
        given_away = "UPDATE activities SET registered_by = 'coord-120' WHERE registered_by = 'coord-119'"
        moved = f"UPDATE activities SET organization_id = '{BERGEN}' WHERE registered_by = 'coord-119'"
        corrected = "UPDATE activities SET duration_minutes = 5 WHERE registered_by = 'coord-119'"

        assert [DENIED, DENIED, DENIED, 2] == [
            fate(connection, statement) for statement in (foreign, given_away, moved, corrected)
        ]


def test_a_function_with_its_owner_s_rights_does_not_forge_either(world: World) -> None:
    """
    The token says who acts, also where policies are bypassed, as Supabase's owner of tables does.
    """
    with world.login("tester") as connection:
        connection.execute(f"SET LOCAL ROLE {world.owner}")
        connection.execute(
            "CREATE FUNCTION register(told jsonb) RETURNS void LANGUAGE sql SECURITY DEFINER AS"
            " 'INSERT INTO activities SELECT * FROM jsonb_populate_record(NULL::activities, told)'"
        )
        become(connection, "authenticated", MINE)
        forged = [_registered(connection, HONEST | changed) for changed in FORGED]
        honest = _registered(connection, HONEST)

    assert [DENIED] * len(FORGED) == forged
    assert "written" == honest


def _registered(connection: psycopg.Connection[Any], row: dict[str, Any]) -> str | None:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(REGISTER, (Jsonb(row),))
    except psycopg.Error as error:
        return error.sqlstate
    return "written"


@pytest.mark.parametrize(
    ("world", "role"),
    [
        ("plain", "proxy_orchestration_service"),
        ("supabase", "proxy_orchestration_service"),
        ("supabase", "service_role"),
    ],
    indirect=["world"],
)
def test_a_token_of_the_service_writes_in_anybody_s_name(world: World, role: str) -> None:
    """
    That is how the library comes in through PostgREST.
    """
    with world.login("tester") as connection:
        become(connection, role, json.dumps({"role": role}))

        assert 1 == fate(connection, _insert(HONEST))


@pytest.mark.parametrize(
    "told", [MINE, "{}", '{"sub": "coord-120"}', '{"role": "nobody-here"}', '{"role": "anon"}']
)
def test_the_service_at_work_for_a_client_s_token_attributes_to_that_client(world: World, told: str) -> None:
    """
    Whose token it is counts, even where the role at work may do everything.
    """
    with world.login("tester") as connection:
        become(connection, "proxy_orchestration_service", told)

        assert DENIED == fate(connection, _insert(HONEST | {"registered_by": "coord-120"}))
