"""
Reads a CSV file as spreadsheets write it into a header and rows; refuses a bad one, naming the place.

A file is CSV in UTF-8, with or without a byte order mark, separated by commas
or semicolons. Its first line names the columns, in any order.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from proxy_orchestration.cli.csv_cells import LINE_END, Row
from proxy_orchestration.cli.csv_problems import CsvFileError, CsvProblem, quoted

LONGEST_FILE: Final = 32 * 1024 * 1024
"""Bytes; a file beyond this is not even read to its end."""

_BOM: Final = b"\xef\xbb\xbf"


@attrs.frozen(kw_only=True)
class Columns:
    """
    The columns that a kind of file has.

    Attributes:
        required: have to be there.
        optional: may be there.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """
        Return every column that is known.
        """
        return (*self.required, *self.optional)


@attrs.frozen(kw_only=True)
class Table:
    """
    A file that was read.

    Attributes:
        header: the columns' names, in file order.
        rows: those that are not blank, one at a time.
    """

    header: tuple[str, ...]
    rows: Iterator[Row]


def read_bytes(path: Path) -> bytes:
    """
    Return the file's bytes, or the first of them where it is too long.

    Raises:
        CsvFileError: it cannot be read.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_FILE + 1)
    except FileNotFoundError:
        raise refused(name, "there is no such file. Check the name and the folder.") from None
    except IsADirectoryError:
        raise refused(name, "this is a folder. Name a CSV file in it.") from None
    except (OSError, ValueError) as error:
        why = type(error).__name__
        raise refused(name, f"the file cannot be read ({why}). Check its name and permissions.") from None


def parse_table(data: bytes, *, name: str, columns: Columns) -> Table:
    """
    Return the header and the rows of a file with these columns.

    Raises:
        CsvFileError: it is no such file; the rows may raise it too.
    """
    if len(data) > LONGEST_FILE:
        raise refused(name, f"the file is longer than {LONGEST_FILE // 1024**2} MiB. Split it.")
    rows = _rows(_text(data, name=name), name=name)
    header = next(rows, None)
    if header is None:
        raise refused(name, f"the file is empty. Its first line names the columns: {', '.join(columns.all)}.")
    return Table(header=_header(header, name=name, columns=columns), rows=rows)


def refused(name: str, message: str) -> CsvFileError:
    """
    Return the error that refuses a file for one reason, which is about the whole of it.
    """
    return CsvFileError(name, [CsvProblem(message=message)])


def _text(data: bytes, *, name: str) -> str:
    try:
        text = data.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        position = error.start + (len(_BOM) if data.startswith(_BOM) else 0)
        message = (
            f"byte {position + 1} of the file (0x{data[position]:02x}) is no UTF-8. "
            "Save the file as CSV in UTF-8 and submit it again."
        )
        line = _lines_in(data[:position].decode("latin-1"))
        raise CsvFileError(name, [CsvProblem(message=message, line=line)]) from None
    before, nul, _ = text.partition("\0")
    if nul:
        message = "there is a zero byte, so this is no text file. Save it as CSV in UTF-8."
        raise CsvFileError(name, [CsvProblem(message=message, line=_lines_in(before))])
    return text


def _lines_in(text: str) -> int:
    return len(LINE_END.findall(text)) + 1


def _rows(text: str, *, name: str) -> Iterator[Row]:
    """
    Yield each row that is not blank with the file's line it begins on.
    """
    first_line = LINE_END.split(text.lstrip("\r\n"), 1)[0]
    delimiter = ";" if first_line.count(";") > first_line.count(",") else ","
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = lines.line_num + 1
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error:
            message = (
                "the quotes do not match, or a cell is too long. Close each quoted cell with a quote "
                "and write a quote inside it twice."
            )
            raise CsvFileError(name, [CsvProblem(message=message, line=line)]) from None
        if any(cell.strip() for cell in cells):
            yield Row(line=line, cells=tuple(cells))


def _header(row: Row, *, name: str, columns: Columns) -> tuple[str, ...]:
    header = tuple(cell.strip() for cell in row.cells)
    if not set(columns.all) & set(header):
        message = f"this is no header. The first line names the columns: {', '.join(columns.all)}."
        raise CsvFileError(name, [CsvProblem(message=message, line=row.line)])
    problems = [
        CsvProblem(message=_unknown(column, place, columns), line=row.line)
        for place, column in enumerate(header, 1)
        if column not in columns.all
    ]
    problems += [
        CsvProblem(
            message="the column is missing. Add it to the header and to each line.",
            line=row.line,
            column=column,
        )
        for column in columns.required
        if column not in header
    ]
    problems += [
        CsvProblem(message="the column is there more than once. Leave it once.", line=row.line, column=column)
        for column in columns.all
        if header.count(column) > 1
    ]
    if problems:
        raise CsvFileError(name, problems)
    return header


def _unknown(column: str, place: int, columns: Columns) -> str:
    what = f"the column {quoted(column)} is not known" if column else f"column {place} has no name"
    return f"{what}. Leave it out; the columns are {', '.join(columns.all)}."
