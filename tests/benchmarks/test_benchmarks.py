"""
The benchmarks run, at a size that measures nothing, and have their places on the page.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from waits import LONGEST_WAIT

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DOCS = Path(__file__).parents[2] / "docs"
TINY = [
    *("--rounds", "1", "--batches", "2", "--open", "3", "6", "--sizes", "10", "--callers", "50"),
    *("--databases", "SQLite", "--released", "none"),
]


def test_every_benchmark_is_a_story_with_a_place_on_the_page() -> None:
    """
    `run.py` runs each script, and finds where its tables belong.
    """
    listed = re.search(r"STORIES: Final = \((.*?)\)", (BENCHMARKS / "run.py").read_text("utf-8"), re.DOTALL)
    page = (DOCS / "benchmarks.md").read_text("utf-8")

    assert listed is not None
    stories = re.findall(r'"(\w+)"', listed[1])
    assert sorted(stories) == sorted(path.stem[6:] for path in BENCHMARKS.glob("bench_*.py"))
    assert [] == [name for name in stories if f"<!-- {name} ends -->" not in page]


@pytest.mark.full
@pytest.mark.dateless
def test_many_small_batches_are_measured_whoever_submits_or_serves_them() -> None:
    """
    Submitted, driven beside a slow service, counted, drained by two servers, and looked for.
    """
    pytest.importorskip("sqlalchemy")

    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "bench_batches.py"), *TINY],
        capture_output=True,
        text=True,
        check=False,
        timeout=5 * LONGEST_WAIT,
    )

    assert done.returncode == 0, done.stderr
    headings = [line for line in done.stdout.splitlines() if line.startswith("| --")]
    assert len(headings) == 6
    assert "SQLite: two servers to one" in done.stdout
