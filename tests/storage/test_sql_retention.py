"""
An audit event stays what it was when it was stored, whoever speaks to the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import IntegrityError

from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema, metadata
from proxy_orchestration.testing.contracts.registration.samples import OVER, later, settled_batch


@pytest.fixture(
    params=[
        f"{database}, {made}" for database in ("sqlite", "postgresql") for made in ("migrated", "declared")
    ]
)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """
    A database whose tables the migrations made, or the metadata, as a host's own migrations would.
    """
    database, made = request.param.split(", ")
    url: Any = f"sqlite:///{tmp_path / 'store.db'}"
    if database == "postgresql":
        url = request.getfixturevalue("bare_postgresql_url")
    engine = create_engine(url)
    if made == "migrated":
        create_schema(engine)
    else:
        metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET payload = '{}'",
        "UPDATE audit_events SET event_id = 'another'",
        "UPDATE audit_events SET further = '{}'",
        "UPDATE audit_events SET payload = '{}', erasures = erasures + 2",
    ],
)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_says_no_word_changes_no_event(engine: Engine, statement: str) -> None:
    """
    A mistake in a host's own SQL is an error, and the event stays.
    """
    repository = SqlActivityRepository(engine)
    await settled_batch(repository, ItemState.SUCCEEDED, hold=OVER)

    refused = pytest.raises(IntegrityError, match="kept as it was stored")
    with refused, engine.begin() as connection:
        connection.exec_driver_sql(statement)

    (event,) = await repository.claim_audit_events(limit=9, hold=OVER)
    assert 1 == event.total


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_event_is_held_delivered_and_let_go_of(engine: Engine) -> None:
    """
    What the library does with an event passes; an erasure that counts itself does too.
    """
    repository = SqlActivityRepository(engine)
    await settled_batch(repository, ItemState.SUCCEEDED, hold=OVER)
    (event,) = await repository.claim_audit_events(limit=9, hold=OVER)
    await repository.mark_audited(event.event_id)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE audit_events SET further = '{}', erasures = erasures + 1")

    assert 1 == await repository.purge_audit_events(settled_before=later(9))
    with engine.connect() as connection:
        assert 0 == connection.exec_driver_sql("SELECT count(*) FROM audit_events").scalar_one()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_many_events_go_in_many_short_transactions(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Each look goes on behind the one before, whether it removed something or not.
    """
    monkeypatch.setattr("proxy_orchestration.storage.sql.registration.repository._EVENTS_AT_ONCE", 2)
    repository = SqlActivityRepository(engine)
    for number in range(5):
        await settled_batch(repository, ItemState.SUCCEEDED, at=later(number % 2), hold=OVER)
    for event in await repository.claim_audit_events(limit=9, hold=OVER):
        await repository.mark_audited(event.event_id)

    assert 3 == await repository.purge_audit_events(settled_before=later(1))
    assert 2 == await repository.purge_audit_events(settled_before=later(2))


def test_tables_under_a_prefix_are_guarded_too(tmp_path: Path) -> None:
    """
    Beside those without one, in one database.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'store.db'}")
    create_schema(engine)
    create_schema(engine, prefix="bulk_")
    found = "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' ORDER BY tbl_name"
    with engine.connect() as connection:
        guarded = connection.exec_driver_sql(found).scalars().all()
    engine.dispose()

    assert ["audit_events", "bulk_audit_events"] == guarded
