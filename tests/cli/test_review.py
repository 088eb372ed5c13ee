"""
A person is asked about one conflict after another, and nothing is changed before all is confirmed.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.registration.states import ItemState

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
ONCE: Final = [f"mentor-{number}" for number in range(3001, 3016)]
DECISIONS: Final = (
    "mentor_id,decision\nmentor-3003,skip\nmentor-3008,override\nmentor-3012,Override\nmentor-3015,SKIP\n"
)
THREE: Final = {"m1": ItemState.NEEDS_REVIEW, "m2": ItemState.NEEDS_REVIEW, "m3": ItemState.NEEDS_REVIEW}


@pytest.fixture
def decisions_csv(tmp_path: Path) -> Any:
    """
    Writes a file of decisions: one word for each mentor.
    """

    def write(**decisions: str) -> Path:
        rows = [f"{mentor_id},{decision}" for mentor_id, decision in decisions.items()]
        path = tmp_path / "decisions.csv"
        path.write_text("\n".join(("mentor_id,decision", *rows, "")))
        return path

    return write


def _mentors(in_store: Any, *batches: Any) -> Counter[str]:
    records = [
        record
        for batch in batches
        for record in in_store(lambda repository, batch=batch: repository.activities_of_batch(batch))
    ]
    return Counter(record.registration.mentor_id for record in records)


def _states_of(document: Any) -> dict[str, str]:
    return {outcome["mentor_id"]: outcome["state"] for outcome in document["outcomes"]}


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
    assert "run 1 was expected, but run 2 is current" in ended.err
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
    assert "The batch is all or nothing, so every conflict needs a decision now." in ended.err
    assert "override, skip or quit? [o/s/q] " in ended.err
    assert ["succeeded", "succeeded"] == _states(run, batch_id)


def test_fifteen_participants_of_whom_four_are_registered_already(
    run: Any, in_store: Any, tmp_path: Path
) -> None:
    """
    Four are seen beforehand and wait; after the decisions nobody is counted twice and nobody lost.
    """
    before = run("register", EXAMPLES / "registered_before.csv", "--json")
    assert ExitCode.SUCCESS == before.code
    ids = {outcome["mentor_id"]: outcome["activity_id"] for outcome in before.document["outcomes"]}

    seen = run("preview", EXAMPLES / "participants.csv")
    assert ExitCode.NEEDS_REVIEW == seen.code
    assert [(mentor_id, "duplicate", ids[mentor_id]) for mentor_id in sorted(ids)] == [
        tuple(line.split()) for line in seen.out.splitlines()[1:5]
    ]
    assert "15 mentors: 11 clean, 4 in conflict, 0 refused. Nothing was stored." in seen.out
    assert 1 == run("list", "--json").document["total"]

    registered = run("register", EXAMPLES / "participants.csv")
    (batch,) = (b for b in run("list", "--json").document["batches"] if b["total"] == 15)
    assert ExitCode.NEEDS_REVIEW == registered.code
    assert "4 of 15 wait for a decision." in registered.out
    assert {"succeeded": 11, "needs_review": 4} == batch["counts"]

    decisions = tmp_path / "decisions.csv"
    decisions.write_text(DECISIONS)
    reviewed = run("review", batch["batch_id"], "--decisions", decisions)
    assert ExitCode.SUCCESS == reviewed.code
    assert "15 mentors: 13 succeeded, 2 skipped." in reviewed.out
    assert "run 2: success." in reviewed.out

    listed = {b["batch_id"]: b["counts"] for b in run("list", "--json").document["batches"]}
    assert {"succeeded": 13, "skipped": 2} == listed[batch["batch_id"]]
    counted = _mentors(in_store, before.document["batch_id"], batch["batch_id"])
    assert Counter([*ONCE, "mentor-3008", "mentor-3012"]) == counted


def test_decisions_delivered_twice_change_nothing_the_second_time(
    run: Any, waiting: Any, decisions_csv: Any, in_store: Any
) -> None:
    """
    The second delivery says so, ends with the batch's code and opens no run.
    """
    batch_id = waiting()["batch_id"]
    file = decisions_csv(m1="override", m2="skip")

    first = run("review", batch_id, "--decisions", file, "--json")
    second = run("review", batch_id, "--decisions", file, "--json", "--expected-run", 1)

    assert (ExitCode.SUCCESS, ExitCode.SUCCESS) == (first.code, second.code)
    assert "were already carried out" not in first.err
    assert "These decisions were already carried out; nothing was changed." in second.err
    assert first.document == second.document
    assert 2 == second.document["run"]
    assert Counter(m1=1, m3=1, m4=1) == _mentors(in_store, batch_id)


def test_who_has_no_decision_goes_on_waiting(run: Any, waiting: Any, decisions_csv: Any) -> None:
    """
    The rest can be decided about later.
    """
    batch_id = waiting()["batch_id"]

    first = run("review", batch_id, "--decisions", decisions_csv(m2="skip"), "--json")
    second = run("review", batch_id, "--decisions", decisions_csv(m1="skip"), "--json")

    assert (ExitCode.NEEDS_REVIEW, ExitCode.SUCCESS) == (first.code, second.code)
    assert ("needs_review", "skipped") == tuple(_states_of(first.document)[name] for name in ("m1", "m2"))
    assert "Carrying out:" in first.err


def test_decisions_of_another_batch_change_nothing(run: Any, waiting: Any, decisions_csv: Any) -> None:
    """
    A mentor of no batch is bad input, one who does not wait and a stale run are a wrong state.
    """
    before = waiting()
    batch_id = before["batch_id"]

    stranger = run("review", batch_id, "--decisions", decisions_csv(m1="skip", m9="skip"))
    settled = run("review", batch_id, "--decisions", decisions_csv(m3="override"))
    stale = run("review", batch_id, "--decisions", decisions_csv(m1="skip"), "--expected-run", 2)

    assert ExitCode.BAD_INPUT == stranger.code
    assert "Not part of this batch: m9." in stranger.err
    assert ExitCode.WRONG_STATE == settled.code
    assert "m3 is succeeded" in settled.err
    assert ExitCode.WRONG_STATE == stale.code
    assert "run 2 was expected, but run 1 is current" in stale.err
    assert before == run("status", batch_id, "--json").document


def test_a_bad_decisions_file_changes_nothing(run: Any, waiting: Any, decisions_csv: Any) -> None:
    """
    The message names file, line and column, also to a machine.
    """
    before = waiting()
    file = decisions_csv(m1="perhaps", m2="skip")

    ended = run("review", before["batch_id"], "--decisions", file, "--json")

    assert ExitCode.BAD_INPUT == ended.code
    assert f"{file} cannot be used as decisions; nothing was changed." in ended.err
    assert "line 2, column decision: 'perhaps' is not a decision. Write override or skip." in ended.err
    (problem,) = ended.document["error"]["problems"]
    assert (2, "decision") == (problem["line"], problem["column"])
    assert before == run("status", before["batch_id"], "--json").document


def test_a_review_without_a_terminal_wants_a_file(run: Any, waiting: Any) -> None:
    """
    A job in the night is told what to give.
    """
    ended = run("review", waiting()["batch_id"], "--json")

    assert ExitCode.BAD_INPUT == ended.code
    assert "There is no terminal to ask questions on." in ended.err
    assert "--decisions" in ended.document["error"]["message"]


def test_all_or_nothing_waits_as_a_whole_and_is_decided_as_a_whole(
    run: Any, waiting: Any, decisions_csv: Any, in_store: Any
) -> None:
    """
    Nothing is written while one decision is open; a file that leaves one out is refused with the reason.
    """
    batch = waiting("--atomic")
    batch_id = batch["batch_id"]
    assert {"needs_review": 4} == batch["counts"]
    assert not _mentors(in_store, batch_id)

    told = run("status", batch_id)
    half = run("review", batch_id, "--decisions", decisions_csv(m1="skip"))
    assert ExitCode.NEEDS_REVIEW == told.code
    assert "2 of 4 wait for a decision. All or nothing: 2 without a conflict wait as well." in told.out
    assert ExitCode.WRONG_STATE == half.code
    assert "all or nothing, and 1 conflicts have no decision" in half.err

    whole = run("review", batch_id, "--decisions", decisions_csv(m1="skip", m2="override"), "--json")
    assert ExitCode.SUCCESS == whole.code
    assert {"skipped": 1, "succeeded": 3} == whole.document["counts"]
    assert Counter(m2=1, m3=1, m4=1) == _mentors(in_store, batch_id)


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

    assert ExitCode.SUCCESS == process.wait(timeout=LONGEST_WAIT)
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

    assert ExitCode.INTERRUPTED == process.wait(timeout=LONGEST_WAIT)
    assert "Interrupted. Nothing was changed." in terminal.told
    assert "Traceback" not in terminal.told
    assert 1 == run("status", batch_id, "--json").document["run"]
