"""
A file of certificates is read, or refused whole with every place named.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import anyio
import pytest

pytest.importorskip("typer")

from proxy_orchestration.cli.csv.certificates import CertificateFile, parse_certificates
from proxy_orchestration.cli.csv.problems import CsvFileError
from proxy_orchestration.cli.csv.targets import parse_targets
from proxy_orchestration.notification.records import MentorRecipients

TODAY = date(2026, 11, 21)
HEADER = (
    "certificate_id,mentor_id,certificate_type,expires,revoked,holder_name,organization_id,chapter_id,"
    "locale,coordinator_id,chapter_admin_ids"
)


def _parse(*lines: str, header: str = HEADER) -> CertificateFile:
    return parse_certificates("\n".join((header, *lines)).encode(), name="file.csv", today=TODAY)


def _problems(*lines: str, header: str = HEADER) -> list[str]:
    """
    Return what is wrong with the lines that cannot be read, whether others can or not.
    """
    try:
        return [str(problem) for problem in _parse(*lines, header=header).unread]
    except CsvFileError as error:
        return [str(problem) for problem in error.problems]


def _read_certificates(path: Path) -> object:
    return parse_certificates(path, name=str(path), today=TODAY)


def _read_targets(path: Path) -> object:
    return parse_targets(path, name=str(path))


def test_every_column_is_read() -> None:
    """
    A whole row becomes a certificate, and its recipients.
    """
    file = _parse("c1,m1,First Aid,2027-01-31,yes,Kari Eksempel,oslo,east,nb-NO,coord,admin-1  admin-2")

    (certificate,) = file.certificates
    assert ("c1", "m1", "First Aid") == (
        certificate.certificate_id,
        certificate.mentor_id,
        certificate.certificate_type,
    )
    assert (date(2027, 1, 31), True, "Kari Eksempel") == (
        certificate.expires,
        certificate.revoked,
        certificate.holder_name,
    )
    assert ("oslo", "east", "nb-NO") == (
        certificate.organization_id,
        certificate.chapter_id,
        certificate.locale,
    )
    expected = {"m1": MentorRecipients(coordinator_id="coord", chapter_admin_ids=("admin-1", "admin-2"))}
    assert expected == anyio.run(file.recipients.resolve, ["m1", "m2"])
    assert file.names_recipients


@pytest.mark.parametrize(
    ("text", "expires"),
    [
        ("today", TODAY),
        ("Today + 3", date(2026, 11, 24)),
        ("today-1", date(2026, 11, 20)),
        ("2028-02-29", date(2028, 2, 29)),
        ("2026-11-21T12:00+01:00", datetime(2026, 11, 21, 11, tzinfo=UTC)),
        ("2026-11-21t12:00:30.5z", datetime(2026, 11, 21, 12, 0, 30, 500_000, tzinfo=UTC)),
    ],
)
def test_an_end_is_a_day_or_a_moment(text: str, expires: date) -> None:
    """
    A moment needs its offset; a day may be relative.
    """
    assert [expires] == [each.expires for each in _parse(f"c1,m1,first_aid,{text}").certificates]


@pytest.mark.parametrize(
    "text",
    ["21.13.2026", "2026-11-21T12:00", "2026-02-30", "2026-02-30T12:00Z", "20261121", "today+99999999", "-"],
)
def test_what_is_no_end_is_refused_with_its_place(text: str) -> None:
    """
    The message quotes the cell and says what to write.
    """
    (problem,) = _problems("c1,m1,first_aid,today", f"c2,m2,first_aid,{text}")

    assert problem.startswith(f"line 3, column expires: '{text}' is not an end date. Write YYYY-MM-DD, today")


def test_all_faults_of_a_file_are_told_at_once() -> None:
    """
    Each with its line and its column.
    """
    problems = _problems(
        "c1,m1,first_aid,,,,,,,,",
        "c2,m2,first_aid,today,maybe,,,,,,",
        f"c3,{'m' * 201},first_aid,today,,,,,,,",
        "c4,m4,first_aid,today,,,,,,coord-1,",
        "c5,m4,other,today,,,,,,coord-2,",
        "c6,m6,first_aid,today,,,,,,,a\u200bb",
        "c7,m7,first_aid,today,,,,,,,,surplus",
    )

    expected = [
        "line 2, column expires: the cell is empty",
        "line 3, column revoked: 'maybe' is neither yes nor no",
        "line 4, column mentor_id: ",
        "line 6, column coordinator_id: 'm4' has a different coordinator_id on line 5",
        "line 7, column chapter_admin_ids: ",
        "line 8: the line has 12 cells and the header 11",
    ]
    assert len(expected) == len(problems)
    assert all(problem.startswith(start) for problem, start in zip(problems, expected, strict=True)), problems


def test_empty_ids_are_the_runs_to_judge() -> None:
    """
    Such a row is a certificate like any other.
    """
    (certificate,) = _parse(",,,today").certificates

    assert ("", "", "") == (
        certificate.certificate_id,
        certificate.mentor_id,
        certificate.certificate_type,
    )


def test_recipients_of_all_rows_of_a_mentor_count() -> None:
    """
    A row may leave out what another says.
    """
    file = _parse(
        "c1,m1,first_aid,today,,,,,,,admin-1",
        "c2,m1,other,today,,,,,,coord,admin-2",
        "c3,m2,other,today,no,,,,,,",
    )

    found = anyio.run(file.recipients.resolve, ["m1", "m2"])
    assert {"m1": MentorRecipients(coordinator_id="coord", chapter_admin_ids=("admin-1", "admin-2"))} == found
    assert {"m1": ["c1", "c2"], "m2": ["c3"]} == file.ids_by_mentor()


def test_the_least_header_names_no_recipients() -> None:
    """
    The four columns are enough.
    """
    file = _parse("c1,m1,first_aid,today", header="certificate_id,mentor_id,certificate_type,expires")

    assert not file.names_recipients


@pytest.mark.parametrize(
    ("read", "told"),
    [
        (_read_certificates, "cannot be read as a list of certificates; nothing was written."),
        (_read_targets, "cannot be read as a list of devices; nothing was sent."),
    ],
)
def test_a_file_that_is_not_there_or_empty_is_told(read: object, told: str, tmp_path: Path) -> None:
    """
    The verdict says that nothing came of it.
    """
    assert callable(read)
    path = tmp_path / "file.csv"
    for content in (
        None,
        "",
        "certificate_id,mentor_id,certificate_type,expires\n",
        "recipient_id,kind,value\n",
    ):
        if content is not None:
            path.write_text(content, encoding="utf-8")
        with pytest.raises(CsvFileError) as caught:
            read(path)
        assert told in str(caught.value)


@pytest.mark.parametrize("filler", ["-", "0", "N/A", "NULL"])
def test_a_filler_counts_as_an_empty_cell(filler: str) -> None:
    """
    Whoever is missing is reported as missing by the run, and no two lines speak of one nobody.
    """
    header = "certificate_id,mentor_id,certificate_type,expires,organization_id,chapter_id,coordinator_id"
    header += ",chapter_admin_ids"
    file = _parse(
        f"{filler},{filler},first_aid,today,{filler},{filler},c1,a1",
        f"c2,{filler},first_aid,today,,,c2,",
        f"c3,m3,first_aid,today,,,{filler},{filler} a1",
        f"c4,m3,first_aid,today,,,{filler},",
        header=header,
    )

    nobody, _, certificate, _ = file.certificates
    assert ("", "", None, None) == (
        nobody.certificate_id,
        nobody.mentor_id,
        nobody.organization_id,
        nobody.chapter_id,
    )
    assert "m3" == certificate.mentor_id
    assert {"m3": MentorRecipients(chapter_admin_ids=("a1",))} == anyio.run(file.recipients.resolve, ["m3"])


def test_what_a_spreadsheet_made_of_an_id_is_the_runs_to_judge() -> None:
    """
    Such a line fails alone, with a code.
    """
    (certificate,) = _parse("c1,#REF!,first_aid,today,,,,,,#N/A,").certificates

    assert "#REF!" == certificate.mentor_id


def test_the_lines_of_a_mentor_belong_together_by_any_spelling() -> None:
    """
    Two systems wrote the file, and one of them decomposes letters.
    """
    file = _parse("c1,\u00e5se,a,today,,,,,,c1,", "c2,a\u030ase,b,today,,,,,,c1,")

    assert (
        MentorRecipients(coordinator_id="c1")
        == anyio.run(file.recipients.resolve, ["a\u030ase"])["a\u030ase"]
    )
    (problem,) = _problems("c1,\u00e5se,a,today,,,,,,c1,", "c2,a\u030ase,b,today,,,,,,c2,")
    assert problem.startswith("line 3, column coordinator_id")
