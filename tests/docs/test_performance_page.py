"""
The screen about speed quotes the benchmark pages, and names every table with an aim that was missed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "performance.md").read_text(encoding="utf-8")
ROWS = re.findall(
    r"^\| ([^|]+) \| ([\d.,]+)[^|]* \| \[\w+\]\(([\w-]+\.md)#([\w-]+)\) \|$", PAGE, re.MULTILINE
)

pytestmark = pytest.mark.dateless


def _sections(page: str) -> dict[str, str]:
    """
    Return the sections of a page by the anchors of their headings.
    """
    parts = re.split(r"^## (.+)$", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    names = ("-".join(re.sub(r"[^\w -]", "", heading.lower()).split()) for heading in parts[::2])
    return dict(zip(names, parts[1::2], strict=True))


@pytest.mark.parametrize(("what", "figure", "page", "anchor"), ROWS)
def test_a_figure_stands_in_the_section_that_it_is_from(
    what: str, figure: str, page: str, anchor: str
) -> None:
    """
    When the benchmarks run again, this screen is written again.
    """
    assert re.search(rf"(?<![\d.,]){re.escape(figure)}(?![\d.,]?\d)", _sections(page)[anchor]), what


def test_the_screen_has_figures() -> None:
    """
    Otherwise the test before would prove nothing.
    """
    assert len(ROWS) >= 10


def test_every_table_with_a_missed_aim_is_named() -> None:
    """
    Of the page against the least that could do the job.
    """
    missed = {name for name, text in _sections("benchmarks.md").items() if "| **no**" in text}
    linked = set(re.findall(r"\(benchmarks\.md#([\w-]+)\)", PAGE.partition("## Aims")[2]))

    assert missed <= linked
