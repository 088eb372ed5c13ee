"""
Notices and digests of a database that counted by the day, under this version's code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine

from proxy_orchestration.storage.sql import SqlNotificationRepository, create_schema
from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS
from proxy_orchestration.storage.sql.database.versions import VERSION_TABLE
from proxy_orchestration.testing.contracts.notification.samples import ended

pytestmark = pytest.mark.one_loop


_LONG_AGO: Final = "2020-03-04 06:00:00.000000+00:00"
_LATELY: Final = "2200-03-04 06:00:00.000000+00:00"  # not older than 14 days on any day of this test
_MUCH_LATER: Final = datetime(2200, 4, 1, tzinfo=UTC)
_BEFORE: Final = "0011"


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql(asyncio_only=True))]
)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """
    A database of the revision before.
    """
    url: Any = f"sqlite:///{tmp_path / 'old.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("bare_postgresql_url")
    engine = create_engine(url)
    with engine.begin() as connection:
        _migrate(connection, _BEFORE)
    yield engine
    engine.dispose()


def _migrate(connection: Connection, revision: str, *, back: bool = False) -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    steps = script._downgrade_revs if back else script._upgrade_revs
    options = {"version_table": VERSION_TABLE, "fn": lambda now, _context: steps(revision, now)}
    context = MigrationContext.configure(connection, opts=options)
    with Operations.context(context):
        context.run_migrations()


def _insert(connection: Connection, table: str, **row: Any) -> None:
    columns, values = ", ".join(row), ", ".join(f"'{value}'" for value in row.values())
    connection.exec_driver_sql(f"INSERT INTO {table} ({columns}) VALUES ({values})")  # noqa: S608 - our own names


def _notice(
    connection: Connection, name: str, to: str, *, status: str = "pending", at: str = _LATELY
) -> None:
    _insert(
        connection,
        "notifications",
        notification_id=name,
        mentor_id=f"mentor-{name}",
        certificate_type="first_aid",
        threshold_tier="warning_30",
        notification_window_start="2200-03-04",
        audience="coordinator",
        recipient_id=to,
        status=status,
        title="T",
        body="B",
        ends_at="2200-04-01 00:00:00.000000+00:00",
        created_at=at,
        note="",
        digest_date="2200-03-04",
    )


def _digest(connection: Connection, to: str, day: str, state: str) -> None:
    name = f"digest:{to}:{day}"
    _insert(
        connection,
        "push_outbox",
        message_id=name,
        recipient_id=to,
        state=state,
        due_at=f"{day} 06:00:00.000000+00:00",
        token=0,
        attempts=0,
        payload=json.dumps([name, "warning_30", "", "", "certificate-expiry-digest", {}]),
        expires_at=f"{day} 23:00:00.000000+00:00",
        code="",
        digest_date=day,
    )


def _fill(connection: Connection) -> None:
    _notice(connection, "late", "with-an-open-one")
    _notice(connection, "acknowledged", "with-an-open-one", status="acknowledged")
    _notice(connection, "old", "with-an-open-one", at=_LONG_AGO)
    for day in ("2200-03-03", "2200-03-04"):
        _digest(connection, "with-an-open-one", day, "queued")
    _notice(connection, "never-told", "whose-day-ended")
    _digest(connection, "whose-day-ended", "2200-03-04", "expired")
    _notice(connection, "old-too", "told-long-ago", at=_LONG_AGO)
    _digest(connection, "told-long-ago", "2020-03-04", "sent")


async def test_an_upgrade_tells_of_what_waits_and_of_nothing_old(old: Engine) -> None:
    """
    Each recipient with pending notices of the last 14 days has one digest, of those.
    """
    with old.begin() as connection:
        _fill(connection)
    create_schema(old)
    store = SqlNotificationRepository(old)
    leased = await store.claim_pushes(now=_MUCH_LATER, limit=9, hold=600.0)
    counts = {
        push.message.recipient_id: [end.mentor_id for end in push.digest.nearest]
        for push in leased
        if push.digest is not None
    }

    assert {"with-an-open-one": ["mentor-late"], "whose-day-ended": ["mentor-never-told"]} == counts
    assert 2 == await store.complete_pushes([ended(push) for push in leased])
    assert [] == await store.claim_pushes(now=_MUCH_LATER, limit=9, hold=600.0)


async def test_the_upgrade_can_be_taken_back_and_done_again(old: Engine) -> None:
    """
    What waited goes on waiting.
    """
    with old.begin() as connection:
        _fill(connection)
    create_schema(old)
    with old.begin() as connection:
        _migrate(connection, _BEFORE, back=True)
        days = connection.exec_driver_sql(
            "SELECT count(*) FROM push_outbox JOIN notifications USING (recipient_id)"
            " WHERE push_outbox.state = 'queued' AND push_outbox.digest_date = notifications.digest_date"
        ).scalar()
    create_schema(old)
    leased = await SqlNotificationRepository(old).claim_pushes(now=_MUCH_LATER, limit=9, hold=600.0)

    assert days
    assert 2 == len(leased)
