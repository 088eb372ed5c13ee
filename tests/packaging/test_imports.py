"""
What `import proxy_orchestration` costs: the core's three dependencies and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LOADED = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
DEPENDENCIES = "import attr, attrs, anyio, anyio.abc, anyio.lowlevel, typing_extensions"
EXTRAS = {
    "sqlalchemy",
    "alembic",
    "psycopg",
    "typer",
    "rich",
    "click",
    "trio",
    "pytest",
    "hypothesis",
    "httpx",
    "h2",
    "google",
    "babel",
    "fastapi",
    "starlette",
    "pydantic",
    "sse_starlette",
    "uvicorn",
    "opentelemetry",
}


def _loaded_by(statement: str) -> set[str]:
    """
    Return the top-level modules of a fresh interpreter after this statement, its standard library left out.
    """
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{LOADED}"], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout)) - sys.stdlib_module_names
    # the standard library's own, which zoneinfo loads and which is named after the platform
    return {name for name in loaded if not name.startswith("_sysconfigdata")}


def test_the_core_loads_only_its_three_dependencies_and_what_they_load() -> None:
    """
    A host that imports the core pays for attrs, anyio and typing-extensions only.
    """
    allowed = _loaded_by(DEPENDENCIES) | {"proxy_orchestration"}

    loaded = _loaded_by("import proxy_orchestration")

    assert set() == loaded - allowed


def test_memory_storage_loads_no_extra() -> None:
    """
    The in-memory store is part of the core install.
    """
    loaded = _loaded_by("import proxy_orchestration.storage.memory")

    assert set() == loaded & EXTRAS


def test_the_testing_kit_imports_neither_pytest_nor_hypothesis() -> None:
    """
    Hosts use the kit with the runner of their choice.
    """
    loaded = _loaded_by("import proxy_orchestration.testing")

    assert set() == loaded & EXTRAS


@pytest.mark.parametrize(
    ("module", "hidden", "extra"),
    [
        ("proxy_orchestration.storage.sql", "sqlalchemy", "sql"),
        ("proxy_orchestration.cli", "typer", "cli"),
        ("proxy_orchestration.push.fcm", "httpx", "fcm"),
        ("proxy_orchestration.i18n", "babel", "i18n"),
        ("proxy_orchestration.telemetry", "opentelemetry", "otel"),
        ("proxy_orchestration.storage.postgrest", "httpx", "supabase"),
        ("proxy_orchestration.web", "fastapi", "web"),
        ("proxy_orchestration.web", "sse_starlette", "web"),
    ],
)
def test_a_part_whose_extra_is_missing_says_how_to_install_it(module: str, hidden: str, extra: str) -> None:
    """
    The error is an ImportError with the pip line in it.
    """
    use = f"import {module} as part; getattr(part, 'main', str)()"
    statement = f"import sys; sys.modules[{hidden!r}] = None\n{use}"

    done = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert f"pip install 'proxy-orchestration[{extra}]'" in done.stderr


def test_the_package_tells_type_checkers_that_it_is_typed() -> None:
    """
    The marker of PEP 561 lies beside the code that is imported.
    """
    import proxy_orchestration  # noqa: PLC0415 - the file of the installed package is the question

    assert proxy_orchestration.__file__ is not None
    assert Path(proxy_orchestration.__file__).with_name("py.typed").is_file()
