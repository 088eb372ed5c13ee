"""
A workbook is read for what its cells show; what it does not show for certain is refused.
"""

from __future__ import annotations

import io
import sys
import zipfile
from datetime import date, datetime
from typing import Any

import pytest

pytest.importorskip("typer")
pytest.importorskip("openpyxl")

from openpyxl import Workbook

from proxy_orchestration.cli.csv.layouts import Layout
from proxy_orchestration.cli.csv.mentors import MentorFile, parse_mentors
from proxy_orchestration.cli.csv.problems import CsvFileError
from proxy_orchestration.errors import MissingExtraError

pytestmark = pytest.mark.dateless

HEADER = ("mentor_id", "activity_type", "activity_date", "duration_minutes", "notes")
DAY = date(2026, 11, 2)


def _saved(*rows: tuple[Any, ...], title: str = "Mentors", zeros: str = "") -> bytes:
    book = Workbook()
    sheet = book.active
    sheet.title = title
    for row in (HEADER, *rows):
        sheet.append(row)
    if zeros:
        sheet["A2"].number_format = zeros
    book.create_sheet("Empty")
    saved = io.BytesIO()
    book.save(saved)
    return saved.getvalue()


def _read(data: bytes, **layout: object) -> MentorFile:
    return parse_mentors(data, name="m.xlsx", today=date(2026, 11, 21), limit=10, layout=Layout(**layout))


def test_dates_numbers_and_texts_are_what_they_show() -> None:
    """
    A text stays an id with its zeros, a number with a format of zeros shows them, a date is a date.
    """
    data = _saved(
        (123, "visit", datetime(2026, 11, 2), 60, "Møte"),  # noqa: DTZ001 - a workbook knows no zones
        (),
        ("00124", "visit", DAY, 60.0, None),
        (123456789012, "visit", "02.11.2026", "45", 7.5),
        zeros="00000",
    )
    entries = _read(data).entries

    assert ["00123", "00124", "123456789012"] == [entry.mentor_id for entry in entries]
    assert [DAY] * 3 == [entry.activity.activity_date for entry in entries]
    assert [60, 60, 45] == [entry.activity.duration_minutes for entry in entries]
    assert ["Møte", "", "7.5"] == [entry.activity.notes for entry in entries]


def test_another_sheet_is_named_and_one_that_is_not_there_is_told() -> None:
    """
    The first one counts where nothing is said.
    """
    data = _saved(("m1", "visit", DAY, 60, ""))

    assert 1 == len(_read(data, sheet="Mentors").entries)
    with pytest.raises(CsvFileError, match="the file is empty"):
        _read(data, sheet="Empty")
    with pytest.raises(CsvFileError, match=r"no sheet .Ark1.\. Choose one of .Mentors., .Empty."):
        _read(data, sheet="Ark1")


def test_a_formula_that_was_never_calculated_is_refused() -> None:
    """
    What it would be is not in the file.
    """
    with pytest.raises(CsvFileError, match=r"line 2: the formula in A2 was never calculated"):
        _read(_saved(("=B1", "visit", DAY, 60, "")))


def test_a_fault_in_a_cell_has_its_row() -> None:
    """
    As the spreadsheet numbers it.
    """
    with pytest.raises(CsvFileError, match=r"line 3, column duration_minutes: .7\.5."):
        _read(_saved(("m1", "visit", DAY, 60, ""), ("m2", "visit", DAY, 7.5, "")))


def _archive(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, "<x/>")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (_archive("content.xml"), "archive, but not a workbook"),
        (_archive("xl/workbook.xml"), "cannot be read"),
        (b"PK\x03\x04 damaged", "archive, but not a workbook"),
    ],
    ids=["another archive", "nearly one", "damaged"],
)
def test_what_is_no_workbook_is_told(data: bytes, told: str) -> None:
    """
    With what to save it as.
    """
    with pytest.raises(CsvFileError, match=told):
        _read(data)


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    CSV goes on without it.
    """
    monkeypatch.setitem(sys.modules, "openpyxl", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'proxy-orchestration\[xlsx\]'"):
        _read(_saved_before)


_saved_before = _saved(("m1", "visit", DAY, 60, ""))
