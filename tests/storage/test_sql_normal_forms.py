"""
Keys and types that earlier versions stored are found by those that come: nobody is registered or told again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, func, select, update

from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.results import SkipReason
from proxy_orchestration.registration.activities import ActivityRecord
from proxy_orchestration.registration.standard.checks import same_mentor_type_and_day
from proxy_orchestration.storage.sql import (
    KeyCollision,
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
    create_schema,
    recompute_duplicate_keys,
)
from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS
from proxy_orchestration.storage.sql.database.versions import VERSION_TABLE
from proxy_orchestration.storage.sql.notification.schema import (
    expiry_guards,
    mentor_visibility,
    notifications,
    push_outbox,
)
from proxy_orchestration.storage.sql.registration import duplicate_keys
from proxy_orchestration.storage.sql.registration.activities import _row as activity_row
from proxy_orchestration.storage.sql.schema import activities
from proxy_orchestration.testing import FakeClock
from proxy_orchestration.testing.contracts.registration.samples import NOON, activity_record, later

pytestmark = pytest.mark.one_loop


COMPOSED, DECOMPOSED = "bes\u00f8k-\u00e5", "bes\u00f8k-a\u030a"
NIGHT: Final = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql(asyncio_only=True))]
)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """
    A database of this version, which is taken back and brought up again.
    """
    url: Any = f"sqlite:///{tmp_path / 'store.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("bare_postgresql_url")
    engine = create_engine(url)
    create_schema(engine)
    yield engine
    engine.dispose()


def _back(engine: Engine) -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    with engine.begin() as connection:
        options = {"version_table": VERSION_TABLE, "fn": lambda now, _: script._downgrade_revs("0011", now)}
        context = MigrationContext.configure(connection, opts=options)
        with Operations.context(context):
            context.run_migrations()


def _former(record: ActivityRecord) -> str:
    activity, mentor_id = record.registration.activity, record.registration.mentor_id
    return f"{activity.activity_date.isoformat()}:{len(mentor_id)}:{mentor_id}:{activity.activity_type}"


def _record(name: str, activity_type: str, mentor_id: str = "mentor-1", **changes: Any) -> ActivityRecord:
    record = activity_record(name, mentor_id, "batch-1")
    registration = record.registration
    registration = attrs.evolve(
        registration,
        registration_id=f"batch-1:{name}",
        activity=attrs.evolve(registration.activity, activity_type=activity_type),
        override_of=changes.pop("override_of", None),
    )
    record = attrs.evolve(record, activity_id=name, registration=registration, **changes)
    return record if "duplicate_key" in changes else attrs.evolve(record, duplicate_key=_former(record))


async def _keys(engine: Engine) -> dict[str, str | None]:
    found = await SqlActivityRepository(engine).activities_of_batch("batch-1")
    return {record.activity_id: record.duplicate_key for record in found}


def _usual(activity_type: str, mentor_id: str = "mentor-1") -> str:
    return same_mentor_type_and_day(_record("any", activity_type, mentor_id).registration)


async def test_what_was_registered_by_an_earlier_version_is_found(engine: Engine) -> None:
    """
    By any case and composition; other rules' keys and records without one stay as they are.
    """
    store = SqlActivityRepository(engine)
    _back(engine)
    await _store_as_before(
        engine,
        _record("a", "Group_Meeting"),
        _record("b", DECOMPOSED, DECOMPOSED),
        _record("c", "visit"),
        _record("d", "Call", voided_at=NOON),
        _record("e", "Group_Meeting", override_of="a"),
        _record("f", "Visit", "mentor-2", duplicate_key="A host's Own"),
        _record("g", "Visit", "mentor-3", duplicate_key=None),
    )
    create_schema(engine)
    wanted = [_usual("group_meeting"), _usual(COMPOSED, COMPOSED), _usual("visit")]
    found = await store.find_duplicates("org-1", wanted)

    assert ["a", "b", "c"] == [found[key].activity_id for key in wanted]
    assert (
        DECOMPOSED
        == found[wanted[1]].registration.mentor_id
        == found[wanted[1]].registration.activity.activity_type
    )
    keys = await _keys(engine)
    assert (_usual("call"), _usual("group_meeting"), "A host's Own", None) == tuple(
        keys[one] for one in "defg"
    )


async def _store_as_before(engine: Engine, *records: ActivityRecord) -> None:
    """
    Store records on the schema of the revision before, on which this version's own verbs do not work.
    """
    with engine.begin() as connection:
        rows = [activity_row(record, connection.dialect) for record in records]
        for row in rows:
            columns = activities.c.keys()
            marks = ", ".join(["?" if connection.dialect.name == "sqlite" else "%s"] * len(row))
            statement = f"INSERT INTO activities ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our own names
            connection.exec_driver_sql(statement, row)


@pytest.mark.parametrize("at_once", [1, 2, 1_000])
@pytest.mark.parametrize("older", ["Visit", "visit", "VISIT"])
async def test_of_two_that_collide_the_older_keeps_the_key_and_both_are_told(
    engine: Engine,
    older: str,
    at_once: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    Whichever of them had the present form, and whichever comes first.
    """
    monkeypatch.setattr(duplicate_keys, "_AT_ONCE", at_once)
    kinds = ["Visit", "visit", "VISIT"]
    _back(engine)
    await _store_as_before(
        engine,
        *(
            _record(kind, kind, recorded_at=NOON if kind == older else later(1 + place))
            for place, kind in enumerate(kinds)
        ),
    )
    with caplog.at_level(logging.WARNING, "proxy_orchestration.storage.schema"):
        create_schema(engine)
    others = sorted(kind for kind in kinds if kind != older)
    found = await SqlActivityRepository(engine).find_duplicates("org-1", [_usual("visit")])

    assert [older] == [record.activity_id for record in found.values()]
    assert [(older, other) for other in others] == [
        (record.existing_activity_id, record.activity_id) for record in caplog.records
    ]
    again = recompute_duplicate_keys(engine)
    assert (0, tuple(KeyCollision(older, other) for other in others)) == (again.changed, again.collisions)


async def test_the_younger_one_gets_the_key_once_the_older_is_void(engine: Engine) -> None:
    """
    Void records are in nobody's way; who is asked again says that nothing collides.
    """
    _back(engine)
    await _store_as_before(engine, _record("a", "Visit"), _record("b", "visit", recorded_at=later(1)))
    create_schema(engine)
    store = SqlActivityRepository(engine)
    await store.void_activity("a", voided_at=later(2))

    report = recompute_duplicate_keys(engine)
    found = await store.find_duplicates("org-1", [_usual("visit")])

    assert (1, ()) == (report.changed, report.collisions)
    assert ["b"] == [record.activity_id for record in found.values()]


async def test_a_key_that_is_taken_meanwhile_is_looked_at_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The look says that it is free, and the write that it is not.
    """
    _back(engine)
    await _store_as_before(engine, _record("a", "visit"), _record("b", "Visit", recorded_at=later(1)))
    truly, looks = duplicate_keys._holders, []

    def late(connection: Connection, places: Any) -> Any:
        looks.append(places)
        return {} if len(looks) == 1 else truly(connection, places)

    monkeypatch.setattr(duplicate_keys, "_holders", late)
    report = recompute_duplicate_keys(engine)

    assert (KeyCollision("a", "b"),) == report.collisions


async def test_keys_get_their_former_form_back(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An upgrade that is taken back leaves what was there before.
    """
    monkeypatch.setattr(duplicate_keys, "_AT_ONCE", 2)
    records = [
        _record("a", "Visit"),
        _record("b", "visit", recorded_at=later(1)),
        _record("c", DECOMPOSED),
        _record("d", "Visit", "mentor-2", duplicate_key="A host's Own"),
    ]
    _back(engine)
    await _store_as_before(engine, *records)
    create_schema(engine)
    _back(engine)
    with engine.connect() as connection:
        columns = (activities.c.activity_id, activities.c.duplicate_key)
        kept = {row[0]: row[1] for row in connection.execute(select(*columns))}

    assert {record.activity_id: record.duplicate_key for record in records} == kept


def _certificate(mentor: int, kind: str, days: int) -> PeerMentorCertificate:
    return PeerMentorCertificate(
        certificate_id=f"certificate-{mentor}-{days}",
        mentor_id=f"mentor-{mentor}",
        certificate_type=kind,
        expires=NIGHT.date() + timedelta(days=days),
    )


def _orchestrator(engine: Engine) -> NotificationOrchestrator:
    return NotificationOrchestrator(
        repository=SqlNotificationRepository(engine),
        clock=FakeClock(NIGHT),
        visibility=SqlVisibilityRegistry(engine),
    )


def _as_before(engine: Engine) -> None:
    """
    Spell the types of every second mentor as an earlier version did.
    """
    with engine.begin() as connection:
        for table in (notifications, push_outbox, expiry_guards, mentor_visibility):
            connection.execute(
                update(table)
                .where(table.c.mentor_id.in_(["mentor-1", "mentor-3"]))
                .values(certificate_type=DECOMPOSED)
            )


async def test_nobody_is_told_a_second_time_because_of_an_upgrade(engine: Engine) -> None:
    """
    Whatever spelling the notices were told under, and whatever the register spells now.
    """
    certificates = [
        _certificate(mentor, kind, days)
        for mentor, days in enumerate([30, 30, -1, -1])
        for kind in (COMPOSED,)
    ]
    first = await _orchestrator(engine).run(certificates, as_of=NIGHT)
    _as_before(engine)
    _back(engine)
    create_schema(engine)
    turned = [attrs.evolve(each, certificate_type=DECOMPOSED.upper()) for each in certificates]
    for register in (certificates, turned):
        for night in (0, 1, 2):
            again = await _orchestrator(engine).run(
                register, as_of=NIGHT + timedelta(days=night), **_allowed()
            )
            assert (0, 0) == (again.created, again.queued)
            assert {SkipReason.DUPLICATE: 4} == dict(again.skipped_by_reason)

    assert 4 == first.created
    assert {"mentor-2", "mentor-3"} == set(
        await SqlVisibilityRegistry(engine).hidden([f"mentor-{one}" for one in range(4)], at=NIGHT)
    )


def _allowed() -> dict[str, Any]:
    return {"allow_future": True}


async def test_what_was_told_twice_is_one_from_now_on(engine: Engine) -> None:
    """
    Two guards become the later one, two ends the later end; both notices stay.
    """
    orchestrator = _orchestrator(engine)
    await orchestrator.run([_certificate(1, COMPOSED, -1)], as_of=NIGHT)
    _as_before(engine)
    renewed = _certificate(1, COMPOSED, 20)
    await orchestrator.run([renewed], as_of=NIGHT + timedelta(days=2), **_allowed())
    _back(engine)
    create_schema(engine)
    with engine.connect() as connection:
        guards = connection.execute(select(expiry_guards)).all()
        shown = connection.execute(select(mentor_visibility)).all()
        told = connection.execute(select(func.count()).select_from(notifications)).scalar_one()
    again = await orchestrator.run([renewed], as_of=NIGHT + timedelta(days=3), **_allowed())

    (guard,), (standing,) = guards, shown
    assert ("mentor-1", COMPOSED, NIGHT + timedelta(days=2)) == guard[:3]
    assert (date(2026, 1, 22), None) == (guard.ends_at.date(), standing.suppressed_at)
    assert guard.ends_at == standing.ends_at
    assert 2 == told
    assert 0 == again.created
