"""
Which store a command works with, and what ends it.
"""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

import typer
from rich.console import Console

from proxy_orchestration.cli import batches, session
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import Common
from proxy_orchestration.cli.output import Output
from proxy_orchestration.errors import RepositoryUnavailableError

HEADER: Final = "mentor_id,activity_type,activity_date,duration_minutes\n"


@pytest.mark.parametrize(
    "args",
    [
        ("status", "b"),
        ("retry", "b"),
        ("review", "b"),
        ("cancel", "b"),
        ("watch", "b"),
        ("list",),
        ("resume",),
    ],
)
def test_a_store_that_is_not_there_is_said_and_not_made(run: Any, store: Path, args: tuple[str, ...]) -> None:
    """
    A mistyped --db makes no empty file.
    """
    ended = run(*args, typed="")

    assert ExitCode.STORE_UNAVAILABLE == ended.code
    assert f"There is no store at {store}." in ended.err
    assert not store.exists()


def test_a_store_may_have_any_name(run: Any, mentors_csv: Any, tmp_path: Path) -> None:
    """
    What means something in a URL means nothing in a file's name.
    """
    store = tmp_path / "week 45%20? (æ).db"

    assert ExitCode.SUCCESS == run("register", mentors_csv(m1="today"), "--db", store).code
    assert store.is_file()
    assert "1 batch, page 1 of 1." in run("list", "--db", store).out


@pytest.mark.parametrize("name", [".", "missing/batches.db"])
def test_a_place_where_no_store_can_be_is_said(run: Any, mentors_csv: Any, tmp_path: Path, name: str) -> None:
    """
    A folder, or a file in no folder, is an unavailable store, in words.
    """
    ended = run("register", mentors_csv(m1="today"), "--db", tmp_path / name)

    assert ExitCode.STORE_UNAVAILABLE == ended.code
    assert ended.err.strip()


def test_a_file_that_is_no_store_is_said(run: Any, store: Path, mentors_csv: Any) -> None:
    """
    A file of something else is left alone, and a machine reads the reason as JSON.
    """
    store.write_bytes(b"certainly no database, but long enough to look at" * 100)
    before = store.read_bytes()

    ended = run("register", mentors_csv(m1="today"), "--json")

    assert ExitCode.STORE_UNAVAILABLE == ended.code
    assert "store_unavailable" == ended.document["error"]["code"]
    assert before == store.read_bytes()


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_librarys_errors_are_lines_of_the_program() -> None:
    """
    An audit logger's trouble is said once, without a bar being torn apart; mere warnings are not.
    """
    output = Output(as_json=False, err=Console(file=io.StringIO(), width=100))
    logger = logging.getLogger("proxy_orchestration.registration.drives")

    with session._log_to(output):
        logger.warning("the lease was lost")
        logger.error("the audit logger did not take event %s", "b:run-1")
    logger.error("nobody listens any more")

    assert "the audit logger did not take event b:run-1\n" == _text(output.err)


def _together(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("together", errors)


def test_errors_that_come_together_are_one_message() -> None:
    """
    Driver and onlooker meet the same trouble at once; a person reads of it once.
    """
    output = Output(as_json=False, err=Console(file=io.StringIO(), width=100))
    gone = RepositoryUnavailableError("The store is gone.", advice="Put it back.")

    with pytest.raises(typer.Exit) as caught, session.ending_on_errors(output):
        raise _together(_together(gone), gone)

    assert ExitCode.STORE_UNAVAILABLE == caught.value.exit_code
    assert "The store is gone. Put it back.\n" == _text(output.err)


def test_an_unforeseen_error_among_others_is_not_hidden() -> None:
    """
    A fault of this program stays visible whole.
    """
    output = Output(as_json=False, err=Console(file=io.StringIO()))
    gone = RepositoryUnavailableError("The store is gone.", advice="Put it back.")

    with pytest.raises(ExceptionGroup), session.ending_on_errors(output):
        raise _together(gone, RuntimeError())


def test_an_interrupt_outside_the_event_loop_is_told_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Ctrl-C before the loop listens to signals ends like one after.
    """

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anyio.run", interrupted)

    with pytest.raises(typer.Exit) as caught:
        session.run_command(
            Common(store=tmp_path / "batches.db", as_json=False), batches._resume, if_interrupted="Carry on."
        )

    assert ExitCode.INTERRUPTED == caught.value.exit_code
    assert "Interrupted. Carry on.\n" == capsys.readouterr().err
