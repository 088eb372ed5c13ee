"""
The table of findings has each script, the version that it pins, and a place in the code that is there.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "findings"
ROWS = re.findall(
    r"^\| \[([\w-]+)\]\(([\w.-]+)\) \| ([^|]+) \| [^|]+ \| \[`[^`]+`\]\(([^)]+)\): [^|]+ \|$",
    (FOLDER / "README.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)

pytestmark = pytest.mark.dateless


def test_every_script_has_a_row_and_no_other() -> None:
    """
    A new finding says what answers it.
    """
    assert sorted(path.stem for path in FOLDER.glob("*.sh")) == [name for name, *_ in ROWS]


@pytest.mark.parametrize(("name", "script", "seen_with", "place"), ROWS)
def test_a_row_has_the_version_of_its_script_and_a_place_that_exists(
    name: str, script: str, seen_with: str, place: str
) -> None:
    """
    The version is the one that the script installs.
    """
    text = (FOLDER / script).read_text(encoding="utf-8")
    version = re.search(r"\d+(?:\.\d+)+", seen_with)

    assert f"{name}.sh" == script
    assert version is not None
    assert f"=={version[0]}" in text
    assert (FOLDER / place).is_file()
