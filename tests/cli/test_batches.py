"""
What status, retry, cancel, pause, unpause, watch, list and resume do with a store, tell, and end with.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli import batches, session
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import Common
from proxy_orchestration.cli.output import Output
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.memory import (
    MemoryActivityRepository,
    MemoryNotificationRepository,
    MemoryVisibilityRegistry,
)


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


def test_after_a_cancel_nobody_in_doubt_is_sent_again_unnamed(run: Any, settled: Any) -> None:
    """
    A plain retry would register whom somebody has just cancelled.
    """
    batch_id = settled(m1=ItemState.UNKNOWN, m2=ItemState.CANCELLED, m3=ItemState.FAILED)

    told = run("status", batch_id).out

    assert "Retry what failed" not in told
    retry = f"proxy-orchestration retry {batch_id} --mentor"
    assert f"Retry a failed mentor:  {retry} m3 " in told
    assert (
        f"Retry a mentor in doubt; the mentor is registered only if that has not happened yet:  {retry} m1 "
        in told
    )
    assert f"Retry a cancelled mentor:  {retry} m2 " in told


def test_who_was_not_cancelled_and_is_in_doubt_is_retried_with_the_others(run: Any, settled: Any) -> None:
    """
    They are looked up, or repeated under their keys.
    """
    batch_id = settled(m1=ItemState.UNKNOWN, m2=ItemState.SUCCEEDED)

    assert f"Retry what failed:  proxy-orchestration retry {batch_id} " in run("status", batch_id).out


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


@pytest.mark.parametrize("command", ["status", "retry", "review", "cancel", "pause", "unpause", "watch"])
def test_a_batch_that_is_not_the_actors_is_not_found(run: Any, settled: Any, command: str) -> None:
    """
    Unknown, another coordinator's and another organization's batch answer alike.
    """
    batch_id = settled(m1=ItemState.FAILED)

    for args in (("nothing",), (batch_id, "--actor", "bo@oslo"), (batch_id, "--actor", "anna@bergen")):
        ended = run(command, *args, typed="")
        assert ExitCode.NOT_FOUND == ended.code
        assert f"There is no batch '{args[0]}', or you have no access to it." in ended.err


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
    assert "run 1 was expected, but run 2 is current" in ended.err


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
        "2 never started and were cancelled, 0 finished in the meantime, 0 in doubt, 0 were already settled."
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


def test_a_batch_is_paused_until_it_is_unpaused(run: Any, accepted: Any) -> None:
    """
    Nothing resumes it meanwhile, and each command says what follows.
    """
    batch_id = accepted("m1", "m2")

    paused = run("pause", batch_id)
    passed_over = run("resume")
    as_json = run("pause", batch_id, "--json")
    unpaused = run("unpause", batch_id)

    assert ExitCode.SUCCESS == paused.code == as_json.code == unpaused.code
    assert f"Let it continue:  proxy-orchestration unpause {batch_id} " in paused.out
    assert "Continue:" not in paused.out
    assert "nothing to resume" in passed_over.out
    assert as_json.document["paused_at"] is not None
    assert "Continue:  proxy-orchestration resume " in unpaused.out
    assert ExitCode.SUCCESS == run("resume").code
    assert ExitCode.WRONG_STATE == run("pause", batch_id).code


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
    assert {"batches": [], "left_alone": 0} == run("resume", "--json").document


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


def test_resume_waits_for_a_lease_and_says_so_before(
    run: Any, accepted: Any, in_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A driver that was killed holds its batch for a while; a person is told how long.
    """
    batch_id = accepted("m1", "m2")
    lease = in_store(lambda repository: repository.acquire(batch_id, 1, ttl=60.0))
    in_store(lambda repository: repository.commit(lease, Commit(claim=1, ttl=60.0)))
    say = Output.say

    def say_and_release(output: Output, text: str, **style: str) -> None:
        say(output, text, **style)
        if "holds the lease" in text:
            release = Thread(target=in_store, args=[lambda repository: repository.release(lease)])
            release.start()
            release.join()

    monkeypatch.setattr(Output, "say", say_and_release)
    ended = run("resume")

    assert ExitCode.SUCCESS == ended.code
    told = f"Another driver, perhaps a killed process, holds the lease of batch {batch_id}. Waiting up to "
    assert re.search(rf"{told}[1-6][0-9]?\.[0-9] s for the lease to end\.", ended.err)
    assert "2 mentors: 2 succeeded." in ended.out


def test_some_failed_and_some_wait_is_a_partial_success(run: Any, settled: Any) -> None:
    """
    A script retries after 3 and reviews after 6.
    """
    both = settled(m1=ItemState.SUCCEEDED, m2=ItemState.FAILED, m3=ItemState.NEEDS_REVIEW)
    waits = settled(m1=ItemState.SUCCEEDED, m2=ItemState.NEEDS_REVIEW)

    assert ExitCode.PARTIAL_SUCCESS == run("status", both).code
    assert ExitCode.NEEDS_REVIEW == run("status", waits).code


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

    assert ExitCode.SUCCESS == anyio.run(partial(batches._show_resumed, opened, ["gone"], left_alone=0))
