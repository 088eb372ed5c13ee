"""
What the page about scale says is what the simulation finds and what the code does.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from waits import LONGEST_WAIT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")


def _played(*options: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "simulate_fleet.py"), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * LONGEST_WAIT,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()


@pytest.mark.dateless
def test_the_page_shows_what_the_simulation_finds() -> None:
    """
    It has no chance but its seed: a table that was not made anew is noticed.
    """
    shown = re.search(r"<!-- simulation begins -->\n(.*?)\n<!-- simulation ends -->", PAGE, re.DOTALL)

    assert shown is not None
    assert _played() == shown[1]


@pytest.mark.dateless
def test_no_batch_of_the_simulation_is_lost_where_places_are_few() -> None:
    """
    It says so itself, and fails: here batches queue for ten workers, of which one dies.
    """
    few = ("--workers", "10", "--runs-at-once", "3", "--items-a-day", "1000000")

    assert "- 10 workers drive 3 runs at once, 5 calls in each" == _played(*few).splitlines()[0]


@pytest.mark.dateless
def test_a_process_takes_as_many_connections_as_the_page_says() -> None:
    """
    At most.
    """
    pytest.importorskip("sqlalchemy")
    from proxy_orchestration.storage.sql.database import transactions  # noqa: PLC0415 - an extra
    from proxy_orchestration.storage.sql.dialect import connections  # noqa: PLC0415 - an extra

    at_most = transactions._READERS + connections._WRITERS

    assert f"| connections at most | {at_most}: " in PAGE
