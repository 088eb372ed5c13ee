"""
Commands that call a host's own service, through the orchestrator that --app names.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode

HOST: Final = """
from contextlib import asynccontextmanager
from pathlib import Path

from proxy_orchestration.registration.activities import RegistrationReceipt
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.storage.sql import SqlActivityRepository

BOOK = Path("book.txt")


class Book:
    async def register(self, registration, /):
        with BOOK.open("a") as book:
            print(registration.mentor_id, file=book)
        return RegistrationReceipt(
            registration_id=registration.registration_id, activity_id=f"page-{registration.mentor_id}"
        )


@asynccontextmanager
async def opened():
    async with SqlActivityRepository.open("sqlite:///host.db") as repository:
        yield BulkRegistrationOrchestrator(registration_service=Book(), repository=repository)


def plain():
    return opened()


async def awaited():
    return opened()


class Nested:
    @staticmethod
    def inner():
        return opened()


def wrong():
    return 5


constant = 5
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """
    A folder with a host's module, in which the commands run.
    """
    (tmp_path / "bookhost.py").write_text(HOST)
    (tmp_path / "brokenhost.py").write_text("import there_is_no_such_module\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    yield tmp_path
    for name in ("bookhost", "brokenhost"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("factory", ["opened", "plain", "awaited", "Nested.inner"])
def test_a_file_is_registered_with_the_hosts_service(
    run: Any, folder: Path, mentors_csv: Any, store: Path, factory: str
) -> None:
    """
    Into the host's own store, whatever kind of factory it is; --db is not touched.
    """
    ended = run("register", mentors_csv(m1="today", m2="today"), "--app", f"bookhost:{factory}", "--json")

    assert ExitCode.SUCCESS == ended.code, ended.err
    assert ["page-m1", "page-m2"] == [outcome["activity_id"] for outcome in ended.document["outcomes"]]
    assert "m1\nm2\n" == (folder / "book.txt").read_text()
    assert not store.exists()
    assert ExitCode.SUCCESS == run("status", ended.document["batch_id"], "--db", folder / "host.db").code


def test_the_variable_names_the_host_for_every_command(
    run: Any, folder: Path, mentors_csv: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whoever runs a host's store sets it once.
    """
    monkeypatch.setenv("PROXY_ORCHESTRATION_APP", "bookhost:opened")
    batch_id = run("register", mentors_csv(m1="today"), "--json").document["batch_id"]

    ended = run("retry", batch_id)

    assert (folder / "book.txt").is_file()
    assert ExitCode.WRONG_STATE == ended.code
    assert "resume" in run("resume").out


def test_a_step_to_take_names_the_host_again(run: Any, folder: Path, mentors_csv: Any) -> None:
    """
    What is pasted into a shell calls the same service.
    """
    assert folder.is_dir()
    ended = run("preview", mentors_csv(m1="today"), "--app", "bookhost:opened")

    assert ExitCode.SUCCESS == ended.code
    assert " --app bookhost:opened " in ended.out


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        ("bookhost", "write it as module:factory"),
        (":opened", "write it as module:factory"),
        ("nohost:opened", "there is no module nohost"),
        ("nohost.inner:opened", "there is no module nohost"),
        ("bookhost:nothing", "has no function nothing"),
        ("bookhost:constant", "has no function constant"),
        (
            "bookhost:wrong",
            "It must return a BulkRegistrationOrchestrator, or an async context manager",
        ),
    ],
)
def test_a_name_that_gives_no_orchestrator_is_bad_input(
    run: Any, folder: Path, app: str, expected: str
) -> None:
    """
    The message says how it is written, or what it has to return.
    """
    assert folder.is_dir()
    ended = run("resume", "--app", app)

    assert ExitCode.BAD_INPUT == ended.code
    assert expected in ended.err


def test_an_import_that_fails_within_the_hosts_module_is_not_hidden(run: Any, folder: Path) -> None:
    """
    It is a fault of the host's, and shown whole.
    """
    assert folder.is_dir()
    with pytest.raises(ModuleNotFoundError, match="there_is_no_such_module"):
        run("resume", "--app", "brokenhost:opened")


def test_a_pause_before_the_hosts_calls_is_refused(run: Any, folder: Path, mentors_csv: Any) -> None:
    """
    It would not be made.
    """
    ended = run("register", mentors_csv(m1="today"), "--app", "bookhost:opened", "--pace", 1)

    assert ExitCode.BAD_INPUT == ended.code
    assert "--pace" in ended.err
    assert not (folder / "book.txt").exists()
