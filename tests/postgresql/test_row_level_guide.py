"""
What the guide shows works, and what it lists is complete.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest

pytest.importorskip("psycopg")

from client_worlds import World, become, claims, rows

from proxy_orchestration.storage.sql import metadata, row_level_security
from proxy_orchestration.storage.sql.database.versions import VERSION_TABLE

pytestmark = pytest.mark.postgresql

GUIDE: Final = (Path(__file__).parents[2] / "docs" / "guide-row-level-security.md").read_text(
    encoding="utf-8"
)


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def test_the_guide_s_table_names_every_table_once() -> None:
    """
    A reader finds each of them, in the group that it belongs to.
    """
    table = GUIDE.partition("| Tables |")[2].partition("\n\n")[0]
    names = [name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])]

    assert sorted([*metadata.tables, VERSION_TABLE]) == sorted(names)


def test_the_claims_of_the_guide_say_who_acts(world: World) -> None:
    """
    On Supabase, the same person as its own function says.
    """
    (told,) = _blocks("json")
    with world.request("authenticated", told) as connection:
        (found,) = connection.execute(
            "SELECT proxy_orchestration_auth.uid(), proxy_orchestration_auth.organization_id(),"
            " proxy_orchestration_auth.roles()"
        )
        own = rows(connection, "SELECT auth.uid()::text") if world.name == "supabase" else [found[0]]

    assert (json.loads(told)["sub"], "chapter-oslo", ["coordinator"]) == found
    assert [found[0]] == own


def test_the_guide_s_narrower_line_holds_and_stays(world: World) -> None:
    """
    A coordinator sees the own batches, a chapter admin all, also after the script was run again.
    """
    grants, policy = _blocks("sql")
    with world.login("tester") as connection:
        connection.execute("CREATE ROLE the_login_of_the_library")
        connection.execute("CREATE ROLE the_login_of_postgrest")
        connection.execute(grants)
        connection.execute(policy)
        connection.execute(row_level_security())
        seen = {}
        for user_id, role in [("coord-120", "coordinator"), ("admin-3", "chapter_admin")]:
            become(connection, "authenticated", claims(user_id, role))
            seen[user_id] = rows(connection, "SELECT coordinator_id FROM batches")
            seen[f"{user_id}, items"] = rows(connection, "SELECT mentor_id FROM items")
            connection.execute("RESET ROLE")

    assert ["coord-120"] == seen["coord-120"]
    assert ["coord-119", "coord-120"] == seen["admin-3"]
    assert (2, 5) == (len(seen["coord-120, items"]), len(seen["admin-3, items"]))
