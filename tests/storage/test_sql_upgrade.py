"""
A database of the first version, with rows in every table, under this version's code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, func, select
from sqlalchemy.exc import IntegrityError

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.registration.activities import encode_activity
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.requests import RegistrationEntry, SubmissionMode
from proxy_orchestration.registration.runs import Lease
from proxy_orchestration.registration.standard.checks import same_mentor_type_and_day
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema, metadata
from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS
from proxy_orchestration.storage.sql.database.versions import REVISIONS, VERSION_TABLE
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    LONG,
    NOON,
    accepted,
    activity_record,
    batch_of,
    claim,
    items_of,
    later,
    mentors,
    record_of,
    rerun,
    result_of,
)

pytestmark = pytest.mark.one_loop


_AT: Final = NOON.isoformat()
_ACTOR: Final = json.dumps({"user_id": "coordinator-1", "roles": ["coordinator"], "organization_id": "org-1"})
_EVENT: Final[dict[str, Any]] = {
    "event_id": "old-1:run-1",
    "batch_id": "old-1",
    "run": 1,
    "coordinator_id": "coordinator-1",
    "actor_id": "coordinator-1",
    "organization_id": "org-1",
    "status": "partial_success",
    "total": 2,
    "counts": {"succeeded": 1, "failed": 1},
    "settled_at": _AT,
}


def _activity(name: str, mentor_id: str, **changes: object) -> dict[str, object]:
    return {
        "activity_id": name,
        "registration_id": f"{name}:{mentor_id}",
        "idempotency_key": f"{name}:{mentor_id}:0",
        "batch_id": "old-1",
        "organization_id": "org-1",
        "registered_by": "coordinator-1",
        "registered_by_roles": "coordinator",
        "attributed_to": mentor_id,
        "activity_type": ACTIVITY.activity_type,
        "activity_date": ACTIVITY.activity_date.isoformat(),
        "duration_minutes": 45,
        "notes": "«ø»",
        "details": "{}",
        "override_of": None,
        "recorded_at": _AT,
    } | changes


_HEADER: Final = {
    "organization_id": "org-1",
    "coordinator_id": "coordinator-1",
    "label": "Spring",
    "total": 2,
    "submitted_at": _AT,
    "run": 1,
}
_RUN: Final = {
    "run": 1,
    "actor": _ACTOR,
    "opened_at": _AT,
    "run_items": 2,
    "base": 0,
    "claimed": 2,
    "fence": 1,
}
_SETTLED: Final = {"settled_at": _AT, "status": "partial_success", "counts": json.dumps(_EVENT["counts"])}
_OUTCOME: Final = {"batch": 1, "run": 1, "attempts": 1, "settled_at": _AT, "epoch": 0, "in_doubt": False}
_REFUSED: Final = {"state": "failed", "code": "rejected", "message": "No.", "retryable": True}


def _items_of(batch: int) -> list[tuple[str, dict[str, Any]]]:
    item = {"batch": batch, "activity": encode_activity(ACTIVITY)}
    work = {"batch": batch, "run": 1, "epoch": 0, "in_doubt": False}
    return [
        row
        for place, name in enumerate(mentors(2))
        for row in (
            ("items", item | {"position": place, "mentor_id": name}),
            ("work", work | {"position": place + 1, "item": place}),
        )
    ]


_KEY: Final = {
    "organization_id": "org-1",
    "coordinator_id": "coordinator-1",
    "idempotency_key": "night",
    "fingerprint": "0" * 64,
    "batch_id": "old-1",
}
_ROWS: Final[list[tuple[str, dict[str, Any]]]] = [
    ("batch_keys", _KEY),
    ("batches", {"id": 1, "batch_id": "old-1"} | _HEADER),
    ("batches", {"id": 2, "batch_id": "old-2"} | _HEADER),
    *_items_of(1),
    *_items_of(2),
    ("runs", {"batch": 1, "tail": 2} | _RUN | _SETTLED),
    ("runs", {"batch": 2, "tail": 0} | _RUN),
    ("outcomes", _OUTCOME | {"sequence": 1, "item": 0, "state": "succeeded", "activity_id": "a-1"}),
    ("outcomes", _OUTCOME | {"sequence": 2, "item": 1} | _REFUSED),
    (
        "audit_events",
        {"event_id": "old-1:run-1", "payload": json.dumps(_EVENT), "held_until": 0.0, "delivered": False},
    ),
    ("activities", _activity("b-second", "mentor-1", recorded_at=later(2).isoformat())),
    ("activities", _activity("z-first", "mentor-1", recorded_at=later(1).isoformat())),
    ("activities", _activity("c-over", "mentor-1", override_of="z-first")),
    ("activities", _activity("d-second-at-once", "mentor-2")),
    ("activities", _activity("a-first-at-once", "mentor-2")),
    ("activities", _activity("other-organization", "mentor-1", organization_id="org-2")),
    ("activities", _activity("other-day", "mentor-1", activity_date="2026-03-02")),
    ("activities", _activity("other-type", "mentor-1", activity_type="call «ø»")),
    ("activities", _activity("other-mentor", "mentor-æ:1")),
]


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql(asyncio_only=True))]
)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """
    A database that the first version made and filled.
    """
    url: Any = f"sqlite:///{tmp_path / 'old.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("bare_postgresql_url")
    engine = create_engine(url)
    with engine.begin() as connection:
        _upgrade(connection, REVISIONS[0])
        for table, row in _ROWS:
            _insert(connection, table, row)
    yield engine
    engine.dispose()


def _upgrade(connection: Connection, revision: str) -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    options = {
        "version_table": VERSION_TABLE,
        "fn": lambda now, _context: script._upgrade_revs(revision, now),
    }
    context = MigrationContext.configure(connection, opts=options)
    with Operations.context(context):
        context.run_migrations()


def _insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    # The values stand in the statement, so that each database reads them as its own types.
    columns, values = ", ".join(row), ", ".join(map(_literal, row.values()))
    connection.exec_driver_sql(f"INSERT INTO {table} ({columns}) VALUES ({values})")  # noqa: S608 - our own names


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return str(value).upper() if isinstance(value, bool) else f"'{value}'"


@pytest.mark.parametrize("revision", REVISIONS)
async def test_rows_survive_the_upgrade_from_every_revision(old: Engine, revision: str) -> None:
    """
    Also where a host went from one version to the next before; afterwards a mentor takes two activities.

    Old items go by their mentors; a name stands in a batch once, whichever of the two it is.
    """
    with old.begin() as connection:
        _upgrade(connection, revision)
        before = _counts(connection)
    create_schema(old)
    with old.begin() as connection:
        after = _counts(connection)
        _pass_over_the_ids_of_old_rows(connection)
    repository = SqlActivityRepository(old)

    assert before == after
    assert 2 == len((await result_of(repository, "old-1")).outcomes)
    assert 9 == len(await repository.activities_of_batch("old-1"))

    entries = [RegistrationEntry("mentor-1", ACTIVITY, key) for key in (None, "again")]
    batch_id = await accepted(repository, batch_of(2, entries=tuple(entries)))
    found = [(item.mentor_id, item.item_key) for item in await items_of(repository, batch_id)]

    assert list(mentors(2)) == [item.item_key for item in await items_of(repository, "old-1")]
    assert [("mentor-1", "mentor-1"), ("mentor-1", "again")] == found
    row = {"batch": 1, "position": 9, "mentor_id": "mentor-9", "activity": "{}", "item_key": "mentor-1"}
    with old.begin() as connection, pytest.raises(IntegrityError):
        _insert(connection, "items", row)


async def test_an_upgraded_database_has_this_version_s_schema(old: Engine) -> None:
    """
    With rows in it, Alembic finds nothing that a further migration would have to change.
    """
    create_schema(old)
    options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
    with old.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)

        assert [] == compare_metadata(context, metadata)


async def test_an_old_batch_is_independent_and_reviewed(old: Engine) -> None:
    """
    As it was when nothing else existed.
    """
    create_schema(old)
    repository = SqlActivityRepository(old)
    record = await record_of(repository, "old-1")
    result = await result_of(repository, "old-1")

    assert (SubmissionMode.INDEPENDENT, ConflictPolicy.REVIEW) == (record.mode, record.on_conflict)
    assert [ItemState.SUCCEEDED, ItemState.FAILED] == [outcome.state for outcome in result.outcomes]
    assert [None, "rejected"] == [item.code for item in await items_of(repository, "old-1")]
    assert [None, None] == [item.override for item in await items_of(repository, "old-1")]


async def test_an_old_run_goes_on(old: Engine) -> None:
    """
    What was begun is in the lease, without an override; a settled batch takes a further run.
    """
    create_schema(old)
    repository = SqlActivityRepository(old)
    lease = await repository.acquire("old-2", 1, ttl=LONG)
    await repository.open_run(rerun("old-1", mentors(2)[1:]))
    taken = await repository.acquire("old-1", 2, ttl=LONG)

    assert isinstance(lease, Lease)
    assert isinstance(taken, Lease)
    assert [(0, None), (1, None)] == [(work.item, work.override_of) for work in lease.begun]
    assert (SubmissionMode.INDEPENDENT, ConflictPolicy.REVIEW) == (lease.mode, lease.on_conflict)
    assert [(1, 1)] == [(work.item, work.epoch) for work in await claim(repository, taken, 9)]


async def test_an_event_of_the_first_version_is_still_read(old: Engine) -> None:
    """
    Its payload knows no overrides.
    """
    create_schema(old)
    (event,) = await SqlActivityRepository(old).claim_audit_events(limit=9, hold=LONG)

    assert AuditEvent(**(_EVENT | {"settled_at": NOON, "overrides": ()})) == event


async def test_of_old_duplicates_the_first_keeps_the_key(old: Engine) -> None:
    """
    The earliest of them, at the same moment the one of the lower id; no override, nothing of others.
    """
    create_schema(old)
    repository = SqlActivityRepository(old)
    records = await repository.activities_of_batch("old-1")
    keyed = {record.activity_id for record in records if record.duplicate_key is not None}
    first_ones = {"z-first", "a-first-at-once"}
    lone_ones = {"other-organization", "other-day", "other-type", "other-mentor"}

    assert 9 == len(records)
    assert first_ones | lone_ones == keyed
    assert [] == [record.voided_at for record in records if record.voided_at is not None]


async def test_old_keys_are_the_standard_service_s(old: Engine) -> None:
    """
    So that an old record is in the way of a new one that registers the same.
    """
    create_schema(old)
    repository = SqlActivityRepository(old)
    records = [record for record in await repository.activities_of_batch("old-1") if record.duplicate_key]
    new = activity_record("new", "mentor-1", "batch-9")
    new = attrs.evolve(new, duplicate_key=same_mentor_type_and_day(new.registration))
    answers = await repository.add_activities([new], atomic=False)

    assert [same_mentor_type_and_day(record.registration) for record in records] == [
        record.duplicate_key for record in records
    ]
    assert ["z-first"] == [record.activity_id for record in answers]


async def test_an_upgrade_can_be_taken_back_with_its_rows(old: Engine) -> None:
    """
    Down to the first version and up again: nothing that the first version knew is lost.
    """
    create_schema(old)
    script = ScriptDirectory(str(MIGRATIONS))
    with old.begin() as connection:
        before = _counts(connection)
        with Operations.context(MigrationContext.configure(connection)):
            script.get_revision("0002").module.downgrade()
            script.get_revision("0002").module.upgrade()
        after = _counts(connection)
    keyed = await SqlActivityRepository(old).find_duplicates(
        "org-1", [same_mentor_type_and_day(activity_record(1).registration)]
    )

    assert before == after
    assert 0 < min(after.values())
    assert ["z-first"] == [record.activity_id for record in keyed.values()]


_YOUNGER = {
    "acknowledgements",
    "certificate_ends",
    "correction_notes",
    "device_answers",
    "edits",
    "expiry_guards",
    "mentor_visibility",
    "notification_run_shares",
    "notification_runs",
    "notifications",
    "push_outbox",
    "unfinished",
    "visibility_changes",
}
"""Tables that came after the second version."""


def _counts(connection: Connection) -> dict[str, int]:
    count = select(func.count())
    return {
        table.name: connection.execute(count.select_from(table)).scalar_one()
        for table in metadata.sorted_tables
        if table.name not in _YOUNGER
    }


def _pass_over_the_ids_of_old_rows(connection: Connection) -> None:
    # The rows of these tests name their ids, which PostgreSQL's own counter does not see.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT setval(pg_get_serial_sequence('batches', 'id'), 9)")


async def test_old_keys_are_as_old_as_their_batches(old: Engine) -> None:
    """
    One whose batch was gone before is as old as the upgrade: nobody knows better.
    """
    with old.begin() as connection:
        _insert(connection, "batch_keys", _KEY | {"idempotency_key": "gone", "batch_id": "gone"})
    create_schema(old)
    repository = SqlActivityRepository(old)
    early = await repository.purge_tombstones(accepted_before=later(1))
    await repository.delete("old-1")
    kept = await repository.purge_tombstones(accepted_before=NOON)

    assert (0, 0) == (early, kept)
    assert 1 == await repository.purge_tombstones(accepted_before=later(1))
    assert 1 == await repository.purge_tombstones(accepted_before=datetime.max.replace(tzinfo=UTC))
