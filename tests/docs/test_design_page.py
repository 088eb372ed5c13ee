"""
The design page tells the truth: its states are the code's, its tests exist.
"""

from __future__ import annotations

import re
from pathlib import Path

from proxy_orchestration import registration
from proxy_orchestration.registration.states import TRANSITIONS

ROOT = Path(__file__).parents[2]
ROOM = ROOT / "src" / "proxy_orchestration" / "registration"
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


def test_each_step_of_an_item_names_its_file() -> None:
    """
    Seven steps, and the files are there.
    """
    section = PAGE.partition("## The steps of an item")[2].partition("\n## ")[0]
    steps = re.findall(r"^\d\. (.*)$", section, re.MULTILINE)
    files = [re.findall(r"`([\w/]+\.py)`", step) for step in steps]

    assert 7 == len(steps)
    assert all(files)
    assert [] == [name for named in files for name in named if not (ROOM / name).is_file()]


def test_the_map_leads_from_the_verb_to_the_commit_in_eight_files() -> None:
    """
    Every file that it names exists, and each station imports what it hands on to.
    """
    text = registration.__doc__ or ""
    way = re.findall(r"^\d\. `([\w/]+\.py)`", text, re.MULTILINE)
    named = re.findall(r"`([\w/]+\.py)`", text)
    sources = [(ROOM / name).read_text(encoding="utf-8") for name in way]
    modules = [name.removesuffix(".py").replace("/", ".") for name in way]

    assert 8 == len(way)
    assert [] == [name for name in named if not (ROOM / name).is_file()]
    assert all(
        any(f"registration.{module} import" in source for source in sources[:place])
        for place, module in enumerate(modules)
        if place > 0
    )
