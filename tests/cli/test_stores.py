"""
What --db may be, how it is shown, and where in it the tables are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from sqlalchemy import create_engine, inspect

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import Common
from proxy_orchestration.cli.stores import as_store


def test_a_file_may_be_named_by_its_address(run: Any, mentors_csv: Any, store: Path) -> None:
    """
    Path and address of one file are one store.
    """
    file = mentors_csv(m1="today")

    assert ExitCode.SUCCESS == run("register", file, "--db", f"sqlite:///{store}").code
    assert store.is_file()
    assert "1 batch, page 1 of 1." in run("list", "--db", store).out
    assert "1 batch, page 1 of 1." in run("list", "--db", f"sqlite+pysqlite:///{store}").out


def test_a_file_that_is_not_there_is_said_of_an_address_too(run: Any, tmp_path: Path) -> None:
    """
    A mistyped address makes no empty file.
    """
    missing = tmp_path / "missing.db"

    ended = run("list", "--db", f"sqlite:///{missing}")

    assert ExitCode.STORE_UNAVAILABLE == ended.code
    assert f"There is no store at sqlite:///{missing}." in ended.err
    assert not missing.exists()


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:", ":memory:"])
def test_a_store_that_would_end_with_the_command_is_refused(run: Any, address: str) -> None:
    """
    Nothing is registered into nowhere.
    """
    ended = run("list", "--db", address)

    assert ExitCode.BAD_INPUT == ended.code
    assert "is lost when the command ends" in ended.err


@pytest.mark.parametrize("address", ["mysql://host/db", "postgresql://u:s3cret@w0rd@host/db", "nothing://"])
def test_an_address_that_the_library_does_not_take_is_said_without_showing_it(run: Any, address: str) -> None:
    """
    What was misread may be a password.
    """
    ended = run("list", "--db", address)

    assert ExitCode.STORE_UNAVAILABLE == ended.code
    assert "Write it as sqlite:///file.db or postgresql+psycopg://" in ended.err
    assert "s3cret" not in ended.err
    assert "w0rd" not in ended.err


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://anna:s3cret@host/db",
        "postgresql://anna@host/db?password=s3cret",
        "postgresql+psycopg://anna@host/db?sslmode=require&sslpassword=s3cret",
    ],
)
def test_a_command_to_paste_holds_no_password(address: str) -> None:
    """
    Terminals are recorded, and logs are kept.
    """
    told = Common(store=as_store(address), as_json=False).command("status", "b")

    assert "s3cret" not in told
    assert "***" in told or "=..." in told
    assert "s3cret" not in repr(as_store(address))


def test_an_address_that_nobody_can_read_is_not_shown() -> None:
    """
    Not even in the command that carries on.
    """
    assert "s3cret" not in Common(store=as_store("x://a:s3cret:b:c@[/"), as_json=False).command("resume")


def test_tables_may_have_a_prefix(run: Any, mentors_csv: Any, store: Path) -> None:
    """
    What stands before the command names the tables, and stands in the commands to paste.
    """
    ended = run("--prefix", "bulk_", "register", mentors_csv(m1="today"), "--json")
    waiting = run("--prefix", "bulk_", "register", mentors_csv(m1="today"), "--key", "2")

    assert ExitCode.SUCCESS == ended.code
    assert "proxy-orchestration --prefix bulk_ review " in waiting.out
    engine = create_engine(f"sqlite:///{store}")
    names = inspect(engine).get_table_names()
    engine.dispose()
    assert all(name.startswith("bulk_") for name in names)
    assert ExitCode.SUCCESS == run("--prefix", "bulk_", "status", ended.document["batch_id"]).code
    assert ExitCode.NOT_FOUND == run("status", ended.document["batch_id"]).code


def test_notices_are_under_the_prefix_too(run: Any) -> None:
    """
    Both halves of the store are named alike.
    """
    run("--prefix", "bulk_", "upgrade")

    assert ExitCode.SUCCESS == run("--prefix", "bulk_", "inbox", "m1").code


@pytest.mark.parametrize("options", [("--prefix", "No!"), ("--schema", "x")])
def test_names_that_the_database_cannot_have_are_bad_input(
    run: Any, mentors_csv: Any, options: tuple[str, ...]
) -> None:
    """
    The library's own sentence says why.
    """
    ended = run(*options, "register", mentors_csv(m1="today"))

    assert ExitCode.BAD_INPUT == ended.code
    assert ended.err.strip()
