"""
Batches from before revision 0024 have no trace context, and are driven like others.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from proxy_orchestration.registration.runs import Lease
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema
from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS
from proxy_orchestration.testing.contracts.registration.samples import accepted, batch_of, lease_of

pytestmark = pytest.mark.one_loop


async def test_a_batch_from_before_has_no_context_and_a_new_one_keeps_its_own(tmp_path: Path) -> None:
    """
    Also where the code of the revision before accepts one, which knows nothing of the column.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    create_schema(engine)
    store = SqlActivityRepository(engine)
    before = await accepted(store, batch_of(1, trace_context="00-gone"))
    module = ScriptDirectory(str(MIGRATIONS)).get_revision("0024").module
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        module.downgrade()
        module.upgrade()
    after = await accepted(store, batch_of(1, trace_context="00-kept"))
    first, second = [await lease_of(store, each) for each in (before, after)]
    engine.dispose()

    assert [None, "00-kept"] == [lease.trace_context for lease in (first, second)]


async def test_every_way_to_a_lease_tells_the_context(tmp_path: Path) -> None:
    """
    Accepted and begun at once, begun by itself, or taken with others.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'new.db'}")
    create_schema(engine)
    store = SqlActivityRepository(engine)
    _, at_once = await store.accept_and_begin(batch_of(1, trace_context="00-a"), ttl=9, claim=1, called=1)
    begun = await store.begin(
        await accepted(store, batch_of(1, trace_context="00-b")), 1, ttl=9, claim=1, called=1
    )
    await accepted(store, batch_of(1, trace_context="00-c"))
    (taken,) = await store.take_free_runs(limit=9, ttl=9, claim=1, called=1)
    engine.dispose()

    assert isinstance(begun, Lease)
    assert at_once is not None
    assert ["00-a", "00-b", "00-c"] == [each.trace_context for each in (at_once, begun, taken)]
