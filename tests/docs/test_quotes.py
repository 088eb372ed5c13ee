"""
What a guide quotes from an example stands there, word for word; only its lines may be broken otherwise.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md") if "```py\n" in path.read_text("utf-8"))

pytestmark = pytest.mark.dateless


def _words(text: str) -> str:
    """
    Return code without its white space, and without the commas that breaking a line adds.
    """
    return re.sub(r",(?=[)\]}])", "", "".join(text.split()))


def test_there_are_pages_that_quote() -> None:
    """
    Otherwise the next test would prove nothing.
    """
    assert "guide-fastapi.md" in PAGES


@pytest.mark.parametrize("name", PAGES)
def test_every_quotation_of_the_page_is_in_the_file_that_it_names(name: str) -> None:
    """
    A line before each block says which file, and each such block is a piece of it.
    """
    text = (ROOT / "docs" / name).read_text("utf-8")
    quoted = re.findall(r"^From `([\w/.]+)`:\n\n```py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

    assert len(quoted) == text.count("```py\n")
    assert [] == [
        (path, block)
        for path, block in quoted
        if _words(block) not in _words((ROOT / path).read_text("utf-8"))
    ]
