"""
Turns a file that a spreadsheet saved into records, and reports every problem with its place.

The first line names the columns, in any order. A bad file is refused whole,
unless its lines have nothing to do with one another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Generic, TypeVar

import attrs

from proxy_orchestration._normal_forms import id_form
from proxy_orchestration.cli.csv.cells import Column, is_filler
from proxy_orchestration.cli.csv.encodings import encoding_of
from proxy_orchestration.cli.csv.headers import header_of
from proxy_orchestration.cli.csv.layouts import Layout
from proxy_orchestration.cli.csv.problems import CellError, CsvFileError, CsvProblem, RefusedError, quoted
from proxy_orchestration.cli.csv.rows import SEPARATORS, Row, rows_of
from proxy_orchestration.cli.csv.sources import decoded, digest_of, opened
from proxy_orchestration.cli.csv.workbooks import is_workbook, rows_of_workbook

T = TypeVar("T")

_MOST_KNOWN: Final = 500
"""Cells of a column whose values are kept."""

_AS_IT_COMES: Final = Layout()


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
class Parsed(Generic[T]):
    """
    What a file says.

    Attributes:
        header: its columns' names.
        rows: what each line below the header means, but for those that are wrong.
        problems: what is wrong with these.
        digest: the SHA-256 of its bytes, as hexadecimal digits.
    """

    header: Sequence[str]
    rows: Sequence[T]
    problems: Sequence[CsvProblem]
    digest: str


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

    def parse(
        self,
        source: Path | bytes,
        build: Callable[[Record], T],
        *,
        name: str,
        most: int | None = None,
        layout: Layout = _AS_IT_COMES,
    ) -> Parsed[T]:
        """
        Return what each line below the header means; at least one.

        Args:
            source: the file, or its bytes.
            build: makes what a line means of its record; may raise `CellError`.
            name: the file's name, for errors.
            most: lines that are allowed; `None` for any number.
            layout: what the file does not say about itself.

        Raises:
            CsvFileError: something is wrong; all that was found is in it.
        """
        with self._refusing(name), opened(source) as file:
            reader = _Reader(format=self, layout=layout)
            parsed = reader.parse(file, build, most=most)
            reader.check(most)
            return parsed

    def parse_lines(
        self,
        source: Path | bytes,
        build: Callable[[Record], T],
        *,
        name: str,
        layout: Layout = _AS_IT_COMES,
    ) -> Parsed[T]:
        """
        Return the same, of the lines that can be read, and what is wrong with the others.

        Raises:
            CsvFileError: no line can be read, or the file cannot be read to its end.
        """
        with self._refusing(name), opened(source) as file:
            reader = _Reader(format=self, layout=layout)
            parsed = reader.parse(file, build)
            if not parsed.rows:
                reader.check(None)
            return parsed

    @contextmanager
    def _refusing(self, name: str) -> Iterator[None]:
        try:
            yield
        except RefusedError as error:
            raise CsvFileError(name, error.args, verdict=self.verdict) from None


@attrs.define(eq=False, kw_only=True)
class _Reader:
    """
    Reads row after row, and collects what is wrong with them.
    """

    format: FileFormat
    layout: Layout
    header: tuple[str, ...] = ()
    problems: list[CsvProblem] = attrs.field(factory=list)
    _count: int = 0
    _places: list[tuple[Column, int]] = attrs.field(factory=list)
    _known: defaultdict[str, dict[str, object]] = attrs.field(factory=lambda: defaultdict(dict))
    _earlier: dict[tuple[str, object], tuple[object, int]] = attrs.field(factory=dict)

    def parse(self, file: IO[bytes], build: Callable[[Record], T], *, most: int | None = None) -> Parsed[T]:
        """
        Read a file to its end; what is wrong with its lines is noted.

        Raises:
            RefusedError: it cannot be read, or its first row is no header.
        """
        digest = digest_of(file)
        with _rows_in(file, self.layout) as rows:
            built = list(self._read_all(rows, build, most=most))
        return Parsed(header=self.header, rows=built, problems=self.problems, digest=digest)

    def _read_all(
        self, rows: Iterator[Row], build: Callable[[Record], T], *, most: int | None = None
    ) -> Iterator[T]:
        """
        Yield what each row below the header means, unless something is wrong with it.

        Rows beyond `most` are counted and not looked at: the file is refused for them.

        Raises:
            RefusedError: the first row is no header.
        """
        self.header = header_of(next(rows, None), self.format.columns, self.layout)
        places = {name: place for place, name in enumerate(self.header)}
        self._places = [(column, places.get(column.name, -1)) for column in self.format.columns]
        for row in rows:
            self._count += 1
            if most is not None and self._count > most:
                continue
            record = self._record(row)
            if record is None:
                continue
            try:
                yield build(record)
            except CellError as error:
                self._note(str(error), row.line, error.column)

    def _record(self, row: Row) -> Record | None:
        if len(row.cells) > len(self.header) and any(map(str.strip, row.cells[len(self.header) :])):
            message = (
                f"the line has {len(row.cells)} cells and the header {len(self.header)}. "
                "Put a cell that contains the separator in quotes."
            )
            self._note(message, row.line)
            return None
        if len(row.cells) == 1 < len(self.header) and any(each in row.cells[0] for each in SEPARATORS):
            message = "the line is not separated as the header is. Use one separator in the whole file."
            self._note(message, row.line)
            return None
        found = len(self.problems)
        values = {column.name: self._value(row, column, place) for column, place in self._places}
        return None if len(self.problems) > found else Record(row.line, values)

    def check(self, most: int | None) -> None:
        """
        Refuse the file when something was wrong with it, or with the number of its lines.
        """
        noun = self.format.noun
        if self._count == 0:
            message = f"the file has a header but no {noun}. Add at least one line."
            raise RefusedError(CsvProblem(message))
        if most is not None and self._count > most:
            message = (
                f"the file has {self._count} {noun}, and a batch may have at most {most}. Split the file."
            )
            raise RefusedError(CsvProblem(message), *self.problems)
        if self.problems:
            raise RefusedError(*self.problems)

    def _note(self, message: str, line: int, column: str | None = None) -> None:
        self.problems.append(CsvProblem(message, line, column))

    def _value(self, row: Row, column: Column, place: int) -> object:
        """
        Return what a cell says; note what is wrong with it and return `None`.
        """
        text = row.cells[place].strip() if 0 <= place < len(row.cells) else ""
        known = self._known[column.name]
        if text in known:
            return known[text]
        if column.blank is not None and (not text or (column.fillers and is_filler(text))):
            return column.blank
        try:
            value = column.read(_filled(text))
            if column.once or column.same_for:
                self._compare(row, column, value)
        except CellError as error:
            self._note(str(error), row.line_of(max(place, 0)), column.name)
            return None
        if not (column.once or column.same_for) and len(known) < _MOST_KNOWN:
            known[text] = value  # days, kinds and minutes repeat all the time
        return value

    def _text(self, row: Row, name: str) -> str:
        place = self.header.index(name) if name in self.header else len(row.cells)
        return row.cells[place].strip() if place < len(row.cells) else ""

    def _compare(self, row: Row, column: Column, value: object) -> None:
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
                    f"{quoted(owner)} has a different {column.name} on line {line}. Write the same value on "
                    "each line."
                )
                raise CellError(msg)


@contextmanager
def _rows_in(file: IO[bytes], layout: Layout) -> Iterator[Iterator[Row]]:
    if is_workbook(file):
        yield rows_of_workbook(file, sheet=layout.sheet)
        return
    with decoded(file, encoding_of(file, encoding=layout.encoding, tell=layout.tell)) as text:
        yield rows_of(text)


def _filled(text: str) -> str:
    if not text:
        msg = "the cell is empty. Fill it in."
        raise CellError(msg)
    return text
