"""
A deploy in the middle of its way: this build and the next one serve one database.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("psycopg")

from sqlalchemy import URL, create_engine

import proxy_orchestration
from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkStatus,
    ProxyActivity,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.access import Visibility
from proxy_orchestration.errors import SchemaVersionError
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema
from proxy_orchestration.storage.sql.database.versions import REVISIONS

if TYPE_CHECKING:
    from postgres_server.databases import Databases

pytestmark = pytest.mark.postgresql(asyncio_only=True)

_HERE: Final = Path(proxy_orchestration.__file__).parent
_NEXT: Final = f"{int(REVISIONS[-1]) + 1:04}"
_COORDINATOR: Final = Actor(user_id="coord-119", roles={Role.COORDINATOR}, organization_id="chapter-oslo")
_MIGRATION: Final = f"""
import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible

revision = "{_NEXT}"
down_revision = "{REVISIONS[-1]}"
compatible_from = "{REVISIONS[-1]}"


def upgrade():
    op.add_column("runs", sa.Column("weight", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("batches", sa.Column("shade", sa.Text(), nullable=True))
    op.create_index("ix_batches_shade", "batches", ["shade", "id"])
    declare_compatible(op.get_bind(), compatible_from)
"""
_SCHEMA: Final = """
runs.append_column(Column("weight", Integer, nullable=False, server_default="1"))
batches.append_column(Column("shade", Text))
Index("ix_batches_shade", batches.c.shade, batches.c.id)
"""
_SERVE: Final = """
import sys

import anyio
from anyio import to_thread

from proxy_orchestration import BulkRegistrationOrchestrator, StandardRegistrationService
from proxy_orchestration.storage.sql import SqlActivityRepository


async def main():
    async with SqlActivityRepository.open(sys.argv[1], migrate=False) as repository:
        orchestrator = BulkRegistrationOrchestrator(
            registration_service=StandardRegistrationService(repository=repository), repository=repository
        )
        async with anyio.create_task_group() as serving:
            await serving.start(orchestrator.serve)
            print("serving", flush=True)
            await to_thread.run_sync(sys.stdin.readline)
            serving.cancel_scope.cancel()


anyio.run(main)
"""
_MIGRATE: Final = """
import sys

from proxy_orchestration.storage.sql import create_schema
from proxy_orchestration.storage.sql.database.engines import open_engine

engine = open_engine(sys.argv[1])
create_schema(engine)
engine.dispose()
"""


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """
    Where this build is imported from, and a next one whose schema is one revision newer.
    """
    folder = tmp_path_factory.mktemp("next")
    package = shutil.copytree(_HERE, folder / _HERE.name, ignore=shutil.ignore_patterns("__pycache__"))
    sql = package / "storage" / "sql"
    (sql / "migrations" / "versions" / f"{_NEXT}_next.py").write_text(_MIGRATION, encoding="utf-8")
    versions = sql / "database" / "versions.py"
    text = versions.read_text(encoding="utf-8")
    newest = re.compile(rf'(?<=REVISIONS: Final = )\([^)]*"{REVISIONS[-1]}",?\s*\)')
    assert 1 == len(newest.findall(text))
    versions.write_text(newest.sub(repr((*REVISIONS, _NEXT)), text), encoding="utf-8")
    with (sql / "schema.py").open("a", encoding="utf-8") as schema:
        schema.write(_SCHEMA)
    return {"this": _HERE.parent, "next": folder}


def _environment(build: Path) -> dict[str, str]:
    # A copy of the package would count as lines that nobody tests.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return {**inherited, "PYTHONPATH": str(build)}


@contextmanager
def _running(build: Path, script: str, url: URL) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", script, url.render_as_string(hide_password=False)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment(build)
    ) as process:
        try:
            yield process
        finally:
            process.communicate("\n", timeout=LONGEST_WAIT)
    assert 0 == process.returncode


@contextmanager
def _serving(build: Path, url: URL) -> Iterator[None]:
    with _running(build, _SERVE, url) as process:
        assert process.stdout is not None
        assert "serving\n" == process.stdout.readline()
        yield


def _migrated(build: Path, url: URL) -> None:
    with _running(build, _MIGRATE, url):
        pass


@pytest.fixture
async def host(postgresql: Databases) -> AsyncIterator[SqlActivityRepository]:
    """
    The store of a process that only submits and looks on, of this build.
    """
    async with SqlActivityRepository.open(postgresql.new(), migrate=False) as repository:
        yield repository


async def _settled(host: SqlActivityRepository, number: int) -> BulkStatus:
    """
    Submit a batch, and return its status when whoever serves has settled it.
    """
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=StandardRegistrationService(repository=host), repository=host
    )
    activity = ProxyActivity(
        activity_type=f"visit {number}", activity_date=datetime.now(UTC).date(), duration_minutes=45
    )
    request = BulkRegistrationRequest.for_mentors([f"mentor-{one}" for one in range(20)], activity)
    with anyio.fail_after(LONGEST_WAIT):
        accepted = await orchestrator.submit_bulk_registration(request, actor=_COORDINATOR, drive=False)
        async with orchestrator.watch_batch(accepted.batch_id, actor=_COORDINATOR) as run:
            async for _ in run:
                pass
    return run.result.status


async def test_two_builds_serve_one_database(
    postgresql: Databases, builds: dict[str, Path], host: SqlActivityRepository
) -> None:
    """
    Before the upgrade, through it, on the new schema alone, together and after; each record is there once.
    """
    url = host.engine.url
    statuses = []
    with _serving(builds["this"], url):
        statuses.append(await _settled(host, 1))
        _migrated(builds["next"], url)  # while the old build serves
        statuses.append(await _settled(host, 2))
        with _serving(builds["next"], url):
            statuses += [await _settled(host, number) for number in range(3, 7)]
    with _serving(builds["next"], url):
        statuses.append(await _settled(host, 7))
    with _serving(builds["this"], url):  # an old process that starts again, as after a crash
        statuses.append(await _settled(host, 8))
    registered = postgresql.execute(
        url.database, "SELECT count(*), count(DISTINCT registration_id) FROM activities"
    )
    stamped = postgresql.execute(url.database, "SELECT version_num FROM proxy_orchestration_version")

    assert [BulkStatus.SUCCESS] * 8 == statuses
    assert [(160, 160)] == list(registered)
    assert [(_NEXT,)] == list(stamped)


def test_the_next_build_waits_for_its_schema(postgresql: Databases, builds: dict[str, Path]) -> None:
    """
    Told not to migrate, it stops where the schema is still the old one, and changes nothing.
    """
    url = postgresql.new()
    command = [sys.executable, "-c", _SERVE, url.render_as_string(hide_password=False)]
    done = subprocess.run(
        command,
        env=_environment(builds["next"]),
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_WAIT,
    )

    assert 0 != done.returncode
    assert "SchemaVersionError: The database was made by an older version" in done.stderr
    assert [(REVISIONS[-1],)] == list(
        postgresql.execute(url.database, "SELECT version_num FROM proxy_orchestration_version")
    )


async def test_a_database_without_a_schema_is_left_empty(postgresql: Databases) -> None:
    """
    Where nobody may migrate, the first who opens says what is missing.
    """
    url = postgresql.empty()
    with pytest.raises(SchemaVersionError, match="create_schema"):
        async with SqlActivityRepository.open(url, migrate=False):
            pass

    assert [] == list(postgresql.execute(url.database, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'"))


async def test_a_schema_under_a_prefix_is_upgraded_too(
    postgresql: Databases, builds: dict[str, Path]
) -> None:
    """
    By a revision that is written with the tables' own names.
    """
    url = postgresql.empty()
    where = {"schema": "bulk", "prefix": "own_"}
    async with SqlActivityRepository.open(url, **where):
        pass
    migrate = _MIGRATE.replace("create_schema(engine)", f"create_schema(engine, **{where})")
    with _running(builds["next"], migrate, url):
        pass
    async with SqlActivityRepository.open(url, migrate=False, **where) as repository:
        assert await repository.get("no-such-batch") is None
    columns = postgresql.execute(
        url.database, "SELECT table_name FROM information_schema.columns WHERE column_name = 'weight'"
    )
    indexes = postgresql.execute(
        url.database, "SELECT schemaname, indexname FROM pg_indexes WHERE indexname LIKE '%shade'"
    )

    assert [("own_runs",)] == list(columns)
    assert [("bulk", "own_ix_batches_shade")] == list(indexes)


_HOSTS_TABLE: Final = (
    "CREATE TABLE activities (id integer PRIMARY KEY, held_at timestamptz NOT NULL);"
    "CREATE INDEX ix_activities_by_day ON activities (held_at);"
    "INSERT INTO activities VALUES (1, '2026-03-04T23:30:00+00:00')"
)
_HOSTS_OWN_QUERY: Final = (
    "SELECT id, CAST(CAST(held_at AS date) AS text), current_setting('TimeZone') FROM activities"
)


@pytest.mark.parametrize("where", [{"schema": "bulk"}, {"prefix": "bulk_"}], ids=str)
async def test_a_host_with_activities_of_its_own_notices_no_deploy(
    postgresql: Databases, builds: dict[str, Path], where: dict[str, str]
) -> None:
    """
    Its table, its engine and its sessions in Oslo's time are its own, while two builds serve beside it.
    """
    url = postgresql.empty()
    postgresql.execute(url.database, _HOSTS_TABLE)
    engine = create_engine(url, connect_args={"options": "-c TimeZone=Europe/Oslo"})
    create_schema(engine, **where)
    host = SqlActivityRepository(engine, **where)
    serve = _SERVE.replace("migrate=False", f"migrate=False, **{where}")
    migrate = _MIGRATE.replace("create_schema(engine)", f"create_schema(engine, **{where})")
    own, statuses = [], []

    def look() -> None:
        with engine.connect() as connection:
            own.append(connection.exec_driver_sql(_HOSTS_OWN_QUERY).one())

    look()
    with _running(builds["this"], serve, url) as old:
        assert old.stdout is not None
        assert "serving\n" == old.stdout.readline()
        statuses.append(await _settled(host, 1))
        look()
        with _running(builds["next"], migrate, url):
            pass
        with _running(builds["next"], serve, url) as new:
            assert new.stdout is not None
            assert "serving\n" == new.stdout.readline()
            for number in (2, 3):
                statuses.append(await _settled(host, number))
                look()
    page = await host.list_batches(
        Visibility(organization_id="chapter-oslo"), page=1, limit=9, statuses=[BulkStatus.SUCCESS]
    )
    engine.dispose()

    assert [BulkStatus.SUCCESS] * 3 == statuses
    assert 3 == page.total
    assert [(1, "2026-03-05", "Europe/Oslo")] * 4 == own
