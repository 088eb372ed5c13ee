"""
A session of pytest under a shifted wall clock; it fails when a process that it started was not shifted.

`nox -s calendar` runs it: this folder on Python's path, `-p shifted_session`, and a moment for each worker.
"""

from __future__ import annotations

import json
import os
import zlib
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from shifted_clock import LEDGER, MOMENT, begin, begin_again

LONGEST_SESSION = timedelta(hours=1)
SHARE = "WALL_CLOCK_SHARE"  # which of how many sessions this one is, as in 2/4
SPLIT = ("tests/behaviour/", "tests/push/")  # each of their tests runs in one of the sessions (decision 391)
AGAIN = "WALL_CLOCK_AGAIN"  # how many seconds after the moment a test begins at the latest, each anew
CLOCKLESS = "keeper.py"  # keeps a PostgreSQL server, asks for no date and starts without `site` to be quick


def pytest_configure() -> None:
    """
    Shift the clock of a worker, which learns its moment only after its start.
    """
    begin()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """
    Set the clock back before each test, to a time that its name decides, so that midnight strikes in it.
    """
    if AGAIN in os.environ:
        begin_again(float(os.environ[AGAIN]) * _part_of(item.nodeid, 8) / 8)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Leave out what runs at another moment.
    """
    if SHARE not in os.environ:
        return
    number, sessions = map(int, os.environ[SHARE].split("/"))
    others = [item for item in items if number not in numbers_of(item.nodeid, sessions)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in set(others)]


def numbers_of(nodeid: str, sessions: int) -> Sequence[int]:
    """
    Return in which of that many sessions a test runs: in all of them, or in one that its name alone decides.
    """
    every = range(1, sessions + 1)
    return [every[_part_of(nodeid, sessions)]] if nodeid.startswith(SPLIT) else every


def _part_of(nodeid: str, parts: int) -> int:
    return zlib.crc32(nodeid.encode()) % parts


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """
    Name the moment beside a failure.
    """
    report = yield
    if report.failed and MOMENT in os.environ:
        report.sections.append(("Wall clock", f"The session began at {os.environ[MOMENT]}."))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """
    Fail the whole session, of which workers see only their part.
    """
    if hasattr(session.config, "workerinput"):
        return
    found = list(failures(Path(os.environ[LEDGER])))
    if found:
        print("", *found, sep="\nWall clock: ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def failures(ledger: Path) -> Iterator[str]:
    """
    Say what was started without the shift, and who reads a date of another session.
    """
    seen: dict[str, Counter[tuple[str, ...]]] = {"started": Counter(), "shifted": Counter()}
    for line in ledger.read_text(encoding="utf-8").splitlines():
        moment, what, words, now = json.loads(line)
        seen[what][moment, *words] += 1
        late = datetime.fromisoformat(now) - datetime.fromisoformat(moment)
        if not timedelta(0) <= late <= LONGEST_SESSION:
            yield f"{now} instead of {moment}: {words}"
    for (moment, *words), missing in (seen["started"] - seen["shifted"]).items():
        if CLOCKLESS not in {Path(word).name for word in words}:
            yield f"{missing} started without the shift to {moment}: {words}"
