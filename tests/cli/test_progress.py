"""
A run as it goes: a bar at a terminal, a line per tenth elsewhere.
"""

from __future__ import annotations

import io

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from rich.console import Console

from proxy_orchestration.cli.output import Output
from proxy_orchestration.cli.progress import show_progress
from proxy_orchestration.registration.batches import BulkProgressUpdate, MentorOutcome
from proxy_orchestration.registration.states import ItemState


def _terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, markup=False, highlight=False)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _update(mentor_id: str, state: ItemState, *, sequence: int, settled: int) -> BulkProgressUpdate:
    outcome = MentorOutcome(mentor_id=mentor_id, state=state)
    return BulkProgressUpdate(
        batch_id="b", run=1, sequence=sequence, outcome=outcome, settled=settled, total=2
    )


def test_a_terminal_sees_a_bar_and_the_newest_state_of_each_mentor() -> None:
    """
    The bar counts mentors, not updates: a retried mentor is counted once.
    """
    output = Output(as_json=False, out=_terminal(), err=_terminal())

    with show_progress(output) as board:
        view = board.view("Watching", total=2)
        view.take(_update("m1", ItemState.FAILED, sequence=1, settled=1))
        view.take(_update("m2", ItemState.SUCCEEDED, sequence=2, settled=2))
        view.take(_update("m1", ItemState.SUCCEEDED, sequence=3, settled=2))

    told = _text(output.err)
    assert "━" in told
    assert "2/2" in told
    assert "2 succeeded" in told


def test_elsewhere_a_line_is_written_for_each_tenth() -> None:
    """
    A long run does not fill a log: what completes no further tenth is not told.
    """
    output = Output(as_json=False, err=Console(file=io.StringIO(), width=100))

    with show_progress(output) as board:
        view = board.view("Watching", total=20, settled=1)
        for settled in (2, 3, 4):
            view.take(_update(f"m{settled}", ItemState.SUCCEEDED, sequence=settled, settled=settled))

    assert [
        "Watching: 2 of 20 settled (1 succeeded)",
        "Watching: 4 of 20 settled (3 succeeded)",
    ] == _text(output.err).splitlines()
