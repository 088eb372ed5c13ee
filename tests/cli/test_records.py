"""
`runs`, `export`, `erase`, and the purge of what was told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration._pseudonyms import pseudonym_of
from proxy_orchestration.cli.exits import ExitCode

FILE = """\
certificate_id,mentor_id,certificate_type,expires,holder_name,organization_id,coordinator_id
c1,m1,first_aid,today+5,Kari Eksempel,oslo,anna
c2,m2,first_aid,today+300,Ola Eksempel,bergen,bo
"""


@pytest.fixture
def told(run: Any, tmp_path: Path) -> Path:
    """
    Tells a mentor and a coordinator, of one of two certificates; returns the file.
    """
    path = tmp_path / "certificates.csv"
    path.write_text(FILE, encoding="utf-8")
    assert ExitCode.SUCCESS == run("notify", path).code
    return path


def test_runs_are_listed_page_by_page_and_by_organization(run: Any, told: Path) -> None:
    """
    With the counts of the organization alone.
    """
    run("notify", told)
    first = run("runs", "--limit", "1", "--json").document
    last = run("runs", "--limit", "1", "--after", first["next_after"], "--json").document
    bergen = run("runs", "--organization", "bergen", "--json").document["runs"]
    shown = run("runs", "--limit", "1")

    assert ([0, 1], None) == ([page["runs"][0]["created"] for page in (first, last)], last["next_after"])
    assert [(1, {"not_due": 1})] * 2 == [(each["processed"], each["skipped_by_reason"]) for each in bergen]
    assert "1 run shown." in shown.out
    assert f"More:  --after {first['next_after']}" in shown.out
    assert "completed" in shown.out


def test_a_cursor_of_no_page_is_bad_input(run: Any) -> None:
    """
    It says what to give, before a store is looked for.
    """
    ended = run("runs", "--after", "page-2")

    assert ExitCode.BAD_INPUT == ended.code
    assert "next_after" in ended.err


@pytest.mark.usefixtures("told")
def test_a_store_without_runs_of_an_organization_says_so(run: Any) -> None:
    """
    It is no error.
    """
    assert "0 runs shown.\n" == run("runs", "--organization", "tromso").out


@pytest.mark.usefixtures("told")
def test_a_mentor_is_exported_and_erased(run: Any) -> None:
    """
    Nothing is left by the id, and the next run of the same file tells nobody again.
    """
    exported = run("export", "m1", "--organization", "oslo", "--json").document
    counted = run("export", "m1")
    erased = run("erase", "m1", "--organization", "oslo", "--json").document
    again = run("erase", "m1")
    left = run("export", "m1", "--organization", "oslo")

    assert {"m1", "anna"} == {notice["recipient_id"] for notice in exported["notices"]["notices"]}
    assert [] == exported["registrations"]["items"]
    assert (
        "m1: 2 notices, 1 push, 0 acknowledgements, 0 changes of visibility. Use --json to write them.\n"
        == counted.out
    )
    assert (2, 1) == (erased["notices"]["notices"], erased["notices"]["pushes"])
    assert pseudonym_of("m1") == erased["registrations"]["pseudonym"]
    assert f"Erased: 0 notices, 0 pushes. The mentor's id is now {pseudonym_of('m1')}.\n" == again.out
    assert "0 acknowledgements, 0 changes of visibility, 0 items, 0 records" in left.out


def test_who_is_erased_is_not_told_again_by_the_same_file(run: Any, told: Path) -> None:
    """
    The key stays under the pseudonym.
    """
    run("erase", "m1", "--organization", "oslo")
    document = run("notify", told, "--json").document

    assert (0, {"duplicate": 1, "not_due": 1}) == (document["created"], document["skipped_by_reason"])


def test_a_mentor_with_an_open_batch_is_not_erased(run: Any, accepted: Any) -> None:
    """
    Neither here nor there.
    """
    accepted("m1")
    ended = run("erase", "m1", "--organization", "oslo")

    assert ExitCode.WRONG_STATE == ended.code


def test_old_notices_pushes_and_runs_are_let_go_of(run: Any, told: Path) -> None:
    """
    Only what is done: what waits for somebody stays, and nobody is told again.
    """
    args = [f"--{kind}-before=today+1" for kind in ("notices", "pushes", "runs")]
    gone = run("purge", *args, "--json").document
    again = run("notify", told, "--json").document

    assert (0, 0, 1) == (gone["notices"], gone["pushes"], gone["runs"])
    assert 0 == again["created"]
