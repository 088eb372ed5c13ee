"""
Where SQLite and PostgreSQL differ is decided in one folder.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import proxy_orchestration

_SOURCE: Final = Path(proxy_orchestration.__file__).parent
_STORE: Final = _SOURCE / "storage" / "sql"
_HERE: Final = _STORE / "dialect"
_NAMES: Final = {"sqlite", "postgresql"}
_ASKED: Final = {"name", "driver", "is_async"}
_FROZEN: Final = ("0002_conflicts_and_modes.py", "0004_keys_by_code_point.py", "0007_item_keys.py")
"""What a shipped migration does never changes, so it leans on nothing that does."""

_ADDRESSES: Final = _STORE / "database" / "addresses.py"
"""Reads what a host wrote as its database's address, before there is a dialect."""


def _modules() -> list[Path]:
    return [
        file
        for file in sorted(_SOURCE.rglob("*.py"))
        if _HERE not in file.parents and file.name not in _FROZEN
    ]


def _asked(tree: ast.AST) -> Iterator[int]:
    """
    Yield the lines that ask a dialect who it is.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in _ASKED:
            asked = node.value
            if getattr(asked, "attr", getattr(asked, "id", "")) == "dialect":
                yield node.lineno


def _compared(tree: ast.AST) -> Iterator[int]:
    """
    Yield the lines that compare something with a dialect's name.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare | ast.MatchValue):
            texts = (one for one in ast.walk(node) if isinstance(one, ast.Constant))
            if any(one.value in _NAMES for one in texts):
                yield node.lineno


@pytest.mark.parametrize("file", _modules(), ids=lambda file: str(file.relative_to(_SOURCE)))
def test_no_dialect_s_name_is_asked_for_elsewhere(file: Path) -> None:
    """
    A third database, or another driver, is one folder's work.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))

    assert [] == [*_asked(tree), *_compared(tree)]


def test_no_dialect_s_name_is_written_elsewhere_in_the_store() -> None:
    """
    Neither as the key of a table of differences, nor for SQLAlchemy to choose by.
    """
    found = [
        (str(file.relative_to(_STORE)), node.lineno)
        for file in _modules()
        if _STORE in file.parents and file != _ADDRESSES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in _NAMES
    ]

    assert [] == found


def test_the_folder_does_ask() -> None:
    """
    So that what is looked for above is what would be written.
    """
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in sorted(_HERE.glob("*.py"))]

    assert any([*_asked(tree)] for tree in trees)
    assert any([*_compared(tree)] for tree in trees)
