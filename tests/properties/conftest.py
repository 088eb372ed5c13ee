"""
The worlds in which random commands are played.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="session")
def worlds() -> ModuleType:
    """
    Load what the state machine plays with.
    """
    spec = importlib.util.spec_from_file_location("property_worlds", Path(__file__).with_name("worlds.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def world_of(request: pytest.FixtureRequest, worlds: ModuleType) -> Callable[[str], Any]:
    """
    Make an empty world of that name; without its database the test skips.
    """

    def make(name: str) -> Any:
        if name == "PostgresqlWorld":
            return worlds.SqlWorld(request.getfixturevalue("postgresql").emptied())
        if name == "SqliteWorld":
            pytest.importorskip("proxy_orchestration.storage.sql", exc_type=ImportError)
        return getattr(worlds, name)()

    return make
