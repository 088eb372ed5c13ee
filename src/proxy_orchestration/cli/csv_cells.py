"""
Turns the cells of a row into values, noting what is wrong with each cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

import attrs

from proxy_orchestration.cli.csv_problems import CsvProblem, quoted

T = TypeVar("T")

_LONGEST_IDENTIFIER: Final = 200
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


class CellError(Exception):
    """
    A cell cannot be read; the message says what to write instead.
    """


@attrs.define(eq=False, kw_only=True)
class CellReader:
    """
    Reads cells by their columns' names and collects what is wrong with them.

    Attributes:
        header: the columns' names, in file order.
        problems: what was wrong, in file order.
    """

    header: tuple[str, ...]
    problems: list[CsvProblem] = attrs.field(factory=list)
    _lines: dict[str, int] = attrs.field(factory=dict)

    def fits(self, row: Row) -> bool:
        """
        Tell whether the row has no more cells than the header; note it if it has.
        """
        if len(row.cells) <= len(self.header):
            return True
        message = (
            f"the line has {len(row.cells)} cells and the header {len(self.header)}. "
            "Put a cell that holds the separator in quotes."
        )
        self.problems.append(CsvProblem(message=message, line=row.line))
        return False

    def text(self, row: Row, column: str) -> str:
        """
        Return a cell without the space around it; empty where the row has none.
        """
        place = self.header.index(column) if column in self.header else len(row.cells)
        return row.cells[place].strip() if place < len(row.cells) else ""

    def value(self, row: Row, column: str, value_of: Callable[[str], T]) -> T | None:
        """
        Return what a cell says, or note what is wrong with it and return `None`.

        Args:
            row: the row.
            column: the cell's column, which the header has.
            value_of: reads the cell's text, or raises `CellError`.
        """
        text = self.text(row, column)
        try:
            return value_of(_filled(text))
        except CellError as error:
            line = row.line_of(self.header.index(column))
            self.problems.append(CsvProblem(message=str(error), line=line, column=column))
            return None

    def mentor(self, row: Row) -> str | None:
        """
        Return the row's mentor, who stands in no row before it; `None` with a problem otherwise.
        """
        return self.value(row, "mentor_id", lambda text: self._first(text, row.line))

    def _first(self, text: str, line: int) -> str:
        mentor_id = identifier(text)
        first = self._lines.setdefault(mentor_id, line)
        if first != line:
            msg = f"{quoted(mentor_id)} stands on line {first} already. Leave each mentor once."
            raise CellError(msg)
        return mentor_id


def _filled(text: str) -> str:
    if not text:
        msg = "the cell is empty. Fill it in."
        raise CellError(msg)
    return text


def identifier(text: str) -> str:
    """
    Return the text if it is short and can be shown.
    """
    if len(text) > _LONGEST_IDENTIFIER:
        msg = f"{quoted(text)} has {len(text)} characters. Use at most {_LONGEST_IDENTIFIER}."
        raise CellError(msg)
    if not text.isprintable():
        msg = f"{quoted(text)} holds a character that cannot be shown. Remove it."
        raise CellError(msg)
    return text
