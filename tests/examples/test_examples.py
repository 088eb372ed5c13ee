"""
Every file in `examples/` runs as it is, and says what its story promises.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LAST_LINES = {
    "conflict_review.py": "success: 13 registered, 2 skipped",
    "register_in_memory.py": "partial_success: 7 registered, 1 failed",
}


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
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == LAST_LINES[name]
