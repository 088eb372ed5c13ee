"""
Every file in `examples/` runs as it is, and says what its story promises.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from waits import LONGEST_WAIT

EXAMPLES = Path(__file__).parents[2] / "examples"
LAST_LINES = {
    "conflict_review.py": "success: 13 registered, 2 skipped",
    "register_in_memory.py": "partial_success: 7 registered, 1 failed",
    "simulate_100_days.py": "100 days, 2 of them missed: 23 notices, 0 told twice",
    "trace_a_batch.py": "1 trace",
}
NEEDS = {"trace_a_batch.py": "opentelemetry.sdk"}


def _run(name: str, folder: Path) -> list[str]:
    """
    Run an example in a process of its own; return what it printed.
    """
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_WAIT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_example_is_expected_to_say_something() -> None:
    """
    A new example comes with its last line.
    """
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(LAST_LINES)


@pytest.mark.parametrize("name", sorted(LAST_LINES))
def test_the_example_runs_and_ends_as_promised(name: str, tmp_path: Path) -> None:
    """
    A newcomer runs the file and sees the story end well.
    """
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])

    assert LAST_LINES[name] == _run(name, tmp_path)[-1]


def test_the_simulation_tells_each_tier_once_and_late_after_missed_nights(tmp_path: Path) -> None:
    """
    What was due in a missed night goes out in the next one, and nothing after a renewal.
    """
    lines = [line.split() for line in _run("simulate_100_days.py", tmp_path)[:-1]]

    told = [(int(line[1]), line[3:]) for line in lines]
    tiers = [tuple(words) for _, words in told if len(words) == 2]
    assert len(tiers) == len(set(tiers))
    assert [43, 44, 45, 45] == [day for day, _ in told if 42 < day < 49]
    assert [50] == [day for day, words in told if words[0] == "mentor-2024" and day > 49]
    assert ["advance_60", "warning_30", "urgent_7", "lapsed"] == [
        tier for mentor_id, tier in tiers if mentor_id == "mentor-2010"
    ]
