"""
The night as periodic jobs of Procrastinate: late, missed, killed, failed.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

pytest.importorskip("procrastinate")
pytest.importorskip("psycopg")

from procrastinate import App
from procrastinate.periodic import PeriodicDeferrer
from procrastinate_world import World

from proxy_orchestration import (
    InvalidValueError,
    MisconfiguredError,
    NotificationOrchestrator,
    PushDispatcher,
)
from proxy_orchestration.engines.procrastinate import CATCH_UP, register, schedule_expiry
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.testing import ScriptedPushSender

pytestmark = pytest.mark.dateless


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


def night_of(world: World, certificates: Any = tuple, **rest: Any) -> NotificationOrchestrator:
    """
    Schedule a night over a store in memory, and return who runs it.
    """
    repository = MemoryNotificationRepository()
    notifications = NotificationOrchestrator(repository=repository, clock=world.clock)
    dispatcher = PushDispatcher(repository=repository, sender=ScriptedPushSender(), clock=world.clock)
    schedule_expiry(world.app, notifications, dispatcher, certificates=certificates, **rest)
    return notifications


def due_at(app: App, moment: datetime) -> dict[str, datetime]:
    """
    Return what a worker that starts at that moment defers, and for when.
    """
    deferrer = PeriodicDeferrer(registry=app.periodic_registry, **app.periodic_defaults)
    found = deferrer.get_previous_tasks(at=moment.timestamp())
    return {task.task.name: datetime.fromtimestamp(timestamp, UTC) for task, timestamp in found}


@pytest.mark.parametrize("late", [timedelta(minutes=1), timedelta(minutes=11), timedelta(hours=23)])
def test_a_night_that_no_worker_was_up_for_is_made_up_for_by_the_first_that_starts(world, late):
    """
    By itself Procrastinate leaves out what is more than ten minutes late.
    """
    night_of(world)
    night = datetime(2026, 3, 29, 0, 5, tzinfo=UTC)  # the clock goes forward in Oslo an hour later

    assert night == due_at(world.app, night + late)["proxy_orchestration.certificates"]


def test_the_sweep_and_the_pushes_come_at_their_periods(world):
    """
    The seconds of a line of cron are its last field.
    """
    register(world.app, world.orchestrator, sweep_every=10)
    night_of(world, send_every=300)

    due = due_at(world.app, datetime(2026, 3, 29, 12, 34, 56, tzinfo=UTC))

    assert datetime(2026, 3, 29, 12, 34, 50, tzinfo=UTC) == due["proxy_orchestration.sweep"]
    assert datetime(2026, 3, 29, 12, 30, tzinfo=UTC) == due["proxy_orchestration.pushes"]


def test_of_two_nights_that_were_missed_one_is_made_up_for(world):
    """
    It tells what both would have; within five minutes of the next one nothing is made up for.
    """
    night_of(world)
    night = datetime(2026, 3, 29, 0, 5, tzinfo=UTC)

    assert (
        night
        == due_at(world.app, night + timedelta(hours=23, minutes=54))["proxy_orchestration.certificates"]
    )
    assert "proxy_orchestration.certificates" not in due_at(
        world.app, night + timedelta(hours=23, minutes=56)
    )


@pytest.mark.parametrize("defaults", [{}, {"max_delay": 600}, {"max_delay": CATCH_UP - 1}])
def test_an_app_that_would_leave_out_a_night_is_refused_with_what_to_do(world, defaults):
    """
    What counts for all of a host's periodic jobs is not changed behind its back.
    """
    world.app.periodic_defaults = defaults

    with pytest.raises(MisconfiguredError, match=r"App\(..., periodic_defaults=\{'max_delay': 86100\}\)"):
        night_of(world)


@pytest.mark.parametrize("at", [time(0, 5), time(0, 5, tzinfo=ZoneInfo("Europe/Oslo"))])
def test_an_hour_that_a_clock_change_may_skip_is_refused(world, at):
    """
    Nor is one without a zone, which people read as theirs.
    """
    with pytest.raises(InvalidValueError, match="at must be in UTC"):
        night_of(world, at=at)


async def test_a_night_runs_as_of_now_and_is_in_the_log_of_runs_and_a_missed_one_is_not(world):
    """
    Who watches asks the log: the night that no worker ran has no row.
    """
    notifications = night_of(world)
    world.clock.advance(300.0)  # 00:05
    told = await world.app.tasks["proxy_orchestration.certificates"].func(timestamp=300)
    world.clock.advance(2 * 86_400.0)  # the second night is missed
    await world.app.tasks["proxy_orchestration.certificates"].func(timestamp=300)

    runs = await notifications.repository.list_runs(None, after=None, limit=10)
    days = [run.started_at.date().day for run in runs]
    assert [3, 1] == days
    assert {"due": 300, "processed": 0, "created": 0, "failed": 0, "sent": 0} == told


async def test_a_night_whose_worker_was_killed_is_repeated_by_whoever_sends_next(world, monkeypatch):
    """
    Procrastinate leaves such a job as it is.
    """
    night_of(world)
    await world.app.configure_task("proxy_orchestration.certificates").defer_async(timestamp=1)
    (job,) = world.connector.jobs.values()
    job["status"] = "doing"

    async def stalled(**_):
        return [each for each in await world.app.job_manager.list_jobs_async() if each.status == "doing"]

    monkeypatch.setattr(world.app.job_manager, "get_stalled_jobs", stalled)
    told = await world.app.tasks["proxy_orchestration.pushes"].func(timestamp=60)

    assert 1 == told["repeated"]
    assert "todo" == job["status"]


async def test_a_night_that_fails_is_tried_again_and_the_log_of_runs_says_so(world):
    """
    Five times, over an hour.
    """

    def broken():
        raise ConnectionError
        yield

    notifications = night_of(world, certificates=broken)
    await world.app.configure_task("proxy_orchestration.certificates").defer_async(timestamp=1)
    await world.work()

    (job,) = world.connector.jobs.values()
    (run,) = await notifications.repository.list_runs(None, after=None, limit=10)
    assert ("todo", 1) == (job["status"], job["attempts"])
    assert "ConnectionError" in str(run.error)
