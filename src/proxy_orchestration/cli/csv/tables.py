"""
Turns a CSV file as spreadsheets write it into records; refuses a bad one whole, naming every place.

A file is CSV in UTF-8, with or without a byte order mark, separated by commas
or semicolons. Its first line names the columns, in any order.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from proxy_orchestration._normal_forms import id_form
from proxy_orchestration.cli.csv.cells import Column, is_filler
from proxy_orchestration.cli.csv.problems import CellError, CsvFileError, CsvProblem, RefusedError, quoted

T = TypeVar("T")

LONGEST_FILE: Final = 32 * 1024 * 1024
"""Bytes; a file beyond this is not even read to its end."""

_BOM: Final = b"\xef\xbb\xbf"
_LINE_END: Final = re.compile(r"\r\n|\r|\n")


@attrs.frozen
class Record:
    """
    One line of a file whose cells are all sound.

    Attributes:
        line: the file's line on which it begins, from 1.
        values: the cells' values by column, also of columns that the header does without.
    """

    line: int
    values: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class FileFormat:
    """
    One kind of file: its columns, and what is said when it is refused.

    Attributes:
        columns: every column that is known, in the order of the documentation.
        noun: what the lines are, in the plural.
        verdict: what comes of a bad file.
    """

    columns: tuple[Column, ...]
    noun: str
    verdict: str

    @property
    def names(self) -> tuple[str, ...]:
        """
        Return the columns' names.
        """
        return tuple(column.name for column in self.columns)

    def load(self, path: Path) -> bytes:
        """
        Return the file's bytes, or the first of them where it is too long.

        Raises:
            CsvFileError: it cannot be read.
        """
        with self._refusing(str(path)):
            return _bytes_of(path)

    def parse(
        self, data: bytes, build: Callable[[Record], T], *, name: str, most: int | None = None
    ) -> tuple[Sequence[str], Sequence[T]]:
        """
        Return the header, and what each line below it means; at least one.

        Args:
            data: the file's bytes.
            build: makes what a line means of its record; may raise `CellError`.
            name: the file's name, for errors.
            most: lines that are allowed; `None` for any number.

        Raises:
            CsvFileError: something is wrong; all that was found is in it.
        """
        with self._refusing(name):
            if len(data) > LONGEST_FILE:
                message = f"the file is longer than {LONGEST_FILE // 1024**2} MiB. Split it."
                raise RefusedError(CsvProblem(message))
            rows = _rows_of(_text_of(data))
            reader = _Reader(format=self, header=self._header(next(rows, None)))
            built = [built for row in rows for built in reader.read(row, build)]
            reader.check(most)
            return reader.header, built

    @contextmanager
    def _refusing(self, name: str) -> Iterator[None]:
        try:
            yield
        except RefusedError as error:
            raise CsvFileError(name, error.args, verdict=self.verdict) from None

    def _header(self, row: _Row | None) -> tuple[str, ...]:
        known = ", ".join(self.names)
        if row is None:
            message = f"the file is empty. Its first line names the columns: {known}."
            raise RefusedError(CsvProblem(message))
        header = tuple(cell.strip() for cell in row.cells)
        if not set(self.names) & set(header):
            message = f"this is not a header. The first line names the columns: {known}."
            raise RefusedError(CsvProblem(message, row.line))
        problems = [
            CsvProblem(message, row.line, column) for message, column in self._header_problems(header)
        ]
        if problems:
            raise RefusedError(*problems)
        return header

    def _header_problems(self, header: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
        for place, name in enumerate(header, 1):
            if name not in self.names:
                what = f"the column {quoted(name)} is not known" if name else f"column {place} has no name"
                yield f"{what}. Leave it out; the columns are {', '.join(self.names)}.", None
        for column in self.columns:
            if not column.optional and column.name not in header:
                yield "the column is missing. Add it to the header and to each line.", column.name
        for name in self.names:
            if header.count(name) > 1:
                yield "the column is there more than once. Keep it once.", name


@attrs.frozen(kw_only=True)
class _Row:
    """
    One row of the file, as it stands there.
    """

    line: int
    cells: tuple[str, ...]

    def line_of(self, place: int) -> int:
        """
        Return the file's line on which the cell at that place begins.
        """
        return self.line + sum(len(_LINE_END.findall(cell)) for cell in self.cells[:place])


@attrs.define(eq=False, kw_only=True)
class _Reader:
    """
    Reads row after row, and collects what is wrong with them.
    """

    format: FileFormat
    header: tuple[str, ...]
    _count: int = 0
    _problems: list[CsvProblem] = attrs.field(factory=list)
    _earlier: dict[tuple[str, object], tuple[object, int]] = attrs.field(factory=dict)

    def read(self, row: _Row, build: Callable[[Record], T]) -> Iterator[T]:
        """
        Yield what the row means, unless something is wrong with it.
        """
        self._count += 1
        if len(row.cells) > len(self.header):
            message = (
                f"the line has {len(row.cells)} cells and the header {len(self.header)}. "
                "Put a cell that contains the separator in quotes."
            )
            self._note(message, row.line)
            return
        found = len(self._problems)
        values = {column.name: self._value(row, column) for column in self.format.columns}
        if len(self._problems) > found:
            return
        try:
            yield build(Record(row.line, values))
        except CellError as error:
            self._note(str(error), row.line)

    def check(self, most: int | None) -> None:
        """
        Refuse the file when something was wrong with it, or with the number of its lines.
        """
        noun = self.format.noun
        if self._count == 0:
            message = f"the file has a header and no {noun}. Add at least one line."
            raise RefusedError(CsvProblem(message))
        if most is not None and self._count > most:
            message = (
                f"{self._count} {noun} are in the file and a batch holds at most {most}. Split the file."
            )
            raise RefusedError(CsvProblem(message), *self._problems)
        if self._problems:
            raise RefusedError(*self._problems)

    def _note(self, message: str, line: int, column: str | None = None) -> None:
        self._problems.append(CsvProblem(message, line, column))

    def _value(self, row: _Row, column: Column) -> object:
        """
        Return what a cell says; note what is wrong with it and return `None`.
        """
        text = self._text(row, column.name)
        if column.blank is not None and (not text or (column.fillers and is_filler(text))):
            return column.blank
        try:
            value = column.read(_filled(text))
            self._compare(row, column, value)
        except CellError as error:
            self._note(str(error), row.line_of(self.header.index(column.name)), column.name)
            return None
        return value

    def _text(self, row: _Row, name: str) -> str:
        place = self.header.index(name) if name in self.header else len(row.cells)
        return row.cells[place].strip() if place < len(row.cells) else ""

    def _compare(self, row: _Row, column: Column, value: object) -> None:
        """
        Refuse a value that does not go with an earlier line.
        """
        if column.once:
            _, line = self._earlier.setdefault((column.name, id_form(str(value))), (value, row.line))
            if line != row.line:
                msg = f"{quoted(str(value))} is already on line {line}. {column.once}"
                raise CellError(msg)
        owner = self._text(row, column.same_for) if column.same_for else ""
        if not is_filler(owner):  # lines that name nobody say nothing of one another
            known, line = self._earlier.setdefault((column.name, id_form(owner)), (value, row.line))
            if known != value:
                msg = (
                    f"{quoted(owner)} has another {column.name} on line {line}. Write the same on each line."
                )
                raise CellError(msg)


def _filled(text: str) -> str:
    if not text:
        msg = "the cell is empty. Fill it in."
        raise CellError(msg)
    return text


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_FILE + 1)  # one byte more shows that it is too long
    except FileNotFoundError:
        message = "there is no such file. Check the name and the folder."
    except IsADirectoryError:
        message = "this is a folder. Name a CSV file in it."
    except (OSError, ValueError) as error:
        message = f"the file cannot be read ({type(error).__name__}). Check its name and permissions."
    raise RefusedError(CsvProblem(message))


def _text_of(data: bytes) -> str:
    try:
        text = data.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        position = error.start + (len(_BOM) if data.startswith(_BOM) else 0)
        message = (
            f"byte {position + 1} of the file (0x{data[position]:02x}) is not UTF-8. "
            "Save the file as CSV in UTF-8 and submit it again."
        )
        line = _lines_in(data[:position].decode("latin-1"))  # any byte is a character there
        raise RefusedError(CsvProblem(message, line)) from None
    before, nul, _ = text.partition("\0")
    if nul:
        message = "there is a zero byte, so this is not a text file. Save it as CSV in UTF-8."
        raise RefusedError(CsvProblem(message, _lines_in(before)))
    return text


def _lines_in(text: str) -> int:
    return len(_LINE_END.findall(text)) + 1


def _rows_of(text: str) -> Iterator[_Row]:
    """
    Yield each row that is not blank with the file's line it begins on.
    """
    first_line = _LINE_END.split(text.lstrip("\r\n"), 1)[0]
    delimiter = ";" if first_line.count(";") > first_line.count(",") else ","
    # strict: otherwise a quote that is left open swallows the rows below it
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = lines.line_num + 1  # before the row is read: a quoted cell may span lines
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error:
            message = (
                "the quotes do not match, or a cell is too long. Close each quoted cell with a quote "
                "and write a quote inside it twice."
            )
            raise RefusedError(CsvProblem(message, line)) from None
        if any(cell.strip() for cell in cells):
            yield _Row(line=line, cells=tuple(cells))
