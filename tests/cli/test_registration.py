"""
What preview and register do with a file of mentors, tell a person and a machine, and end with.
"""

from __future__ import annotations

import shlex
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli import registration
from proxy_orchestration.cli.exits import ExitCode

CONTROL: Final = frozenset(map(chr, range(32))) - {"\n"}
_BATCH_FIELDS: Final = {
    *("batch_id", "coordinator_id", "status", "run", "total", "counts"),
    *("label", "submitted_at", "settled_at", "outcomes", "organization_id", "mode", "on_conflict"),
    *("opened_by", "retried_by", "decided_by", "cancelled_by", "cancel_reason"),
    *("paused_at", "paused_by", "pause_code"),
}
HEADER: Final = "mentor_id,activity_type,activity_date,duration_minutes\n"


def test_a_file_of_good_rows_succeeds(run: Any, mentors_csv: Any) -> None:
    """
    Every mentor has a line with the record's id, and the program ends with 0.
    """
    ended = run("register", mentors_csv(m1="today", m2="today-3"))

    assert ExitCode.SUCCESS == ended.code
    header, first, second, summary = ended.out.splitlines()
    assert "MENTOR  STATE      ACTIVITY OR REASON" == header
    assert ["m1", "succeeded"] == first.split()[:2]
    assert ["m2", "succeeded"] == second.split()[:2]
    assert summary.startswith("2 mentors: 2 succeeded. Batch ")
    assert summary.endswith("run 1: success.")


def test_a_partial_success_says_why_and_what_next(run: Any, mentors_csv: Any, store: Path) -> None:
    """
    A refused mentor shows the reason, and the commands can be pasted.
    """
    ended = run("register", mentors_csv(m1="today", m2="today+5", anna="today"))

    batch_id = run("list", "--json").document["batches"][0]["batch_id"]
    assert ExitCode.PARTIAL_SUCCESS == ended.code
    assert "is in the future" in ended.out
    assert f"proxy-orchestration export {batch_id} --failed --db {store} --actor anna@oslo" in ended.out
    assert f"proxy-orchestration retry {batch_id} --with corrected.csv --db {store}" in ended.out
    assert f"3 mentors: 1 succeeded, 2 failed. Batch {batch_id}, run 1: partial success." in ended.out


def test_a_batch_of_refusals_is_a_total_failure(run: Any, mentors_csv: Any) -> None:
    """
    No mentor registered is an exit code of its own.
    """
    assert ExitCode.TOTAL_FAILURE == run("register", mentors_csv(m1="today+1", m2="today-400")).code


def test_plain_output_has_no_control_characters_and_no_frames(run: Any, mentors_csv: Any) -> None:
    """
    What is no terminal gets lines, whatever the labels hold; progress goes to standard error.
    """
    file = mentors_csv(m1="today", m2="today")
    ended = run("register", file, "--label", "week\x1b[31m 45")
    listed = run("list")

    for text in (ended.out, ended.err, listed.out, listed.err):
        assert not CONTROL & set(text)
        assert not {"│", "━", "┃"} & set(text)
    assert "Registering: 2 of 2 settled (2 succeeded)" in ended.err
    assert "week\\x1b[31m 45" in listed.out


def test_the_same_file_twice_joins_its_batch(run: Any, mentors_csv: Any, in_store: Any) -> None:
    """
    The second submission says so, shows the same batch and registers nothing.
    """
    file = mentors_csv(m1="today", m2="today+1")
    first = run("register", file, "--json").document
    second = run("register", file, "--json", "--label", "again")

    assert first == second.document
    assert ExitCode.PARTIAL_SUCCESS == second.code
    assert "The same request was submitted on" in second.err
    records = in_store(lambda repository: repository.activities_of_batch(first["batch_id"]))
    assert ["m1"] == [record.registration.mentor_id for record in records]


def test_another_key_makes_another_batch_and_a_reused_one_is_refused(run: Any, mentors_csv: Any) -> None:
    """
    `--key` replaces the file's own key; with other content it is bad input.
    """
    file = mentors_csv(m1="today")
    first = run("register", file, "--key", "k1", "--json").document
    second = run("register", file, "--key", "k2", "--json").document
    refused = run("register", mentors_csv(m2="today"), "--key", "k1")

    assert first["batch_id"] != second["batch_id"]
    assert ExitCode.BAD_INPUT == refused.code
    assert first["batch_id"] in refused.err


def test_a_bad_file_stores_nothing_at_all(run: Any, tmp_path: Path, store: Path) -> None:
    """
    The message names file, line and column, and not even the store is made.
    """
    file = tmp_path / "bad.csv"
    file.write_text(HEADER + "m1,visit,3/11/2026,60\n")

    ended = run("register", file)

    assert ExitCode.BAD_INPUT == ended.code
    assert f"{file} cannot be registered; nothing was stored." in ended.err
    assert (
        "line 2, column activity_date: '3/11/2026' is ambiguous: the day or the month may come first"
        in ended.err
    )
    assert not ended.out
    assert not store.exists()


def test_a_bad_file_is_told_to_a_machine_place_by_place(run: Any, tmp_path: Path) -> None:
    """
    With --json standard output is one document also when the file is refused.
    """
    file = tmp_path / "bad.csv"
    file.write_text(HEADER + "m1,visit,today,x\n")

    error = run("register", file, "--json").document["error"]

    assert ("bad_input", 2) == (error["code"], error["exit_code"])
    assert [(2, "duration_minutes")] == [
        (problem["line"], problem["column"]) for problem in error["problems"]
    ]


@pytest.mark.parametrize(
    "options",
    [
        ("--actor", "anna"),
        ("--actor", "@oslo"),
        ("--actor", " anna@oslo"),
        ("--label", "x" * 201),
        ("--key", ""),
        ("--concurrency", "0"),
    ],
)
def test_a_bad_option_is_bad_input(run: Any, mentors_csv: Any, store: Path, options: tuple[str, str]) -> None:
    """
    The message names the option, and nothing is stored.
    """
    ended = run("register", mentors_csv(m1="today"), *options)

    assert ExitCode.BAD_INPUT == ended.code
    assert options[0] in ended.err
    assert not store.exists()


def test_an_actor_may_be_named_like_an_address(run: Any, mentors_csv: Any) -> None:
    """
    The last @ separates user and organization.
    """
    document = run("register", mentors_csv(m1="today"), "--actor", "a@b.example@oslo", "--json").document

    assert "a@b.example" == document["coordinator_id"]


def test_the_json_of_a_batch_has_everything(run: Any, mentors_csv: Any) -> None:
    """
    Field names and values are those of the library; moments are ISO 8601 with Z.
    """
    document = run("register", mentors_csv(m1="today", m2="today+1"), "--json", "--label", "week").document

    assert _BATCH_FIELDS == set(document)
    assert ("partial_success", 1, 2, "week") == tuple(
        document[name] for name in ("status", "run", "total", "label")
    )
    assert {"succeeded": 1, "failed": 1} == document["counts"]
    assert document["submitted_at"].endswith("Z")
    assert datetime.fromisoformat(document["settled_at"]).tzinfo is UTC
    first, second = document["outcomes"]
    assert ("m1", "succeeded", None) == (first["mentor_id"], first["state"], first["failure"])
    assert ("date_in_future", False) == (second["failure"]["code"], second["failure"]["retryable"])


def _mentors(in_store: Any, *batches: Any) -> Counter[str]:
    records = [
        record
        for batch in batches
        for record in in_store(lambda repository, batch=batch: repository.activities_of_batch(batch))
    ]
    return Counter(record.registration.mentor_id for record in records)


def _states(document: Any) -> dict[str, str]:
    return {outcome["mentor_id"]: outcome["state"] for outcome in document["outcomes"]}


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
    run("register", mentors_csv(name="before.csv", m1="today"), "--actor", "bo@oslo")

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
    assert "You registered these before" in refused.document["error"]["message"]
    somebody_waits = not first
    assert somebody_waits == (f"proxy-orchestration review {batch_id} " in refused.err)
    assert 2 == run("list", "--json").document["total"]

    assert {"succeeded": 4} == run(*again, "--key", "twice").document["counts"]


def test_an_override_after_an_edit_of_the_file_is_refused_and_names_who_is_in_both(
    run: Any, mentors_csv: Any
) -> None:
    """
    A corrected file is another file, and most of its mentors are registered already.
    """
    run("register", mentors_csv(m1="today", m2="today", m3="today-1"))

    ended = run("register", mentors_csv(m1="today", m2="today-1", m3="today-1"), "--on-conflict", "override")

    assert ExitCode.BAD_INPUT == ended.code
    assert "m1 (home_visit on " in ended.err
    assert "m3 (home_visit on " in ended.err
    assert "m2" not in ended.err
    assert 1 == run("list", "--json").document["total"]


def test_an_override_goes_ahead_where_the_actor_registered_nothing_of_it(run: Any, mentors_csv: Any) -> None:
    """
    Other days, other people's batches and the same command again are no reason to refuse.
    """
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


def test_a_file_whose_batch_was_deleted_says_how_to_register_it_again(run: Any, mentors_csv: Any) -> None:
    """
    The person gave no key, so that they are told of the file.
    """
    file = mentors_csv(m1="today")
    batch_id = run("register", file, "--json").document["batch_id"]
    run("delete", batch_id)

    again, renamed = run("register", file), run("register", file, "--key", "second")

    assert [ExitCode.BAD_INPUT, ExitCode.NEEDS_REVIEW] == [again.code, renamed.code]
    assert f"This file was registered before as batch {batch_id}, and the batch was deleted." in again.err
    assert "To register it again, give the submission its own --key." in again.err


def test_a_file_that_was_read_in_another_way_says_how_to_continue_its_batch(
    run: Any, mentors_csv: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    As an earlier version read it, which gave lines other names.
    """
    file = mentors_csv(m1="today")
    read = registration.parse_mentors

    def otherwise(*args: Any, **kwargs: Any) -> Any:
        mentors = read(*args, **kwargs)
        entries = tuple(attrs.evolve(each, item_key="line 1") for each in mentors.entries)
        return attrs.evolve(mentors, entries=entries)

    monkeypatch.setattr(registration, "parse_mentors", otherwise)
    batch_id = run("register", file, "--json").document["batch_id"]
    monkeypatch.setattr(registration, "parse_mentors", read)

    again, skipped = run("register", file), run("register", file, "--on-conflict", "skip")

    assert [ExitCode.BAD_INPUT, ExitCode.SUCCESS] == [again.code, skipped.code]
    assert f"as batch {batch_id}, and it was read in another way, perhaps by an earlier version" in again.err
    assert f"resume {batch_id}" in again.err
    assert "then wait for a decision" in again.err


def test_a_key_that_has_other_content_is_told_with_the_reason(run: Any, mentors_csv: Any) -> None:
    """
    A relative date is another one each day; here it is another day's file under the same key.
    """
    run("register", mentors_csv(m1="today-1"), "--key", "week 1")

    fixed = run("register", mentors_csv(m1="2026-01-05"), "--key", "week 1", "--json")
    relative = run("register", mentors_csv(m1="today"), "--key", "week 1")

    assert "bad_input" == fixed.document["error"]["code"]
    assert "The key 'week 1' belongs to batch" in fixed.err
    assert "A relative date" not in fixed.err
    assert "A relative date in the file means another day on another day." in relative.err


def test_a_refused_override_names_batches_in_which_somebody_waits(run: Any, mentors_csv: Any) -> None:
    """
    A record outlives its batch, and there is nothing to decide about one that is done.
    """
    gone = run("register", mentors_csv(m1="today"), "--json").document["batch_id"]
    run("delete", gone)
    done = run("register", mentors_csv(m2="today"), "--json").document["batch_id"]
    waits = run("register", mentors_csv(m2="today", m3="today"), "--json").document["batch_id"]

    file = mentors_csv(m1="today", m2="today", m3="today")
    ended = run("register", file, "--on-conflict", "override")

    assert ExitCode.BAD_INPUT == ended.code
    assert f"Decide about the mentors who wait in batch {waits}:  proxy-orchestration review" in ended.err
    assert gone not in ended.err
    assert done not in ended.err


def test_the_commands_after_a_preview_read_the_file_as_it_was_read(run: Any, tmp_path: Path) -> None:
    """
    With what was said about encoding and columns.
    """
    file = tmp_path / "norsk.csv"
    file.write_bytes("Mentor;Type;Dato;Min;Navn\nm1;besøk;today;60;Kari\n".encode("latin-1"))
    said = ["--encoding", "latin-1", "--columns", "Mentor=mentor_id,Type=activity_type,Dato=activity_date"]
    said += ["--columns", "Min=duration_minutes", "--ignore-columns"]

    ended = run("preview", file, *said)
    (command,) = [line for line in ended.out.splitlines() if line.startswith("Register:  ")]

    assert shlex.join(["register", str(file), *said]) in command
    assert ExitCode.SUCCESS == run(*shlex.split(command.removeprefix("Register:  "))[1:]).code
