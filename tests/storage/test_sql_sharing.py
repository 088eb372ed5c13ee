"""
Several engines and processes over one database file.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import create_engine

from proxy_orchestration.errors import BatchStateError, LeaseLostError
from proxy_orchestration.registration.runs import Commit, Lease, LeaseHeld
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.storage.sql.database.versions import REVISIONS
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    accepted,
    batch_of,
    claim,
    ended,
    lease_of,
    log_of,
    mentors,
    settled_batch,
    store,
)

_TAKE_OVER: Final = """
import sys, anyio
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing.contracts.registration.samples import LONG, ended

async def take_over(url, batch_id):
    async with SqlActivityRepository.open(url) as repository:
        lease = await repository.acquire(batch_id, 1, ttl=LONG)
        outcomes = tuple(ended(work) for work in lease.begun)
        await repository.commit(lease, Commit(outcomes=outcomes, ttl=LONG))
        print(lease.fence, len(lease.begun))

anyio.run(take_over, *sys.argv[1:])
"""

_RACE: Final = """
import sys
from sqlalchemy import create_engine
from proxy_orchestration.storage.sql import create_schema

sys.stdin.readline()
create_schema(create_engine(sys.argv[1]))
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    """
    The address of a database file that does not exist yet.
    """
    return f"sqlite:///{tmp_path / 'shared.db'}"


@asynccontextmanager
async def _two(url: str) -> AsyncIterator[tuple[SqlActivityRepository, SqlActivityRepository]]:
    async with SqlActivityRepository.open(url) as first, SqlActivityRepository.open(url) as second:
        yield first, second


def _let_leases_end(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE runs SET lease_until = 1.0")
    engine.dispose()


async def test_two_engines_see_one_lease(url: str) -> None:
    """
    While one drives, the other is told who and for how long.
    """
    async with _two(url) as (first, second):
        batch_id = await accepted(first, batch_of(2))
        lease = await lease_of(first, batch_id, ttl=60)
        answer = await second.acquire(batch_id, 1, ttl=60)

        assert isinstance(answer, LeaseHeld)
        assert lease.fence == answer.fence
        assert 0 < answer.remaining <= 60


async def test_an_ended_lease_passes_to_the_other_engine_and_fences_the_first_off(url: str) -> None:
    """
    The database's clock decides, and the stale driver's write changes nothing.
    """
    async with _two(url) as (first, second):
        batch_id = await accepted(first, batch_of(2))
        stale = await lease_of(first, batch_id)
        begun = await claim(first, stale, 1)
        _let_leases_end(url)
        taken = await second.acquire(batch_id, 1, ttl=LONG)

        assert isinstance(taken, Lease)
        assert (stale.fence + 1, begun) == (taken.fence, taken.begun)
        with pytest.raises(LeaseLostError):
            await first.commit(stale, Commit(outcomes=(ended(begun[0]),), ttl=LONG))
        assert [] == await log_of(second, batch_id)


async def test_a_second_process_takes_over_what_the_first_began(url: str) -> None:
    """
    Another interpreter finds the begun items in the file and stores their outcomes there.
    """
    async with SqlActivityRepository.open(url) as repository:
        batch_id = await accepted(repository, batch_of(3))
        stale = await lease_of(repository, batch_id)
        work = await claim(repository, stale, 2)
        _let_leases_end(url)
        done = await anyio.run_process([sys.executable, "-c", _TAKE_OVER, url, batch_id])
        log = await log_of(repository, batch_id)

    assert "2 2" == done.stdout.decode().strip()
    assert [item.mentor_id for item in work] == [update.outcome.mentor_id for update in log]


async def test_writers_of_two_engines_wait_for_each_other(url: str) -> None:
    """
    Many small writes at once from both sides all arrive.
    """
    async with _two(url) as stores, anyio.create_task_group() as crew:
        for number in range(20):
            crew.start_soon(accepted, stores[number % 2], batch_of(1))
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM batches").scalar()
    engine.dispose()

    assert 20 == found


async def test_one_key_at_two_engines_is_one_batch(url: str) -> None:
    """
    The unique key decides, not the process.
    """
    answers: list[str] = []

    async def submit(repository: SqlActivityRepository) -> None:
        answers.append(await accepted(repository, batch_of(2, idempotency_key="key-1")))

    async with _two(url) as (first, second), anyio.create_task_group() as crew:
        for repository in (first, second, first, second):
            crew.start_soon(submit, repository)

    assert 1 == len(set(answers))


async def test_a_batch_deleted_elsewhere_is_gone_here(url: str) -> None:
    """
    No engine keeps what it once read.
    """
    async with _two(url) as (first, second):
        batch_id = await settled_batch(first, ItemState.SUCCEEDED)
        await second.delete(batch_id)

        assert await first.get(batch_id) is None
        with pytest.raises(BatchStateError):
            await first.cancel_run(batch_id, reason=None, wished_at=batch_of(1).submitted_at)


async def test_a_large_batch_is_stored_whole(url: str) -> None:
    """
    More items than one statement takes, and a log of as many entries.
    """
    async with SqlActivityRepository.open(url) as repository:
        batch_id = await accepted(repository, batch_of(4_001))
        lease = await lease_of(repository, batch_id)
        work = await claim(repository, lease, 4_001)

        assert list(mentors(4_001)) == [item.mentor_id for item in work]
        assert 4_001 == await store(repository, lease, *map(ended, work))


def test_processes_may_create_the_schema_at_once(url: str) -> None:
    """
    All of them succeed, and the schema is there once.
    """
    racers = [
        subprocess.Popen([sys.executable, "-c", _RACE, url], stdin=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for racer in racers:
        racer.communicate("go\n", timeout=LONGEST_WAIT)
    engine = create_engine(url)
    with engine.connect() as connection:
        stamps = connection.exec_driver_sql("SELECT version_num FROM proxy_orchestration_version").all()
    engine.dispose()

    assert [0, 0, 0] == [racer.returncode for racer in racers]
    assert [(REVISIONS[-1],)] == stamps
