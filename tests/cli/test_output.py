"""
How tables look at a terminal.
"""

from __future__ import annotations

import io

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from rich.console import Console

from proxy_orchestration.cli.output import Cell, Output


def _terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, markup=False, highlight=False)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_sees_a_framed_table_with_harmless_cells() -> None:
    """
    Names that look like markup or escapes are shown as they are.
    """
    output = Output(as_json=False, out=_terminal(), err=_terminal())

    output.table(("MENTOR", "STATE"), [(Cell("[red]m1[/red]"), Cell("a\x1b[2Jb", "red"))])

    told = _text(output.out)
    assert "┃" in told
    assert "[red]m1[/red]" in told
    assert "a\\x1b[2Jb" in told
