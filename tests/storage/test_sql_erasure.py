"""
Who is erased stands in no row of the database any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import Engine, create_engine, select

from proxy_orchestration.registration.requests import RegistrationEntry
from proxy_orchestration.registration.standard.checks import same_mentor_type_and_day
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema, metadata
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    OVER,
    accepted,
    activity_record,
    batch_of,
    override,
    rerun,
    settle,
)

MENTOR: Final = 'ingrid_50%\\of "Ås"'
LIKE_IT: Final = 'ingridX50 \\of "Ås"'
NOTES: Final = "Seen at home."
NOTED: Final = attrs.evolve(ACTIVITY, notes=NOTES, details={"where": NOTES})
KEY: Final = f"{MENTOR}, second"


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """
    A database of each kind.
    """
    url: Any = f"sqlite:///{tmp_path / 'store.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("bare_postgresql_url")
    engine = create_engine(url)
    create_schema(engine)
    yield engine
    engine.dispose()


def _all_texts(engine: Engine) -> str:
    with engine.connect() as connection:
        rows = [tuple(row) for table in metadata.sorted_tables for row in connection.execute(select(table))]
    return "\n".join(str(value) for row in rows for value in row)


async def _a_history_of(repository: SqlActivityRepository, mentor_id: str, key: str) -> None:
    entries = (RegistrationEntry(mentor_id, NOTED), RegistrationEntry(mentor_id, NOTED, key))
    batch_id = await accepted(repository, batch_of(2, entries=entries))
    failed = [ItemState.FAILED, ItemState.FAILED]
    await settle(repository, batch_id, failed, hold=OVER)
    again = rerun(
        batch_id, [mentor_id, key], activities={key: NOTED}, overrides={mentor_id: override("activity-9")}
    )
    await repository.open_run(again)
    await settle(repository, batch_id, failed, run=2, hold=OVER)
    record = activity_record(mentor_id[:7], mentor_id)
    registration = attrs.evolve(record.registration, activity=NOTED)
    await repository.add_activities(
        [
            attrs.evolve(
                record, registration=registration, duplicate_key=same_mentor_type_and_day(registration)
            )
        ],
        atomic=False,
    )


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_no_row_names_who_was_erased(engine: Engine) -> None:
    """
    Whatever characters the id has, and however it is written in a payload.
    """
    repository = SqlActivityRepository(engine)
    await _a_history_of(repository, MENTOR, KEY)
    before = _all_texts(engine)
    erasure = await repository.erase_mentor("org-1", MENTOR)
    after = _all_texts(engine)

    assert (2, 1, 1) == (erasure.items, erasure.records, erasure.audit_events)
    for text in (MENTOR, json.dumps(MENTOR), NOTES, "The service said no"):
        assert text in before
        assert text not in after
    assert erasure.pseudonym in after


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_is_only_like_them_stays(engine: Engine) -> None:
    """
    An id's wildcards are letters like others.
    """
    repository = SqlActivityRepository(engine)
    await _a_history_of(repository, LIKE_IT, "second")
    erasure = await repository.erase_mentor("org-1", MENTOR)
    export = await repository.export_mentor("org-1", LIKE_IT)

    assert (0, 0, 0) == (erasure.items, erasure.records, erasure.audit_events)
    assert (2, 1, 1) == (len(export.items), len(export.records), len(export.audit_events))
