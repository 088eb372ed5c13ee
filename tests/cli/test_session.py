"""
Which store a command works with, and what ends it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode

HEADER: Final = "mentor_id,activity_type,activity_date,duration_minutes\n"


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
