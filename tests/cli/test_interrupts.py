"""
Interrupting and killing the program in the middle of a run, and carrying on.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from waits import LONGEST_WAIT

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode

pytestmark = pytest.mark.crash

MENTORS = 40


@pytest.fixture
def file(mentors_csv: Any) -> Any:
    """
    A file of forty mentors, all good, for processes that may start on either side of midnight.
    """
    day = (datetime.now(UTC) - timedelta(days=1)).date()
    return mentors_csv(**{f"m{number:02}": day for number in range(MENTORS)})


def _begun(process: subprocess.Popen[str]) -> None:
    """
    Return when the first tenth of the mentors is settled.
    """
    assert process.stderr is not None
    line = process.stderr.readline()
    assert f" of {MENTORS} settled (" in line, line


def _running(run: Any) -> str:
    """
    Return the batch's id as soon as somebody drives it.
    """
    while True:
        listed = run("list", "--json")
        running = [batch for batch in listed.document.get("batches", ()) if batch["status"] == "running"]
        if running:
            return str(running[0]["batch_id"])


def _mentors(in_store: Any, batch_id: str) -> list[str]:
    records = in_store(lambda repository: repository.activities_of_batch(batch_id))
    return [record.registration.mentor_id for record in records]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_released_and_resumed(
    start: Any, run: Any, in_store: Any, file: Any, number: signal.Signals
) -> None:
    """
    The program says how to carry on and ends with 130; the resume waits for nobody and finishes.
    """
    process = start("register", file, "--pace", 1, "--concurrency", 2, "--json")
    _begun(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=LONGEST_WAIT)

    assert ExitCode.INTERRUPTED == process.returncode
    assert "Continue:  proxy-orchestration resume --db " in err
    assert "Traceback" not in err
    assert "interrupted" == json.loads(out)["error"]["code"]

    ended = run("resume", "--json")
    (batch,) = ended.document["batches"]
    assert ExitCode.SUCCESS == ended.code
    assert "holds the lease" not in ended.err
    assert {"succeeded": MENTORS} == batch["counts"]
    assert {f"m{number:02}": 1 for number in range(MENTORS)} == Counter(_mentors(in_store, batch["batch_id"]))


def test_a_killed_run_is_resumed_after_its_lease(start: Any, store: Path, in_store: Any, file: Any) -> None:
    """
    After SIGKILL nobody released the lease: the resume says that it waits, then every mentor has one record.
    """
    process = start("register", file, "--pace", 1)
    _begun(process)
    process.kill()
    process.communicate(timeout=LONGEST_WAIT)
    # However long the machine takes from the kill to the resume, and from that to its sentence.
    _change_leases(store, "lease_until = lease_until + 3600, lease_ttl = lease_ttl + 3600")

    resuming = start("resume", "--json")
    said = resuming.stderr.readline()
    _change_leases(store, "lease_until = 1.0")
    out, _ = resuming.communicate(timeout=LONGEST_WAIT)

    (batch,) = json.loads(out)["batches"]
    assert ExitCode.SUCCESS == resuming.returncode
    assert "Waiting up to" in said
    assert MENTORS == sum(batch["counts"].values())
    assert {f"m{number:02}": 1 for number in range(MENTORS)} == Counter(_mentors(in_store, batch["batch_id"]))


def _change_leases(store: Path, change: str) -> None:
    with closing(sqlite3.connect(store, timeout=LONGEST_WAIT)) as connection, connection:
        connection.execute(f"UPDATE runs SET {change} WHERE settled_at IS NULL")  # noqa: S608 - our own text


def test_submitting_an_interrupted_file_again_carries_on(start: Any, run: Any, file: Any) -> None:
    """
    The same command joins its batch and drives what is left.
    """
    process = start("register", file, "--pace", 1)
    _begun(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LONGEST_WAIT)

    ended = run("register", file, "--pace", 0.01)

    assert ExitCode.SUCCESS == ended.code
    assert "The same request was submitted" in ended.err
    assert f"{MENTORS} mentors: {MENTORS} succeeded." in ended.out


def test_a_run_that_is_alive_is_watched_left_alone_and_cancelled(start: Any, run: Any, file: Any) -> None:
    """
    Others look on, find nothing to resume, and cancel; the driver ends with the batch's code.
    """
    # A minute's work, of which three seconds are done: it outlives all that follows, on a busy machine too.
    process = start("register", file, "--pace", 3, "--concurrency", 2, "--json")
    batch_id = _running(run)

    resumed = run("resume", "--json")
    assert ExitCode.WRONG_STATE == resumed.code
    assert "running" == resumed.document["batches"][0]["status"]

    watcher = start("watch", batch_id, "--json")
    assert watcher.stdout is not None
    assert "progress" == json.loads(watcher.stdout.readline())["kind"]

    cancelled = run("cancel", batch_id, "--json")
    assert ExitCode.SUCCESS == cancelled.code
    assert MENTORS == sum(
        cancelled.document[name] for name in ("never_started", "finished", "in_doubt", "already_settled")
    )
    for each in (process, watcher):
        each.communicate(timeout=LONGEST_WAIT)
        assert ExitCode.CANCELLED == each.returncode


def test_a_store_that_vanishes_under_a_run_is_told(start: Any, store: Path, file: Any) -> None:
    """
    A file deleted in the middle is one message and a code, not a traceback and not a success.
    """
    process = start("register", file, "--pace", 1)
    _begun(process)
    for path in store.parent.glob(f"{store.name}*"):
        path.unlink()
    _, err = process.communicate(timeout=LONGEST_WAIT)

    assert ExitCode.STORE_UNAVAILABLE == process.returncode
    assert "Traceback" not in err


def test_a_watcher_that_leaves_changes_nothing(start: Any, run: Any, accepted: Any) -> None:
    """
    Ctrl-C while looking on ends the looking on only.
    """
    batch_id = accepted("m1", "m2", refused="m1")
    process = start("watch", batch_id)
    assert process.stderr is not None
    assert "Watching: 1 of 2 settled (1 failed)\n" == process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LONGEST_WAIT)

    assert ExitCode.INTERRUPTED == process.returncode
    assert "Traceback" not in err
    assert "2 mentors: 1 pending, 1 failed." in run("status", batch_id).out
