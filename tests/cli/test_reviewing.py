"""
A person is asked about one conflict after another, and nothing is changed before all is confirmed.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import attrs
import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.registration.states import ItemState

THREE: Final = {"m1": ItemState.NEEDS_REVIEW, "m2": ItemState.NEEDS_REVIEW, "m3": ItemState.NEEDS_REVIEW}


def _states(run: Any, batch_id: str) -> list[str]:
    return [outcome["state"] for outcome in run("status", batch_id, "--json").document["outcomes"]]


def test_each_mentor_is_asked_about_and_all_is_confirmed_once(run: Any, settled: Any) -> None:
    """
    The questions name mentor, kind and existing activity; the answers are shown before they count.
    """
    batch_id = settled(m0=ItemState.SUCCEEDED, **THREE)

    ended = run("review", batch_id, typed="o\nskip\nL\ny\n")

    assert ExitCode.NEEDS_REVIEW == ended.code
    assert "3 of 4 wait for a decision." in ended.err
    for number, mentor_id in enumerate(THREE, 1):
        described = f"{mentor_id}, duplicate, existing activity activity-before"
        assert f"{number} of 3: {described}" in ended.err
    assert "override, skip, later or quit? [o/s/l/q] " in ended.err
    assert "    skip  m2, duplicate, existing activity activity-before" in ended.err
    assert "1 override, 1 skip, 1 later. Carry this out? yes or no? [y/n] " in ended.err
    assert "run 2: partial success." in ended.out
    assert ["succeeded", "succeeded", "skipped", "needs_review"] == _states(run, batch_id)


@pytest.mark.parametrize(
    "typed",
    ["o\nq\n", "o\n", "", "l\nl\nl\n", "o\ns\no\nn\n", "o\ns\no\n"],
    ids=["quit", "end of input", "no input", "all later", "not confirmed", "end at the confirmation"],
)
def test_whoever_leaves_changes_nothing(run: Any, settled: Any, typed: str) -> None:
    """
    The program says so and ends with the batch's code.
    """
    batch_id = settled(**THREE)

    ended = run("review", batch_id, typed=typed)

    assert ExitCode.NEEDS_REVIEW == ended.code
    assert "Nothing was changed.\n" == ended.out
    assert 1 == run("status", batch_id, "--json").document["run"]


def test_an_answer_that_is_none_is_asked_for_again(run: Any, settled: Any) -> None:
    """
    The choices are told, and the same mentor stays in question.
    """
    ended = run("review", settled(m1=ItemState.NEEDS_REVIEW), typed="\nwhat\ns\ny\n")

    assert ExitCode.SUCCESS == ended.code
    assert 2 == ended.err.count("Type one of: o for override, s for skip, l for later, q for quit.")


def test_standard_output_is_the_document_alone(run: Any, settled: Any) -> None:
    """
    Questions go to standard error, whether something is carried out or not.
    """
    batch_id = settled(**THREE)

    left = run("review", batch_id, "--json", typed="q\n")
    done = run("review", batch_id, "--json", typed="s\ns\ns\ny\n")

    assert {"needs_review": 3} == left.document["counts"]
    assert {"skipped": 3} == done.document["counts"]


def test_a_batch_in_which_nobody_waits_is_not_asked_about(run: Any, settled: Any) -> None:
    """
    The program says so and ends with the batch's code.
    """
    ended = run("review", settled(m1=ItemState.SUCCEEDED, m2=ItemState.FAILED), typed="")

    assert ExitCode.PARTIAL_SUCCESS == ended.code
    assert "No mentor of this batch waits for a decision.\n" == ended.out


def test_a_batch_that_cannot_be_decided_about_is_not_asked_about(
    run: Any, settled: Any, accepted: Any
) -> None:
    """
    Open, of another run, and unknown batches are told before any question.
    """
    for args, code in (
        ((accepted("m1"),), ExitCode.WRONG_STATE),
        ((settled(**THREE), "--expected-run", 2), ExitCode.WRONG_STATE),
        (("nothing",), ExitCode.NOT_FOUND),
    ):
        ended = run("review", *args, typed="s\ns\ns\ny\n")

        assert code == ended.code
        assert "quit?" not in ended.err


def test_answers_count_for_the_run_that_was_seen(
    run: Any, settled: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Somebody else decides while a person thinks: nothing is done, and the person is told.
    """
    from proxy_orchestration.cli import review  # noqa: PLC0415 - skipped without the extra

    batch_id, file = settled(**THREE), tmp_path / "decisions.csv"
    file.write_text("mentor_id,decision\nm1,skip\n")
    ask = review.ask

    def ask_while_another_decides(*args: Any) -> Any:
        answers = ask(*args)
        run("review", batch_id, "--decisions", file)
        return answers

    monkeypatch.setattr(review, "ask", ask_while_another_decides)
    ended = run("review", batch_id, typed="o\ns\ns\ny\n")

    assert ExitCode.WRONG_STATE == ended.code
    assert "run 1 was expected and run 2 is current" in ended.err
    assert ["skipped", "needs_review", "needs_review"] == _states(run, batch_id)


def test_all_or_nothing_leaves_nobody_for_later(run: Any, mentors_csv: Any) -> None:
    """
    The question offers what the batch takes.
    """
    run("register", mentors_csv(name="before.csv", m1="today"))
    file = mentors_csv(m1="today", m2="today")
    batch_id = run("register", file, "--atomic", "--json").document["batch_id"]

    ended = run("review", batch_id, typed="l\no\ny\n")

    assert ExitCode.SUCCESS == ended.code
    assert "All or nothing: every conflict gets its decision now." in ended.err
    assert "override, skip or quit? [o/s/q] " in ended.err
    assert ["succeeded", "succeeded"] == _states(run, batch_id)


@attrs.define(eq=False)
class _Terminal:
    """
    The other end of a terminal at which the program runs.
    """

    end: int
    told: str = ""

    def read_until(self, text: str) -> None:
        """
        Return when the program has shown the text.
        """
        while text not in self.told:
            assert select.select([self.end], [], [], 30)[0], self.told
            self.told += os.read(self.end, 4096).decode()

    def read_rest(self) -> None:
        """
        Return when the program has left the terminal.
        """
        try:
            while part := os.read(self.end, 4096):
                self.told += part.decode()
        except OSError:  # how Linux says that the other side is closed
            return

    def type(self, text: str) -> None:
        """
        Press these keys.
        """
        os.write(self.end, text.encode())


@pytest.fixture
def at_terminal(start: Any) -> Iterator[Any]:
    """
    Starts the command line at a terminal of its own; gives the process and the terminal.
    """
    pty = pytest.importorskip("pty")
    opened: list[int] = []

    def start_there(*args: object) -> tuple[subprocess.Popen[str], _Terminal]:
        end, inner = pty.openpty()
        opened.append(end)
        process = start(*args, stdin=inner, stdout=inner, stderr=inner)
        os.close(inner)
        return process, _Terminal(end)

    yield start_there
    for end in opened:
        os.close(end)


@pytest.mark.crash
def test_a_person_at_a_terminal_decides(at_terminal: Any, run: Any, settled: Any) -> None:
    """
    Prompt and answers on a real terminal, and the framed result below them.
    """
    batch_id = settled(**THREE)
    process, terminal = at_terminal("review", batch_id)

    for answer in ("o", "s", "s"):
        terminal.read_until("[o/s/l/q] ")
        terminal.told = ""
        terminal.type(f"{answer}\n")
    terminal.read_until("[y/n] ")
    terminal.type("y\n")
    terminal.read_rest()

    assert ExitCode.SUCCESS == process.wait(timeout=30)
    assert "run 2: success." in terminal.told
    assert ["succeeded", "skipped", "skipped"] == _states(run, batch_id)


@pytest.mark.crash
def test_an_interrupt_at_a_question_changes_nothing(at_terminal: Any, run: Any, settled: Any) -> None:
    """
    Ctrl-C at a prompt is heard at once and ends with the code for it.
    """
    batch_id = settled(**THREE)
    process, terminal = at_terminal("review", batch_id)

    terminal.read_until("[o/s/l/q] ")
    terminal.type("o\n")
    terminal.read_until("2 of 3")
    process.send_signal(signal.SIGINT)
    terminal.read_rest()

    assert ExitCode.INTERRUPTED == process.wait(timeout=30)
    assert "Interrupted. Nothing was changed." in terminal.told
    assert "Traceback" not in terminal.told
    assert 1 == run("status", batch_id, "--json").document["run"]
