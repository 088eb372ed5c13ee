from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from client_worlds import World
    from postgres_server.databases import Databases


# Of the session, so that all tests of one world run before the other one's roles exist.
@pytest.fixture(scope="session", params=["plain", "supabase"])
def world(request: pytest.FixtureRequest, postgresql: Databases) -> World:
    """
    A database with clients: a PostgreSQL of one's own, and one as Supabase sets it up.
    """
    from client_worlds import open_world  # noqa: PLC0415 - needs the driver

    return open_world(postgresql, request.param)
