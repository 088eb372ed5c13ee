"""
Who is hidden now, for a host's own queries on PostgreSQL: the view, and the policy on a host's table.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("psycopg")

import psycopg
from client_worlds import MENTORS, World, rows
from sqlalchemy import create_engine

from proxy_orchestration.storage.sql import (
    SqlVisibilityRegistry,
    create_schema,
    hidden_mentors_policy,
    hidden_mentors_view,
    row_level_security,
)
from proxy_orchestration.testing.contracts.notification.samples import end_of

if TYPE_CHECKING:
    from postgres_server.databases import Databases

pytestmark = pytest.mark.postgresql(asyncio_only=True)

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
FAR_AHEAD = datetime(2226, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("where", [{}, {"schema": "Bulk-1", "prefix": "own_"}], ids=str)
async def test_the_view_compares_the_dates_itself(postgresql: Databases, where: dict[str, str]) -> None:
    """
    No run hid anybody: all ends were ahead of the last one.
    """
    engine = create_engine(postgresql.empty())
    try:
        create_schema(engine, **where)
        registry = SqlVisibilityRegistry(engine, **where)
        ends = [end_of("over", LONG_AGO), end_of("ahead", FAR_AHEAD)]
        await registry.track(ends, at=LONG_AGO - timedelta(days=1))
        for _ in range(2):
            with engine.begin() as connection:
                connection.exec_driver_sql(hidden_mentors_view("postgresql", **where))
        view = f'"{where.get("schema", "public")}".{where.get("prefix", "")}hidden_mentors'
        with engine.connect() as connection:
            hidden = connection.exec_driver_sql(f"SELECT mentor_id, ended_at FROM {view}").all()  # noqa: S608 - our own names
    finally:
        engine.dispose()

    assert [("over", LONG_AGO)] == hidden


def test_a_client_reads_no_hidden_mentor_in_a_host_s_table(world: World) -> None:
    """
    Under forced row-level security, also once our script ran again; nothing else of the registry is read.
    """
    lapsed = sorted({mentors[0] for mentors in MENTORS.values()})
    with world.login("tester") as connection:
        # Not SET ROLE: a superuser who logged in would be lent the owner's rights.
        connection.execute(f"SET SESSION AUTHORIZATION {world.owner}")
        connection.execute("CREATE TABLE profiles AS SELECT unnest(%s::text[]) AS id", [[*lapsed, "valid"]])
        connection.execute("GRANT SELECT ON profiles TO authenticated")
        for _ in range(2):
            connection.execute(hidden_mentors_view("postgresql"))
            connection.execute(hidden_mentors_policy("profiles", "id"))
            connection.execute(row_level_security())
        connection.execute("CREATE POLICY everybody ON profiles FOR SELECT TO authenticated USING (true)")
        connection.execute("SET SESSION AUTHORIZATION authenticated")
        seen = rows(connection, "SELECT mentor_id FROM hidden_mentors")
        shown = rows(connection, "SELECT id FROM profiles")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM mentor_visibility")

    assert (lapsed, ["valid"]) == (seen, shown)
