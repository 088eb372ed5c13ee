"""
What `sql supabase` prints, and what it does not take.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.storage.sql import row_level_security, supabase_functions

_FUNCTIONS = (
    "add_activities",
    "find_activities",
    "find_duplicates",
    "activities_of_batch",
    "void_activity",
    "list_activities",
    "add_correction",
)


def test_the_scripts_are_printed_as_one_transaction(run: Any) -> None:
    """
    Ready for an SQL editor; no database is needed.
    """
    ended = run("sql", "supabase")

    assert ExitCode.SUCCESS == ended.code
    assert ended.out.startswith("begin;\n")
    assert ended.out.endswith("\ncommit;\n")
    assert row_level_security() in ended.out
    assert supabase_functions() in ended.out


def test_schema_and_prefix_are_those_of_the_tables(run: Any) -> None:
    """
    Functions, tables and grants have them alike, and no name is left without.
    """
    printed = run("--schema", "bulk", "--prefix", "own_", "sql", "supabase").out
    script = supabase_functions(schema="bulk", prefix="own_")
    code = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("--"))

    assert script in printed
    assert script.startswith('set local search_path to "bulk";')
    for name in _FUNCTIONS:
        assert f"function own_{name}(" in code
        assert f"'own_{name}(" in code
        assert f" {name}(" not in code
    for table in ("activities", "correction_notes"):
        assert f"own_{table} as " in code
        assert f" {table} " not in code


@pytest.mark.parametrize("script", [row_level_security, supabase_functions])
def test_every_driver_takes_the_scripts_as_they_are(script: Any) -> None:
    """
    A percent sign would be read as a parameter by some.
    """
    assert "%" not in script()


def test_a_file_cannot_be_set_up_for_postgrest(run: Any) -> None:
    """
    It is told before anything is made.
    """
    ended = run("sql", "supabase", "--apply")

    assert 2 == ended.code
    assert "PostgreSQL" in ended.err
