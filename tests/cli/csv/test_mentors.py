"""
A file of mentors becomes a request, or is refused whole with every place named.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

import pytest

pytest.importorskip("typer")

from hypothesis import given
from hypothesis import strategies as st

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.cli.csv import sources
from proxy_orchestration.cli.csv.mentors import MentorFile, parse_mentors
from proxy_orchestration.cli.csv.problems import CsvFileError, CsvProblem
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.requests import SubmissionMode

TODAY: Final = date(2026, 11, 3)
HEADER: Final = "mentor_id,activity_type,activity_date,duration_minutes,notes\n"
ROW: Final = "m1,home_visit,2026-11-01,60,\n"


def _parse(text: str | bytes, *, limit: int = 100) -> MentorFile:
    data = text if isinstance(text, bytes) else text.encode()
    return parse_mentors(data, name="mentors.csv", today=TODAY, limit=limit)


def _problems(text: str | bytes, *, limit: int = 100) -> tuple[CsvProblem, ...]:
    with pytest.raises(CsvFileError) as caught:
        _parse(text, limit=limit)
    return caught.value.problems


def _places(text: str | bytes) -> list[tuple[int | None, str | None]]:
    return [(problem.line, problem.column) for problem in _problems(text)]


def test_a_good_file_is_read_in_file_order() -> None:
    """
    Every cell arrives where it belongs.
    """
    mentors = _parse(HEADER + "m2,phone_call,2026-10-31,30,by phone\n" + ROW)

    assert ["m2", "m1"] == [entry.mentor_id for entry in mentors.entries]
    activity = mentors.entries[0].activity
    assert ("phone_call", date(2026, 10, 31), 30, "by phone") == (
        activity.activity_type,
        activity.activity_date,
        activity.duration_minutes,
        activity.notes,
    )


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + (HEADER + ROW).encode(),
        (HEADER + ROW).replace(",", ";").encode(),
        (HEADER + ROW).replace("\n", "\r\n").encode(),
        (HEADER + ROW).replace("\n", "\r").encode(),
        (HEADER + "\n,,,,\n  \n" + ROW + "\n").encode(),
        ("\n" + HEADER + ROW).encode(),
        b"duration_minutes, activity_date ,mentor_id,activity_type\n60,2026-11-01,m1,home_visit\n",
        b"mentor_id,activity_type,activity_date,duration_minutes,notes\nm1,home_visit,2026-11-01,60\n",
    ],
    ids=[
        "mark",
        "semicolons",
        "windows",
        "old mac",
        "blank lines",
        "blank start",
        "other order",
        "short row",
    ],
)
def test_spreadsheet_dialects_say_the_same(data: bytes) -> None:
    """
    Byte order mark, separator, line ends, blank lines and column order do not matter.
    """
    assert _parse(HEADER + ROW).entries == _parse(data).entries


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-28", date(2026, 2, 28)),
        ("today", date(2026, 11, 3)),
        ("Today", date(2026, 11, 3)),
        ("today-3", date(2026, 10, 31)),
        ("today + 5", date(2026, 11, 8)),
    ],
)
def test_dates_are_iso_or_relative_to_today(text: str, expected: date) -> None:
    """
    A relative date is resolved against the day that was given.
    """
    entry = _parse(f"{HEADER}m1,home_visit,{text},60,\n").entries[0]

    assert expected == entry.activity.activity_date


@pytest.mark.parametrize(
    "text",
    [
        "31.11.2026",
        "2026-02-30",
        "2026-1-1",
        "0000-01-01",
        "yesterday",
        "today-99999999",
        "today+",
        "today*3",
        "2026-11-03T10:00",
    ],
)
def test_other_dates_are_refused_with_their_place(text: str) -> None:
    """
    The message says which line, which column, and what to write.
    """
    (problem,) = _problems(f"{HEADER}{ROW}m2,home_visit,{text},60,\n")

    assert (3, "activity_date") == (problem.line, problem.column)
    assert f"'{text}' is not a date" in problem.message
    assert "YYYY-MM-DD, today, today-3 or today+5" in problem.message


def test_a_relative_date_beyond_the_calendar_is_refused() -> None:
    """
    Running off the calendar is a bad date, not a crash.
    """
    data = f"{HEADER}m1,home_visit,today+99999,60,\n".encode()

    with pytest.raises(CsvFileError, match="is not a date"):
        parse_mentors(data, name="f", today=date(9999, 1, 1), limit=10)


@pytest.mark.parametrize("text", ["0", "-5", "1.5", "an hour", "1e3", "1000000", "٣"])
def test_bad_minutes_are_refused_with_their_place(text: str) -> None:
    """
    Only a whole number of at least one minute is a duration.
    """
    (problem,) = _problems(f"{HEADER}m1,home_visit,today,{text},\n")

    assert (2, "duration_minutes") == (problem.line, problem.column)
    assert "whole number from 1 to 999999" in problem.message


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (",home_visit,today,60,", "mentor_id"),
        ("m1, ,today,60,", "activity_type"),
        ("m1,home_visit,,60,", "activity_date"),
        ("m1,home_visit,today", "duration_minutes"),
    ],
)
def test_an_empty_cell_is_refused_with_its_place(row: str, column: str) -> None:
    """
    Every cell but the notes has to be filled in.
    """
    (problem,) = _problems(f"{HEADER}{row}\n")

    assert (2, column, "the cell is empty. Fill it in.") == (problem.line, problem.column, problem.message)


@pytest.mark.parametrize("text", ["m" * 201, "m\x1b[31m1", "m\u200b1"])
def test_an_identifier_that_cannot_be_shown_is_refused(text: str) -> None:
    """
    A name that could steer a terminal, or fills a page, is no identifier; the message shows it harmless.
    """
    (problem,) = _problems(f"{HEADER}{text},home_visit,today,60,\n")

    assert "mentor_id" == problem.column
    assert problem.message.isprintable()


def test_a_mentor_twice_is_refused_naming_both_lines() -> None:
    """
    The second line is where the problem is told, the first one is named.
    """
    (problem,) = _problems(f"{HEADER}{ROW}m2,home_visit,today,60,\n{ROW}")

    assert (4, "mentor_id") == (problem.line, problem.column)
    assert "'m1' is already on line 2" in problem.message


def test_lines_are_the_files_own_also_after_quoted_line_ends() -> None:
    """
    A note over three lines, of either kind of line end, moves what follows by two.
    """
    text = f'{HEADER}m1,home_visit,today,60,"one\r\ntwo\nthree"\nm2,home_visit,never,60,\n'

    assert [(5, "activity_date")] == _places(text)


def test_a_cell_behind_a_quoted_line_end_has_its_own_line() -> None:
    """
    Within one row the line of the very cell is told.
    """
    text = 'notes,mentor_id,activity_type,activity_date,duration_minutes\n"one\ntwo",m1,home_visit,never,60\n'

    assert [(3, "activity_date")] == _places(text)


def test_a_missing_column_is_named() -> None:
    """
    Each missing column is one problem in the header's line.
    """
    assert [(1, "activity_date"), (1, "duration_minutes")] == _places("mentor_id,activity_type\nm1,visit\n")


def test_an_unknown_or_nameless_column_is_refused() -> None:
    """
    What cannot be stored is not dropped silently.
    """
    first, second = _problems(HEADER.strip() + ",,Phone\n" + ROW)

    assert "column 6 has no name" in first.message
    assert "the column 'Phone' is not known. Remove it" in second.message
    assert "--columns Phone=NEW" in second.message


def test_a_file_without_a_header_is_told_what_one_is() -> None:
    """
    A first line that names no column at all is one problem, not ten.
    """
    (problem,) = _problems("\n" + ROW)

    assert 2 == problem.line
    assert (
        "this is not a header line. The first line must name the columns, separated by commas, "
        in problem.message
    )


def test_a_column_twice_is_refused() -> None:
    """
    Two columns of one name would contradict each other.
    """
    (problem,) = _problems(HEADER.strip() + ",notes\n" + ROW)

    assert (1, "notes") == (problem.line, problem.column)
    assert "more than once" in problem.message


def test_a_row_with_too_many_cells_is_refused() -> None:
    """
    A stray separator is told with its fix.
    """
    (problem,) = _problems(f"{HEADER}m1,home_visit,today,60,tea, cake\n")

    assert (2, None) == (problem.line, problem.column)
    assert "6 cells and the header 5" in problem.message


@pytest.mark.parametrize("cell", ['"never closed', '"closed" too early', '"' + "x" * 140_000 + '"'])
def test_quotes_that_do_not_match_are_refused_at_their_row(cell: str) -> None:
    """
    An open quote is told where it opens, not where the file ends.
    """
    assert [(3, None)] == _places(f"{HEADER}{ROW}m2,home_visit,today,60,{cell}\n{ROW}")


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused_naming_the_columns(data: bytes) -> None:
    """
    The message says what the first line has to be.
    """
    (problem,) = _problems(data)

    assert "the file is empty" in problem.message
    assert "mentor_id, activity_type, activity_date, duration_minutes, notes" in problem.message


def test_a_header_alone_is_refused() -> None:
    """
    A file without mentors asks for nothing.
    """
    (problem,) = _problems(HEADER)

    assert "a header but no mentors" in problem.message


def test_another_encoding_is_refused_with_line_and_byte() -> None:
    """
    Latin-1 is recognised by its first impossible byte.
    """
    (problem,) = _problems(b"\xef\xbb\xbf" + HEADER.encode() + "m1,besøk".encode("latin-1"))

    assert 2 == problem.line
    assert f"byte {3 + len(HEADER) + 7} of the file (0xf8) is not valid UTF-8" in problem.message


@pytest.mark.parametrize("data", [HEADER.encode("utf-16"), (HEADER + "m1\0,a,today,1,").encode()])
def test_a_file_that_is_no_text_is_refused(data: bytes) -> None:
    """
    UTF-16 and zero bytes get a message, not a riddle.
    """
    (problem,) = _problems(data)

    assert "Save" in problem.message


def test_too_many_mentors_are_refused_with_both_numbers() -> None:
    """
    The limit of a batch is told before anything is stored.
    """
    rows = "".join(f"m{number},home_visit,today,60,\n" for number in range(4))

    assert 4 == len(_parse(HEADER + rows, limit=4).entries)
    (problem,) = _problems(HEADER + rows, limit=3)
    assert "the file has 4 mentors, and a batch may have at most 3" in problem.message


def test_a_file_beyond_all_bounds_is_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The size of the file is bounded before its content is looked at.
    """
    monkeypatch.setattr(sources, "LONGEST_FILE", 10)

    (problem,) = _problems(HEADER)

    assert "is larger than" in problem.message


def test_all_problems_are_told_together_and_ten_are_shown() -> None:
    """
    One round is enough to fix a file; a page of repetition is spared.
    """
    with pytest.raises(CsvFileError) as caught:
        _parse(HEADER + "".join(f"m{number},home_visit,never,0,\n" for number in range(6)))

    told = str(caught.value).splitlines()
    assert 12 == len(caught.value.problems)
    assert "mentors.csv cannot be registered; nothing was stored." == told[0]
    assert (
        "  line 2, column activity_date: 'never' is not a date. Write YYYY-MM-DD, today, today-3 or today+5."
        == told[1]
    )
    assert ["  and 2 more"] == told[11:]


def test_a_long_cell_is_quoted_short() -> None:
    """
    A message stays a message, whatever stands in the cell.
    """
    (problem,) = _problems(f"{HEADER}m1,home_visit,{'x' * 500},60,\n")

    assert len(problem.message) < 200


def test_a_file_is_read_from_its_path(tmp_path: Path) -> None:
    """
    Reading a path and parsing its bytes are one thing.
    """
    path = tmp_path / "mentors.csv"
    path.write_text(HEADER + ROW)

    assert _parse(HEADER + ROW) == parse_mentors(path, name=str(path), today=TODAY, limit=10)


def test_a_path_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    """
    No such file, a folder, and a name no system takes are each told.
    """
    for path, told in (
        (tmp_path / "gone.csv", "there is no such file"),
        (tmp_path, "this is a folder"),
        (Path("mentors\0.csv"), "the file cannot be read"),
    ):
        with pytest.raises(CsvFileError, match=told):
            parse_mentors(path, name=str(path), today=TODAY, limit=10)


def _key(text: str, *, user: str = "anna", organization: str = "oslo", today: date = TODAY) -> str:
    actor = Actor(user_id=user, roles={Role.COORDINATOR}, organization_id=organization)
    return parse_mentors(text.encode(), name="f", today=today, limit=10).key_for(actor)


def test_the_key_belongs_to_the_actor_and_the_bytes() -> None:
    """
    Same actor and bytes give the same key; another actor or another byte another key.
    """
    keys = {
        _key(HEADER + ROW),
        _key(HEADER + ROW, user="bo"),
        _key(HEADER + ROW, organization="bergen"),
        _key(HEADER + ROW + "\n"),
    }

    assert 4 == len(keys)
    assert _key(HEADER + ROW) in keys


def test_the_key_belongs_to_the_way_of_submitting_too() -> None:
    """
    The usual way adds nothing, so that keys of before stay; every other way is a batch of its own.
    """
    actor = Actor(user_id="anna", roles={Role.COORDINATOR}, organization_id="oslo")
    file = _parse(HEADER + ROW)
    ways = {
        file.key_for(actor, mode=mode, on_conflict=policy)
        for mode in SubmissionMode
        for policy in ConflictPolicy
    }

    assert 6 == len(ways)
    assert _key(HEADER + ROW) in ways
    assert "file-af871464b3c42a44e75d0db02f2e57a6c98a33c41cd76cf2adc3a6c8370d584f" == _key(HEADER + ROW)


def test_the_key_of_a_file_with_relative_dates_belongs_to_the_day() -> None:
    """
    `today` means another activity tomorrow, so tomorrow it is another batch; fixed dates stay one.
    """
    relative = f"{HEADER}m1,home_visit,today-1,60,\n"
    tomorrow = date(2026, 11, 4)

    assert _key(HEADER + ROW) == _key(HEADER + ROW, today=tomorrow)
    assert _key(relative) != _key(relative, today=tomorrow)


@given(
    st.one_of(
        st.binary(), st.text().map(str.encode), st.text(alphabet='m1,;"\n\r today-+\x1b\0é').map(str.encode)
    )
)
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    """
    Whatever a file holds, it ends as a request or as the one typed error.
    """
    for content in (data, HEADER.encode() + data, HEADER.replace(",", ";").encode() + data):
        answer = _read_or_refused(content)
        if isinstance(answer, MentorFile):
            assert 1 <= len(answer.entries) <= 3
        else:
            assert answer.problems
            assert all(line.isprintable() for line in str(answer).splitlines())


def _read_or_refused(content: bytes) -> MentorFile | CsvFileError:
    try:
        return parse_mentors(content, name="f", today=TODAY, limit=3)
    except CsvFileError as error:
        return error


@pytest.mark.parametrize("text", ["-", "0", "N/A", "NULL", "n.a."])
def test_a_filler_is_a_missing_id(text: str) -> None:
    """
    It is told as one, with its place.
    """
    (problem,) = _problems(HEADER + f"{text},home_visit,2026-11-01,60,\n")

    assert f"line 2, column mentor_id: '{text}' means that the id is missing. Fill it in." == str(problem)


@pytest.mark.parametrize("text", ["#N/A", "#REF!", "1.23457E+11", "1017.0", '"=""00123"""', "'00123"])
def test_what_a_spreadsheet_makes_of_an_id_is_refused(text: str) -> None:
    """
    Every place is told, and what to do in the spreadsheet.
    """
    problems = _problems(
        HEADER + f"{text},home_visit,2026-11-01,60,\n{ROW}{text},home_visit,2026-11-01,60,\n"
    )

    assert [2, 4] == [problem.line for problem in problems]
    assert all("Format the column as text" in problem.message for problem in problems)


def test_notes_may_say_that_there_is_nothing() -> None:
    """
    A filler is one where an id belongs, and a note elsewhere.
    """
    assert "-" == _parse(HEADER + "m1,home_visit,2026-11-01,60,-\n").entries[0].activity.notes


def test_a_mentor_stands_in_a_file_once_by_any_spelling() -> None:
    """
    Composed and decomposed letters are one.
    """
    rows = "\u00e5se,home_visit,2026-11-01,60,\na\u030ase,home_visit,2026-11-01,60,\n"

    assert [(3, "mentor_id")] == _places(HEADER + rows)
