"""
The schema on PostgreSQL: made by many at once, the same by both ways, compared by code point.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest
from waits import LONGEST_WAIT

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("psycopg")

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Engine, create_engine, inspect

from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema, metadata
from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS
from proxy_orchestration.storage.sql.database.versions import _REVISION, REVISIONS, VERSION_TABLE
from proxy_orchestration.testing.contracts.registration.samples import activity_record

if TYPE_CHECKING:
    from postgres_server.databases import Databases

pytestmark = pytest.mark.postgresql(asyncio_only=True)

_RACERS: Final = 3
_RACE: Final = """
import sys
from proxy_orchestration.storage.sql import create_schema
from proxy_orchestration.storage.sql.database.engines import open_engine

sys.stdin.readline()
engine = open_engine(sys.argv[1])
create_schema(engine)
engine.dispose()
"""
_OPTIONS: Final = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
_COLUMNS: Final = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), o.collname, a.attnotnull,
    pg_get_expr(d.adbin, d.adrelid)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_collation o ON o.oid = a.attcollation
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    AND c.relname <> 'proxy_orchestration_version'
UNION ALL
SELECT c.relname, i.relname, pg_get_indexdef(i.oid), NULL, NULL, NULL
FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'proxy_orchestration_version'
UNION ALL
SELECT c.relname, r.conname, pg_get_constraintdef(r.oid), NULL, NULL, NULL
FROM pg_constraint r JOIN pg_class c ON c.oid = r.conrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'proxy_orchestration_version'
ORDER BY 1, 2, 3
"""


@pytest.fixture
def empty(bare_postgresql_url: URL) -> URL:
    """
    Name a database without any table.
    """
    return bare_postgresql_url


@pytest.fixture
def engine(empty: URL) -> Iterator[Engine]:
    """
    A host's own engine over a database without any table.
    """
    engine = create_engine(empty)
    yield engine
    engine.dispose()


def _stamps(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(_REVISION).scalars())


def _definitions(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(_COLUMNS)]


def test_processes_may_create_the_schema_at_once(empty: URL, engine: Engine) -> None:
    """
    All of them succeed, and the schema is there once.
    """
    command = [sys.executable, "-c", _RACE, empty.render_as_string(hide_password=False)]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(_RACERS)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        racer.communicate(timeout=LONGEST_WAIT)

    assert [0] * _RACERS == [racer.returncode for racer in racers]
    assert [REVISIONS[-1]] == _stamps(engine)


@pytest.mark.parametrize("apart", [False, True], ids=["one database", "two databases"])
def test_threads_may_create_the_schema_at_once(postgresql: Databases, empty: URL, *, apart: bool) -> None:
    """
    The migrations speak through something that a whole process has once.
    """
    urls = [empty, postgresql.empty() if apart else empty]
    engines = [create_engine(url) for url in urls for _ in range(2)]
    failed: list[BaseException] = []
    together = threading.Barrier(len(engines))

    def create(engine: Engine) -> None:
        try:
            together.wait(timeout=LONGEST_WAIT)
            create_schema(engine)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    threads = [threading.Thread(target=create, args=(engine,), daemon=True) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=LONGEST_WAIT)
    stamps = [_stamps(engine) for engine in engines]
    for engine in engines:
        engine.dispose()

    assert [] == failed
    assert [[REVISIONS[-1]]] * len(engines) == stamps


def test_both_ways_to_the_schema_say_the_same_to_postgresql(postgresql: Databases, engine: Engine) -> None:
    """
    Migrations and metadata agree on types, collations, defaults, indexes and constraints.
    """
    create_schema(engine)
    declared = create_engine(postgresql.empty())
    metadata.create_all(declared)
    definitions = [_definitions(declared), _definitions(engine)]
    declared.dispose()

    assert definitions[0] == definitions[1]


def test_autogenerate_finds_nothing_to_change(engine: Engine) -> None:
    """
    In a new database; from each older revision it is looked at where both databases are.
    """
    create_schema(engine)
    with engine.connect() as connection:
        assert [] == compare_metadata(MigrationContext.configure(connection, opts=_OPTIONS), metadata)


def test_the_migrations_can_be_taken_back(engine: Engine) -> None:
    """
    A host that leaves finds no table of ours behind but the stamp's.
    """
    create_schema(engine)
    with engine.begin() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            for revision in ScriptDirectory(str(MIGRATIONS)).walk_revisions():
                revision.module.downgrade()

        assert [VERSION_TABLE] == inspect(connection).get_table_names()


def test_every_indexed_text_is_compared_by_code_point(engine: Engine) -> None:
    """
    No order of ours is up to the database's language, and no index to its system's version.
    """
    create_schema(engine)
    with engine.connect() as connection:
        otherwise = connection.exec_driver_sql(
            "SELECT DISTINCT c.relname, a.attname FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(x.indkey)"
            " JOIN pg_collation o ON o.oid = x.indcollation[array_position(x.indkey::int2[], a.attnum)]"
            " WHERE c.relnamespace = 'public'::regnamespace AND o.collname <> 'C'"
        ).all()

    assert [(VERSION_TABLE, "version_num")] == [tuple(row) for row in otherwise]


async def test_the_records_of_a_batch_are_ordered_like_in_every_store(postgresql_url: URL) -> None:
    """
    By code point: capitals first, letters with signs last.
    """
    names = ["a", "B", "z", "Å", "é", "\ufb00", "\U0001f600"]
    records = [activity_record(number, name) for number, name in enumerate(reversed(names))]
    async with SqlActivityRepository.open(postgresql_url) as repository:
        await repository.add_activities(records, atomic=False)
        found = await repository.activities_of_batch("batch-1")

    assert sorted(names) == [record.registration.mentor_id for record in found]
