"""
A database, processes that die on it, and what must be true of it afterwards.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import attrs
import pytest

from proxy_orchestration import (
    BatchSummary,
    BulkProgressUpdate,
    BulkRegistrationOrchestrator,
    BulkSubmissionResult,
    ItemState,
)

_HERE = Path(__file__).parent
_AT_ONCE = 3
_DEADLINES = (("runs", "lease_until"), ("runs", "untold_until"), ("audit_events", "held_until"))
_NEVER: dict[str, Any] = {"signal": int(signal.SIGKILL)}
LONG_LEASE = 60.0
"""A lease that outlasts every pause of a busy machine, in seconds."""


@cache
def _victim() -> ModuleType:
    for name in ("victim_services", "victim_bulk_services"):
        _load(name)
    return _load("victim")


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, _HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@attrs.define(eq=False)
class Helper:
    """
    The process from which victims are forked.
    """

    orders: IO[str]
    answers: IO[str]
    alive: set[int] = attrs.field(factory=set)

    def start(self, order: dict[str, Any]) -> int:
        """
        Fork a process for the order and return its id.
        """
        pid = self._ask(order)
        self.alive.add(pid)
        return pid

    def wait(self, pid: int) -> int:
        """
        Return the process's exit status once it ended or stopped; a signal is negative.
        """
        status = self._ask({"wait": pid})
        if status != -signal.SIGSTOP:
            self.alive.discard(pid)
        return status

    def _ask(self, order: dict[str, Any]) -> int:
        self.orders.write(json.dumps(order) + "\n")
        self.orders.flush()
        return int(self.answers.readline())


@attrs.define(eq=False)
class Scene:
    """
    One database and all that happens on it.

    Attributes:
        url: where it is; usually a file in the folder.
        day: the day of every activity; fixed, since midnight may pass.
        requests: what is asked for under a key, where it is not the usual request.
        settings: what differs from the usual settings.
        duplicates: whether a mentor is registered once for a type and day, or once for a key.
        long_lease: how long the processes' leases are, in seconds.
    """

    folder: Path
    backend: str
    helper: Helper
    day: str = attrs.field(factory=lambda: datetime.now(UTC).date().isoformat())
    victim: ModuleType = attrs.field(factory=_victim)
    requests: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    settings: dict[str, int] = attrs.field(factory=dict)
    duplicates: bool = False
    long_lease: float = LONG_LEASE
    url: str = attrs.field()

    @url.default
    def _a_file(self) -> str:
        return f"sqlite:///{self.folder / 'registrations.db'}"

    @property
    def audit_file(self) -> Path:
        """
        Return where every process's logger writes.
        """
        return self.folder / "audit.txt"

    def order(  # noqa: PLR0913 - one order's fields
        self,
        key: str,
        *,
        verb: str = "submit",
        service: str = "look-up",
        strike: dict[str, Any] | None = None,
        statements: bool = False,
        lease_ttl: float = LONG_LEASE,
        batches: Sequence[str] = (),
        decisions: Mapping[str, str] | None = None,
        many: Mapping[str, Sequence[str]] | None = None,
    ) -> dict[str, Any]:
        """
        Return an order for one process; `key` names its batch and its trace.
        """
        return {
            "url": self.url,
            "audit": str(self.audit_file),
            "trace": str(self.folder / f"trace-{key}.txt"),
            "backend": self.backend,
            "key": key,
            "day": self.day,
            "verb": verb,
            "service": service,
            "strike": {**_NEVER, **(strike or {})},
            "statements": statements,
            "lease_ttl": lease_ttl,
            "batches": list(batches),
            "decisions": dict(decisions or {}),
            "many": dict(many or {}),
            "request": self.requests.get(key, {}),
            "settings": self.settings,
            "duplicates": self.duplicates,
        }

    def run(self, orders: Iterable[dict[str, Any]]) -> list[int]:
        """
        Let each process live until it ends, a few at once; return their exit statuses.

        Nobody need wait for the leases of those who died.
        """
        statuses: list[int] = []
        living: list[int] = []
        for order in orders:
            if len(living) == _AT_ONCE:
                statuses.append(self.helper.wait(living.pop(0)))
            living.append(self.helper.start(order))
        statuses += [self.helper.wait(pid) for pid in living]
        if not self.helper.alive:
            self.let_time_pass(2 * LONG_LEASE)
        return statuses

    def let_time_pass(self, seconds: float) -> None:
        """
        Let all leases and holds end that much earlier, as if the time had passed.
        """
        from sqlalchemy import create_engine  # noqa: PLC0415 - an extra

        engine = create_engine(self.url)
        with engine.begin() as connection:
            for table, column in _DEADLINES:
                connection.exec_driver_sql(
                    f"UPDATE {table} SET {column} = {column} - {seconds} WHERE {column} > 0"  # noqa: S608 - fixed names
                )
        engine.dispose()

    def trace(self, key: str) -> list[str]:
        """
        Return every moment that the process reached, in order.
        """
        file = self.folder / f"trace-{key}.txt"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    def called(self, key: str) -> Counter[str]:
        """
        Return how often the process called the service for each mentor, alone or among others.
        """
        begins = [line.partition(" begins ") for line in self.trace(key)]
        return Counter(
            mentor_id for what, _, names in begins if what in {"call", "chunk"} for mentor_id in names.split()
        )

    def deliveries(self, batch_id: str) -> list[str]:
        """
        Return the ids of the batch's events that a logger took, repeats included.
        """
        return [event_id for event_id, _ in self._taken() if event_id.startswith(batch_id)]

    def overrides_told(self, event_id: str) -> list[list[list[str]]]:
        """
        Return the overrides, mentor and activity, that each delivery of the event named.
        """
        return [json.loads(overrides) for taken_id, overrides in self._taken() if taken_id == event_id]

    def _taken(self) -> list[list[str]]:
        taken = self.audit_file.read_text(encoding="utf-8") if self.audit_file.exists() else ""
        return [line.split("\t") for line in taken.splitlines()]

    @asynccontextmanager
    async def survivor(self, service: str = "look-up") -> AsyncIterator[BulkRegistrationOrchestrator]:
        """
        Open the file in this process, as the host does that starts again.
        """
        from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: PLC0415 - an extra

        async with SqlActivityRepository.open(self.url) as store:
            orchestrator: BulkRegistrationOrchestrator = self.victim.orchestrator_over(
                store,
                service=service,
                audit_file=self.audit_file,
                moments=self.victim.Moments(self.folder / "trace-survivor.txt", _NEVER),
                settings=self.victim.settings_with(LONG_LEASE, self.settings),
                duplicates=self.duplicates,
            )
            yield orchestrator

    async def submit(
        self, orchestrator: BulkRegistrationOrchestrator, key: str, *, drive: bool = True
    ) -> BulkSubmissionResult:
        """
        Submit the key's request, as a host does that cannot know how far it came.
        """
        request = self.victim.request_for(key, self.day, **self.requests.get(key, {}))
        return await orchestrator.submit_bulk_registration(
            request, actor=self.victim.COORDINATOR, drive=drive
        )

    async def batches(self, orchestrator: BulkRegistrationOrchestrator) -> dict[str, BatchSummary]:
        """
        Return every batch by its key, which is its label too.
        """
        page = await orchestrator.list_batches(actor=self.victim.COORDINATOR, limit=100)
        return {str(batch.label): batch for batch in page.batches}

    async def updates(
        self, orchestrator: BulkRegistrationOrchestrator, batch_id: str
    ) -> Sequence[BulkProgressUpdate]:
        """
        Return the batch's whole log.
        """
        return await orchestrator.repository.read_updates(batch_id, after=0, limit=1000)

    @property
    def usual_ends(self) -> dict[str, ItemState]:
        """
        Return how each mentor of the usual request ends.
        """
        return {
            **dict.fromkeys(self.victim.ACCEPTED, ItemState.SUCCEEDED),
            **dict.fromkeys(self.victim.REFUSED, ItemState.FAILED),
        }

    async def check_doubt(
        self, orchestrator: BulkRegistrationOrchestrator, key: str, *, deaths: int = 1
    ) -> None:
        """
        Check a batch that killed processes left: doubt is bounded, and whatever was called is in doubt.

        Each leaves a window at most; suspects of the ones before wait for the healthy items of the next.
        """
        batch = (await self.batches(orchestrator)).get(key)
        if batch is None:
            assert not self.called(key), f"{key}: called without a batch"
            return
        seen = await orchestrator.get_bulk_submission_status(batch.batch_id, actor=self.victim.COORDINATOR)
        states = {outcome.mentor_id: outcome.state for outcome in seen.outcomes}
        in_doubt = [mentor_id for mentor_id, state in states.items() if state is ItemState.RUNNING]

        atomic = self.requests.get(key, {}).get("mode") == "atomic"
        window = self.victim.settings_with(1.0, self.settings).window
        assert len(in_doubt) <= (seen.total if atomic else deaths * window), key
        assert [] == [name for name in self.called(key) if states[name] is ItemState.PENDING], key

    async def check_end(
        self,
        orchestrator: BulkRegistrationOrchestrator,
        result: BulkSubmissionResult,
        *,
        runs: int = 1,
        ends: Mapping[str, ItemState] | None = None,
    ) -> None:
        """
        Check a batch that came to its end: one record each, one outcome each and run, a gapless log.
        """
        key, batch_id = result.label, result.batch_id
        records = await orchestrator.repository.activities_of_batch(batch_id)
        log = await self.updates(orchestrator, batch_id)
        expected = ends or self.usual_ends
        registered = sorted(name for name, state in expected.items() if state is ItemState.SUCCEEDED)

        assert expected == {outcome.mentor_id: outcome.state for outcome in result.outcomes}, key
        assert len(expected) == result.total == sum(result.counts.values()), key
        assert registered == [record.registration.mentor_id for record in records], key
        assert list(range(1, len(log) + 1)) == [update.sequence for update in log], key
        assert {1} == set(Counter((update.run, update.outcome.mentor_id) for update in log).values()), key
        assert sorted(expected) == sorted(update.outcome.mentor_id for update in log if update.run == 1), key
        assert {f"{batch_id}:run-{run}" for run in range(1, runs + 1)} == set(self.deliveries(batch_id)), key
        assert await orchestrator.repository.audit_wait() is None, key


@pytest.fixture(scope="session")
def helper() -> Iterator[Helper]:
    """
    Start the helper once, and leave no process behind.
    """
    pytest.importorskip("proxy_orchestration.storage.sql", exc_type=ImportError)
    with subprocess.Popen(
        [sys.executable, str(_HERE / "victim.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        helper = Helper(process.stdin, process.stdout)
        yield helper
        for pid in tuple(helper.alive):
            os.kill(pid, signal.SIGKILL)
            helper.wait(pid)
        process.stdin.close()


@pytest.fixture
def scene_of(tmp_path: Path, anyio_backend: str, helper: Helper) -> Callable[..., Scene]:
    """
    Make scenes of processes that use this test's event loop.
    """
    return partial(Scene, folder=tmp_path, backend=anyio_backend, helper=helper)


@pytest.fixture
def scene(scene_of: Callable[..., Scene]) -> Scene:
    """
    An empty database in a file.
    """
    from sqlalchemy import create_engine  # noqa: PLC0415 - an extra

    from proxy_orchestration.storage.sql import create_schema  # noqa: PLC0415 - an extra

    scene = scene_of()
    engine = create_engine(scene.url)
    create_schema(engine)
    engine.dispose()
    return scene
