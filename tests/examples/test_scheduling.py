"""
Every night at 00:05 UTC, whatever the clocks of Oslo do; late, missed and doubled nights harm nobody.
"""

from __future__ import annotations

import asyncio
import configparser
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import anyio
import pytest

from proxy_orchestration import NotificationOrchestrator, PeerMentorCertificate, SkipReason
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.testing import FakeClock

FOLDER = Path(__file__).parents[2] / "examples" / "scheduling"
OSLO = ZoneInfo("Europe/Oslo")
FIRST = date(2026, 3, 1)
DAYS = 400  # both clock changes of a year, and the first of the next
NIGHTS = [datetime.combine(FIRST + timedelta(days=day), time(0, 5), tzinfo=UTC) for day in range(DAYS)]


def _example(name: str) -> ModuleType:
    """
    Load a script as a module.
    """
    spec = importlib.util.spec_from_file_location(f"scheduling_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _hours_of(zone: ZoneInfo) -> Iterator[datetime]:
    """
    Yield the moments of 400 days at which a machine of that zone shows five minutes past any hour.
    """
    moment = datetime.combine(FIRST, time(), tzinfo=UTC)
    while moment < NIGHTS[-1] + timedelta(hours=23):
        if moment.astimezone(zone).minute == 5:
            yield moment
        moment += timedelta(minutes=5)


def _cron_line() -> tuple[list[str], str]:
    """
    Return the five fields of time, and the command as a shell gets it.
    """
    lines = (FOLDER / "crontab").read_text(encoding="utf-8").splitlines()
    (line,) = [each for each in lines if each and not each.startswith("#") and not re.match(r"\w+=", each)]
    *times, _user, command = line.split(maxsplit=6)
    assert not re.search(r"(?<!\\)%", command), "cron ends a command at a bare percent sign"
    return times, command.replace(r"\%", "%")


def _started_at(folder: Path, command: str, hour: int) -> bool:
    """
    Tell whether the command starts a run when it is that hour in UTC.
    """
    scripts = {
        "date": f'[ "$*" = "-u +%H" ] && echo {hour:02}',
        "proxy-orchestration": f'echo "$@" >> {folder}/started',
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    (folder / "started").unlink(missing_ok=True)
    subprocess.run(["/bin/sh", "-c", command], env={"PATH": str(folder)}, check=True)
    return (folder / "started").exists()


@pytest.mark.parametrize("zone", ["UTC", "Europe/Oslo", "Asia/Kolkata"])
def test_the_cron_line_runs_every_night_in_any_local_time(zone: str, tmp_path: Path) -> None:
    """
    Debian's cron knows local time alone; half past is as near as it gets where zones are half an hour off.
    """
    times, command = _cron_line()
    hours = {hour for hour in range(24) if _started_at(tmp_path, command, hour)}

    started = [moment for moment in _hours_of(ZoneInfo(zone)) if moment.hour in hours]
    first_of_day = [moment for moment in started if moment.hour == 0]

    assert ["5", "*", "*", "*", "*"] == times
    assert {0, 6} == hours
    assert [night.date() for night in NIGHTS] == [moment.date() for moment in first_of_day]
    assert {5 if zone != "Asia/Kolkata" else 35} == {moment.minute for moment in first_of_day}


def _timer() -> configparser.ConfigParser:
    """
    Return the timer's sections.
    """
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # systemd's names have capitals
    parser.read(FOLDER / "certificate-notices.timer", encoding="utf-8")
    return parser


def test_the_timer_says_utc_and_makes_up_for_nights_on_which_the_machine_was_off() -> None:
    """
    Without the zone it would be local time.
    """
    timer = _timer()["Timer"]
    day, at, zone = timer["OnCalendar"].split()

    assert ("*-*-*", time(0, 5), "UTC") == (day, time.fromisoformat(at), zone)
    assert "true" == timer["Persistent"]
    assert (FOLDER / "certificate-notices.service").exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="asks systemd itself")
def test_systemd_reads_the_timer_as_we_do() -> None:
    """
    On both nights of a clock change too.
    """
    command = ["systemd-analyze", "calendar", "--iterations=3", "--base-time=2026-03-28 12:00:00 UTC"]
    done = subprocess.run(
        [*command, _timer()["Timer"]["OnCalendar"]],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TZ": "Europe/Oslo", "LC_ALL": "C"},
    )

    told = re.findall(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", done.stdout)
    assert [f"2026-03-{day} 00:05:00 UTC" for day in (29, 30, 31)] == list(dict.fromkeys(told))


def test_the_service_tries_again_for_a_store_that_is_away_and_for_nothing_else() -> None:
    """
    A certificate that has to be corrected is not read every ten minutes.
    """
    for library in ("typer", "sqlalchemy"):
        pytest.importorskip(library)
    exits = importlib.import_module("proxy_orchestration.cli.exits")
    service = configparser.ConfigParser(interpolation=None)
    service.read(FOLDER / "certificate-notices.service", encoding="utf-8")
    never = {int(code) for code in service["Service"]["RestartPreventExitStatus"].split()}

    code = exits.ExitCode
    assert {code.PARTIAL_SUCCESS, code.TOTAL_FAILURE, code.BAD_INPUT} <= never
    assert code.STORE_UNAVAILABLE not in never


def test_apscheduler_runs_once_on_each_of_400_days_over_both_clock_changes() -> None:
    """
    In UTC; in Oslo's zone it leaves out the day after the clock goes forward.
    """
    pytest.importorskip("apscheduler")
    trigger = _example("nightly_apscheduler").every_night()
    before, now = None, NIGHTS[0] - timedelta(minutes=1)
    fired = []
    for _ in NIGHTS:
        before = trigger.get_next_fire_time(before, now if before is None else before)
        fired.append(before)

    assert fired == NIGHTS


def test_what_apscheduler_calls_is_a_run_and_calling_it_twice_tells_nobody_twice() -> None:
    """
    The job as the script adds it: due now, not left out for being late, and one at a time.
    """
    pytest.importorskip("apscheduler")
    example = _example("nightly_apscheduler")
    register = _Register(mentors=3)
    nightly = NotificationOrchestrator(repository=MemoryNotificationRepository(), clock=FakeClock(NIGHTS[0]))

    async def play() -> None:
        scheduler = example.AsyncIOScheduler(timezone="UTC")
        example.schedule(scheduler, nightly, register.certificates)
        example.schedule(scheduler, nightly, register.certificates)  # a second start replaces the first
        scheduler.start(paused=True)
        (job,) = scheduler.get_jobs()
        first, second = await job.func(), await job.func()
        scheduler.shutdown(wait=False)

        assert (6 * 3600, 1, True) == (job.misfire_grace_time, job.max_instances, job.coalesce)
        assert job.next_run_time <= datetime.now(UTC) + timedelta(days=1)
        assert (3, 0) == (first.created, second.created)

    asyncio.run(play())


class _Register:
    """
    Certificates that end all over the 400 days.
    """

    def __init__(self, mentors: int, apart: int = 0) -> None:
        self._mentors, self._apart = mentors, apart

    def certificates(self) -> Iterator[PeerMentorCertificate]:
        """
        Yield each mentor's.
        """
        for number in range(self._mentors):
            yield PeerMentorCertificate(
                certificate_id=f"c{number}",
                mentor_id=f"m{number}",
                certificate_type="first_aid",
                expires=FIRST + timedelta(days=50 + number * self._apart),
            )


async def _told(*nights: datetime) -> tuple[Counter[str], dict[tuple[str, str], date]]:
    """
    Run at these moments; return how often each mentor was told of each tier, and on which day.
    """
    store = MemoryNotificationRepository()
    clock = FakeClock(nights[0])
    nightly = NotificationOrchestrator(repository=store, clock=clock)
    register = _Register(mentors=8, apart=41)
    for night in nights:
        clock.set_now(night)
        await nightly.run(register.certificates())
    notices = [notice for n in range(8) for notice in await store.notifications_for(f"m{n}")]
    times = Counter(f"{notice.mentor_id} {notice.tier.value}" for notice in notices)
    return times, {(notice.mentor_id, notice.tier.value): notice.created_at.date() for notice in notices}


async def test_a_doubled_night_tells_nobody_twice() -> None:
    """
    Cron's second hour, a timer beside a cron line, two machines.
    """
    once, _ = await _told(*NIGHTS)
    both = [moment for night in NIGHTS for moment in (night, night + timedelta(hours=6))]

    doubled, _ = await _told(*both)

    assert once == doubled
    assert {1} == set(doubled.values())
    assert 8 * 4 == len(doubled)


async def test_a_missed_night_is_made_up_for_by_the_next_run_on_whatever_day_it_comes() -> None:
    """
    A run is late by as much as the machine was away, and no tier is left out that it did not last through.
    """
    _, on_time = await _told(*NIGHTS)
    away = set(range(3, DAYS, 5)) | set(range(4, DAYS, 5))  # two of five nights
    _, late = await _told(*(night for day, night in enumerate(NIGHTS) if day not in away))

    assert on_time.keys() == late.keys()
    assert {0, 1, 2} == {(late[told] - on_time[told]).days for told in on_time}


async def test_a_run_six_hours_late_makes_up_for_the_night_and_finds_nothing_after_it() -> None:
    """
    The cron line's second hour: all of it, or nothing.
    """
    store = MemoryNotificationRepository()
    clock = FakeClock(NIGHTS[0] + timedelta(hours=6))
    nightly = NotificationOrchestrator(repository=store, clock=clock)
    register = _Register(mentors=3)

    late = await nightly.run(register.certificates())
    again = await nightly.run(register.certificates())

    assert (3, 0) == (late.created, again.created)
    assert {SkipReason.DUPLICATE: 3} == again.skipped_by_reason


@pytest.mark.parametrize(
    ("ended", "now", "missed"),
    [
        (None, NIGHTS[9], True),
        (NIGHTS[9] + timedelta(minutes=3), NIGHTS[9] + timedelta(hours=2), False),
        (NIGHTS[8] + timedelta(minutes=3), NIGHTS[9] + timedelta(minutes=59), False),  # it may still run
        (NIGHTS[8] + timedelta(minutes=3), NIGHTS[9] + timedelta(hours=1), True),
        (NIGHTS[8] + timedelta(hours=23), NIGHTS[9] + timedelta(hours=1), True),  # somebody's run by hand
        (NIGHTS[9] + timedelta(hours=6), NIGHTS[9] + timedelta(hours=9), False),  # made up for
    ],
)
def test_a_night_is_missed_when_no_run_has_ended_since_it_was_due(
    ended: datetime | None, now: datetime, *, missed: bool
) -> None:
    """
    An hour is given to begin and to end.
    """
    pytest.importorskip("sqlalchemy")
    monitor = _example("last_run")

    assert missed == monitor.was_missed(ended, now)
    assert missed == monitor.was_missed(ended, now.astimezone(OSLO))


async def test_a_monitor_reads_when_the_last_run_ended(tmp_path: Path) -> None:
    """
    From the log of runs; it fails on a night that was missed.
    """
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("alembic")
    sql = importlib.import_module("proxy_orchestration.storage.sql")
    monitor, url = _example("last_run"), f"sqlite:///{tmp_path / 'notices.db'}"
    clock = FakeClock(NIGHTS[0])
    engine = sqlalchemy.create_engine(url)
    async with sql.SqlNotificationRepository.open(url) as store:
        with engine.connect() as connection:
            before = monitor.last_end(connection)
        nightly = NotificationOrchestrator(repository=store, clock=clock)
        for night in NIGHTS[:2]:
            clock.set_now(night)
            await nightly.run(_Register(mentors=1).certificates())
        with engine.connect() as connection:
            after = monitor.last_end(connection)
    engine.dispose()

    assert (None, NIGHTS[1]) == (before, after)
    done = await anyio.run_process([sys.executable, str(FOLDER / "last_run.py"), url], check=False)
    assert (1, b"MISSED: the last run ended 2026-03-02 00:05 UTC\n") == (done.returncode, done.stdout)
