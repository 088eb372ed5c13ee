"""
Splits a file's text into rows, for each kind of separator.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Final, TextIO

import attrs

from proxy_orchestration.cli.csv.problems import CsvProblem, RefusedError

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(?P<separator>[,;\t|])"?(?:\r\n|\r|\n)', re.IGNORECASE)
SEPARATORS: Final = ",;\t"
_QUOTES: Final = (
    "the quotes do not match, or a cell is too long. Close each quoted cell with a quote, and double each "
    "quote inside it."
)


@attrs.frozen(kw_only=True)
class Row:
    """
    One row of a file, as it stands there.
    """

    line: int
    cells: tuple[str, ...]

    def line_of(self, place: int) -> int:
        """
        Return the file's line on which the cell at that place begins.
        """
        return self.line + sum(len(_LINE_END.findall(cell)) for cell in self.cells[:place])


def rows_of(text: TextIO) -> Iterator[Row]:
    """
    Yield each row that is not blank with the file's line it begins on.

    The separator is the one that a first line `sep=` names, or that the
    first line has most of: comma, semicolon or tab. Lines that are quoted
    as a whole are read as what stands in the quotes.

    Raises:
        RefusedError: quotes do not match.
    """
    start = [text.readline()]
    named = _SEPARATOR_LINE.fullmatch(start[0])
    while start[-1] and not start[-1].strip():
        start.append(text.readline())
    separator = named["separator"] if named else _commonest(start[-1])
    lines = text if named else itertools.chain(start, text)
    rows = _split(lines, separator, lines_before=1 if named else 0)
    first = next(rows, None)
    if first is None:
        return
    is_whole = len(first.cells) == 1 and any(each in first.cells[0] for each in SEPARATORS)
    inner = _commonest(first.cells[0]) if is_whole else None
    yield _unwrapped(first, inner)
    for row in rows:
        yield _unwrapped(row, inner)


def _commonest(line: str) -> str:
    plain = re.sub(r'"[^"]*"', "", line)
    return max(SEPARATORS, key=(plain if plain.strip() else line).count)


def _unwrapped(row: Row, separator: str | None) -> Row:
    if separator is None or len(row.cells) != 1:
        return row
    inner = io.StringIO(row.cells[0], newline="")
    return next(_split(inner, separator, lines_before=row.line - 1), row)


def _split(text: Iterable[str], separator: str, *, lines_before: int) -> Iterator[Row]:
    # strict: otherwise a quote that is left open swallows the rows below it
    lines = csv.reader(text, delimiter=separator, strict=True)
    while True:
        line = lines_before + lines.line_num + 1  # before the row is read: a quoted cell may span lines
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error:
            raise RefusedError(CsvProblem(_QUOTES, line)) from None
        if any(cells) and any(cell.strip() for cell in cells):
            yield Row(line=line, cells=tuple(cells))
