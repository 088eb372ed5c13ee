"""
Activity records in SQL: what the database refuses, by which index duplicates are found, who wins a race.
"""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import anyio
import attrs
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import Connection, Engine, create_engine, event, func, select

from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.registration.activities import ActivityRecord
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema
from proxy_orchestration.storage.sql.schema import activities
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    COORDINATOR,
    activity_record,
    batch_of,
    later,
)

_MANY: Final = 100_000
_ADD: Final = """
import sys, anyio
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing.contracts.registration.samples import activity_record

async def add(url, batch_id):
    async with SqlActivityRepository.open(url) as repository:
        mine = [activity_record(f"{batch_id}-{n}", f"m-{n}", batch_id, key=f"key {n}") for n in range(50)]
        await anyio.to_thread.run_sync(sys.stdin.readline)
        answers = [await repository.add_activities([record], atomic=False) for record in mine]
        print(*(answer.activity_id for (answer,) in answers))

anyio.run(add, *sys.argv[1:])
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """
    A host's own engine over a file with the schema.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'store.db'}")
    create_schema(engine)
    yield engine
    engine.dispose()


def _stored(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(activities)).scalar_one()


def _with_activity(record: ActivityRecord, **changes: Any) -> ActivityRecord:
    activity = attrs.evolve(ACTIVITY, **changes)
    return attrs.evolve(record, registration=attrs.evolve(record.registration, activity=activity))


_PLAIN: Final = activity_record(3, "mentor-3", key="key 3")
_REFUSED: Final = {
    "registered by oneself": activity_record(3, COORDINATOR.user_id, key="key 3"),
    "notes that are no text": _with_activity(_PLAIN, notes="\ud800"),
    "details that are no text": _with_activity(_PLAIN, details={"name": "\ud800"}),
    "a number beyond all bounds": _with_activity(_PLAIN, duration_minutes=2**70),
    "the id of another record": attrs.evolve(_PLAIN, activity_id="activity-1"),
    "the id of a stored record": attrs.evolve(_PLAIN, activity_id="activity-0"),
}


@pytest.mark.parametrize("atomic", [False, True], ids=["independent", "atomic"])
@pytest.mark.parametrize("refused", _REFUSED.values(), ids=_REFUSED.keys())
async def test_a_refused_record_in_the_middle_leaves_nothing(
    engine: Engine, refused: ActivityRecord, *, atomic: bool
) -> None:
    """
    Counted in the database: whatever stood before or after it is not there either.
    """
    repository = SqlActivityRepository(engine)
    await repository.add_activities([activity_record(0, "mentor-0", "batch-0")], atomic=False)
    mine = [activity_record(number, f"mentor-{number}", key=f"key {number}") for number in range(1, 6)]
    mine[2] = refused
    with pytest.raises(RecordRefusedError) as error:
        await repository.add_activities(mine, atomic=atomic)

    assert 1 == _stored(engine)
    assert "activities" not in str(error.value)
    mine[2] = _PLAIN
    assert mine == await repository.add_activities(mine, atomic=atomic)
    assert 6 == _stored(engine)


async def test_a_record_in_the_way_of_an_atomic_call_leaves_nothing(engine: Engine) -> None:
    """
    Counted in the database, for a plain one and for a standing override.
    """
    repository = SqlActivityRepository(engine)
    in_the_way = [
        activity_record("a", "mentor-1", "batch-0", key="key 1"),
        activity_record("b", "mentor-2", "batch-0", key="key 2", override_of="x"),
    ]
    await repository.add_activities(in_the_way, atomic=True)
    for number in (1, 2):
        mine = [activity_record(n, f"mentor-{n}", key=f"key {n}") for n in (3, number, 4)]
        answers = await repository.add_activities(mine, atomic=True)

        assert in_the_way[number - 1] == answers[1]
        assert 2 == _stored(engine)


async def test_many_more_records_than_one_statement_has_parameters_are_one_call(engine: Engine) -> None:
    """
    All are looked for and stored. SQLite takes 32 766 parameters by default.
    """
    repository = SqlActivityRepository(engine)
    mine = [activity_record(n, f"mentor-{n}", key=f"key {n}") for n in range(33_000)]
    await repository.add_activities(mine, atomic=True)
    asked = [f"key {n}" for n in range(32_999, 66_000)]
    found = await repository.find_duplicates("org-1", asked)
    own = await repository.find_activities(["batch-1:mentor-7", *asked])

    assert len(mine) == _stored(engine)
    assert {"key 32999": mine[-1]} == found
    assert [mine[7]] == own


def _fill(engine: Engine) -> None:
    """
    Write many records of one organization, every tenth an override, in one statement.
    """
    columns = ", ".join(column.name for column in activities.columns)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?) "  # noqa: S608 - our own names
            f"INSERT INTO activities ({columns}) SELECT 'a-' || n, 'r-' || n, 'k-' || n, 'b-' || (n % 100), "
            "'org-1', 'coordinator-1', 'coordinator', 'mentor-' || n, 'visit', '2026-03-03', 45, '', '{}', "
            "CASE WHEN n % 10 = 0 THEN 'x' END, '2026-03-04T12:00:00+00:00', 'key ' || n, NULL FROM counted",
            (_MANY,),
        )


async def test_duplicates_are_found_by_their_indexes_among_many_records(engine: Engine) -> None:
    """
    Each look-up goes by the partial index of its kind, key by key, and never through the table.
    """
    _fill(engine)
    repository = SqlActivityRepository(engine)
    seen: dict[str, Any] = {}

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection: Connection, _cursor: object, statement: str, values: Any, *_: object) -> None:
        if "FROM activities" in " ".join(statement.split()) and "duplicate_key IN" in statement:
            seen[statement] = values

    found = await repository.find_duplicates("org-1", ["key 9", "key 10", "key 99999", "no such key"])
    added = await repository.add_activities([activity_record(1, key="key 10")], atomic=False)
    event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        plans = [_plan_of(connection, statement, values) for statement, values in seen.items()]

    assert {"key 9": "a-9", "key 10": "a-10", "key 99999": "a-99999"} == {
        key: record.activity_id for key, record in found.items()
    }
    assert ["a-10"] == [record.activity_id for record in added]
    override, original = (
        f"SEARCH activities USING INDEX {index} (organization_id=? AND duplicate_key=?)"
        for index in ("ix_activities_override", "uq_activities_original")
    )
    assert [{override, original}] * 2 == [
        {step for step in plan.split("; ") if " activities " in step} for plan in plans
    ]


def _plan_of(connection: Connection, statement: str, values: Any) -> str:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    return "; ".join(row[3] for row in rows)


def test_two_processes_that_add_the_same_end_with_one_record_each(engine: Engine) -> None:
    """
    For each key one record is stored, and both processes were told that one.
    """
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _ADD, str(engine.url), f"batch-{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    told = [racer.communicate(timeout=LONGEST_WAIT)[0].split() for racer in racers]
    with engine.connect() as connection:
        stored = connection.execute(select(activities.c.activity_id)).scalars().all()

    assert 50 == len(stored)
    assert [sorted(stored)] * 2 == [sorted(answers) for answers in told]
    assert told[0] == told[1]


async def test_two_engines_that_add_the_same_at_once_get_the_same(tmp_path: Path) -> None:
    """
    Whole calls race, atomic ones too: one is stored whole, the others get its records.
    """
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    answers: list[list[str]] = []

    async def add(repository: SqlActivityRepository, batch_id: str) -> None:
        mine = [
            activity_record(f"{batch_id}-{n}", f"mentor-{n}", batch_id, key=f"key {n}") for n in range(30)
        ]
        found = await repository.add_activities(mine, atomic=True)
        answers.append([record.activity_id for record in found])

    async with SqlActivityRepository.open(url) as first, SqlActivityRepository.open(url) as second:
        async with anyio.create_task_group() as crew:
            for number in range(6):
                crew.start_soon(add, (first, second)[number % 2], f"batch-{number}")
        stored = _stored(first.engine)

    assert [answers[0]] * 6 == answers
    assert 30 == stored


async def test_what_is_voided_elsewhere_is_in_nobody_s_way_here(tmp_path: Path) -> None:
    """
    No engine keeps what it once read.
    """
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    async with SqlActivityRepository.open(url) as first, SqlActivityRepository.open(url) as second:
        await first.add_activities([activity_record(1, key="a day")], atomic=False)
        await second.void_activity("activity-1", voided_at=later(1))
        new = activity_record(2, batch_id="batch-2", key="a day")

        assert [new] == await first.add_activities([new], atomic=False)
        assert {"a day": new} == await second.find_duplicates("org-1", ["a day"])


async def test_nothing_of_a_refused_record_can_be_read_in_the_error(tmp_path: Path) -> None:
    """
    A database's own text shows the row, and a host's logger prints whatever hangs on an error.
    """
    url = f"sqlite:///{tmp_path / 'refusing.db'}"
    async with SqlActivityRepository.open(url) as repository:
        with repository.engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE TRIGGER refuse BEFORE INSERT ON activities BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        record = activity_record(1, key="key")
        activity = attrs.evolve(record.registration.activity, notes="CANARY")
        record = attrs.evolve(record, registration=attrs.evolve(record.registration, activity=activity))

        with pytest.raises(RecordRefusedError) as caught:
            await repository.add_activities([record], atomic=False)

    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


async def test_a_label_that_cannot_be_encoded_is_refused_without_its_text(tmp_path: Path) -> None:
    """
    And the batch is not stored.
    """
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'label.db'}") as repository:
        with pytest.raises(RecordRefusedError):
            await repository.accept(attrs.evolve(batch_of(1), label="\ud800"))

        assert [] == list(await repository.find_drivable(limit=1))
