"""
What a person sees on a terminal, and when a part is not installed.
"""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

import typer
from rich.console import Console

from proxy_orchestration.cli import batches, session
from proxy_orchestration.cli.exits import ExitCode, code_of_error
from proxy_orchestration.cli.options import Common
from proxy_orchestration.cli.output import Cell, Output
from proxy_orchestration.cli.progress import show_progress
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.registration.batches import BulkProgressUpdate, MentorOutcome
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.memory import (
    MemoryActivityRepository,
    MemoryNotificationRepository,
    MemoryVisibilityRegistry,
)


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


def test_a_batch_that_is_deleted_meanwhile_is_left_out(tmp_path: Path) -> None:
    """
    A resume tells of the batches that are there when it ends.
    """
    common = Common(store=tmp_path / "batches.db", as_json=True)
    opened = session.Session(
        common=common,
        repository=MemoryActivityRepository(clock=SystemClock()),
        notices=MemoryNotificationRepository(),
        visibility=MemoryVisibilityRegistry(),
    )

    assert ExitCode.SUCCESS == anyio.run(batches._show_resumed, opened, ["gone"])


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


def test_an_error_that_nobody_foresaw_has_its_own_code() -> None:
    """
    It is told apart from every code that says something about a batch.
    """
    assert ExitCode.UNFORESEEN == code_of_error(RuntimeError())


def test_python_can_run_the_package(start: Any) -> None:
    """
    `python -m proxy_orchestration` is the command line under its own name.
    """
    out, _ = start("--help").communicate(timeout=LONGEST_WAIT)

    assert "Usage: proxy-orchestration " in out


def test_a_host_may_replace_the_standard_streams() -> None:
    """
    A stream that cannot be reconfigured is written to as it is.
    """
    program = """
import io, sys
from proxy_orchestration.cli import main
sys.argv, sys.stdout = ["proxy-orchestration", "--help"], io.StringIO()
try:
    main()
finally:
    sys.stderr.write(sys.stdout.getvalue())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ExitCode.SUCCESS == ended.returncode
    assert "Usage: proxy-orchestration " in ended.stderr


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


def test_an_interrupt_while_starting_is_quiet() -> None:
    """
    Ctrl-C before the program has begun ends it with the same code and no traceback.
    """
    program = """
import sys
class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "proxy_orchestration.cli.app":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from proxy_orchestration.cli import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (ExitCode.INTERRUPTED, "") == (ended.returncode, ended.stderr)


@pytest.mark.parametrize(
    ("part", "extra"), [("typer", "cli"), ("rich", "cli"), ("sqlalchemy", "cli"), ("alembic", "sql")]
)
def test_a_missing_part_is_told_with_the_line_that_installs_it(part: str, extra: str) -> None:
    """
    Without the extra the program prints one line, not a traceback.
    """
    program = f"import sys; sys.modules[{part!r}] = None; from proxy_orchestration.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ExitCode.UNFORESEEN == ended.returncode
    assert f"pip install 'proxy-orchestration[{extra}]'\n" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_import_error_of_our_own_is_not_hidden() -> None:
    """
    Only a missing part of the extra is told as one.
    """
    part = "proxy_orchestration.cli.session"
    program = f"import sys; sys.modules[{part!r}] = None; from proxy_orchestration.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert "import of proxy_orchestration.cli.session halted" in ended.stderr
