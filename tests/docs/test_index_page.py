"""
The first page leads everywhere in two clicks; the glossary explains words that the code has.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
INDEX = (DOCS / "index.md").read_text(encoding="utf-8")
GLOSSARY = (DOCS / "glossary.md").read_text(encoding="utf-8")


def _listed_in(page: Path) -> set[Path]:
    """
    Return the pages in the tables of contents of a page.
    """
    trees = re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    return {page.parent / f"{name}.md" for name in names}


def test_every_page_is_two_clicks_from_the_first() -> None:
    """
    It is listed there, or on a page that is listed there.
    """
    first = _listed_in(DOCS / "index.md")
    second = {page for listed in first for page in _listed_in(listed)}

    assert set(DOCS.rglob("*.md")) - {DOCS / "index.md"} == first | second


def test_every_page_stands_in_a_table_of_the_first() -> None:
    """
    Its row says in the reader's words what it is for.
    """
    linked = {DOCS / name for name in re.findall(r"\]\(([\w-]+\.md)", INDEX)}

    assert linked == _listed_in(DOCS / "index.md")


def test_the_words_of_the_glossary_name_what_the_code_has() -> None:
    """
    Each name in code type can be imported from the root or from `ports`.
    """
    modules = [importlib.import_module(name) for name in ("proxy_orchestration", "proxy_orchestration.ports")]
    named = {name.partition(".")[0] for name in re.findall(r"`([A-Z]\w+(?:\.\w+)?)`", GLOSSARY)}

    assert len(named) >= 20
    assert [] == sorted(name for name in named if not any(name in module.__all__ for module in modules))


def test_a_word_is_explained_once() -> None:
    """
    A line of its own, a colon below it; alternatives share one.
    """
    terms = [word for line in re.findall(r"^(.+)\n: ", GLOSSARY, re.MULTILINE) for word in line.split(", ")]

    assert len(terms) >= 25
    assert len(set(terms)) == len(terms)
