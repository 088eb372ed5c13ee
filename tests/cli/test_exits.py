"""
Which error ends the program with which code.
"""

from __future__ import annotations

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode, code_of_error


def test_an_error_that_nobody_foresaw_has_its_own_code() -> None:
    """
    It is told apart from every code that says something about a batch.
    """
    assert ExitCode.UNFORESEEN == code_of_error(RuntimeError())
