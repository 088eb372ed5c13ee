"""
Procrastinate's jobs and what they do, in its connector that keeps them in memory.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from datetime import UTC, datetime, timedelta

import anyio
import attrs
import pytest

pytest.importorskip("procrastinate")
pytest.importorskip("psycopg")

from every_error import every_error
from procrastinate.exceptions import ConnectorException, TaskAlreadyRegistered
from procrastinate.job_context import AbortReason
from procrastinate_world import COORDINATOR, VISIT, World, drive, sweep

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    InvalidValueError,
    MisconfiguredError,
    RepositoryUnavailableError,
    StandardRegistrationService,
    SubmissionMode,
    WrongServiceError,
)
from proxy_orchestration.engines.procrastinate import WakeUps, register
from proxy_orchestration.engines.procrastinate.periods import every
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import hang, succeed, unavailable

pytestmark = pytest.mark.dateless

EVERY_ERROR = every_error()


@pytest.fixture
def anyio_backend() -> str:
    """
    Procrastinate's workers are asyncio's.
    """
    return "asyncio"


@pytest.fixture
def world() -> World:
    """
    Make a fleet.
    """
    return World()


async def test_a_worker_drives_what_it_is_woken_for(world):
    """
    The job has ids in it and nothing else, and one waits for each run at most.
    """
    wake_ups, batch_id = register(world.app, world.orchestrator), await world.accept()

    assert await wake_ups.wake(batch_id, 1)
    assert not await wake_ups.wake(batch_id, 1)
    await world.work()

    (job,) = world.jobs("succeeded")
    assert {"version": 1, "batch_id": batch_id, "run": 1, "failures": 0} == job["args"]
    assert f"{batch_id}:1" == job["queueing_lock"]
    assert 3 == len(world.service.calls)


async def test_the_sweep_wakes_what_nobody_woke_and_what_waits_already_only_once(world):
    """
    It is the outbox: a process that dies between acceptance and wake-up loses nothing.
    """
    register(world.app, world.orchestrator)
    batches = [await world.accept(mentors=1) for _ in range(3)]
    await WakeUps(world.app).wake(batches[0], 1)

    first, second = await sweep(world), await sweep(world)
    await world.work()

    assert {"due": 1, "woken": 2, "audit_events": 0} == first
    assert {"due": 1, "woken": 0, "audit_events": 0} == second
    assert batches == [job["args"]["batch_id"] for job in world.jobs("succeeded")]
    assert {"due": 1, "woken": 0, "audit_events": 0} == await sweep(world)


async def test_the_sweep_delivers_audit_events_that_were_refused(world):
    """
    A host that only uses an engine has no `serve` that would.
    """
    world.audit.script = lambda _, attempt: unavailable() if attempt == 1 else succeed()
    register(world.app, world.orchestrator)
    batch_id = await world.accept()
    await drive(world, version=1, batch_id=batch_id, run=1)
    world.clock.advance(10.0)

    assert 1 == (await sweep(world))["audit_events"]
    assert [batch_id] == [event.batch_id for event in world.audit.events]


async def test_a_run_of_which_nothing_is_due_comes_back_when_it_is(world):
    """
    The next job is due when the service said.
    """
    world.service.script = lambda _, attempt: unavailable(retry_after=20.0) if attempt == 1 else succeed()
    register(world.app, world.orchestrator)
    batch_id, before = await world.accept(mentors=1), datetime.now(UTC)

    told = await drive(world, version=1, batch_id=batch_id, run=1, failures=4)

    (job,) = world.jobs("todo")
    assert "waiting" == told["ending"]
    assert 0 == job["args"]["failures"]
    assert timedelta(seconds=20) <= job["scheduled_at"] - before


async def test_a_cancel_of_a_run_that_waits_for_an_hour_is_found_by_the_next_sweep(world):
    """
    Its host may die before it has carried it out; no job holds the run's lock for that hour.
    """
    world.service.script = lambda *_: unavailable(retry_after=3000.0)
    register(world.app, world.orchestrator)
    batch_id = await world.accept(mentors=1)

    told = await drive(world, version=1, batch_id=batch_id, run=1)
    before = await sweep(world)
    await world.orchestrator.repository.cancel_run(
        batch_id, reason=None, wished_at=world.clock.now(), cancelled_by=COORDINATOR.user_id
    )
    after = await sweep(world)
    await world.work()

    summary = await world.orchestrator.get_batch_summary(batch_id, actor=COORDINATOR)
    assert ("waiting", 3000.0) == (told["ending"], told["retry_after"])
    assert (0, 1) == (before["woken"], after["woken"])
    assert summary.settled_at is not None


@pytest.mark.parametrize("reason", [None, AbortReason.SHUTDOWN])
async def test_a_worker_that_stops_leaves_the_run_to_do_at_once(world, reason):
    """
    The job ends by the cancellation, and not as if it were done; the next one is due now, and the lease free.
    """
    world.service.script = lambda *_: hang()
    register(world.app, world.orchestrator)
    batch_id = await world.accept()
    job = asyncio.ensure_future(drive(world, reason, version=1, batch_id=batch_id, run=1))
    while not world.service.calls:
        await anyio.lowlevel.checkpoint()
    job.cancel()

    with pytest.raises(asyncio.CancelledError):
        await job

    (waiting,) = world.jobs("todo")
    assert waiting["scheduled_at"] is None
    assert [batch_id] == [run.batch_id for run in await world.orchestrator.waiting_runs(limit=10)]


async def test_a_job_that_somebody_aborts_is_not_started_again_by_itself(world):
    """
    The sweep does it: to abort a job is no way to stop a batch, which its words say.
    """
    world.service.script = lambda *_: hang()
    register(world.app, world.orchestrator)
    batch_id = await world.accept()
    job = asyncio.ensure_future(drive(world, AbortReason.USER_REQUEST, version=1, batch_id=batch_id, run=1))
    while not world.service.calls:
        await anyio.lowlevel.checkpoint()
    job.cancel()

    with pytest.raises(asyncio.CancelledError):
        await job

    assert [] == world.jobs()
    assert 1 == (await sweep(world))["woken"]


async def test_two_jobs_for_one_run_drive_it_once(world):
    """
    The second is told that it is held, ends well, and does not come back: the sweep would find what is left.
    """
    world.service.script = lambda *_: hang()
    register(world.app, world.orchestrator)
    batch_id = await world.accept()
    first = asyncio.ensure_future(drive(world, version=1, batch_id=batch_id, run=1))
    while not world.service.calls:
        await anyio.lowlevel.checkpoint()

    told = await drive(world, version=1, batch_id=batch_id, run=1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    assert ("held", 30.0) == (told["ending"], told["retry_after"])


async def test_a_job_for_a_batch_that_is_gone_ends_well_and_calls_nobody(world):
    """
    Deleted, never there, or in another run.
    """
    register(world.app, world.orchestrator)
    batch_id = await world.accept()
    await drive(world, version=1, batch_id=batch_id, run=1)
    calls = len(world.service.calls)
    await world.orchestrator.delete_batch(batch_id, actor=COORDINATOR)

    told = [await drive(world, version=1, batch_id=name, run=1) for name in (batch_id, "nowhere")]

    assert ["gone", "gone"] == [report["ending"] for report in told]
    assert calls == len(world.service.calls)
    assert [] == world.jobs()


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"batch_id": "b", "run": 1}, "must have version 1 for this build, not None"),
        ({"version": 2, "batch": "b"}, "must have version 1 for this build, not 2.*sweep"),
        ({"version": 1, "batch_id": "b"}, "must have .*run"),
        ({"version": 1, "batch_id": 7, "run": 1}, "batch_id must be of type str"),
        ({"version": 1, "batch_id": "b", "run": "1"}, "must be of type int"),
    ],
)
async def test_a_payload_of_another_build_fails_the_job_and_says_what_to_do(world, payload, message):
    """
    Nothing is driven, and no job comes back: another one would be the same.
    """
    register(world.app, world.orchestrator)

    with pytest.raises((InvalidValueError, TypeError), match=message):
        await drive(world, **payload)

    assert [] == world.jobs()


async def test_what_a_later_build_adds_to_a_payload_is_left_out_of_account(world):
    """
    Both builds drive it while one is replaced by the other.
    """
    register(world.app, world.orchestrator)
    batch_id = await world.accept()

    told = await drive(world, version=1, batch_id=batch_id, run=1, trace="of a later build")

    assert "settled" == told["ending"]


async def test_a_store_that_fails_is_asked_again_ever_more_rarely(world):
    """
    The job fails, where everybody sees it, and the next one waits longer, ten minutes at the most.
    """

    class Down(MemoryActivityRepository):
        async def acquire(self, batch_id, run, /, *, ttl, take_over=False):
            reason = "The database is down."
            raise RepositoryUnavailableError(reason, advice="Start it.")

    world.orchestrator = attrs.evolve(world.orchestrator, repository=Down(world.clock))
    register(world.app, world.orchestrator)
    batch_id, pauses, failures = await world.accept(), [], 0
    for _ in range(9):
        before = datetime.now(UTC)
        with pytest.raises(RepositoryUnavailableError):
            await drive(world, version=1, batch_id=batch_id, run=1, failures=failures)
        (job,) = world.jobs("todo")
        failures = job["args"]["failures"]
        pauses.append(round((job["scheduled_at"] - before).total_seconds() / 5))
        world.connector.jobs.clear()

    assert [1, 2, 4, 8, 16, 32, 64, 120, 120] == pauses


async def test_a_batch_of_another_service_fails_the_job_and_does_not_come_back(world):
    """
    It is a queue that two services share, which somebody has to see.
    """
    other = attrs.evolve(world.orchestrator, service_name="calls")
    own = attrs.evolve(world.orchestrator, service_name="visits")
    request = BulkRegistrationRequest.for_mentors(["mentor-1"], VISIT)
    batch = await own.submit_bulk_registration(request, actor=COORDINATOR, drive=False)
    register(world.app, other)

    with pytest.raises(WrongServiceError):
        await drive(world, version=1, batch_id=batch.batch_id, run=1)

    assert [] == world.jobs()


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=[kind.__name__ for kind in EVERY_ERROR])
async def test_a_job_comes_back_unless_the_error_says_that_this_cannot_help(world, kind):
    """
    Each error of this library, as its page says of it; what is not known comes back.
    """

    class Failing(BulkRegistrationOrchestrator):
        async def drive_if_free(self, batch_id, *, run=None):
            raise kind.__new__(kind)

    register(
        world.app,
        Failing(registration_service=world.service, repository=world.orchestrator.repository),
    )

    with pytest.raises(kind):
        await drive(world, version=1, batch_id="batch-1", run=1)

    assert (kind.repeat_helps is not False) == len(world.jobs("todo"))


async def test_a_run_that_this_worker_s_service_cannot_do_fails_once_and_is_swept_up_no_more(world):
    """
    Somebody has to see that; a failed job every ten seconds would hide it.
    """
    standard = StandardRegistrationService(repository=world.orchestrator.repository, clock=world.clock)
    able = attrs.evolve(world.orchestrator, registration_service=standard)
    request = BulkRegistrationRequest.for_mentors(["mentor-1"], VISIT, mode=SubmissionMode.ATOMIC)
    batch = await able.submit_bulk_registration(request, actor=COORDINATOR, drive=False)
    other = await world.accept(mentors=1)
    register(world.app, world.orchestrator)

    for _ in range(3):
        await sweep(world)
        await world.work()

    assert ["failed"] == [job["status"] for job in world.jobs() if job["args"]["batch_id"] == batch.batch_id]
    assert "succeeded" == world.status_of(other)
    assert 1 == (await able.drive_if_free(batch.batch_id)).status.value.count("success")


async def test_a_job_that_cannot_be_stored_is_left_to_the_sweep_and_said(world, monkeypatch, caplog):
    """
    Procrastinate's database is often the one that is down; the worker stops all the same.
    """

    async def broken(**_kwargs):
        raise ConnectorException

    world.service.script = lambda *_: hang()
    register(world.app, world.orchestrator)
    batch_id = await world.accept()
    job = asyncio.ensure_future(drive(world, version=1, batch_id=batch_id, run=1))
    while not world.service.calls:
        await anyio.lowlevel.checkpoint()
    monkeypatch.setattr(world.app.job_manager, "defer_job_async", broken)
    job.cancel()

    with caplog.at_level(logging.WARNING), pytest.raises(asyncio.CancelledError):
        await job

    assert [
        f"batch {batch_id} was not driven by this job; the sweep will take it up: ConnectorException"
    ] == [record.getMessage() for record in caplog.records if record.name == "proxy_orchestration.engines"]


def test_two_services_have_a_queue_each_and_the_same_queue_only_one(world):
    """
    The names of the tasks begin with the queue's.
    """
    register(world.app, world.orchestrator)
    register(world.app, world.orchestrator, queue="visits")

    with pytest.raises(TaskAlreadyRegistered):
        register(world.app, world.orchestrator)
    assert {"proxy_orchestration.drive", "visits.drive", "visits.sweep"} < set(world.app.tasks)


@pytest.mark.parametrize(
    ("seconds", "cron"),
    [(5, "* * * * * */5"), (10.0, "* * * * * */10"), (60, "*/1 * * * *"), (300.0, "*/5 * * * *")],
)
def test_a_period_is_a_line_of_cron(seconds, cron):
    """
    Seconds are its sixth field.
    """
    assert cron == every("sweep_every", seconds)


@pytest.mark.parametrize("seconds", [0, -5, 0.5, 7, 90, 3600])
def test_a_period_that_no_line_of_cron_can_say_is_refused(world, seconds):
    """
    `*/7` would skip from 56 to 60.
    """
    with pytest.raises(InvalidValueError, match="sweep_every must divide"):
        register(world.app, world.orchestrator, sweep_every=seconds)


class Elsewhere:
    """
    A connection of SQLAlchemy's that is SQLite's.
    """

    dialect = property(lambda self: self)
    dbapi = sqlite3


def test_a_transaction_of_another_database_cannot_wake_and_says_so(world):
    """
    Before anything is written.
    """
    with pytest.raises(MisconfiguredError, match="not a psycopg connection"):
        WakeUps(world.app).wake_within(Elsewhere(), "batch-1", 1)
