"""
The page about what is stable names what there is: modules, tables, loggers, extras.
"""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest

from proxy_orchestration import _loggers

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")


def _named_in(start: str) -> list[str]:
    """
    Return what stands in backticks in the bullet that starts with these words.
    """
    (bullet,) = [line for line in PAGE.splitlines() if line.startswith(f"- {start}")]
    return re.findall(r"`([\w.]+)`", bullet)


def test_every_public_module_has_its_names_in_all() -> None:
    """
    A table without a stale row; each module can be imported where its extra is installed.
    """
    modules = re.findall(r"^\| `(proxy_orchestration[\w.]*)` \|", PAGE, re.MULTILINE)
    for name in modules:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue  # its extra is not installed

        assert sorted(module.__all__)

    assert len(modules) == 16


def test_every_table_is_named() -> None:
    """
    The tables of the page are those of the schema.
    """
    pytest.importorskip("sqlalchemy")
    from proxy_orchestration.storage.sql import metadata  # noqa: PLC0415 - an extra

    assert sorted(metadata.tables) == sorted(_named_in("**The tables**"))


def test_every_logger_is_named() -> None:
    """
    The loggers of the page are the pinned ones.
    """
    pinned = {value for name, value in vars(_loggers).items() if name.isupper()}
    named = set(_named_in("**Loggers")) - {"proxy_orchestration"}

    assert pinned == {f"proxy_orchestration.{name}" for name in named}


def test_every_extra_is_named() -> None:
    """
    The extras of the page are the project's.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert set(_named_in("**The extras**")) <= set(project["optional-dependencies"])
