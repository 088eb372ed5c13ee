"""
What failed goes out as a file, is corrected, and comes back as one retry.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _save(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def failed(run: Any, mentors_csv: Any) -> str:
    """
    A batch in which two of three have a day that is refused.
    """
    ended = run("register", mentors_csv(m1="today", m2="today+5", m3="today+6"), "--json")
    assert ExitCode.PARTIAL_SUCCESS == ended.code
    batch_id: str = ended.document["batch_id"]
    return batch_id


def test_what_failed_is_written_with_its_reason(run: Any, failed: str) -> None:
    """
    As CSV on standard output; what is said about it is not in the file.
    """
    ended = run("export", failed, "--failed")

    assert ExitCode.SUCCESS == ended.code
    assert ["m2", "m3"] == [row["mentor_id"] for row in _rows(ended.out)]
    assert all("is in the future" in row["reason"] for row in _rows(ended.out))
    assert f"retry {failed} --with corrected.csv" in ended.err


def test_a_corrected_row_comes_back_as_one_retry(run: Any, failed: str, tmp_path: Path) -> None:
    """
    Only what is in the file is retried, and what is corrected is registered as it stands there.
    """
    rows = _rows(run("export", failed, "--failed").out)
    rows[0].update(activity_date="today", notes="the right day")

    ended = run("retry", failed, "--with", _save(tmp_path / "corrected.csv", rows[:1]), "--json")

    assert {"succeeded": 2, "failed": 1} == ended.document["counts"]
    assert 2 == ended.document["run"]
    assert ["m3"] == [row["mentor_id"] for row in _rows(run("export", failed, "--failed").out)]


def test_a_row_that_nobody_changed_is_retried_as_it_is(run: Any, failed: str, tmp_path: Path) -> None:
    """
    It keeps its key, so that it may be one that is in doubt.
    """
    file = tmp_path / "failed.csv"
    file.write_text(run("export", failed, "--failed").out, encoding="utf-8")

    ended = run("retry", failed, "--with", file, "--json")

    assert {"succeeded": 1, "failed": 2} == ended.document["counts"]
    assert "2 lines, 0 corrected." in ended.err


def test_a_row_of_somebody_else_is_refused(run: Any, failed: str, tmp_path: Path) -> None:
    """
    So is one that has succeeded; the batch stays as it is.
    """
    rows = _rows(run("export", failed, "--failed").out)
    for mentor_id in ("m1", "m9"):
        rows[0].update(mentor_id=mentor_id, item_key="")
        ended = run("retry", failed, "--with", _save(tmp_path / "corrected.csv", rows))
        assert ended.code in {ExitCode.WRONG_STATE, ExitCode.BAD_INPUT}
    assert 1 == run("status", failed, "--json").document["run"]


def test_the_options_that_contradict_or_are_missing_are_told(run: Any, failed: str, monkeypatch: Any) -> None:
    """
    Before anything is opened.
    """
    assert ExitCode.BAD_INPUT == run("retry", failed, "--with", "f.csv", "--mentor", "m2").code
    monkeypatch.delenv("PROXY_ORCHESTRATION_ACTOR")
    assert ExitCode.BAD_INPUT == run("export", failed, "--failed").code


def test_what_failed_is_told_to_a_machine(run: Any, failed: str) -> None:
    """
    With its activities and its history.
    """
    document = run("export", failed, "--failed", "--json").document

    assert [failed, 2] == [document["batch_id"], len(document["items"])]


def test_every_line_that_cannot_be_retried_is_told_at_once(run: Any, failed: str, tmp_path: Path) -> None:
    """
    The file of last week, of which some have succeeded since: with line, state and what to do.
    """
    rows = _rows(run("export", failed, "--failed").out)
    rows += [{**rows[0], "mentor_id": "m1", "item_key": ""}, {**rows[0], "mentor_id": "m9", "item_key": ""}]
    rows[0].update(activity_date="today")
    run("retry", failed, "--with", _save(tmp_path / "first.csv", rows[:1]))

    file = _save(tmp_path / "all.csv", rows)
    ended = run("retry", failed, "--with", file)
    stale = run("retry", failed, "--with", file, "--expected-run", "1")

    assert [ExitCode.BAD_INPUT, ExitCode.WRONG_STATE] == [ended.code, stale.code]
    over = "has the state succeeded; only failed, unknown and cancelled lines are retried. Remove the line."
    assert f"line 2, column item_key: 'm2' {over}" in ended.err
    assert f"line 4, column mentor_id: 'm1' {over}" in ended.err
    assert "line 5, column mentor_id: 'm9' is not part of this batch." in ended.err
    assert 2 == run("status", failed, "--json").document["run"]


@pytest.fixture
def two_days(run: Any, tmp_path: Path) -> str:
    """
    A batch in which a mentor has failed on two days, and another on one.
    """
    days = ("m1,visit,today+5", "m1,visit,today+6", "m2,visit,today+7")
    lines = [f"{each},60" for each in days]
    file = tmp_path / "two.csv"
    file.write_text("\n".join(("mentor_id,activity_type,activity_date,duration_minutes", *lines, "")))
    batch_id: str = run("register", file, "--json").document["batch_id"]
    return batch_id


def test_lines_of_one_mentor_are_corrected_each_by_itself(run: Any, two_days: str, tmp_path: Path) -> None:
    """
    Both at once, and then one alone: the other is not tried again with it.
    """
    rows = _rows(run("export", two_days, "--failed").out)
    rows[0].update(activity_date="today")
    first = run("retry", two_days, "--with", _save(tmp_path / "both.csv", rows[:2]), "--json")
    rows[1].update(activity_date="today-1")
    second = run("retry", two_days, "--with", _save(tmp_path / "one.csv", rows[1:2]), "--json")

    assert {"succeeded": 1, "failed": 2} == first.document["counts"]
    assert {"succeeded": 2, "failed": 1} == second.document["counts"]


def test_a_line_without_a_key_is_the_mentor_s_only_one(run: Any, two_days: str, tmp_path: Path) -> None:
    """
    Of a mentor with two nobody knows which is meant, and none is tried with the other's values.
    """
    rows = _rows(run("export", two_days, "--failed").out)
    rows = [{**row, "item_key": "", "activity_date": "today"} for row in rows]

    unclear = run("retry", two_days, "--with", _save(tmp_path / "unclear.csv", rows[:1]))
    clear = run("retry", two_days, "--with", _save(tmp_path / "clear.csv", rows[2:]), "--json")

    assert ExitCode.BAD_INPUT == unclear.code
    assert "line 2, column mentor_id: 'm1' has 2 lines in this batch. Give the item_key" in unclear.err
    assert {"succeeded": 1, "failed": 2} == clear.document["counts"]


def test_a_cancelled_line_is_corrected_as_well(run: Any, accepted: Any, tmp_path: Path) -> None:
    """
    It is registered as it stands in the file, and not as it was submitted.
    """
    batch_id = accepted("m1")
    run("cancel", batch_id)
    file = tmp_path / "corrected.csv"
    header = "mentor_id,activity_type,activity_date,duration_minutes"
    file.write_text(f"{header}\nm1,visit,today,17\n", encoding="utf-8")

    ended = run("retry", batch_id, "--with", file)

    assert "1 line, 1 corrected." in ended.err
    (record,) = run("export", "m1", "--organization", "oslo", "--json").document["registrations"]["records"]
    assert 17 == record["registration"]["activity"]["duration_minutes"]


def test_the_last_line_about_a_batch_that_is_joined_is_how_it_ended(
    run: Any, mentors_csv: Any, tmp_path: Path
) -> None:
    """
    Also where a later run settled what the first had: its log has each twice.
    """
    file = mentors_csv(m1="today", m2="today+5")
    batch_id = run("register", file, "--json").document["batch_id"]
    rows = _rows(run("export", batch_id, "--failed").out)
    rows[0].update(activity_date="today")
    run("retry", batch_id, "--with", _save(tmp_path / "corrected.csv", rows))

    joined = run("register", file)

    assert "Registering: 2 of 2 settled (2 succeeded)" == joined.err.splitlines()[-1]


def test_who_was_erased_is_in_no_file_to_correct(run: Any, failed: str, tmp_path: Path) -> None:
    """
    The file comes back as it went out; a line from before is told, and no step leads to a retry in vain.
    """
    before = run("export", failed, "--failed").out
    run("erase", "m2", "--organization", "oslo")
    after = _rows(run("export", failed, "--failed").out)
    erased = run("status", failed, "--json").document["outcomes"][1]["mentor_id"]
    rows = [{**after[0], "mentor_id": erased, "item_key": erased}]
    told = run("retry", failed, "--with", _save(tmp_path / "erased.csv", rows))
    after[0].update(activity_date="today")
    done = run("retry", failed, "--with", _save(tmp_path / "after.csv", after))

    assert ["m2", "m3"] == [row["mentor_id"] for row in _rows(before)]
    assert ["m3"] == [row["mentor_id"] for row in after]
    assert "is erased, so it cannot be registered. Remove the line." in told.err
    assert "2 succeeded, 1 failed" in done.out
    assert "retry" not in done.out
