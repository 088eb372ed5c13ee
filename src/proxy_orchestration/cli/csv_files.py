"""
Reads a file of mentors and activities; refuses a bad one whole, naming every place.

Its columns are `mentor_id`, `activity_type`, `activity_date`,
`duration_minutes` and, if wanted, `notes`. A date is `YYYY-MM-DD`, `today`,
`today-3` or `today+5`. What else a file may look like: see `csv_tables`.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import attrs

from proxy_orchestration.access import Actor
from proxy_orchestration.cli.csv_cells import CellError, CellReader, Row, identifier
from proxy_orchestration.cli.csv_dates import iso_date, relative_days
from proxy_orchestration.cli.csv_problems import CsvFileError, CsvProblem, quoted
from proxy_orchestration.cli.csv_tables import Columns, parse_table, read_bytes, refused
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.requests import RegistrationEntry, SubmissionMode

_COLUMNS: Final = Columns(
    required=("mentor_id", "activity_type", "activity_date", "duration_minutes"), optional=("notes",)
)
_MINUTES: Final = re.compile(r"[0-9]{1,6}")


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

    def key_for(
        self,
        actor: Actor,
        *,
        mode: SubmissionMode = SubmissionMode.INDEPENDENT,
        on_conflict: ConflictPolicy = ConflictPolicy.REVIEW,
    ) -> str:
        """
        Return the idempotency key under which this actor submits this file in this way.

        It is drawn from the actor and the file's raw bytes, so that the same
        file submitted twice joins its batch. Where the file has a relative
        date, the day that `today` stood for is part of the key too: on
        another day the same bytes mean other activities, hence another batch.
        Mode and policy count where they are not the usual ones.
        """
        parts = [actor.organization_id, actor.user_id, self.content, str(self.resolved_on)]
        if mode is not SubmissionMode.INDEPENDENT:
            parts.append(f"mode={mode.value}")
        if on_conflict is not ConflictPolicy.REVIEW:
            parts.append(f"on_conflict={on_conflict.value}")
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
    return parse_mentors(read_bytes(path), name=str(path), today=today, limit=limit)


def parse_mentors(data: bytes, *, name: str, today: date, limit: int) -> MentorFile:
    """
    Return what the bytes of a file say.

    Raises:
        CsvFileError: something in it is wrong; all that was found is in it.
    """
    table = parse_table(data, name=name, columns=_COLUMNS)
    reader = _EntryReader(cells=CellReader(header=table.header), today=today)
    count = 0
    for row in table.rows:
        count += 1
        reader.read(row)
    return _finished(reader, name=name, size=count, limit=limit, data=data)


@attrs.define(eq=False, kw_only=True)
class _EntryReader:
    """
    Collects entries, row by row.

    Attributes:
        cells: reads the cells and collects the problems.
        today: what `today` stands for.
        entries: what was read.
        is_relative: whether a date was said relative to today.
    """

    cells: CellReader
    today: date
    entries: list[RegistrationEntry] = attrs.field(factory=list)
    is_relative: bool = False

    def read(self, row: Row) -> None:
        """
        Take one row in: an entry, or a problem for each cell that is wrong.
        """
        if not self.cells.fits(row):
            return
        mentor_id = self.cells.mentor(row)
        activity_type = self.cells.value(row, "activity_type", identifier)
        activity_date = self.cells.value(row, "activity_date", self._date)
        minutes = self.cells.value(row, "duration_minutes", _minutes)
        if mentor_id is None or activity_type is None or activity_date is None or minutes is None:
            return
        activity = ProxyActivity(
            activity_type=activity_type,
            activity_date=activity_date,
            duration_minutes=minutes,
            notes=self.cells.text(row, "notes"),
        )
        self.entries.append(RegistrationEntry(mentor_id, activity))

    def _date(self, text: str) -> date:
        days = relative_days(text)
        try:
            if days is None:
                return iso_date(text)
            self.is_relative = True
            return self.today + timedelta(days=days)
        except (ValueError, OverflowError):
            msg = f"{quoted(text)} is no date. Write YYYY-MM-DD, today, today-3 or today+5."
            raise CellError(msg) from None


def _minutes(text: str) -> int:
    if _MINUTES.fullmatch(text) is None or int(text) == 0:
        msg = f"{quoted(text)} is no number of minutes. Write a whole number from 1 to 999999."
        raise CellError(msg)
    return int(text)


def _finished(reader: _EntryReader, *, name: str, size: int, limit: int, data: bytes) -> MentorFile:
    problems = reader.cells.problems
    if size == 0:
        raise refused(name, "the file has a header and no mentors. Add a line for each mentor.")
    if size > limit:
        message = f"{size} mentors are in the file and a batch holds at most {limit}. Split the file."
        raise CsvFileError(name, [CsvProblem(message=message), *problems])
    if problems:
        raise CsvFileError(name, problems)
    return MentorFile(
        entries=tuple(reader.entries),
        content=hashlib.sha256(data).hexdigest(),
        resolved_on=reader.today if reader.is_relative else None,
    )
