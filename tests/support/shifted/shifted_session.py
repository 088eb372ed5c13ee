"""
A session of pytest under a shifted wall clock; it fails when a process that it started was not shifted.

`nox -s calendar` runs it: this folder on Python's path, `-p shifted_session`, and a moment for each worker.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Generator, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from shifted_clock import LEDGER, MOMENT, begin

LONGEST_SESSION = timedelta(hours=1)
CLOCKLESS = "keeper.py"  # keeps a PostgreSQL server, asks for no date and starts without `site` to be quick


def pytest_configure() -> None:
    """
    Shift the clock of a worker, which learns its moment only after its start.
    """
    begin()


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
