"""
Procrastinate with its real tables: a host's transaction, a worker that stops, a fleet that is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

pytest.importorskip("procrastinate")
pytest.importorskip("psycopg")
pytest.importorskip("sqlalchemy")

import psycopg
import psycopg.rows
from postgres_server import find_programs, running_server
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate_world import COORDINATOR, VISIT
from sqlalchemy import URL, Engine, create_engine, text
from waits import LONGEST_WAIT

from proxy_orchestration import BulkRegistrationOrchestrator, BulkRegistrationRequest, BulkSettings
from proxy_orchestration.engines.procrastinate import WakeUps, register
from proxy_orchestration.ports import AuditEvent
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing import ScriptedRegistrationService, hang, reject, succeed

if TYPE_CHECKING:
    from postgres_server.databases import Databases

pytestmark = pytest.mark.postgresql

FLEET = Path(__file__).parents[2] / "examples" / "fleet" / "run.py"


@pytest.fixture
def anyio_backend() -> str:
    """
    Procrastinate's workers are asyncio's.
    """
    return "asyncio"


def conninfo(url: URL) -> str:
    """
    Return the address as psycopg takes it.
    """
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@attrs.define(eq=False)
class Host:
    """
    A process of a host, over one database.
    """

    engine: Engine
    app: App
    orchestrator: BulkRegistrationOrchestrator
    service: ScriptedRegistrationService
    wake_ups: WakeUps
    logger: EventLogger

    async def accept(self, mentors: int = 3) -> str:
        """
        Return the id of a batch that nobody drives.
        """
        request = BulkRegistrationRequest.for_mentors([f"mentor-{each}" for each in range(mentors)], VISIT)
        result = await self.orchestrator.submit_bulk_registration(request, actor=COORDINATOR, drive=False)
        return result.batch_id

    async def jobs(self) -> list[tuple[str, str]]:
        """
        Return the jobs that drive: their locks, and how they stand.
        """
        found = await self.app.job_manager.list_jobs_async(task=self.wake_ups.task)
        return [(str(job.queueing_lock), str(job.status)) for job in found]

    async def work(self, **options: Any) -> None:
        """
        Run a worker.
        """
        await self.app.run_worker_async(**{"install_signal_handlers": False, "concurrency": 5, **options})

    async def supervise(self) -> None:
        """
        Run a worker, and start it again whenever it ends, as a host's supervisor does.
        """
        while True:
            with contextlib.suppress(ConnectorException):
                await self.work(fetch_job_polling_interval=0.2)


@contextlib.contextmanager
def without_a_connection() -> Iterator[None]:
    """
    Let the worker's own tasks end without a database: nobody awaits the task that says a job has ended.

    What else ends a task unheard fails the test, as ever.
    """
    loop = asyncio.get_running_loop()
    usual = loop.get_exception_handler()
    assert usual is not None

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), ConnectorException):
            usual(loop, context)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        gc.collect()  # a task says that nobody asked for its error when it is thrown away
        loop.set_exception_handler(usual)


@attrs.define(eq=False)
class EventLogger:
    """
    An audit logger that tells when it is told of a run.
    """

    told: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def log_bulk_submission(self, _event: AuditEvent, /) -> None:
        """
        Take the event.
        """
        self.told.set()


@asynccontextmanager
async def host_at(url: URL) -> AsyncIterator[Host]:
    """
    Open a process's parts; no sweep comes by itself.
    """
    engine, service, logger = create_engine(url), ScriptedRegistrationService(), EventLogger()
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=service,
        repository=SqlActivityRepository(engine),
        audit_logger=logger,
        settings=BulkSettings(poll_interval=0.05),
    )
    app = App(connector=PsycopgConnector(conninfo=conninfo(url)))
    wake_ups = register(app, orchestrator)
    app.periodic_registry.periodic_tasks.clear()
    async with app.open_async():
        yield Host(engine, app, orchestrator, service, wake_ups, logger)
    engine.dispose()


def new_database(postgresql: Databases) -> URL:
    """
    Name a new database that has the library's tables and Procrastinate's.
    """
    url = postgresql.new()
    app = App(connector=PsycopgConnector(conninfo=conninfo(url)))
    with app.open():
        app.schema_manager.apply_schema()
    return url


@pytest.fixture(scope="module")
def database(postgresql: Databases) -> URL:
    """
    Name a database for all tests of this file.
    """
    return new_database(postgresql)


@pytest.fixture
async def host(database: URL) -> AsyncIterator[Host]:
    """
    Open a process over it.
    """
    async with host_at(database) as opened:
        yield opened


@pytest.mark.parametrize("ends", ["commit", "rollback"])
async def test_a_job_comes_and_goes_with_the_hosts_transaction(host, ends):
    """
    A batch that was never accepted wakes nobody.
    """
    lock = f"{ends}:1"
    with host.engine.connect() as connection:
        host.wake_ups.wake_within(connection, ends, 1)
        before = await host.jobs()
        getattr(connection, ends)()

    assert (lock, "todo") not in before
    assert (ends == "commit") is ((lock, "todo") in await host.jobs())


async def test_a_job_that_waits_already_leaves_the_hosts_transaction_as_it_is(host):
    """
    To PostgreSQL a taken lock is an error, which would abort all that the host wrote.
    """
    await host.wake_ups.wake("taken", 1)
    with host.engine.begin() as connection:
        host.wake_ups.wake_within(connection, "taken", 1)
        answer = connection.scalar(text("SELECT 7"))

    assert 7 == answer
    assert 1 == (await host.jobs()).count(("taken:1", "todo"))


async def test_every_run_that_a_store_opens_has_its_job_in_the_same_transaction(host):
    """
    With `on_run_opened`: a submission and a retry wake a worker, and nobody has to think of it.
    """
    host.orchestrator.repository.on_run_opened = host.wake_ups.wake_within
    host.service.script = lambda _, attempt: reject("away") if attempt == 1 else succeed()
    batch_id = await host.accept(2)
    submitted = await host.jobs()
    await host.work(wait=False)
    retried = await host.orchestrator.retry_failed_items(batch_id, actor=COORDINATOR, drive=False)
    opened = await host.jobs()
    await host.work(wait=False)
    result = await host.orchestrator.get_bulk_submission_status(batch_id, actor=COORDINATOR)

    assert (f"{batch_id}:1", "todo") in submitted
    assert 2 == retried.run
    assert (f"{batch_id}:2", "todo") in opened
    assert ("success", 2) == (result.status.value, len(result.succeeded))


@asynccontextmanager
async def _of_sqlalchemy(url: URL) -> AsyncIterator[Any]:
    engine = create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@asynccontextmanager
async def _of_the_driver(url: URL) -> AsyncIterator[Any]:
    with psycopg.connect(conninfo(url), row_factory=psycopg.rows.dict_row) as connection:
        yield connection


@asynccontextmanager
async def _awaited(url: URL) -> AsyncIterator[Any]:
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - an extra

    engine = create_async_engine(url)
    async with engine.begin() as connection:
        yield connection
    await engine.dispose()


@pytest.mark.parametrize("begun", [_of_sqlalchemy, _of_the_driver, _awaited])
async def test_a_batch_in_a_transaction_of_the_hosts_has_its_job_there(host, begun):
    """
    Whatever connection the host lends.
    """
    host.orchestrator.repository.on_run_opened = host.wake_ups.wake_within
    request = BulkRegistrationRequest.for_mentors(["mentor-1"], VISIT)
    async with begun(host.engine.url) as connection:
        batch = await host.orchestrator.submit_within(connection, request, actor=COORDINATOR)
        before = await host.jobs()
    committed = await host.jobs()
    await host.work(wait=False)
    summary = await host.orchestrator.get_batch_summary(batch.batch_id, actor=COORDINATOR)

    lock = f"{batch.batch_id}:1"
    assert (lock, "todo") not in before
    assert (lock, "todo") in committed
    assert "success" == summary.status.value


async def test_an_awaited_connection_wakes_once(host):
    """
    SQLAlchemy's for asyncio, by its `run_sync`.
    """
    async with _awaited(host.engine.url) as connection:
        for _ in range(2):
            await connection.run_sync(host.wake_ups.wake_within, "awaited", 1)

    assert 1 == (await host.jobs()).count(("awaited:1", "todo"))


async def test_without_procrastinates_tables_the_hosts_transaction_goes_on_and_the_log_says_so(
    host, postgresql_url, caplog
):
    """
    The sweep of whoever has them finds the batch.
    """
    engine = create_engine(postgresql_url)
    with caplog.at_level(logging.WARNING), engine.begin() as connection:
        host.wake_ups.wake_within(connection, "batch-1", 1)
        answer = connection.scalar(text("SELECT 7"))
    engine.dispose()

    assert 7 == answer
    assert ["batch batch-1 was not woken; the sweep will find it: UndefinedObject"] == [
        record.getMessage() for record in caplog.records if record.name == "proxy_orchestration.engines"
    ]


async def test_a_worker_that_stops_leaves_its_run_to_the_next_one_at_once(host):
    """
    The lease is free, the old job is no success, and a new one is to do.
    """
    stopped, called = asyncio.Event(), asyncio.Event()

    def script(*_):
        called.set()
        return succeed() if stopped.is_set() else hang()

    host.service.script = script
    batch_id = await host.accept()
    await host.wake_ups.wake(batch_id, 1)
    worker = asyncio.ensure_future(host.work(shutdown_graceful_timeout=0.01))
    await asyncio.wait_for(called.wait(), LONGEST_WAIT)
    worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker
    between = [status for lock, status in await host.jobs() if lock == f"{batch_id}:1"]
    waiting = [run.batch_id for run in await host.orchestrator.waiting_runs(limit=10)]
    stopped.set()
    await host.work(wait=False)

    summary = await host.orchestrator.get_batch_summary(batch_id, actor=COORDINATOR)
    assert ["aborted", "todo"] == between
    assert batch_id in waiting
    assert "success" == summary.status.value


async def test_the_sweep_wakes_what_is_not_woken_yet_and_a_worker_ends_it(host):
    """
    With the real tables the same as in memory.
    """
    woken, forgotten = await host.accept(), await host.accept()
    await host.wake_ups.wake(woken, 1)
    await host.app.configure_task("proxy_orchestration.sweep", priority=1).defer_async(timestamp=1)
    for _ in range(2):  # a worker that does not wait ends before what its last jobs bring
        await host.work(wait=False, concurrency=1)  # one after the other: the job still waits when it sweeps

    jobs = [lock for lock, status in await host.jobs() if status == "succeeded"]
    assert 1 == jobs.count(f"{woken}:1")
    assert 1 == jobs.count(f"{forgotten}:1")


@pytest.mark.crash
@pytest.mark.full
async def test_a_database_that_is_started_again_holds_up_no_batch():
    """
    What is accepted after its end is driven by the worker that was there before, or by the one after it.
    """
    from postgres_server.databases import Databases  # noqa: PLC0415 - needs the driver

    with running_server(find_programs()) as server, without_a_connection():
        async with host_at(new_database(Databases(server.folder))) as host:
            worker = asyncio.ensure_future(host.supervise())
            await host.wake_ups.wake(await host.accept(), 1)
            await asyncio.wait_for(host.logger.told.wait(), LONGEST_WAIT)
            await asyncio.to_thread(server.restart)
            host.logger.told.clear()
            batch_id = await host.accept()
            await host.wake_ups.wake(batch_id, 1)
            await asyncio.wait_for(host.logger.told.wait(), LONGEST_WAIT)
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            summary = await host.orchestrator.get_batch_summary(batch_id, actor=COORDINATOR)

    assert "success" == summary.status.value


@pytest.mark.crash
@pytest.mark.full
def test_a_fleet_that_is_killed_at_random_has_one_record_for_each_mentor(postgresql):
    """
    The example as it stands, for seconds and not for a minute.
    """
    options = {"--batches": 20, "--mentors": 8, "--seconds": 6, "--kills": 2, "--freezes": 1, "--workers": 2}
    url = conninfo(postgresql.empty())
    told = [str(word) for pair in options.items() for word in pair]

    done = subprocess.run(
        [sys.executable, str(FLEET), "--url", url, *told],
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * LONGEST_WAIT,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "2 workers; 20 batches of 8 in 6 s" == lines[0]
    assert lines[1].startswith("2 workers were killed and replaced, 1 stood still; ")
    assert "160 records for 160 mentors, 0 of them with more than one" == lines[-2]
    assert "one record for each mentor, no batch stuck" == lines[-1]
