"""
The one end of a mentor and type that was known before ends had ids, under this version's code.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine

from proxy_orchestration.notification.records import DraftState
from proxy_orchestration.storage.sql import SqlNotificationRepository, create_schema
from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS
from proxy_orchestration.storage.sql.database.versions import VERSION_TABLE
from proxy_orchestration.testing.contracts.notification.samples import (
    ANOTHER,
    ENDS,
    MORNING,
    RENEWED,
    chunk_of,
    draft_of,
    end_of,
    states_of,
)

pytestmark = pytest.mark.one_loop


_BEFORE: Final = "0016"
_KNOWN: Final = {"mentor-1": RENEWED.isoformat(), "mentor-2": ENDS.isoformat(), "mentor-3": None}


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql(asyncio_only=True))]
)
def upgraded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """
    A database of the revision before, brought up to date.
    """
    url: Any = f"sqlite:///{tmp_path / 'old.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("bare_postgresql_url")
    engine = create_engine(url)
    with engine.begin() as connection:
        _migrate(connection, _BEFORE)
        for mentor_id, ends_at in _KNOWN.items():
            end = "NULL" if ends_at is None else f"'{ends_at}'"
            row = f"'{mentor_id}', 'first_aid', {end}"
            connection.exec_driver_sql(
                f"INSERT INTO expiry_guards (mentor_id, certificate_type, ends_at) VALUES ({row})"  # noqa: S608 - our own
            )
    create_schema(engine)
    yield engine
    engine.dispose()


def _migrate(connection: Connection, revision: str, *, back: bool = False) -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    steps = script._downgrade_revs if back else script._upgrade_revs
    options = {"version_table": VERSION_TABLE, "fn": lambda now, _context: steps(revision, now)}
    context = MigrationContext.configure(connection, opts=options)
    with Operations.context(context):
        context.run_migrations()


async def test_what_was_known_still_counts_until_it_has_a_name(upgraded: Engine) -> None:
    """
    A renewal known before the upgrade silences the old certificate; it can be revoked once it was seen.
    """
    store = SqlNotificationRepository(upgraded)
    drafts = chunk_of(*(draft_of(mentor_id) for mentor_id in _KNOWN))
    states = [DraftState.STALE, DraftState.CREATED, DraftState.CREATED]
    assert states == await states_of(store, drafts)
    await store.record(chunk_of(ends=[end_of(of=ANOTHER)]))
    await store.record(chunk_of(ends=[end_of(ends_at=None, of=ANOTHER)]))

    again = await states_of(store, chunk_of(draft_of(), at=MORNING + timedelta(days=1)))
    assert [DraftState.CREATED] == again


async def test_the_upgrade_can_be_taken_back(upgraded: Engine) -> None:
    """
    The end that counts is the one that is known then, also of whom nobody was told anything.
    """
    store = SqlNotificationRepository(upgraded)
    await store.record(chunk_of(ends=[end_of("mentor-2", of=ANOTHER), end_of("mentor-4", ENDS)]))
    with upgraded.begin() as connection:
        _migrate(connection, _BEFORE, back=True)
        rows = connection.exec_driver_sql("SELECT mentor_id FROM expiry_guards WHERE ends_at IS NOT NULL")
        assert ["mentor-1", "mentor-2", "mentor-4"] == sorted(row[0] for row in rows)
    create_schema(upgraded)

    left = await store.counted_in({(None, "first_aid")}, after=None, limit=9)
    assert {"mentor-1": RENEWED, "mentor-2": RENEWED, "mentor-4": ENDS} == {
        end.mentor_id: end.ends_at for end in left
    }
