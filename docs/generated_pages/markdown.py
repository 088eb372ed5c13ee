"""
Pieces of Markdown that both pages are made of.
"""

from __future__ import annotations

import inspect
import re
import textwrap
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

TEXTS = tomllib.loads((Path(__file__).parent / "texts.toml").read_text(encoding="utf-8"))
"""What stands above the tables, by page and part."""


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """
    Return a table; a bar within a cell is escaped.
    """
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def first_sentence(cls: type) -> str:
    """
    Return the first paragraph of a docstring in one line.
    """
    return " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())


def attributes_of(cls: type) -> dict[str, str]:
    """
    Return what a docstring says of each attribute, as sentences.
    """
    section = (inspect.getdoc(cls) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    told: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", textwrap.dedent(section)):
        name, _, text = entry.partition(":")
        told[name] = sentence(" ".join(text.split()))
    return told


def sentence(text: str) -> str:
    """
    Begin with a capital and end with a stop.
    """
    return text if text == "" else text[0].upper() + text[1:].removesuffix(".") + "."
