"""
Files as offices export them: each is read for what it says, or refused with what to change.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import anyio
import pytest

pytest.importorskip("typer")

from proxy_orchestration.cli.csv.certificates import CertificateFile, parse_certificates
from proxy_orchestration.cli.csv.layouts import Layout
from proxy_orchestration.cli.csv.mentors import MentorFile, parse_mentors
from proxy_orchestration.cli.csv.problems import CsvFileError

pytestmark = pytest.mark.dateless

FILES = Path(__file__).parents[1] / "files"
TODAY = date(2026, 11, 21)
SECOND, THIRD, FOURTH = date(2026, 11, 2), date(2026, 11, 3), date(2026, 11, 4)


def _read(name: str, **layout: object) -> MentorFile:
    data = (FILES / name).read_bytes()
    return parse_mentors(data, name=name, today=TODAY, limit=100, layout=Layout(**layout))


def _told(name: str, **layout: object) -> list[str]:
    with pytest.raises(CsvFileError) as caught:
        _read(name, **layout)
    return [str(problem) for problem in caught.value.problems]


def _certificates(*lines: str) -> CertificateFile:
    header = "certificate_id,mentor_id,certificate_type,expires,revoked,chapter_admin_ids"
    return parse_certificates("\n".join((header, *lines)).encode(), name="c.csv", today=TODAY)


@pytest.mark.parametrize(
    "name",
    [
        "mentors_iso_cp1252.csv",
        "mentors_iso_excel_sep.csv",
        "mentors_lo_default_de.csv",
        "mentors_lo_utf8_semicolon_nb.csv",
        "mentors_iso.xlsx",
    ],
)
def test_the_same_mentors_come_in_from_each_office(name: str) -> None:
    """
    Norwegian, German and American settings, the encodings they save, and a workbook.
    """
    if name.endswith(".xlsx"):
        pytest.importorskip("openpyxl")
    entries = _read(name).entries

    assert ["1017", "00123", "123456789012"] == [entry.mentor_id for entry in entries]
    assert [SECOND, THIRD, FOURTH] == [entry.activity.activity_date for entry in entries]
    assert [60, 60, 60] == [entry.activity.duration_minutes for entry in entries]
    assert "Møte på kafé" == entries[1].activity.notes
    assert ["Linje en", "linje to; med, tegn"] == entries[0].activity.notes.splitlines()


def test_a_file_in_windows_1252_is_read_and_said_to_be() -> None:
    """
    Nobody has to know what an encoding is; who does can name it.
    """
    said: list[str] = []
    _read("mentors_iso_cp1252.csv", tell=said.append)
    assert ["Windows-1252" in text for text in said] == [True]

    named = _read("mentors_iso_cp1252.csv", encoding="windows-1252", tell=said.append)
    assert 1 == len(said)
    assert _read("mentors_iso_cp1252.csv").entries == named.entries


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("utf16.csv", "UTF-16"),
        ("mixed_encodings.csv", "line 3: byte 24 of the file (0xf8) is not valid UTF-8"),
        ("greek_1253.csv", "line 2: byte 19 of the file (0xea) is not valid UTF-8"),
        ("page.csv", "line 1: this is not a header"),
    ],
)
def test_what_cannot_be_read_for_certain_is_refused(name: str, told: str) -> None:
    """
    A guess would put other letters into people's names.
    """
    (problem,) = _told(name)

    assert told in problem


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("no-such", "'no-such' is not a known encoding"),
        ("utf-8", "is not valid utf-8"),
        ("utf-16", "is not valid utf-16"),
    ],
)
def test_an_encoding_that_is_wrong_is_told(encoding: str, told: str) -> None:
    """
    The option is named, which is at fault.
    """
    (problem,) = _told("greek_1253.csv", encoding=encoding)

    assert told in problem


def test_dates_with_slashes_are_refused_for_what_they_may_be() -> None:
    """
    The same cell is the second of November or the eleventh of February.
    """
    problems = _told("mentors_lo_default_en.csv")

    assert 3 == len(problems)
    assert problems[0].startswith(
        "line 2, column activity_date: '11/02/2026' is ambiguous: the day or the month may come first"
    )
    assert problems[0].endswith("Format the column as YYYY-MM-DD before saving.")


def test_a_comma_in_a_number_of_a_file_with_commas_for_numbers_is_a_fault_of_that_cell() -> None:
    """
    Half a minute is nothing that can be registered.
    """
    problems = _told("mentors_half_minutes_nb.csv")

    assert ["line 2", "line 4"] == [problem.partition(",")[0] for problem in problems]
    assert "'90,5' is not a number of minutes" in problems[0]


def test_each_oddity_is_read_or_told_with_line_and_column() -> None:
    """
    Blanks, midnight and `60,0` are read; what a spreadsheet damaged is not.
    """
    places = [problem.partition(":")[0] for problem in _told("oddities.csv")]

    assert [
        "line 3, column activity_date",
        "line 7, column duration_minutes",
        "line 8, column mentor_id",
        "line 8, column duration_minutes",
        "line 9, column duration_minutes",
        "line 10, column activity_date",
    ] == places


def test_tabs_and_lines_that_are_quoted_as_a_whole_are_read() -> None:
    """
    As terminals and mail programs hand them on.
    """
    (tabbed,) = _read("tab_quoted.csv").entries
    (quoted,) = _read("wholly_quoted.csv").entries

    assert ("mentor-1", SECOND) == (tabbed.mentor_id, tabbed.activity.activity_date)
    assert ("1017", "Tea, cake") == (quoted.mentor_id, quoted.activity.notes)


def test_midnights_are_days() -> None:
    """
    Databases export a day as its midnight.
    """
    assert [SECOND] * 3 == [entry.activity.activity_date for entry in _read("timestamps.csv").entries]


def test_other_columns_are_ignored_or_mapped_when_that_is_said() -> None:
    """
    Case, blanks and empty columns at the end never matter; what is left out is named.
    """
    said: list[str] = []
    mapped = {"dato": "activity_date"}
    assert [
        "the column 'Navn' is not known" in each for each in _told("other_columns.csv", renamed=mapped)
    ] == [True]

    (entry,) = _read("other_columns.csv", renamed=mapped, ignores_others=True, tell=said.append).entries
    assert ("1017", SECOND, 60) == (
        entry.mentor_id,
        entry.activity.activity_date,
        entry.activity.duration_minutes,
    )
    assert ["These columns are ignored: 'Navn'."] == said


def test_a_mentor_on_two_days_is_two_items_and_the_same_twice_is_one_too_many() -> None:
    """
    Each has a key of its own, by which it can be retried; the mentor's id means both.
    """
    header = "mentor_id,activity_type,activity_date,duration_minutes\n"
    lines = [
        "m1,visit,2026-11-02,60",
        "m1,visit,2026-11-03,60",
        "m1,call,2026-11-03,5",
        "m2,visit,2026-11-02,9",
    ]
    data = (header + "\n".join(lines)).encode()
    entries = parse_mentors(data, name="m.csv", today=TODAY, limit=10).entries

    assert ["m1/2026-11-02", "m1/2026-11-03", "m1/2026-11-03/call", "m2"] == [
        entry.item_key for entry in entries
    ]
    with pytest.raises(CsvFileError, match="line 6, column mentor_id: 'm1' is already on line 3"):
        parse_mentors(data + b"\nm1,visit,03.11.2026,60", name="m.csv", today=TODAY, limit=10)


@pytest.mark.parametrize("cell", ['"a-1, a-2; a-3"', "a-1 a-2  a-3", "a-1;a-2;a-3"])
def test_several_admins_may_stand_in_one_cell(cell: str) -> None:
    """
    However an office separates them, nobody is called `a-1,`.
    """
    file = _certificates(f"c1,m1,first_aid,today,,{cell}")

    (recipients,) = anyio.run(file.recipients.resolve, ["m1"]).values()
    assert ("a-1", "a-2", "a-3") == recipients.chapter_admin_ids


@pytest.mark.parametrize(
    ("words", "expected"),
    [("yes ja J t TRUE SANN WAHR", True), ("no nei Nein f False usann FALSCH", False)],
)
def test_yes_and_no_are_read_in_three_languages(words: str, expected: bool) -> None:
    """
    As people write them, and as spreadsheets and databases do.
    """
    file = _certificates(*(f"c{word},m1,first_aid,today,{word}," for word in words.split()))

    assert {expected} == {certificate.revoked for certificate in file.certificates}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("02.12.2026", date(2026, 12, 2)),
        ("2026-12-02 00:00:00", date(2026, 12, 2)),
        ("2026-12-02 12:00:00+01", datetime(2026, 12, 2, 11, tzinfo=UTC)),
        ("never", date.max),
        ("No end", date.max),
    ],
)
def test_ends_are_read_as_they_are_exported(text: str, expected: date) -> None:
    """
    No end can be said, since an empty cell may be a cell that was forgotten.
    """
    assert [expected] == [each.expires for each in _certificates(f"c1,m1,a,{text},,").certificates]


def test_one_bad_line_stops_no_other() -> None:
    """
    It is told with its place, and the rest is read.
    """
    file = _certificates(
        "c1,m1,a,today,,", "c2,m2,a,soon,,", "1.5E+11,m3,a,today,,", "c4,m4,a,,,", "c5,m5,a,today,,"
    )

    assert ["c1", "c5"] == [each.certificate_id for each in file.certificates]
    assert [(3, "expires"), (4, "certificate_id"), (5, "expires")] == [
        (problem.line, problem.column) for problem in file.unread
    ]


def test_a_norwegian_register_is_read() -> None:
    """
    With its own dates and words.
    """
    data = (FILES / "certs_nb.csv").read_bytes()
    first, second = parse_certificates(data, name="certs_nb.csv", today=TODAY).certificates

    assert (date(2026, 12, 2), date(2026, 12, 5)) == (first.expires, second.expires)
    assert ("1017", "00123") == (first.mentor_id, second.mentor_id)
    assert not first.revoked
    assert not second.revoked


def _fifty(office: str) -> bytes:
    """
    Return the same fifty mentors as three offices export them.
    """
    days = [date(2026, 10, number % 28 + 1) for number in range(50)]
    header = ["mentor_id", "activity_type", "activity_date", "duration_minutes", "notes"]
    shown = {"nb": "%d.%m.%Y", "de": "%d.%m.%Y", "us": "%Y-%m-%d"}[office]
    minutes = {"nb": "45,0", "de": "45,0", "us": "45.0"}[office]
    rows = [
        [f"{number:05}", "visit", day.strftime(shown), minutes, "Besøk på kafé"]
        for number, day in enumerate(days, 1)
    ]
    separator = {"nb": ";", "de": "\t", "us": ","}[office]
    lines = [separator.join(row) for row in ([*map(str.upper, header)], *rows)]
    text = "\r\n".join(lines)
    return {
        "nb": b"sep=;\r\n" + text.encode("cp1252"),
        "de": text.encode("utf-8-sig"),
        "us": text.encode(),
    }[office]


def test_three_offices_exports_of_fifty_mentors_are_one_request() -> None:
    """
    Norwegian, German and American: other bytes, and the same entries.
    """
    norwegian, german, american = (
        parse_mentors(_fifty(office), name=office, today=TODAY, limit=50).entries
        for office in ("nb", "de", "us")
    )

    assert 50 == len(norwegian)
    assert norwegian == german == american


def test_mentors_beyond_the_limit_are_counted_and_not_kept() -> None:
    """
    The number is told, and what is wrong with them is not looked for.
    """
    rows = b"".join(b"m%d,visit,2026-11-02,60\n" % number for number in range(5))
    data = b"mentor_id,activity_type,activity_date,duration_minutes\n" + rows + b"m6,visit,soon,60\n"
    with pytest.raises(CsvFileError) as caught:
        parse_mentors(data, name="m.csv", today=TODAY, limit=4)

    (problem,) = caught.value.problems
    assert "the file has 6 mentors, and a batch may have at most 4" in problem.message


def test_lines_that_are_not_separated_as_the_header_is_are_told_so() -> None:
    """
    They lack no cell; a line of one cell without any separator does.
    """
    lines = "mentor_id;activity_type;activity_date;duration_minutes\nm1,visit,2026-11-02,60\nm2\n"

    with pytest.raises(CsvFileError) as caught:
        parse_mentors(lines.encode(), name="m.csv", today=TODAY, limit=10)

    first, *others = caught.value.problems
    told = "line 2: the line is not separated as the header is. Use one separator in the whole file."
    assert told == str(first)
    assert ["line 3, column activity_type: the cell is empty. Fill it in."] == list(map(str, others[:1]))


def test_a_cure_for_a_column_can_be_pasted() -> None:
    """
    A name with a blank is one word of the command line.
    """
    with pytest.raises(CsvFileError, match=r"--columns 'Type besøk=NEW'; the known"):
        parse_mentors("mentor_id;Type besøk\n".encode(), name="m.csv", today=TODAY, limit=10)
