"""
Temporal wakes drivers; what is done, by whom and how often, is decided by the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import anyio
import attrs
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("temporalio")

from temporal_world import ANNA, MENTORS, TemporalWorld
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError
from temporalio.worker import Replayer

from proxy_orchestration import BulkSettings, BulkStatus, RetryPolicy
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock, RecordingAuditLogger, fail, hang, succeed, unavailable

pytestmark = pytest.mark.dateless

SETTLED: Mapping[str, Any] = {"ending": "settled", "status": "success", "retry_after": None}


async def _failures(world: TemporalWorld, batch: Any) -> list[str]:
    """
    Return the types of the errors with which attempts of the run's activity ended.
    """
    history = await world.workflow_of(batch).fetch_history()
    failures = [
        event.activity_task_started_event_attributes.last_failure
        for event in history.events
        if event.HasField("activity_task_started_event_attributes")
    ]
    return [failure.application_failure_info.type for failure in failures if failure.message]


async def _has_failed(world: TemporalWorld, batch: Any) -> bool:
    """
    Tell whether an attempt of the run's activity has ended with an error, and another is to come.
    """
    described = await world.workflow_of(batch).describe()
    return any(each.HasField("last_failure") for each in described.raw_description.pending_activities)


async def _swept(world: TemporalWorld) -> Any:
    """
    Let a sweep pass, and return what it found.
    """
    return await world.client.execute_workflow(
        "proxy_orchestration.sweep",
        {"version": 1, "limit": 10},
        id=f"{world.name}-swept",
        task_queue=world.name,
    )


async def test_a_run_that_is_woken_is_driven_to_its_end(world: TemporalWorld) -> None:
    """
    However often: the wake-ups are one workflow, and every mentor has one record.
    """
    engine = world.registrations()
    batch = await world.accepted(engine)

    async with world.worker(engine):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(engine.wake, batch.batch_id, batch.run)
        result = await world.workflow_of(batch).result()
        await engine.wake(batch.batch_id, batch.run)
        again = await world.workflow_of(batch).result()

    assert SETTLED == result == again
    assert sorted(MENTORS) == sorted(call.mentor_id for call in world.service.calls)


async def test_a_workflow_can_be_played_again_from_its_history(world: TemporalWorld) -> None:
    """
    As a worker does that has none of it in memory.
    """
    engine = world.registrations()
    batch = await world.accepted(engine)
    async with world.worker(engine):
        await engine.wake(batch.batch_id, batch.run)
        await world.workflow_of(batch).result()
    history = await world.workflow_of(batch).fetch_history()

    replayed = await Replayer(workflows=[*engine.workflows]).replay_workflow(history)

    assert replayed.replay_failure is None


async def test_a_batch_that_was_deleted_ends_its_workflow(world: TemporalWorld) -> None:
    """
    As does a run that is no longer its batch's current one.
    """
    engine = world.registrations()
    batch = await world.accepted(engine)
    await engine.orchestrator.cancel_batch(batch.batch_id, actor=ANNA)
    await engine.orchestrator.delete_batch(batch.batch_id, actor=ANNA)

    async with world.worker(engine):
        await engine.wake(batch.batch_id, batch.run)
        result = await world.workflow_of(batch).result()

    assert "gone" == result["ending"]
    assert [] == world.service.calls


@pytest.mark.parametrize(
    "payload", [{"version": 2, "batch_id": "b", "run": 1}, {"version": 1}, ["b", 1], None]
)
async def test_what_another_version_started_fails_once_and_says_what_to_do(
    world: TemporalWorld, payload: object
) -> None:
    """
    It is not tried again; the sweep of this version wakes the batch.
    """
    async with world.worker(world.registrations()):
        with pytest.raises(WorkflowFailureError) as caught:
            await world.client.execute_workflow(
                "proxy_orchestration.drive", payload, id=world.name, task_queue=world.name
            )

    assert "AnotherVersion" == getattr(caught.value.cause, "type", None)
    assert "in the version that the workers have" in str(caught.value.cause)


async def test_a_worker_that_stops_gives_its_run_to_the_next(world: TemporalWorld) -> None:
    """
    At once: the lease is released, and the attempt fails as one that is worth another.
    """
    called = anyio.Event()

    def hang_at_first(_registration: object, attempt: int) -> Any:
        called.set()
        return hang() if attempt == 1 else succeed()

    world.service.script = hang_at_first
    first, second = world.registrations(), world.registrations()
    batch = await world.accepted(first)
    with anyio.fail_after(LONGEST_WAIT):
        async with world.worker(first):
            await first.wake(batch.batch_id, batch.run)
            await called.wait()

    assert [(batch.batch_id, 1)] == [
        (run.batch_id, run.run) for run in await second.orchestrator.waiting_runs()
    ]
    async with world.worker(second):
        with anyio.fail_after(LONGEST_WAIT):
            result = await world.workflow_of(batch).result()
    assert SETTLED == result
    assert ["WorkerStopped"] == await _failures(world, batch)
    assert len(MENTORS) == len(world.service.records)


async def test_a_run_that_somebody_else_drives_is_asked_for_again_when_that_lease_is_over(
    world: TemporalWorld,
) -> None:
    """
    By the server: the workflow's history has one attempt, the last one.
    """
    clock = FakeClock(datetime.now(UTC))
    world.repository = MemoryActivityRepository(clock)
    engine = world.registrations()
    batch = await world.accepted(engine)
    await world.repository.acquire(batch.batch_id, batch.run, ttl=0.3)  # and dies

    async with world.worker(engine):
        await engine.wake(batch.batch_id, batch.run)
        with anyio.fail_after(LONGEST_WAIT):
            while not await _has_failed(world, batch):
                pass
            clock.advance(0.3)
            result = await world.workflow_of(batch).result()

    assert SETTLED == result
    assert ["Held"] == await _failures(world, batch)


async def test_a_workflow_that_is_cancelled_stops_driving_and_cancels_no_batch(world: TemporalWorld) -> None:
    """
    The batch stays as it is, and the next wake-up goes on with it.
    """
    called = anyio.Event()

    def hang_at_first(_registration: object, attempt: int) -> Any:
        called.set()
        return hang() if attempt == 1 else succeed()

    world.service.script = hang_at_first
    engine = attrs.evolve(world.registrations(), heartbeat=0.3)
    batch = await world.accepted(engine)
    async with world.worker(engine):
        await engine.wake(batch.batch_id, batch.run)
        await called.wait()
        await world.workflow_of(batch).cancel()
        with anyio.fail_after(LONGEST_WAIT), pytest.raises(WorkflowFailureError) as caught:
            await world.workflow_of(batch).result()
        left = await engine.orchestrator.get_bulk_submission_status(batch.batch_id, actor=ANNA)
        await engine.wake(batch.batch_id, batch.run)
        result = await world.workflow_of(batch).result()

    assert isinstance(caught.value.cause, CancelledError)
    assert BulkStatus.RUNNING is left.status
    assert SETTLED == result


async def test_the_sweep_wakes_what_nobody_woke_and_delivers_audit_events(world: TemporalWorld) -> None:
    """
    Its schedule may be made by every process; the later one changes it.
    """
    audit = RecordingAuditLogger(lambda _event, attempt: fail(OSError()) if attempt == 1 else succeed())
    engine = world.registrations(
        audit_logger=audit, settings=BulkSettings(poll_interval=0.05, audit_timeout=0.5)
    )
    await engine.schedule_sweep()
    await attrs.evolve(engine, sweep_every=3600.0).schedule_sweep()
    schedule = world.client.get_schedule_handle(f"{world.name}-sweep")
    described = await schedule.describe()
    batch = await world.accepted(engine)

    async with world.worker(engine):
        swept = await _swept(world)
        result = await world.workflow_of(batch).result()
        with anyio.fail_after(LONGEST_WAIT):
            while not audit.events:
                told = await _swept(world)
    await schedule.delete()

    assert [3600.0] == [each.every.total_seconds() for each in described.schedule.spec.intervals]
    assert ({"runs": 1, "audit_events": 0}, SETTLED, {"runs": 0, "audit_events": 1}) == (swept, result, told)
    assert [batch.batch_id] == [event.batch_id for event in audit.events]


async def test_a_paused_run_ends_its_workflow_and_is_woken_when_it_is_resumed(world: TemporalWorld) -> None:
    """
    Nothing of it runs in between.
    """
    engine = world.registrations()
    batch = await world.accepted(engine)
    await engine.orchestrator.pause_batch(batch.batch_id, actor=ANNA)

    async with world.worker(engine):
        await engine.wake(batch.batch_id, batch.run)
        paused = await world.workflow_of(batch).result()
        await engine.orchestrator.resume_batch(batch.batch_id, actor=ANNA)
        await engine.wake(batch.batch_id, batch.run)
        result = await world.workflow_of(batch).result()

    assert "paused" == paused["ending"]
    assert SETTLED == result


async def test_a_run_that_waits_is_asked_for_again_when_it_is_due(world: TemporalWorld) -> None:
    """
    In between it has neither a worker's place nor a lease.
    """
    world.service.script = lambda _registration, attempt: unavailable(1.0) if attempt == 1 else succeed()
    engine = world.registrations()
    batch = await world.accepted(engine)

    async with world.worker(engine):
        await engine.wake(batch.batch_id, batch.run)
        with anyio.fail_after(LONGEST_WAIT):
            result = await world.workflow_of(batch).result()

    assert SETTLED == result
    events = (await world.workflow_of(batch).fetch_history()).events
    assert any(event.HasField("timer_fired_event_attributes") for event in events)


async def test_who_waits_for_an_hour_looks_at_once_when_woken(world: TemporalWorld) -> None:
    """
    A cancel or a resumption is not to wait for a timer.
    """
    asked = anyio.Event()

    def script(_registration: object, attempt: int) -> Any:
        asked.set()
        return unavailable(3000) if attempt == 1 else succeed()

    world.service.script = script
    engine = world.registrations()
    batch = await world.accepted(engine)

    async with world.worker(engine):
        await engine.wake(batch.batch_id, batch.run)
        await asked.wait()
        await engine.orchestrator.cancel_batch(batch.batch_id, actor=ANNA)
        await engine.wake(batch.batch_id, batch.run)
        with anyio.fail_after(LONGEST_WAIT):
            result = await world.workflow_of(batch).result()

    assert {"ending": "settled", "status": "total_failure", "retry_after": None} == result


async def test_a_history_that_grows_long_goes_on_in_a_new_one(world: TemporalWorld) -> None:
    """
    A run that waits again and again, for a service that is away, is no workflow without an end.
    """
    world.service.script = lambda _registration, attempt: unavailable(0.5) if attempt < 4 else succeed()
    retry = RetryPolicy(max_attempts=20, initial=0.01, max_delay=0.02)
    engine = world.registrations(settings=BulkSettings(poll_interval=0.05, retry=retry))
    batch = await world.accepted(engine, MENTORS[:1])

    async with world.worker(engine):
        await engine.wake(batch.batch_id, batch.run)
        with anyio.fail_after(LONGEST_WAIT):
            result = await world.workflow_of(batch).result()

    assert SETTLED == result
    first = (await world.workflow_of(batch).fetch_history()).events[0]
    assert first.workflow_execution_started_event_attributes.continued_execution_run_id
    assert 4 == len(world.service.calls)
