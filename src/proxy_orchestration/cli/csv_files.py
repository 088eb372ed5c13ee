"""
Reads a file of mentors and activities; refuses a bad one whole, naming every place.

A file is CSV in UTF-8, with or without a byte order mark, separated by commas
or semicolons. Its first line names the columns `mentor_id`, `activity_type`,
`activity_date`, `duration_minutes` and, if wanted, `notes`, in any order. A
date is `YYYY-MM-DD`, `today`, `today-3` or `today+5`.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

import attrs

from proxy_orchestration.access import Actor
from proxy_orchestration.cli.csv_cells import LINE_END, OPTIONAL, REQUIRED, Row, RowReader
from proxy_orchestration.cli.csv_problems import CsvFileError, CsvProblem, quoted
from proxy_orchestration.registration.requests import RegistrationEntry

LONGEST_FILE: Final = 32 * 1024 * 1024
"""Bytes; a file beyond this is not even read to its end."""

_COLUMNS: Final = (*REQUIRED, *OPTIONAL)
_BOM: Final = b"\xef\xbb\xbf"


@attrs.frozen(kw_only=True)
class MentorFile:
    """
    A file that was read.

    Attributes:
        entries: in file order, each mentor once, at least one.
        content: SHA-256 of the file's bytes, as 64 hexadecimal digits.
        resolved_on: the day that `today` stood for; `None` when no date was relative.
    """

    entries: tuple[RegistrationEntry, ...]
    content: str
    resolved_on: date | None

    def key_for(self, actor: Actor) -> str:
        """
        Return the idempotency key under which this actor submits this file.

        It is drawn from the actor and the file's raw bytes, so that the same
        file submitted twice joins its batch. Where the file has a relative
        date, the day that `today` stood for is part of the key too: on
        another day the same bytes mean other activities, hence another batch.
        """
        parts = (actor.organization_id, actor.user_id, self.content, str(self.resolved_on))
        digest = hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode())
        return f"file-{digest.hexdigest()}"


def read_mentor_file(path: Path, *, today: date, limit: int) -> MentorFile:
    """
    Read and check the whole file.

    Args:
        path: the file.
        today: what `today` stands for.
        limit: mentors that one batch may hold.

    Raises:
        CsvFileError: it cannot be read, or something in it is wrong.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST_FILE + 1)
    except FileNotFoundError:
        raise _refused(name, "there is no such file. Check the name and the folder.") from None
    except IsADirectoryError:
        raise _refused(name, "this is a folder. Name a CSV file in it.") from None
    except (OSError, ValueError) as error:
        why = type(error).__name__
        raise _refused(name, f"the file cannot be read ({why}). Check its name and permissions.") from None
    return parse_mentors(data, name=name, today=today, limit=limit)


def parse_mentors(data: bytes, *, name: str, today: date, limit: int) -> MentorFile:
    """
    Return what the bytes of a file say.

    Raises:
        CsvFileError: something in it is wrong; all that was found is in it.
    """
    if len(data) > LONGEST_FILE:
        raise _refused(name, f"the file is longer than {LONGEST_FILE // 1024**2} MiB. Split it.")
    rows = _rows(_text(data, name=name), name=name)
    header = next(rows, None)
    if header is None:
        raise _refused(name, f"the file is empty. Its first line names the columns: {', '.join(_COLUMNS)}.")
    reader = RowReader(header=_header(header, name=name), today=today)
    count = 0
    for row in rows:
        count += 1
        reader.read(row)
    return _finished(reader, name=name, size=count, limit=limit, data=data)


def _finished(reader: RowReader, *, name: str, size: int, limit: int, data: bytes) -> MentorFile:
    if size == 0:
        raise _refused(name, "the file has a header and no mentors. Add a line for each mentor.")
    if size > limit:
        message = f"{size} mentors are in the file and a batch holds at most {limit}. Split the file."
        raise CsvFileError(name, [CsvProblem(message=message), *reader.problems])
    if reader.problems:
        raise CsvFileError(name, reader.problems)
    return MentorFile(
        entries=tuple(reader.entries),
        content=hashlib.sha256(data).hexdigest(),
        resolved_on=reader.today if reader.is_relative else None,
    )


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


def _header(row: Row, *, name: str) -> tuple[str, ...]:
    header = tuple(cell.strip() for cell in row.cells)
    if not set(_COLUMNS) & set(header):
        message = f"this is no header. The first line names the columns: {', '.join(_COLUMNS)}."
        raise CsvFileError(name, [CsvProblem(message=message, line=row.line)])
    problems = [
        CsvProblem(message=_unknown(column, place), line=row.line)
        for place, column in enumerate(header, 1)
        if column not in _COLUMNS
    ]
    problems += [
        CsvProblem(
            message="the column is missing. Add it to the header and to each line.",
            line=row.line,
            column=column,
        )
        for column in REQUIRED
        if column not in header
    ]
    problems += [
        CsvProblem(message="the column is there more than once. Leave it once.", line=row.line, column=column)
        for column in _COLUMNS
        if header.count(column) > 1
    ]
    if problems:
        raise CsvFileError(name, problems)
    return header


def _unknown(column: str, place: int) -> str:
    what = f"the column {quoted(column)} is not known" if column else f"column {place} has no name"
    return f"{what}. Leave it out; the columns are {', '.join(_COLUMNS)}."


def _refused(name: str, message: str) -> CsvFileError:
    return CsvFileError(name, [CsvProblem(message=message)])
