from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from client_worlds import World
    from pooler import Pooler
    from postgres_server.databases import Databases
    from supabase_project import Project


# Of the session, so that all tests of one world run before the other one's roles exist.
@pytest.fixture(scope="session", params=["plain", "supabase"])
def world(request: pytest.FixtureRequest, postgresql: Databases) -> World:
    """
    A database with clients: a PostgreSQL of one's own, and one as Supabase sets it up.
    """
    from client_worlds import open_world  # noqa: PLC0415 - needs the driver

    return open_world(postgresql, request.param)


@pytest.fixture(scope="session")
def poolers(postgresql: Databases) -> Iterator[Callable[..., Pooler]]:
    """
    Start PgBouncers before this worker's server, one for each kind of settings; skip where there is none.
    """
    from pooler import PoolerFailedError, running_pooler  # noqa: PLC0415 - needs the driver

    with ExitStack() as running:

        @cache
        def start(**settings: str | int) -> Pooler:
            try:
                return running.enter_context(running_pooler(postgresql.socket_folder, **settings))
            except PoolerFailedError as error:
                if os.environ.get("CI"):
                    raise  # there it must not skip in silence
                pytest.skip(str(error))

        yield start


@pytest.fixture(scope="session")
def supabase(postgresql: Databases) -> Iterator[Project]:
    """
    Start a PostgREST before a database of its own; skip where there is none.
    """
    pytest.importorskip("httpx")
    from postgrest import GatewayFailedError  # noqa: PLC0415 - needs the driver
    from supabase_project import running_project  # noqa: PLC0415 - as above

    try:
        with running_project(postgresql) as project:
            yield project
    except GatewayFailedError as error:
        if os.environ.get("CI"):
            raise  # there it must not skip in silence
        pytest.skip(str(error))


@pytest.fixture
def project(supabase: Project) -> Project:
    """
    The same, without rows.
    """
    supabase.empty()
    return supabase
