"""
Messages that were dead before this version are listed too, and the list finds them by its index.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event

from proxy_orchestration.notification.notices import PushState
from proxy_orchestration.notification.records import DIGEST_PREFIX_LENGTH
from proxy_orchestration.storage.sql import SqlNotificationRepository, create_schema
from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS
from proxy_orchestration.testing.contracts.notification.samples import (
    HOLD,
    MORNING,
    WARNING,
    chunk_of,
    claimed,
    coordinator,
    draft_of,
    ended,
)

pytestmark = pytest.mark.one_loop


async def test_what_was_dead_before_is_listed(tmp_path: Path) -> None:
    """
    Earlier revisions noted no claim of it: its due time stands for that.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    create_schema(engine)
    store = SqlNotificationRepository(engine)
    await store.record(chunk_of(draft_of()))
    module = ScriptDirectory(str(MIGRATIONS)).get_revision("0018").module
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE push_outbox SET state = 'dead', code = 'why'")
        with Operations.context(MigrationContext.configure(connection)):
            module.downgrade()
            module.upgrade()

    (dead,) = await store.dead_pushes(organization_id="org-1", after=None, limit=9)
    engine.dispose()

    assert ("why", MORNING + timedelta(hours=1)) == (dead.code, dead.claimed_at)


async def test_a_digest_that_an_earlier_version_opened_is_its_organization_s(tmp_path: Path) -> None:
    """
    Its id had nothing before that of the notice.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    create_schema(engine)
    store = SqlNotificationRepository(engine)
    await store.record(chunk_of(draft_of("mentor-1", WARNING, coordinator(), pushed=False)))
    (digest,) = await claimed(store, at=MORNING + HOLD)
    await store.complete_pushes([ended(digest, PushState.DEAD, code="why")])
    new = await store.dead_pushes(organization_id="org-1", after=None, limit=9)
    with engine.begin() as connection:
        earlier = f"digest:{digest.message.message_id[DIGEST_PREFIX_LENGTH:]}"
        connection.exec_driver_sql("UPDATE push_outbox SET message_id = ?", (earlier,))
    old = await store.dead_pushes(organization_id="org-1", after=None, limit=9)
    engine.dispose()

    assert [digest.message.message_id] == [each.message_id for each in new]
    assert [earlier] == [each.message_id for each in old]
    assert "org-1" == old[0].organization_id


async def test_the_list_walks_through_dead_messages_only(tmp_path: Path) -> None:
    """
    A partial index, in the order of the list; the organization is looked up by the notice's id.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'store.db'}")
    create_schema(engine)
    plans: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def explain(connection, _cursor, statement, values, *_rest) -> None:
        if "SELECT push_outbox" in statement:
            raw = connection.connection.driver_connection.cursor()
            plans.extend(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", values))

    store = SqlNotificationRepository(engine)
    await store.dead_pushes(organization_id="org-1", after=(MORNING, "x"), limit=9)
    engine.dispose()

    assert any("push_outbox USING INDEX ix_push_outbox_dead" in plan for plan in plans), plans
    assert any("SEARCH notifications USING INDEX sqlite_autoindex_notifications_1" in plan for plan in plans)
    assert not any("TEMP B-TREE" in plan for plan in plans)
