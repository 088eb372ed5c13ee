"""
Several services over one database: each takes up what it accepted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text

from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema
from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS
from proxy_orchestration.storage.sql.database.versions import VERSION_TABLE
from proxy_orchestration.testing.contracts.registration.samples import (
    batch_of,
    claim,
    ended,
    later,
    lease_of,
    store,
)

_FILE_KEY = "file-" + 64 * "a"
_BATCH = text(
    "INSERT INTO batches (id, batch_id, organization_id, coordinator_id, total, submitted_at, run) "
    "VALUES (:id, :batch_id, 'oslo', 'anna', 1, '2026-01-01T00:00:00+00:00', 1)"
)
_KEY = text(
    "INSERT INTO batch_keys (organization_id, coordinator_id, idempotency_key, fingerprint, batch_id) "
    "VALUES ('oslo', 'anna', :key, 'f', :batch_id)"
)


async def _accepted(repository: SqlActivityRepository, name: str | None) -> str:
    return (await repository.accept(batch_of(1, service_name=name))).batch_id


@pytest.mark.anyio
async def test_a_batch_keeps_the_name_it_was_accepted_under(tmp_path: Path) -> None:
    """
    Or none.
    """
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'a.db'}") as repository:
        named = await repository.get(await _accepted(repository, "a"))
        nameless = await repository.get(await _accepted(repository, None))

    assert named is not None
    assert nameless is not None
    assert ("a", None) == (named.service_name, nameless.service_name)


@pytest.mark.anyio
@pytest.mark.parametrize("due_only", [False, True])
async def test_recovery_of_one_service_finds_its_own_runs(tmp_path: Path, *, due_only: bool) -> None:
    """
    However many others wait before them; who asks for all gets all.
    """
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'a.db'}") as repository:
        others = [await _accepted(repository, name) for name in ("b", None, "b")]
        own = await _accepted(repository, "a")
        scoped = repository.only_accepted_by("a")

        found = await scoped.find_drivable(limit=1, due_only=due_only)
        everything = await repository.find_drivable(limit=10, due_only=due_only)

    assert [own] == [run.batch_id for run in found]
    assert {*others, own} == {run.batch_id for run in everything}


@pytest.mark.anyio
async def test_audit_events_go_to_the_service_of_their_batch(tmp_path: Path) -> None:
    """
    Another one neither holds them nor waits for them.
    """
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'a.db'}") as repository:
        for name in ("a", None):
            await _settled(repository, await _accepted(repository, name))
        own, other = repository.only_accepted_by("a"), repository.only_accepted_by("b")

        assert await other.audit_wait() is None
        assert [] == await other.claim_audit_events(limit=10, hold=60.0)
        assert 0.0 == await own.audit_wait()
        assert 1 == len(await own.claim_audit_events(limit=10, hold=60.0))
        assert 1 == len(await repository.claim_audit_events(limit=10, hold=60.0))


async def _settled(repository: Any, batch_id: str) -> None:
    lease = await lease_of(repository, batch_id)
    await store(repository, lease, *(ended(item) for item in await claim(repository, lease, 1)))
    await repository.settle(lease, settled_at=later(60), audit_hold=0.0)


def test_an_upgrade_names_what_the_command_line_accepted(tmp_path: Path) -> None:
    """
    Known by the keys that it makes of files; whoever gave a key of their own stays without a name.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    _made(engine, "0011")
    with engine.begin() as connection:
        for number, key in enumerate((_FILE_KEY, "own", "file-1", None)):
            connection.execute(_BATCH, {"id": number, "batch_id": f"b{number}"})
            if key is not None:
                connection.execute(_KEY, {"batch_id": f"b{number}", "key": key})
    create_schema(engine)
    with engine.connect() as connection:
        names = connection.execute(text("SELECT service_name FROM batches ORDER BY id")).scalars().all()
    engine.dispose()

    assert ["proxy-orchestration", None, None, None] == names


def _made(engine: Engine, revision: str) -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    with engine.begin() as connection:
        options = {"version_table": VERSION_TABLE, "fn": lambda at, _: script._upgrade_revs(revision, at)}
        context = MigrationContext.configure(connection, opts=options)
        with Operations.context(context):
            context.run_migrations()
