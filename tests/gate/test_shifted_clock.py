"""
The calendar session shifts every Python process that its tests start, and notices one that it missed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from waits import LONGEST_WAIT

pytest.importorskip("time_machine")

SUPPORT = Path(__file__).parents[1] / "support" / "shifted"
TEST = """
import os, subprocess, sys
from datetime import UTC, datetime

def test_a_process_is_started():
    assert datetime(2031, 6, 15, tzinfo=UTC).date() == datetime.now(UTC).date()
    subprocess.run({command}, check=True, {options})
"""
MANY = """
import pytest

@pytest.mark.parametrize("number", range(40))
def test_one(number):
    pass
"""
TWO_NIGHTS = """
import subprocess, sys
from datetime import UTC, datetime
import pytest
from shifted_clock import begin_again

MOMENT = datetime(2031, 6, 15, 22, 30, tzinfo=UTC)
READS = 'from datetime import UTC, datetime; print(datetime.now(UTC).isoformat())'

@pytest.mark.parametrize("night", [1, 2])
def test_it_begins_anew(night):
    said = subprocess.run([sys.executable, "-c", READS], check=True, capture_output=True, text=True).stdout
    for now in (datetime.now(UTC), datetime.fromisoformat(said.strip())):
        assert 0 <= (now - MOMENT).total_seconds() < 1800
    begin_again(3600)  # as if the night had passed
"""
PRINTS_ITS_YEAR = "import datetime; assert datetime.date.today().year == 2031"
FORKS = f"""
import os
if os.fork():
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
{PRINTS_ITS_YEAR}
"""
SHELL = f"'{sys.executable}' -c 'import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]])'"


def _session(folder: Path, command: str, options: str = "") -> tuple[int, str]:
    """
    Run a session at a moment whose only test starts this process.
    """
    return _session_of(folder, TEST.format(command=command, options=options))


def _session_of(folder: Path, test: str, **environment: str) -> tuple[int, str]:
    (folder / "test_it.py").write_text(test, encoding="utf-8")
    (folder / "ledger").touch()
    shifted = {
        **environment,
        "WALL_CLOCK": "2031-06-15T22:30:00+00:00",
        "WALL_CLOCK_LEDGER": str(folder / "ledger"),
        "PYTHONPATH": str(SUPPORT),
        "TZ": "UTC",
    }
    kept = {name: value for name, value in os.environ.items() if name != "WALL_CLOCK_OFFSET"}
    options_of_ours = ["-q", "-p", "shifted_session", "-p", "no:time_machine", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options_of_ours, "--rootdir", str(folder), str(folder)],
        env=kept | shifted,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_WAIT,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("program", [PRINTS_ITS_YEAR, FORKS], ids=["itself", "its fork"])
def test_what_a_test_starts_reads_the_shifted_date(tmp_path: Path, program: str) -> None:
    """
    A subprocess and its forks agree with the test; nothing is missed.
    """
    code, said = _session(tmp_path, f"[sys.executable, '-c', {program!r}]")

    assert 0 == code, said


def test_each_test_begins_anew_where_that_is_asked_for(tmp_path: Path) -> None:
    """
    However long the one before took; what a test starts goes on with it.
    """
    code, said = _session_of(tmp_path, TWO_NIGHTS, WALL_CLOCK_AGAIN="5")

    assert 0 == code, said
    assert "2 passed" in said


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("[sys.executable, '-I', '-c', 'pass']", ""),
        ("[sys.executable, '-S', '-c', 'pass']", ""),
        ("[sys.executable, '-c', 'pass']", "env={}"),
        (
            "[sys.executable, '-c', 'import os, sys; os.execve(sys.executable, [sys.executable], {})']",
            "stdin=subprocess.DEVNULL",
        ),
        (f"{SHELL + ' -E -c pass'!r}", "shell=True"),
    ],
    ids=["isolated", "without site", "without its environment", "replaced", "two processes further"],
)
def test_a_process_that_misses_the_shift_is_noticed(tmp_path: Path, command: str, options: str) -> None:
    """
    Its test passes, and the session fails and names the command.
    """
    code, said = _session(tmp_path, command, options)

    assert "1 passed" in said
    assert "1 started without the shift to 2031-06-15T22:30:00+00:00" in said
    assert 1 == code


def test_the_moments_together_run_every_test(tmp_path: Path) -> None:
    """
    Behaviour and push at one moment each, and at each of them some; all the rest at all four.
    """
    every = set()
    for folder in ("behaviour", "push", "cli"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
        (tmp_path / "tests" / folder / f"test_{folder}.py").write_text(MANY, encoding="utf-8")
        every |= {f"tests/{folder}/test_{folder}.py::test_one[{number}]" for number in range(40)}
    found = [_collected(tmp_path, f"{number}/4") for number in (1, 2, 3, 4)]
    times = {test: sum(test in some for some in found) for test in every}

    assert every == set().union(*found)
    assert {test: 4 if "cli" in test else 1 for test in every} == times
    for folder in ("behaviour", "push"):
        assert all(any(folder in test for test in some) for some in found)


def _collected(folder: Path, share: str) -> set[str]:
    """
    Return the ids of what this session would run.
    """
    options = ["-q", "--collect-only", "-p", "shifted_session", "-p", "no:time_machine"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-p", "no:cacheprovider", "--rootdir", ".", "tests"],
        env=os.environ
        | {"PYTHONPATH": str(SUPPORT), "WALL_CLOCK_SHARE": share, "WALL_CLOCK_LEDGER": os.devnull},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=LONGEST_WAIT,
    )
    return {line for line in done.stdout.splitlines() if "::" in line}
