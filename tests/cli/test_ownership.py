"""
A batch is driven with the service that accepted it, and with no other.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from waits import LONGEST_WAIT

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.session import EXAMPLE
from proxy_orchestration.registration.states import ItemState

HOST: Final = """
from contextlib import asynccontextmanager
from pathlib import Path

from proxy_orchestration.registration.activities import RegistrationReceipt
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.storage.sql import SqlActivityRepository


class Book:
    async def register(self, registration, /):
        with Path("book.txt").open("a") as book:
            print(registration.mentor_id, file=book)
        return RegistrationReceipt(
            registration_id=registration.registration_id, activity_id=f"page-{registration.mentor_id}"
        )


@asynccontextmanager
async def _opened(service_name):
    async with SqlActivityRepository.open("sqlite:///STORE") as repository:
        yield BulkRegistrationOrchestrator(
            registration_service=Book(), repository=repository, service_name=service_name
        )


def books():
    return _opened("books")


def nameless():
    return _opened(None)
"""
BOOKS: Final = ("--app", "ownhost:books")


@pytest.fixture
def book(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """
    What a host's service wrote, whose module stands where the commands run; its store is theirs.
    """
    (tmp_path / "ownhost.py").write_text(HOST.replace("STORE", str(store)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    yield tmp_path / "book.txt"
    sys.modules.pop("ownhost", None)


@pytest.mark.parametrize("service_name", ["books", None])
@pytest.mark.parametrize("command", [("retry",), ("cancel",), ("review",)])
def test_a_hosts_batch_is_refused_without_the_host(
    run: Any, settled: Any, in_store: Any, command: tuple[str, ...], service_name: str | None
) -> None:
    """
    The message says whose it is and which option names it; nothing changed.
    """
    batch_id = settled(service_name, m1=ItemState.UNKNOWN)

    ended = run(*command, batch_id, typed="q\n")

    assert ExitCode.BAD_INPUT == ended.code
    assert "'books'" in ended.err if service_name else "without a name" in ended.err
    assert "--app module:factory" in ended.err
    assert 1 == in_store(lambda repository: repository.get(batch_id)).run


def test_decisions_in_a_file_are_refused_too(run: Any, settled: Any, tmp_path: Path) -> None:
    """
    Whoever decides.
    """
    batch_id = settled("books", m1=ItemState.NEEDS_REVIEW)
    file = tmp_path / "decisions.csv"
    file.write_text("mentor_id,decision\nm1,override\n")

    assert ExitCode.BAD_INPUT == run("review", batch_id, "--decisions", file).code


def test_a_machine_reads_why(run: Any, settled: Any) -> None:
    """
    As of every error.
    """
    ended = run("retry", settled("books", m1=ItemState.FAILED), "--json")

    assert "bad_input" == ended.document["error"]["code"]
    assert "'books'" in ended.document["error"]["message"]


@pytest.mark.parametrize("command", ["retry", "review", "cancel"])
def test_whose_a_batch_is_is_told_to_nobody_else(run: Any, settled: Any, command: str) -> None:
    """
    For another coordinator it does not exist.
    """
    batch_id = settled("books", m1=ItemState.FAILED)

    ended = run(command, batch_id, "--actor", "bo@oslo", typed="")

    assert ExitCode.NOT_FOUND == ended.code
    assert "books" not in ended.err


def test_what_only_reads_or_tidies_needs_no_host(run: Any, settled: Any) -> None:
    """
    No service is called.
    """
    batch_id = settled("books", m1=ItemState.FAILED)

    for command in (("status", batch_id), ("watch", batch_id)):
        assert ExitCode.TOTAL_FAILURE == run(*command).code
    for command in (("list",), ("relabel", batch_id, "x"), ("delete", batch_id)):
        assert ExitCode.SUCCESS == run(*command).code


def test_a_resume_leaves_a_hosts_batches_alone(run: Any, accepted: Any, in_store: Any) -> None:
    """
    It says how many there are; alone they are an error, beside its own they are not.
    """
    theirs = [accepted("m1", service_name=name) for name in ("books", None)]

    refused = run("resume")
    own = accepted("m2")
    resumed = run("resume", "--json")

    assert ExitCode.BAD_INPUT == refused.code
    assert "2 of other services wait for a driver" in refused.err
    assert ExitCode.SUCCESS == resumed.code
    assert [own] == [batch["batch_id"] for batch in resumed.document["batches"]]
    assert 2 == resumed.document["left_alone"]
    assert "2 of other services wait for a driver" in resumed.err
    for batch_id in theirs:
        assert not in_store(lambda repository, batch_id=batch_id: repository.get(batch_id)).driven


def test_a_resume_takes_no_audit_events_of_a_host(run: Any, in_store: Any, settled: Any) -> None:
    """
    The host's logger would never hear of them.
    """
    settled("books", m1=ItemState.SUCCEEDED)
    in_store(_unaudited)
    run("resume")

    assert 1 == len(in_store(lambda repository: repository.claim_audit_events(limit=9, hold=0.0)))


async def _unaudited(repository: Any) -> None:
    def undo(connection: Any) -> None:
        connection.exec_driver_sql("UPDATE audit_events SET delivered = 0, held_until = 0, hold = 0")

    await repository._transactions.write(undo)


def test_a_file_joins_no_batch_of_a_host(run: Any, mentors_csv: Any, book: Path) -> None:
    """
    The same key names the host's batch, which is not driven here.
    """
    file = mentors_csv(m1="today")
    run("register", file, "--key", "7", *BOOKS)

    ended = run("register", file, "--key", "7")

    assert ExitCode.BAD_INPUT == ended.code
    assert "it was accepted by the service 'books'" in ended.err
    assert "m1\n" == book.read_text()


def test_a_hosts_batch_is_driven_with_the_host(run: Any, accepted: Any, settled: Any, book: Path) -> None:
    """
    With the name that it has, and where it has none.
    """
    failed = settled("books", m1=ItemState.UNKNOWN)
    nameless = settled(None, m2=ItemState.UNKNOWN)
    waiting = accepted("m3", service_name="books")

    assert ExitCode.SUCCESS == run("retry", failed, *BOOKS).code
    assert ExitCode.SUCCESS == run("retry", nameless, *BOOKS).code
    assert ExitCode.SUCCESS == run("resume", *BOOKS).code
    assert ExitCode.SUCCESS == run("status", waiting).code
    assert "m1\nm2\nm3\n" == book.read_text()


@pytest.mark.parametrize(
    ("service_name", "app", "expected"),
    [
        ("proxy-orchestration", "books", "Omit --app"),
        ("proxy-orchestration", "nameless", "Omit --app"),
        ("letters", "books", "it was accepted by the service 'letters'"),
        ("books", "nameless", "it was accepted by the service 'books'"),
    ],
)
@pytest.mark.usefixtures("book")
def test_another_services_batch_is_refused_with_a_host_too(
    run: Any, settled: Any, service_name: str, app: str, expected: str
) -> None:
    """
    The command line's own, and a host's under another name.
    """
    ended = run("retry", settled(service_name, m1=ItemState.UNKNOWN), "--app", f"ownhost:{app}")

    assert ExitCode.BAD_INPUT == ended.code
    assert expected in ended.err
    assert not Path("book.txt").exists()


def test_health_sees_everybodys_batches(run: Any, accepted: Any) -> None:
    """
    Whoever waits longest, whose ever it is.
    """
    theirs = accepted("m1", service_name="books")
    accepted("m2")

    assert theirs == run("health", "--json").document["oldest_undriven"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_serve_drives_its_own_beside_a_hosts(start: Any, run: Any, accepted: Any, in_store: Any) -> None:
    """
    What was accepted first is the host's, and stays.
    """
    theirs = accepted("m1", service_name="books")
    own = accepted("m2")
    process = start("serve")
    assert "1 of other services waits for a driver" in process.stderr.readline()
    watched = run("watch", own)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=LONGEST_WAIT)

    assert ExitCode.SUCCESS == watched.code
    assert not in_store(lambda repository: repository.get(theirs)).driven


def test_a_batch_of_the_console_s_example_is_worked_with_there(run: Any, accepted: Any) -> None:
    """
    It has no host that could be named.
    """
    batch_id = accepted("m1", service_name=EXAMPLE)

    ended = run("cancel", batch_id)

    assert ExitCode.BAD_INPUT == ended.code
    assert "Work with it there:  proxy-orchestration console --example --db " in ended.err
    assert "--app" not in ended.err
