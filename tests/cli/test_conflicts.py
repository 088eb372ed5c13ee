"""
Mentors who are registered already: seen beforehand, decided about, neither counted twice nor lost.
"""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.registration.states import ItemState

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
ONCE: Final = [f"mentor-{number}" for number in range(3001, 3016)]
DECISIONS: Final = (
    "mentor_id,decision\nmentor-3003,skip\nmentor-3008,override\nmentor-3012,Override\nmentor-3015,SKIP\n"
)


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


@pytest.fixture
def waiting(run: Any, mentors_csv: Any) -> Any:
    """
    Registers m1 and m2, then submits m1 to m4 with these options; returns the second batch.
    """

    def submit(*options: str) -> Any:
        run("register", mentors_csv(name="before.csv", m1="today", m2="today"))
        file = mentors_csv(m1="today", m2="today", m3="today", m4="today")
        return run("register", file, "--json", *options).document

    return submit


def _mentors(in_store: Any, *batches: Any) -> Counter[str]:
    records = [
        record
        for batch in batches
        for record in in_store(lambda repository, batch=batch: repository.activities_of_batch(batch))
    ]
    return Counter(record.registration.mentor_id for record in records)


def _states(document: Any) -> dict[str, str]:
    return {outcome["mentor_id"]: outcome["state"] for outcome in document["outcomes"]}


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


def test_a_preview_without_conflicts_succeeds_and_makes_no_store(
    run: Any, mentors_csv: Any, store: Path
) -> None:
    """
    Before the first registration nothing can conflict; the program says that the store is not there.
    """
    ended = run("preview", mentors_csv(m1="today", m2="today"))

    assert ExitCode.SUCCESS == ended.code
    assert f"There is no store at {store} yet" in ended.err
    assert "2 mentors: 2 clean, 0 in conflict, 0 refused. Nothing was stored." in ended.out
    assert not store.exists()


def test_a_preview_is_told_to_a_machine(run: Any, waiting: Any, mentors_csv: Any) -> None:
    """
    Standard output is the report alone, each mentor once in it.
    """
    waiting()

    ended = run("preview", mentors_csv(m1="today", m5="today", anna="today"), "--json")

    assert ExitCode.NEEDS_REVIEW == ended.code
    assert (["m5"], ["anna"], 3) == tuple(ended.document[name] for name in ("clean", "refused", "total"))
    (conflict,) = ended.document["conflicts"]
    assert ("m1", "duplicate") == (conflict["mentor_id"], conflict["kind"])
    assert conflict["existing_activity_id"]


def test_a_preview_tells_who_would_be_refused(run: Any, mentors_csv: Any) -> None:
    """
    The actor among the mentors is no conflict; the codes are those of a registration.
    """
    some = run("preview", mentors_csv(m1="today", anna="today"))
    one = run("preview", mentors_csv(anna="today"))

    assert ["anna", "refused"] == some.out.splitlines()[1].split()
    assert (ExitCode.PARTIAL_SUCCESS, ExitCode.TOTAL_FAILURE) == (some.code, one.code)
    assert "1 mentor: 0 clean, 0 in conflict, 1 refused." in one.out


def test_a_preview_of_a_bad_file_is_bad_input(run: Any, tmp_path: Path) -> None:
    """
    It is read like a file to register.
    """
    file = tmp_path / "bad.csv"
    file.write_text("mentor_id,activity_type\n")

    assert ExitCode.BAD_INPUT == run("preview", file).code


def test_the_commands_of_a_preview_can_be_pasted(run: Any, waiting: Any, mentors_csv: Any) -> None:
    """
    Each way to go on is one line for a shell.
    """
    waiting()
    file = mentors_csv(name="week 45.csv", m1="today")

    told = [line for line in run("preview", file).out.splitlines() if line.startswith("Register")]

    commands = [shlex.split(line.partition(":  ")[2]) for line in told]
    assert 3 == len(commands)
    assert all(["proxy-orchestration", "register", str(file)] == command[:3] for command in commands)
    assert ["--on-conflict", "skip"] == commands[1][-2:]
    assert ExitCode.SUCCESS == run(*commands[1][1:]).code


@pytest.mark.parametrize(
    ("policy", "code", "expected"),
    [
        ("review", ExitCode.NEEDS_REVIEW, "needs_review"),
        ("skip", ExitCode.SUCCESS, "skipped"),
        ("override", ExitCode.SUCCESS, "succeeded"),
    ],
)
def test_the_policy_says_what_becomes_of_conflicts(
    run: Any, mentors_csv: Any, policy: str, code: ExitCode, expected: str
) -> None:
    """
    The others are registered whatever it is.
    """
    run("register", mentors_csv(name="before.csv", m1="today"))

    ended = run("register", mentors_csv(m1="today", m2="today"), "--on-conflict", policy, "--json")

    assert code == ended.code
    assert {"m1": expected, "m2": "succeeded"} == _states(ended.document)


def test_the_same_file_under_another_policy_is_another_batch(run: Any, waiting: Any, tmp_path: Path) -> None:
    """
    Nobody is refused for it, and nobody is registered a second time: all conflict with the first batch.
    """
    first = waiting()

    second = run("register", tmp_path / "mentors.csv", "--on-conflict", "skip", "--json")

    assert first["batch_id"] != second.document["batch_id"]
    assert {"skipped": 4} == second.document["counts"]


@pytest.mark.parametrize("first", [(), ("--on-conflict", "skip"), ("--atomic", "--on-conflict", "skip")])
def test_an_override_of_the_same_file_is_refused(
    run: Any, waiting: Any, tmp_path: Path, in_store: Any, first: tuple[str, ...]
) -> None:
    """
    Who meant the two that wait must not count the other two twice; a key says that it is meant.
    """
    batch_id = waiting(*first)["batch_id"]
    again = ("register", tmp_path / "mentors.csv", "--on-conflict", "override", "--json")

    refused = run(*again)
    assert ExitCode.BAD_INPUT == refused.code
    assert f"This file was registered before as batch {batch_id}" in refused.document["error"]["message"]
    assert f"proxy-orchestration review {batch_id} " in refused.err
    assert 2 == run("list", "--json").document["total"]

    assert {"succeeded": 4} == run(*again, "--key", "twice").document["counts"]


def test_an_override_goes_ahead_where_the_same_file_was_not_registered(run: Any, mentors_csv: Any) -> None:
    """
    Other files, other people's batches and the same command again are no reason to refuse.
    """
    run("register", mentors_csv(name="part.csv", m1="today"))
    run("register", mentors_csv(name="others.csv", m1="today-1", m2="today-1"))
    run("register", mentors_csv(name="same.csv", m3="today", m4="today"), "--actor", "bo@oslo")

    file = mentors_csv(m1="today", m2="today")
    first = run("register", file, "--on-conflict", "override", "--json")
    second = run("register", file, "--on-conflict", "override", "--json")
    third = run("register", mentors_csv(m3="today", m4="today"), "--on-conflict", "override", "--json")

    assert {"succeeded": 2} == first.document["counts"]
    assert first.document == second.document
    assert {"succeeded": 2} == third.document["counts"]


def test_an_unknown_policy_is_bad_input(run: Any, mentors_csv: Any, store: Path) -> None:
    """
    The message names the option, and nothing is stored.
    """
    ended = run("register", mentors_csv(m1="today"), "--on-conflict", "ignore")

    assert ExitCode.BAD_INPUT == ended.code
    assert "--on-conflict" in ended.err
    assert not store.exists()


def test_who_waits_stands_below_the_result_with_the_commands(run: Any, waiting: Any) -> None:
    """
    The section names mentor, kind and existing activity; a file and a person can decide.
    """
    batch_id = waiting()["batch_id"]

    ended = run("status", batch_id)

    assert ExitCode.NEEDS_REVIEW == ended.code
    section = ended.out.partition("2 of 4 wait for a decision.\n")[2].splitlines()
    assert ["MENTOR", "CONFLICT", "EXISTING", "ACTIVITY"] == section[0].split()
    assert [["m1", "duplicate"], ["m2", "duplicate"]] == [line.split()[:2] for line in section[1:3]]
    assert f"Decide one by one:  proxy-orchestration review {batch_id} --db " in ended.out
    assert f"proxy-orchestration review {batch_id} --decisions decisions.csv --db " in ended.out


def test_some_failed_and_some_wait_is_a_partial_success(run: Any, settled: Any) -> None:
    """
    A script retries after 3 and reviews after 6.
    """
    both = settled(m1=ItemState.SUCCEEDED, m2=ItemState.FAILED, m3=ItemState.NEEDS_REVIEW)
    waits = settled(m1=ItemState.SUCCEEDED, m2=ItemState.NEEDS_REVIEW)

    assert ExitCode.PARTIAL_SUCCESS == run("status", both).code
    assert ExitCode.NEEDS_REVIEW == run("status", waits).code


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
    assert "had already been carried out" not in first.err
    assert "These decisions had already been carried out; nothing was changed." in second.err
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
    assert ("needs_review", "skipped") == tuple(_states(first.document)[name] for name in ("m1", "m2"))
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
    assert "run 2 was expected and run 1 is current" in stale.err
    assert before == run("status", batch_id, "--json").document


def test_a_bad_decisions_file_changes_nothing(run: Any, waiting: Any, decisions_csv: Any) -> None:
    """
    The message names file, line and column, also to a machine.
    """
    before = waiting()
    file = decisions_csv(m1="perhaps", m2="skip")

    ended = run("review", before["batch_id"], "--decisions", file, "--json")

    assert ExitCode.BAD_INPUT == ended.code
    assert f"{file} cannot be carried out; nothing was changed." in ended.err
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
    assert "There is no terminal to ask at." in ended.err
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


@pytest.mark.parametrize("options", [(), ("--pace", "0.01")])
def test_all_or_nothing_leaves_no_record_when_one_is_refused(
    run: Any, mentors_csv: Any, in_store: Any, options: tuple[str, ...]
) -> None:
    """
    One bad date takes the others with it, with their own reason.
    """
    ended = run("register", mentors_csv(m1="today", m2="today+5"), "--atomic", "--json", *options)

    assert ExitCode.TOTAL_FAILURE == ended.code
    assert ["rolled_back", "date_in_future"] == [
        outcome["failure"]["code"] for outcome in ended.document["outcomes"]
    ]
    assert not _mentors(in_store, ended.document["batch_id"])


def test_a_slowed_run_finds_conflicts_too(run: Any, waiting: Any) -> None:
    """
    The pause is before calls, not before the check.
    """
    assert {"succeeded": 2, "needs_review": 2} == waiting("--pace", "0.01")["counts"]
