"""
The design page tells the truth: its states are the code's, its tests exist.
"""

from __future__ import annotations

import re
from pathlib import Path

from proxy_orchestration.registration.states import TRANSITIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def test_the_table_of_states_is_the_table_in_the_code() -> None:
    """
    Each row names exactly the states that may follow.
    """
    section = PAGE.partition("## States of an item")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([A-Z_]+) \|(.*)\|$", section, re.MULTILINE)
    told = {start: sorted(re.findall(r"[A-Z_]+", ends)) for start, ends in rows}

    expected = {start.name: sorted(end.name for end in ends) for start, ends in TRANSITIONS.items()}

    assert expected == told


def test_every_test_that_the_page_names_exists() -> None:
    """
    A promise points to a test that can be read and run.
    """
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    missing = [
        f"{path}::{test}"
        for path, test in named
        if not (ROOT / path).is_file()
        or not re.search(rf"def {test}\(", (ROOT / path).read_text(encoding="utf-8"))
    ]

    assert len(named) >= 10
    assert [] == missing
