"""
What each command does to a store, says to a person and to a machine, and ends with.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.registration.states import ItemState

CONTROL: Final = frozenset(map(chr, range(32))) - {"\n"}
_BATCH_FIELDS: Final = {
    *("batch_id", "coordinator_id", "status", "run", "total", "counts"),
    *("label", "submitted_at", "settled_at", "outcomes"),
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
    A refused mentor shows the reason, and the retry command can be pasted.
    """
    ended = run("register", mentors_csv(m1="today", m2="today+5", anna="today"))

    batch_id = run("list", "--json").document["batches"][0]["batch_id"]
    assert ExitCode.PARTIAL_SUCCESS == ended.code
    assert "is in the future" in ended.out
    assert f"proxy-orchestration retry {batch_id} --db {store} --actor anna@oslo" in ended.out
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
    assert "This was submitted before, on" in second.err
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
    file.write_text(HEADER + "m1,visit,3.11.2026,60\n")

    ended = run("register", file)

    assert ExitCode.BAD_INPUT == ended.code
    assert f"{file} cannot be registered; nothing was stored." in ended.err
    assert "line 2, column activity_date: '3.11.2026' is not a date" in ended.err
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


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"m1": ItemState.SUCCEEDED, "m2": ItemState.SKIPPED}, ExitCode.SUCCESS),
        ({"m1": ItemState.SUCCEEDED, "m2": ItemState.UNKNOWN}, ExitCode.PARTIAL_SUCCESS),
        ({"m1": ItemState.FAILED}, ExitCode.TOTAL_FAILURE),
        ({"m1": ItemState.CANCELLED, "m2": ItemState.SUCCEEDED}, ExitCode.CANCELLED),
        ({"m1": ItemState.NEEDS_REVIEW}, ExitCode.NEEDS_REVIEW),
    ],
)
def test_status_ends_with_the_code_of_the_batch(
    run: Any, settled: Any, states: dict[str, ItemState], expected: ExitCode
) -> None:
    """
    The exit code says how a settled batch stands, as text and as JSON.
    """
    batch_id = settled(**states)

    assert expected == run("status", batch_id).code
    ended = run("status", batch_id, "--json")
    assert expected == ended.code
    assert [state.value for state in states.values()] == [
        each["state"] for each in ended.document["outcomes"]
    ]


def test_status_says_what_to_do_about_each_kind(run: Any, settled: Any) -> None:
    """
    Failed ones are retried, cancelled ones by name, conflicts are reviewed.
    """
    batch_id = settled(m1=ItemState.FAILED, m2=ItemState.CANCELLED, m3=ItemState.NEEDS_REVIEW)

    told = run("status", batch_id).out

    assert f"Retry what failed:  proxy-orchestration retry {batch_id} " in told
    assert f"Retry a cancelled mentor:  proxy-orchestration retry {batch_id} --mentor m2 " in told
    assert "is already registered for that day. (record activity-before)" in told
    assert f"Decide one by one:  proxy-orchestration review {batch_id} " in told


def test_status_of_an_open_batch_says_how_to_carry_on(run: Any, accepted: Any) -> None:
    """
    Not settled is a code of its own, with the commands to watch and to resume.
    """
    batch_id = accepted("m1", "m2", "m3", held_for=60.0)

    ended = run("status", batch_id)

    assert ExitCode.WRONG_STATE == ended.code
    assert f"proxy-orchestration watch {batch_id} " in ended.out
    assert "proxy-orchestration resume --db " in ended.out
    assert "3 mentors: 2 pending, 1 running." in ended.out


@pytest.mark.parametrize("command", ["status", "retry", "review", "cancel", "watch"])
def test_a_batch_that_is_not_the_actors_is_not_found(run: Any, settled: Any, command: str) -> None:
    """
    Unknown, another coordinator's and another organization's batch answer alike.
    """
    batch_id = settled(m1=ItemState.FAILED)

    for args in (("nothing",), (batch_id, "--actor", "bo@oslo"), (batch_id, "--actor", "anna@bergen")):
        ended = run(command, *args, typed="")
        assert ExitCode.NOT_FOUND == ended.code
        assert f"There is no batch '{args[0]}' for you." in ended.err


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


def test_retry_takes_up_what_failed_and_nothing_else(run: Any, settled: Any, in_store: Any) -> None:
    """
    The unknown mentor is registered in run 2; the succeeded one keeps its record.
    """
    batch_id = settled(m1=ItemState.SUCCEEDED, m2=ItemState.UNKNOWN)

    ended = run("retry", batch_id)

    assert ExitCode.SUCCESS == ended.code
    assert "run 2: success." in ended.out
    assert "activity-m1" in ended.out
    records = in_store(lambda repository: repository.activities_of_batch(batch_id))
    assert ["m2"] == [record.registration.mentor_id for record in records]


def test_retry_may_name_mentors_also_cancelled_ones(run: Any, settled: Any) -> None:
    """
    Only the named mentors are taken up.
    """
    batch_id = settled(m1=ItemState.FAILED, m2=ItemState.CANCELLED, m3=ItemState.FAILED)

    document = run("retry", batch_id, "--mentor", "m2", "--mentor", "m3", "--json").document

    assert ["failed", "succeeded", "succeeded"] == [outcome["state"] for outcome in document["outcomes"]]


def test_a_retry_with_a_stale_run_changes_nothing(run: Any, settled: Any) -> None:
    """
    A command that is delivered twice retries once.
    """
    batch_id = settled(m1=ItemState.UNKNOWN)

    assert ExitCode.SUCCESS == run("retry", batch_id, "--expected-run", 1).code
    ended = run("retry", batch_id, "--expected-run", 1)
    assert ExitCode.WRONG_STATE == ended.code
    assert "run 1 was expected and run 2 is current" in ended.err


def test_a_retry_of_what_cannot_be_retried_says_why(run: Any, settled: Any, accepted: Any) -> None:
    """
    Nothing failed, a mentor of no batch, and a batch that is not settled.
    """
    done = settled(m1=ItemState.SUCCEEDED)

    assert ExitCode.WRONG_STATE == run("retry", done).code
    assert ExitCode.BAD_INPUT == run("retry", done, "--mentor", "m9").code
    assert ExitCode.WRONG_STATE == run("retry", accepted("m1")).code


def test_cancel_says_what_became_of_everybody(run: Any, accepted: Any) -> None:
    """
    The report is text or JSON; the command itself succeeded.
    """
    ended = run("cancel", accepted("m1", "m2"), "--reason", "wrong week")
    as_json = run("cancel", accepted("m1", "m2", "m3"), "--json")

    assert ExitCode.SUCCESS == ended.code
    assert (
        "2 never started and are cancelled, 0 finished meanwhile, 0 in doubt, 0 had been settled before."
        in ended.out
    )
    assert "2 mentors: 2 cancelled." in ended.out
    assert ExitCode.SUCCESS == as_json.code
    document = as_json.document
    assert ("cancelled", 3, 0, 0, 0) == tuple(
        document[name] for name in ("status", "never_started", "finished", "in_doubt", "already_settled")
    )


def test_a_settled_batch_cannot_be_cancelled(run: Any, settled: Any) -> None:
    """
    There is nothing left to cancel, which is a wrong state.
    """
    assert ExitCode.WRONG_STATE == run("cancel", settled(m1=ItemState.SUCCEEDED)).code


def test_watch_replays_a_settled_batch_line_by_line(run: Any, settled: Any) -> None:
    """
    A machine reads one line per update and the result last, from where it left off.
    """
    batch_id = settled(m1=ItemState.SUCCEEDED, m2=ItemState.FAILED)

    ended = run("watch", batch_id, "--json")
    later = run("watch", batch_id, "--json", "--after", 1)

    assert ExitCode.PARTIAL_SUCCESS == ended.code
    assert ["progress", "progress", "result"] == [line["kind"] for line in ended.lines]
    assert [(1, "m1", 1), (2, "m2", 2)] == [
        (line["sequence"], line["outcome"]["mentor_id"], line["settled"]) for line in ended.lines[:2]
    ]
    assert [2] == [line["sequence"] for line in later.lines[:-1]]


def test_watch_shows_people_the_table(run: Any, settled: Any) -> None:
    """
    Without --json the progress goes to standard error and the table follows.
    """
    ended = run("watch", settled(m1=ItemState.SUCCEEDED))

    assert ExitCode.SUCCESS == ended.code
    assert "Watching: 1 of 1 settled (1 succeeded)" in ended.err
    assert "activity-m1" in ended.out


def test_list_shows_pages_newest_first_and_by_status(run: Any, settled: Any) -> None:
    """
    Pages, statuses and totals are those of the library.
    """
    first = settled(m1=ItemState.SUCCEEDED)
    second = settled(m1=ItemState.FAILED, m2=ItemState.SUCCEEDED)

    document = run("list", "--limit", 1, "--json").document
    assert ([second], 1, 1, 2) == (
        [batch["batch_id"] for batch in document["batches"]],
        document["page"],
        document["limit"],
        document["total"],
    )
    ended = run("list", "--status", "success", "--status", "cancelled")
    assert ExitCode.SUCCESS == ended.code
    assert first in ended.out
    assert second not in ended.out
    assert "1 batch, page 1 of 1." in ended.out
    assert "2 batches, page 2 of 2." in run("list", "--limit", 1, "--page", 2).out


def test_list_of_nobodys_batches_is_empty(run: Any, settled: Any) -> None:
    """
    No batches is a sentence, not an empty table.
    """
    settled(m1=ItemState.SUCCEEDED)

    assert "0 batches, page 1 of 1.\n" == run("list", "--actor", "bo@oslo").out


def test_resume_without_work_says_so(run: Any, settled: Any) -> None:
    """
    Nothing to resume is a success.
    """
    settled(m1=ItemState.FAILED)

    ended = run("resume")

    assert ExitCode.SUCCESS == ended.code
    assert "Nothing was interrupted; there is nothing to resume.\n" == ended.out
    assert {"batches": []} == run("resume", "--json").document


def test_resume_drives_everything_and_ends_with_the_worst(run: Any, accepted: Any) -> None:
    """
    A batch that nobody drove, whoever submitted it, is driven to its end; its retry command names its owner.
    """
    good, bad = accepted("m1", "m2"), accepted("anna")

    ended = run("resume", "--json")

    assert ExitCode.TOTAL_FAILURE == ended.code
    assert {good: "success", bad: "total_failure"} == {
        batch["batch_id"]: batch["status"] for batch in ended.document["batches"]
    }
    assert f"Resuming {good}: 2 of 2 settled (2 succeeded)" in ended.err
    assert f"retry {bad} " in ended.err
    assert "--actor anna@oslo" in ended.err


def test_resume_waits_for_a_lease_and_says_so_before(run: Any, accepted: Any) -> None:
    """
    A driver that was killed holds its batch for a while; a person is told how long.
    """
    batch_id = accepted("m1", "m2", held_for=0.5)

    ended = run("resume")

    assert ExitCode.SUCCESS == ended.code
    assert (
        f"Batch {batch_id} is still held, perhaps by a process that was killed; waiting up to 0." in ended.err
    )
    assert "2 mentors: 2 succeeded." in ended.out


def test_help_lists_every_exit_code(run: Any) -> None:
    """
    The codes are part of the contract, so they are documented where one looks.
    """
    told = run("--help").out

    for code in ExitCode:
        assert f"{int(code):>5}  {code.meaning}" in told
