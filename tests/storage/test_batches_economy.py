"""
What a batch costs in commits, statements, calls of threads and tasks: alone, and with nine others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import attrs
import pytest
from anyio import to_thread
from ticking import Ticking

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from held_writer import all_wait
from sqlalchemy import Connection, event

from proxy_orchestration import BulkRegistrationOrchestrator, BulkRegistrationRequest, ProxyActivity
from proxy_orchestration.ports import ProxyRegistration, RegistrationReceipt
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.storage.sql.database import transactions as module
from proxy_orchestration.testing.contracts.registration.samples import COORDINATOR, NOON, mentors

pytestmark = pytest.mark.dateless

_VISIT: Final = ProxyActivity(activity_type="visit", activity_date=NOON.date(), duration_minutes=30)
_CALLERS: Final = 10
_MENTORS: Final = 10


@pytest.fixture
def anyio_backend() -> str:
    """
    Tasks are counted in asyncio's way.
    """
    return "asyncio"


@attrs.define(eq=False)
class Service:
    """
    A service that answers at once, or when it is told to.
    """

    called: set[str] = attrs.field(factory=set)
    all_are_called: anyio.Event = attrs.field(factory=anyio.Event)
    answers: anyio.Event = attrs.field(factory=anyio.Event)

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Register one.
        """
        self.called.add(registration.batch_id)
        if len(self.called) == _CALLERS:
            self.all_are_called.set()
        if not self.answers.is_set():
            await self.answers.wait()
        return RegistrationReceipt(registration_id=registration.registration_id, activity_id="a")


@attrs.define(eq=False)
class Counted:
    """
    What was done since it was made.
    """

    statements: list[str] = attrs.field(factory=list)
    commits: int = 0
    threads: int = 0
    tasks: int = 0


@contextmanager
def counted(store: SqlActivityRepository, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """
    Count statements, commits that wrote, calls of worker threads by the store, and tasks.
    """
    found = Counted()
    loop = asyncio.get_running_loop()

    def note(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement == "BEGIN IMMEDIATE":
            found.commits += 1
        elif not statement.startswith(("BEGIN", "PRAGMA")):
            found.statements.append(statement)

    def new_task(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **how: Any) -> Any:
        found.tasks += 1
        return asyncio.Task(work, loop=loop, **how)

    async def run_sync(*given: Any, **how: Any) -> Any:
        found.threads += 1
        return await to_thread.run_sync(*given, **how)

    event.listen(store.engine, "before_cursor_execute", note)
    loop.set_task_factory(new_task)
    with monkeypatch.context() as patched:
        patched.setattr(module, "to_thread", type("Module", (), {"run_sync": staticmethod(run_sync)}))
        yield found
    loop.set_task_factory(None)
    event.remove(store.engine, "before_cursor_execute", note)


@asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[tuple[BulkRegistrationOrchestrator, Service]]:
    """
    Open a store that has driven a batch of ten already.
    """
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'own.db'}") as store:
        service = Service()
        orchestrator = BulkRegistrationOrchestrator(
            registration_service=service, repository=store, clock=Ticking(NOON)
        )
        service.answers.set()
        await _submit(orchestrator, 0)
        service.called.clear()
        yield orchestrator, service


async def _submit(orchestrator: BulkRegistrationOrchestrator, number: int) -> None:
    request = BulkRegistrationRequest.for_mentors(mentors(_MENTORS), _VISIT, label=f"batch {number}")
    result = await orchestrator.submit_bulk_registration(request, actor=COORDINATOR)
    assert _MENTORS == len(result.succeeded)


async def test_a_lone_batch_asks_few_threads_and_starts_few_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A thread for each of its three commits.
    """
    async with opened(tmp_path) as (orchestrator, _):
        with counted(orchestrator.repository, monkeypatch) as found:
            await _submit(orchestrator, 1)

    assert (3, 3, 9) == (found.commits, found.threads, len(found.statements)), found
    assert found.tasks <= 12, found


async def test_ten_batches_at_once_begin_in_one_commit_and_end_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    With the statements of one batch each time, and with one call of a thread.
    """
    async with opened(tmp_path) as (orchestrator, service):
        store = orchestrator.repository
        service.answers = anyio.Event()
        with ExitStack() as counting:
            async with anyio.create_task_group() as tasks:
                with counted(store, monkeypatch) as begun:
                    async with all_wait(store._transactions):
                        for number in range(1, _CALLERS + 1):
                            tasks.start_soon(_submit, orchestrator, number)
                    await service.all_are_called.wait()
                ended = counting.enter_context(counted(store, monkeypatch))
                async with all_wait(store._transactions):
                    service.answers.set()

    # One commit is that of whoever was held.
    assert (2, 4, 2) == (begun.commits, len(begun.statements), begun.threads), begun
    # That the audit logger took the events is noted when it took them, of as many as there are by then.
    noted = [text for text in ended.statements if text.startswith("UPDATE audit_events")]
    assert len(noted) < _CALLERS
    assert (2, 5) == (ended.commits - len(noted), len(ended.statements) - len(noted)), ended
    assert ended.threads == ended.commits
    assert begun.tasks + ended.tasks <= 14 * _CALLERS
