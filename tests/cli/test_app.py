"""
What the help says about all commands.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode


def test_help_lists_every_exit_code(run: Any) -> None:
    """
    The codes are part of the contract, so they are documented where one looks.
    """
    told = run("--help").out

    for code in ExitCode:
        assert f"{int(code):>5}  {code.meaning}" in told
