from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import anyio
import pytest
from anyio.lowlevel import checkpoint
from waits import LONGEST_WAIT

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkStatus,
    ProxyActivity,
    Role,
)
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock, ScriptedRegistrationService, succeed, unavailable


def test_a_fake_clock_starts_in_2026() -> None:
    """
    Without a start the clock shows the first moment of 2026.
    """
    clock = FakeClock()

    assert (datetime(2026, 1, 1, tzinfo=UTC), 0.0) == (clock.now(), clock.monotonic())


def test_a_start_in_another_zone_is_shown_in_utc() -> None:
    """
    The port promises UTC, so the start is converted.
    """
    clock = FakeClock(datetime(2026, 6, 1, 12, tzinfo=timezone(timedelta(hours=2))))

    assert "2026-06-01T10:00:00+00:00" == clock.now().isoformat()


def test_a_naive_start_is_refused() -> None:
    """
    A moment without a zone is no moment.
    """
    with pytest.raises(ValueError, match="aware"):
        FakeClock(datetime(2026, 6, 1))  # noqa: DTZ001 - the refusal under test


def test_advance_moves_both_times() -> None:
    """
    The date and the seconds go together.
    """
    clock = FakeClock()
    clock.advance(1.5)

    assert (clock.start + timedelta(seconds=1.5), 1.5) == (clock.now(), clock.monotonic())


def test_time_does_not_go_back() -> None:
    """
    Only the date may jump.
    """
    with pytest.raises(ValueError, match="set_now"):
        FakeClock().advance(-1)


def test_set_now_leaves_monotonic_alone() -> None:
    """
    A corrected machine clock jumps, and the seconds go on.
    """
    clock = FakeClock()
    clock.advance(5)
    clock.set_now(datetime(2020, 2, 29, tzinfo=UTC))

    assert (datetime(2020, 2, 29, tzinfo=UTC), 5.0) == (clock.now(), clock.monotonic())


async def test_set_now_wakes_nobody() -> None:
    """
    Sleeping is by seconds, not by dates.
    """
    clock = FakeClock()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.sleep, 10)
        await clock.wait_for_sleepers()
        clock.set_now(datetime(2030, 1, 1, tzinfo=UTC))

        assert 1 == clock.sleepers
        clock.advance(10)


async def test_due_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    """
    On trio too, which runs tasks that become ready together in any order.
    """
    clock = FakeClock()
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with anyio.create_task_group() as tasks:
        for seconds in (5.0, 1.0, 4.0, 2.0, 3.0, 9.0):
            tasks.start_soon(sleeper, seconds)
        with anyio.fail_after(LONGEST_WAIT):
            await clock.wait_for_sleepers(6)
        clock.advance(5)
        clock.advance(4)

    assert [1.0, 2.0, 3.0, 4.0, 5.0, 9.0] == woken


async def test_a_sleeper_that_is_not_due_goes_on_sleeping() -> None:
    """
    The deadline counts, not the number of advances.
    """
    clock = FakeClock()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.sleep, 10)
        await clock.wait_for_sleepers()
        clock.advance(9.5)

        assert 1 == clock.sleepers
        clock.advance(0.5)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    """
    Nothing stays behind of a sleep that was cut.
    """
    clock = FakeClock()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.sleep, 10)
        await clock.wait_for_sleepers()
        tasks.cancel_scope.cancel()

    assert 0 == clock.sleepers


async def test_a_sleeper_cancelled_when_due_still_wakes_the_next() -> None:
    """
    The order is passed on from one to the next, whatever becomes of the one.
    """
    clock = FakeClock()
    scope = anyio.CancelScope()

    async def cut_short() -> None:
        with scope:
            await clock.sleep(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cut_short)
        await clock.wait_for_sleepers(1)
        tasks.start_soon(clock.sleep, 2)
        await clock.wait_for_sleepers(2)
        clock.advance(3)
        scope.cancel()

    assert 0 == clock.sleepers


async def test_waiting_for_sleepers_ends_when_enough_sleep() -> None:
    """
    The wait is for arrivals, and needs no polling.
    """
    clock = FakeClock()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(clock.sleep, 1)
        with anyio.fail_after(LONGEST_WAIT):
            await clock.wait_for_sleepers(3)

        assert 3 == clock.sleepers
        clock.advance(1)


async def test_the_next_alarm_is_the_first_deadline() -> None:
    """
    A test can advance to it without knowing who sleeps how long.
    """
    clock = FakeClock()
    alarms = [clock.next_alarm]
    async with anyio.create_task_group() as tasks:
        for seconds in (7, 3):
            tasks.start_soon(clock.sleep, seconds)
        await clock.wait_for_sleepers(2)
        clock.advance(1)
        alarms.append(clock.next_alarm)
        clock.advance(6)

    assert [None, 2.0] == alarms


async def test_a_clock_that_moves_by_itself_ends_every_sleep_in_order() -> None:
    """
    Whatever sleeps for hours is over at once, the shortest first.
    """
    clock, woken = FakeClock(moves_after=0), []

    async def sleep(hours: int) -> None:
        await clock.sleep(3600.0 * hours)
        woken.append((hours, clock.monotonic() / 3600))

    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as tasks:
            for hours in (3, 1, 2):
                tasks.start_soon(sleep, hours)

    assert [(1, 1.0), (2, 2.0), (3, 3.0)] == woken


async def test_a_clock_that_moves_by_itself_waits_for_what_is_under_way() -> None:
    """
    Tasks that still run, or use the clock, are heard first.
    """
    clock, seen = FakeClock(moves_after=0), []

    async def work() -> None:
        for _ in range(1000):
            await checkpoint()
            seen.append(clock.monotonic())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        tasks.start_soon(clock.sleep, 5.0)

    assert {0.0} == set(seen)
    assert 1000 == len(seen)
    assert 5.0 == clock.monotonic()


async def test_a_clock_that_moves_by_itself_goes_on_when_its_first_sleeper_leaves() -> None:
    """
    The next one moves the time, and a later alarm that is earlier than all goes first.
    """
    clock = FakeClock(moves_after=0.001)

    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.sleep, 50.0)
            with anyio.move_on_after(0):
                await clock.sleep(10.0)
            await clock.sleep(1.0)
            assert 1.0 == clock.monotonic()

    assert 50.0 == clock.monotonic()


async def test_a_host_s_test_with_pauses_and_a_server_ends_by_itself() -> None:
    """
    Backoff of many seconds, and a server that polls, and nobody advances anything.
    """
    clock = FakeClock(moves_after=0)
    service = ScriptedRegistrationService(
        lambda _, call: unavailable(retry_after=600.0) if call == 1 else succeed(), clock=clock
    )
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=service, repository=MemoryActivityRepository(clock), clock=clock
    )
    actor = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
    visit = ProxyActivity(activity_type="visit", activity_date=date(2025, 12, 30), duration_minutes=45)

    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as tasks:
            await tasks.start(lambda task_status: orchestrator.serve(task_status=task_status))
            accepted = await orchestrator.submit_bulk_registration(
                BulkRegistrationRequest.for_mentors(["mentor-1"], visit), actor=actor, drive=False
            )
            async with orchestrator.watch_batch(accepted.batch_id, actor=actor) as run:
                async for _ in run:
                    pass
            tasks.cancel_scope.cancel()

    assert BulkStatus.SUCCESS is run.result.status
    assert 600.0 <= clock.monotonic() < 1200.0


def test_a_clock_does_not_move_before_it_is_asked() -> None:
    """
    A pause below zero means nothing.
    """
    with pytest.raises(ValueError, match="moves_after"):
        FakeClock(moves_after=-1)
