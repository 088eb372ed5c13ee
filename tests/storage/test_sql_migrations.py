"""
The shipped migrations make the schema that the code speaks to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect

from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.registration.activities import ActivityRecord, ProxyRegistration
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema, metadata
from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS
from proxy_orchestration.storage.sql.database.versions import VERSION_TABLE
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    COORDINATOR,
    NOON,
    accepted,
    batch_of,
)

_BETWEEN_PARTS = re.compile(r",(?![^()]*\))|(?<=[a-z]) \(|\)(?= WITHOUT|$)")  # not the commas in brackets


@pytest.fixture
def migrated(tmp_path: Path) -> Iterator[Engine]:
    """
    A database that the migrations made.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    create_schema(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def declared(tmp_path: Path) -> Iterator[Engine]:
    """
    A database that the metadata made, as a host's own migrations would.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


def _definitions(engine: Engine) -> dict[str, list[str]]:
    """
    Return the parts of each table's and index's definition, whatever their order.
    """
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    return {
        name: sorted(part.strip() for part in _BETWEEN_PARTS.split(" ".join(sql.split())))
        for name, sql in rows
        if name != VERSION_TABLE
    }


def test_the_migrations_end_where_the_metadata_is(migrated: Engine) -> None:
    """
    Alembic finds nothing that a further migration would have to change.
    """
    options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)

        assert [] == compare_metadata(context, metadata)


def test_both_ways_to_the_schema_say_the_same_to_sqlite(migrated: Engine, declared: Engine) -> None:
    """
    Checks, partial indexes and WITHOUT ROWID too, which the comparison does not see.
    """
    assert _definitions(declared) == _definitions(migrated)


def test_there_is_one_head_and_it_is_stamped(migrated: Engine) -> None:
    """
    The revision stands in a table of our own, beside a host's.
    """
    heads = ScriptDirectory(str(MIGRATIONS)).get_heads()
    with migrated.connect() as connection:
        stamped = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        found = stamped.get_current_heads()

    assert tuple(heads) == found
    assert 1 == len(heads)


async def test_creating_the_schema_again_keeps_the_rows(migrated: Engine) -> None:
    """
    Every start may call it.
    """
    repository = SqlActivityRepository(migrated)
    batch_id = await accepted(repository, batch_of(2))
    create_schema(migrated)

    assert await repository.get(batch_id) is not None


async def test_a_schema_of_the_host_s_own_migrations_is_used_as_it_is(declared: Engine) -> None:
    """
    Without our version table nothing is missing.
    """
    repository = SqlActivityRepository(declared)
    batch_id = await accepted(repository, batch_of(2))

    assert await repository.get(batch_id) is not None


def test_the_first_migration_can_be_taken_back(migrated: Engine) -> None:
    """
    A host that leaves finds no table of ours behind but the stamp's.
    """
    script = ScriptDirectory(str(MIGRATIONS))
    with migrated.begin() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            for revision in script.walk_revisions():
                revision.module.downgrade()

        assert [VERSION_TABLE] == inspect(connection).get_table_names()


async def test_nobody_is_registered_by_oneself(migrated: Engine) -> None:
    """
    The schema has the last word on attribution, whatever a host's service checks.
    """
    registration = ProxyRegistration(
        registration_id="batch-1:coordinator-1",
        idempotency_key="batch-1:coordinator-1:0",
        batch_id="batch-1",
        mentor_id=COORDINATOR.user_id,
        activity=ACTIVITY,
        registered_by=COORDINATOR,
    )
    record = ActivityRecord(activity_id="activity-1", registration=registration, recorded_at=NOON)
    repository = SqlActivityRepository(migrated)

    with pytest.raises(RecordRefusedError):
        await repository.add_activities([record], atomic=False)
    assert [] == await repository.find_activities([registration.registration_id])
