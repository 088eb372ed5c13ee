"""
How much the SQL store asks and writes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import Connection, Dialect, Engine, Table, create_engine, event, func, select
from sqlalchemy.dialects.postgresql import psycopg
from ticking import Ticking

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    ProxyActivity,
    PurgedBatches,
)
from proxy_orchestration.ports import ProxyRegistration, RegistrationReceipt
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema
from proxy_orchestration.storage.sql.dialect.inserts import _ignore_text, _insert_text, _replace_text
from proxy_orchestration.storage.sql.schema import activities, batches, runs
from proxy_orchestration.testing.contracts.registration.samples import (
    COORDINATOR,
    NOON,
    activity_record,
    later,
    mentors,
    rerun,
    settled_batch,
)

_VISIT: Final = ProxyActivity(activity_type="visit", activity_date=NOON.date(), duration_minutes=30)
_BATCHES: Final = 120
_OF_OTHERS: Final = 37  # as many settle too late, and as many not at all


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """
    A host's own engine over a file with the schema.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'store.db'}")
    create_schema(engine)
    yield engine
    engine.dispose()


@contextmanager
def _statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    seen: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection: Connection, _cursor: object, statement: str, values: Any, *_: object) -> None:
        seen.append((" ".join(statement.split()), values))

    yield seen
    event.remove(engine, "before_cursor_execute", note)


def _reading(seen: list[tuple[str, Any]], table: str) -> list[tuple[str, Any]]:
    return [one for one in seen if one[0].startswith("SELECT") and table in one[0]]


async def test_duplicates_of_many_keys_are_one_statement(engine: Engine) -> None:
    """
    Originals and overrides at once; of both for one key the original is told, whichever came first.
    """
    repository = SqlActivityRepository(engine)
    overs = [activity_record(f"o-{n}", f"o-{n}", key=f"key {n}", override_of="x") for n in range(0, 400, 2)]
    plain = [activity_record(f"p-{n}", f"p-{n}", key=f"key {n}") for n in range(1, 400, 2)]
    both = [
        activity_record("o-b", "o-b", "batch-2", key="both", override_of="x"),
        activity_record("p-b", "p-b", "batch-2", key="both"),
    ]
    await repository.add_activities(both[1:], atomic=True)
    await repository.add_activities([*overs, *plain, *both[:1]], atomic=True)
    with _statements(engine) as seen:
        found = await repository.find_duplicates("org-1", ["both", *(f"key {n}" for n in range(1000))])

    assert {"both": both[1]} | {one.duplicate_key: one for one in [*overs, *plain]} == found
    assert 1 == len(_reading(seen, "FROM activities"))


async def test_a_further_run_reads_the_log_of_the_items_it_names(engine: Engine) -> None:
    """
    Of the log only what happened to these items, whatever its length.
    """
    repository = SqlActivityRepository(engine)
    batch_id = await settled_batch(repository, *[ItemState.FAILED] * 5)
    with _statements(engine) as seen:
        await repository.open_run(rerun(batch_id, (mentors(5)[3], mentors(5)[1])))
    ((statement, values),) = _reading(seen, "FROM outcomes")
    with engine.connect() as connection:
        plan = _plan_of(connection, statement, values)
        rows = connection.exec_driver_sql(statement, values).all()

    assert [(1, ItemState.FAILED.value), (3, ItemState.FAILED.value)] == [(row[0], row[2]) for row in rows]
    assert "SEARCH outcomes" in plan
    assert "(batch=? AND item=?)" in plan


class _Registering:
    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        return RegistrationReceipt(registration_id=registration.registration_id, activity_id="a")


@pytest.mark.parametrize(
    ("mentor_count", "cold", "warm"),
    [(1, (3, 10), (3, 9)), (5, (3, 10), (3, 9)), (10, (4, 14), (3, 9)), (50, (5, 16), (3, 9))],
)
async def test_a_lone_batch_takes_few_transactions(
    tmp_path: Path, mentor_count: int, cold: tuple[int, int], warm: tuple[int, int]
) -> None:
    """
    Accepting with the lease and the first claim; the outcomes with the end; the audit mark; no read.

    The first batch of a process takes more: how fast the service is, and so how
    many calls a commit may allow beforehand, is not known yet (decision 100).
    """
    request = BulkRegistrationRequest.for_mentors(mentors(mentor_count), _VISIT)
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'own.db'}") as store:
        orchestrator = BulkRegistrationOrchestrator(
            registration_service=_Registering(), repository=store, clock=Ticking(NOON)
        )
        for expected in (cold, warm):
            with _statements(store.engine) as seen:
                await orchestrator.submit_bulk_registration(request, actor=COORDINATOR)
            texts = [text for text, _ in seen]
            begun = texts.count("BEGIN IMMEDIATE"), texts.count("BEGIN")
            others = [text for text in texts if not text.startswith(("BEGIN", "PRAGMA"))]

            assert (expected[0], 0, expected[1]) == (*begun, len(others)), "\n".join(texts)


def _plan_of(connection: Connection, statement: str, values: Any) -> str:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    return "; ".join(row[3] for row in rows)


def _fill(engine: Engine) -> None:
    """
    Write batches that settled at noon; in between some that settled later, and some that are open.
    """
    header = {
        "organization_id": "org-1",
        "coordinator_id": "coordinator-1",
        "total": 1,
        "submitted_at": NOON,
        "run": 1,
    }
    run = {"run": 1, "actor": "{}", "opened_at": NOON, "run_items": 1, "base": 0, "tail": 1}
    count = _BATCHES + 2 * _OF_OTHERS
    endings = {number: (later(2), None)[number % 2] for number in range(1, 2 * _OF_OTHERS + 1)}
    with engine.begin() as connection:
        connection.execute(
            batches.insert(), [header | {"id": n, "batch_id": f"b-{n}"} for n in range(1, count + 1)]
        )
        connection.execute(
            runs.insert(),
            [run | {"batch": n, "settled_at": endings.get(n, NOON)} for n in range(1, count + 1)],
        )


async def test_a_purge_is_many_short_transactions(engine: Engine) -> None:
    """
    A driver that waits to write gets its turn in between; what is open or settled later stays.
    """
    _fill(engine)
    commits: list[Connection] = []
    repository = SqlActivityRepository(engine)
    await repository.get("b-1")
    note = commits.append  # one object, to be found again
    event.listen(engine, "commit", note)
    purged = await repository.purge(settled_before=later(1))
    event.remove(engine, "commit", note)
    with engine.connect() as connection:
        left = connection.execute(select(func.count()).select_from(batches)).scalar_one()

    assert (PurgedBatches(deleted=_BATCHES), 2 * _OF_OTHERS) == (purged, left)
    assert 3 == len(commits)
    assert PurgedBatches() == await repository.purge(settled_before=later(1))


@pytest.mark.parametrize("text_of", [_insert_text, _ignore_text, _replace_text])
def test_rows_are_given_to_postgresql_by_column(text_of: Callable[[Table, Dialect], str]) -> None:
    """
    One binary array for each, however many rows; its driver's own way would be a statement for each row.
    """
    dialect = psycopg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    statement = text_of(activities, dialect)

    assert len(activities.columns) == statement.count("CAST(%b AS ")
    assert "%(" not in statement
