"""
`changes` and `restore`: who is hidden because a certificate is lapsed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode

FILE = """\
certificate_id,mentor_id,certificate_type,expires,holder_name,organization_id
c1,m1,first_aid,today-5,Kari Eksempel,oslo
c2,m2,first_aid,today-5,Ola Eksempel,bergen
"""


@pytest.fixture(autouse=True)
def hidden(run: Any, tmp_path: Path) -> Path:
    """
    Hides two mentors of two organizations; returns the file.
    """
    path = tmp_path / "certificates.csv"
    path.write_text(FILE, encoding="utf-8")
    assert ExitCode.SUCCESS == run("notify", path).code
    return path


def test_changes_are_listed_page_by_page_and_by_organization(run: Any) -> None:
    """
    With the reason, for people and as JSON.
    """
    first = run("changes", "--limit", "1", "--json").document
    last = run("changes", "--limit", "1", "--after", first["next_after"], "--json").document
    oslo = run("changes", "--organization", "oslo")
    nobody = run("changes", "--organization", "tromso")

    assert (["m2"], ["m1"], None) == (
        *([change["mentor_id"] for change in page["changes"]] for page in (first, last)),
        last["next_after"],
    )
    assert ("lapsed", True) == (first["changes"][0]["cause"], first["changes"][0]["hidden"])
    assert "1 change shown." in oslo.out
    assert "lapsed" in oslo.out
    assert "0 changes shown.\n" == nobody.out
    assert f"More:  --after {first['next_after']}" in run("changes", "--limit", "1").out


def test_a_cursor_of_no_page_is_bad_input(run: Any) -> None:
    """
    It says what to give.
    """
    ended = run("changes", "--after", "page-2")

    assert ExitCode.BAD_INPUT == ended.code
    assert "next_after" in ended.err


def test_a_mentor_is_restored_once_and_stays_shown(run: Any, hidden: Path) -> None:
    """
    By somebody of the organization; the next run of the same file hides nobody again.
    """
    elsewhere = run("restore", "m1", "--actor", "bo@bergen")
    restored = run("restore", "m1", "--actor", "anna@oslo", "--reason", "Course tomorrow.", "--json").document
    again = run("restore", "m1", "--actor", "anna@oslo", "--role", "chapter_admin")
    run("notify", hidden)
    listed = run("changes", "--organization", "oslo", "--json").document["changes"]

    assert "nothing was changed" in elsewhere.out
    assert [("first_aid", "anna", "Course tomorrow.")] == [
        (row["certificate_type"], row["by"], row["reason"]) for row in restored["restored"]
    ]
    assert (ExitCode.SUCCESS, True) == (again.code, "nothing was changed" in again.out)
    assert ["restored", "lapsed"] == [row["cause"] for row in listed]


def test_restoring_says_what_is_shown(run: Any) -> None:
    """
    And that the status before is not known, since no host was asked.
    """
    shown = run("restore", "m2", "--actor", "bo@bergen", "--type", "first_aid")

    assert "The mentor is visible again for first_aid. The previous status is not known.\n" == shown.out
    assert "restored" in run("changes").out


def test_a_reason_that_is_too_long_is_bad_input(run: Any) -> None:
    """
    Nobody is shown.
    """
    ended = run("restore", "m1", "--actor", "anna@oslo", "--reason", "x" * 501)

    assert ExitCode.BAD_INPUT == ended.code
    assert "reason" in ended.err
    assert ["lapsed"] * 2 == [row["cause"] for row in run("changes", "--json").document["changes"]]
