"""
Four processes serve one PostgreSQL while they are killed, paused, cut off and started again.
"""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

pytest.importorskip("psycopg")
pytest.importorskip("sqlalchemy")

from pooler import PoolerFailedError, running_pooler
from pooler.programs import find_program
from postgres_server import Server, find_programs, running_server
from postgres_server.databases import Databases
from sqlalchemy import URL

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    BulkStatus,
    ProxyActivity,
    RepositoryUnavailableError,
    Role,
)
from proxy_orchestration.storage.sql import SqlActivityRepository

pytestmark = [pytest.mark.postgresql(asyncio_only=True), pytest.mark.crash]

COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
WORKERS = 4
KINDS = ("kill", "pause", "cut", "restart")  # the first four strikes are one of each
BATCHES_A_ROUND = 4
MENTORS = tuple(f"mentor-{number}" for number in range(10))
LONGEST_ROUND = 40
TODAY = datetime.now(UTC).date()  # read once: a key repeated with another day is refused
_HERE = Path(__file__).parent


def _workers_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("storm_workers", _HERE / "storm_workers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@attrs.define(eq=False)
class Storm:
    """
    The workers, and what strikes them.

    Attributes:
        chance: decides who is struck, how and when; seeded.
        calls: how often a worker asked the service so far.
        strikes: how often each kind of strike fell.
    """

    forker: subprocess.Popen[str]
    server: Server
    databases: Databases
    database: str
    chance: random.Random
    alive: list[int] = attrs.field(factory=list)
    paused: list[int] = attrs.field(factory=list)
    calls: int = 0
    strikes: Counter[str] = attrs.field(factory=Counter)

    def start(self) -> None:
        """
        Start a worker.
        """
        assert self.forker.stdin is not None
        self.forker.stdin.write("asyncio\n")
        self.forker.stdin.flush()
        known = len(self.alive)
        while len(self.alive) == known:
            self._hear()

    def _hear(self) -> None:
        assert self.forker.stdout is not None
        word, _, worker = self.forker.stdout.readline().strip().partition(" ")
        assert word in {"called", "started"}, f"the workers ended: {word}"
        if word == "started":
            self.alive.append(int(worker))
        else:
            self.calls += 1

    def wait_for_calls(self, accepted: int) -> None:
        """
        Return when the workers asked the service some times more, of so many mentors accepted so far.
        """
        enough = min(self.calls + self.chance.randrange(1, LONGEST_ROUND), accepted)
        while self.calls < enough:
            self._hear()

    def strike(self, number: int) -> None:
        """
        Let one of the strikes fall; those that are paused wake up later.
        """
        name = KINDS[number] if number < len(KINDS) else self.chance.choices(KINDS, weights=[12, 6, 3, 1])[0]
        self.strikes[name] += 1
        getattr(self, f"_{name}")()
        if self.paused and (name != "pause" or len(self.paused) == WORKERS - 1):
            os.kill(self.paused.pop(0), signal.SIGCONT)

    def _kill(self) -> None:
        worker = self.alive.pop(self.chance.randrange(len(self.alive)))
        if worker in self.paused:
            self.paused.remove(worker)
        os.kill(worker, signal.SIGKILL)
        self.start()

    def _pause(self) -> None:
        awake = [worker for worker in self.alive if worker not in self.paused]
        self.paused.append(self.chance.choice(awake))
        os.kill(self.paused[-1], signal.SIGSTOP)

    def _cut(self) -> None:
        self.databases.execute(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'tester' AND pid <> pg_backend_pid()",
        )

    def _restart(self) -> None:
        self.server.restart()

    def end(self) -> None:
        """
        Kill whoever is left.
        """
        while self.alive:
            os.kill(self.alive.pop(), signal.SIGKILL)


@contextmanager
def _way_to(server: Server, url: URL, pool: tuple[str, int] | None) -> Iterator[URL]:
    """
    Lend the address by which the workers come: through a pooler of that mode and size, where one is named.
    """
    if pool is None:
        yield url
        return
    try:
        find_program()
    except PoolerFailedError as error:
        pytest.skip(str(error))
    mode, size = pool
    with running_pooler(server.folder, pool_mode=mode, default_pool_size=size) as pooler:
        yield pooler.front(url)


@contextmanager
def _storm(audit: Path, seed: int, pool: tuple[str, int] | None) -> Iterator[tuple[Storm, Any]]:
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL here")
    with running_server(programs) as server, ExitStack() as ways:
        databases = Databases(server.folder)
        url = ways.enter_context(_way_to(server, databases.new(), pool))
        address = url.render_as_string(hide_password=False)
        command = [sys.executable, str(_HERE / "storm_workers.py"), address, str(audit)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as forker:
            storm = Storm(forker, server, databases, str(url.database), random.Random(seed))  # noqa: S311 - a test's dice
            try:
                yield storm, url
            finally:
                storm.end()
                assert forker.stdin is not None
                forker.stdin.close()


def _request(number: int) -> BulkRegistrationRequest:
    visit = ProxyActivity(activity_type=f"visit-{number}", activity_date=TODAY, duration_minutes=45)
    return BulkRegistrationRequest.for_mentors(MENTORS, visit, idempotency_key=f"batch-{number}")


async def _accept(orchestrator: BulkRegistrationOrchestrator, number: int) -> str:
    """
    Submit until the store answers, as a host does whose database is restarted.
    """
    while True:
        try:
            accepted = await orchestrator.submit_bulk_registration(
                _request(number), actor=COORDINATOR, drive=False
            )
        except RepositoryUnavailableError:
            continue
        return accepted.batch_id


@pytest.mark.parametrize(
    ("rounds", "seed", "pool"),
    [
        (12, 1, None),
        (25, 2, None),
        (25, 3, None),
        (5, 4, ("transaction", 3)),
        # There each client keeps a connection of its own: four workers, those killed a moment ago, and us.
        (5, 5, ("session", 12)),
    ],
    ids=["12", "25", "25 again", "transaction pooling", "session pooling"],
)
async def test_a_storm_of_kills_leaves_one_record_per_mentor_and_no_batch_stuck(
    tmp_path: Path, rounds: int, seed: int, pool: tuple[str, int] | None
) -> None:
    """
    Hundreds of batches, dozens of strikes; then every batch ends, every event is told.
    """
    workers = _workers_module()
    audit = tmp_path / "audit.txt"
    batches: list[str] = []
    with _storm(audit, seed, pool) as (storm, url):
        async with SqlActivityRepository.open(url) as store:
            settings = BulkSettings(max_takeovers=workers.SETTINGS.max_takeovers)
            orchestrator = workers.orchestrator_over(store, str(audit), settings)
            for _ in range(WORKERS):
                storm.start()
            for number in range(rounds):
                first = number * BATCHES_A_ROUND
                batches += [await _accept(orchestrator, first + each) for each in range(BATCHES_A_ROUND)]
                storm.wait_for_calls(len(batches) * len(MENTORS))
                storm.strike(number)
            storm.end()
            await _settle(orchestrator)
            await _check(orchestrator, batches, rounds * BATCHES_A_ROUND)
        told = Counter(line.partition(" ")[0] for line in audit.read_text(encoding="utf-8").splitlines())

    assert {f"{batch_id}:run-1" for batch_id in batches} == set(told)
    assert told.total() - len(told) <= storm.strikes.total()
    assert set(KINDS) == set(storm.strikes)


async def _settle(orchestrator: BulkRegistrationOrchestrator) -> None:
    """
    Take up what the storm left, as hosts do that start later: open runs, and events that nobody was told of.

    One pass leaves a batch alone whose lease was renewed meanwhile, as the last
    commit of a killed process does that the server had begun.
    """
    while True:
        try:
            await orchestrator.resume_interrupted()
            if not await orchestrator.repository.find_drivable(limit=1):
                return
        except RepositoryUnavailableError:
            continue  # a pooler tells of the last strike once, at the next call


async def _check(orchestrator: BulkRegistrationOrchestrator, batches: list[str], total: int) -> None:
    assert len(set(batches)) == total
    for batch_id in batches:
        result = await orchestrator.get_bulk_submission_status(batch_id, actor=COORDINATOR)
        records = await orchestrator.repository.activities_of_batch(batch_id)
        log = await orchestrator.repository.read_updates(batch_id, after=0, limit=1000)

        assert BulkStatus.SUCCESS is result.status, [o.failure for o in result.outcomes if o.failure]
        assert sorted(MENTORS) == sorted(record.registration.mentor_id for record in records)
        assert list(range(1, len(MENTORS) + 1)) == [update.sequence for update in log]
        assert sorted(MENTORS) == sorted(update.outcome.mentor_id for update in log)
    assert await orchestrator.repository.audit_wait() is None
