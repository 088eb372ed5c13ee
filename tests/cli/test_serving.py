"""
The command that drives for as long as it is let, and what ends it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from waits import LONGEST_WAIT

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode

_SERVING: Final = "Serving. Press Ctrl-C or send SIGTERM to stop it.\n"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")


def _begun(process: Any) -> None:
    assert _SERVING == process.stderr.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_accepted_is_driven_until_a_signal(
    start: Any, run: Any, accepted: Any, number: signal.Signals
) -> None:
    """
    Both signals end it alike, with a sentence and a code.
    """
    batch_id = accepted("m1", "m2")
    process = start("serve")
    _begun(process)
    watched = run("watch", batch_id, "--json")
    process.send_signal(number)
    _, err = process.communicate(timeout=LONGEST_WAIT)

    assert ExitCode.SUCCESS == watched.code
    assert ExitCode.INTERRUPTED == process.returncode
    assert "Interrupted. Batches in progress were released" in err
    assert "Traceback" not in err


def test_a_store_that_is_not_there_is_not_served(run: Any) -> None:
    """
    A mistyped name is told at once.
    """
    assert ExitCode.STORE_UNAVAILABLE == run("serve").code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_file_that_is_being_read_ends_by_either_signal(
    start: Any, store: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """
    Before there is a store, and before anything listens.
    """
    file = tmp_path / "mentors.csv"
    os.mkfifo(file)
    process = start("register", file)
    with file.open("w"):  # which waits until the command has opened it too
        process.send_signal(number)
        _, err = process.communicate(timeout=LONGEST_WAIT)

    assert ExitCode.INTERRUPTED == process.returncode
    assert "Traceback" not in err
    assert not store.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_question_to_a_person_ends_by_either_signal(
    waiting: Any, store: Path, number: signal.Signals
) -> None:
    """
    No event loop runs while somebody thinks, and the end is the same.
    """
    batch_id = waiting()["batch_id"]
    asking = (
        "import sys; from proxy_orchestration.cli import main, review; "
        "review.at_terminal = lambda: True; main()"
    )
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", asking, "review", batch_id, "--db", str(store), "--actor", "anna@oslo"],
        text=True,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
    )
    assert process.stderr is not None
    while "1 of 2" not in process.stderr.readline():
        pass
    process.send_signal(number)
    _, err = process.communicate(timeout=LONGEST_WAIT)

    assert ExitCode.INTERRUPTED == process.returncode
    assert "Interrupted. Nothing was changed." in err
