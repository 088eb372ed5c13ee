"""
Turns the cells of one row into one entry, noting what is wrong with each cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final, TypeVar

import attrs

from proxy_orchestration.cli.csv_problems import CsvProblem, quoted
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.requests import RegistrationEntry

T = TypeVar("T")

REQUIRED: Final = ("mentor_id", "activity_type", "activity_date", "duration_minutes")
OPTIONAL: Final = ("notes",)

_LONGEST_IDENTIFIER: Final = 200
_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_RELATIVE_DATE: Final = re.compile(r"today(?: *(?P<sign>[+-]) *(?P<days>[0-9]{1,5}))?", re.IGNORECASE)
_MINUTES: Final = re.compile(r"[0-9]{1,6}")
LINE_END: Final = re.compile(r"\r\n|\r|\n")
"""What ends a line of a file, whatever system wrote it."""


@attrs.frozen(kw_only=True)
class Row:
    """
    One row of the file.

    Attributes:
        line: the file's line on which it begins, from 1.
        cells: as the file has them.
    """

    line: int
    cells: tuple[str, ...]

    def line_of(self, place: int) -> int:
        """
        Return the file's line on which the cell at that place begins.
        """
        return self.line + sum(len(LINE_END.findall(cell)) for cell in self.cells[:place])


class _CellError(Exception):
    """
    A cell cannot be read; the message says what to write instead.
    """


@attrs.define(eq=False, kw_only=True)
class RowReader:
    """
    Collects entries and problems, row by row.

    Attributes:
        header: the columns' names, in file order.
        today: what `today` stands for.
        entries: what was read.
        problems: what was wrong, in file order.
        is_relative: whether a date was said relative to today.
    """

    header: tuple[str, ...]
    today: date
    entries: list[RegistrationEntry] = attrs.field(factory=list)
    problems: list[CsvProblem] = attrs.field(factory=list)
    is_relative: bool = False
    _lines: dict[str, int] = attrs.field(factory=dict)

    def read(self, row: Row) -> None:
        """
        Take one row in: an entry, or a problem for each cell that is wrong.
        """
        if len(row.cells) > len(self.header):
            message = (
                f"the line has {len(row.cells)} cells and the header {len(self.header)}. "
                "Put a cell that holds the separator in quotes."
            )
            self.problems.append(CsvProblem(message=message, line=row.line))
            return
        mentor_id = self._cell(row, "mentor_id", lambda text: self._mentor(text, row.line))
        activity_type = self._cell(row, "activity_type", _identifier)
        activity_date = self._cell(row, "activity_date", self._date)
        minutes = self._cell(row, "duration_minutes", _minutes)
        if mentor_id is None or activity_type is None or activity_date is None or minutes is None:
            return
        activity = ProxyActivity(
            activity_type=activity_type,
            activity_date=activity_date,
            duration_minutes=minutes,
            notes=self._text(row, "notes"),
        )
        self.entries.append(RegistrationEntry(mentor_id, activity))

    def _text(self, row: Row, column: str) -> str:
        place = self.header.index(column) if column in self.header else len(row.cells)
        return row.cells[place].strip() if place < len(row.cells) else ""

    def _cell(self, row: Row, column: str, value_of: Callable[[str], T]) -> T | None:
        text = self._text(row, column)
        try:
            return value_of(_filled(text))
        except _CellError as error:
            line = row.line_of(self.header.index(column))
            self.problems.append(CsvProblem(message=str(error), line=line, column=column))
            return None

    def _mentor(self, text: str, line: int) -> str:
        mentor_id = _identifier(text)
        first = self._lines.setdefault(mentor_id, line)
        if first != line:
            msg = f"{quoted(mentor_id)} stands on line {first} already. Leave each mentor once."
            raise _CellError(msg)
        return mentor_id

    def _date(self, text: str) -> date:
        relative = _RELATIVE_DATE.fullmatch(text)
        try:
            if relative is None:
                return _iso_date(text)
            self.is_relative = True
            return self.today + timedelta(days=int(f"{relative['sign'] or ''}{relative['days'] or 0}"))
        except (ValueError, OverflowError):
            msg = f"{quoted(text)} is no date. Write YYYY-MM-DD, today, today-3 or today+5."
            raise _CellError(msg) from None


def _filled(text: str) -> str:
    if not text:
        msg = "the cell is empty. Fill it in."
        raise _CellError(msg)
    return text


def _identifier(text: str) -> str:
    if len(text) > _LONGEST_IDENTIFIER:
        msg = f"{quoted(text)} has {len(text)} characters. Use at most {_LONGEST_IDENTIFIER}."
        raise _CellError(msg)
    if not text.isprintable():
        msg = f"{quoted(text)} holds a character that cannot be shown. Remove it."
        raise _CellError(msg)
    return text


def _iso_date(text: str) -> date:
    if _ISO_DATE.fullmatch(text) is None:
        raise ValueError(text)
    return date.fromisoformat(text)


def _minutes(text: str) -> int:
    if _MINUTES.fullmatch(text) is None or int(text) == 0:
        msg = f"{quoted(text)} is no number of minutes. Write a whole number from 1 to 999999."
        raise _CellError(msg)
    return int(text)
