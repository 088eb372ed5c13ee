"""
Reads a file of mentors and activities into a bulk request.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import attrs

from proxy_orchestration._normal_forms import id_form
from proxy_orchestration.access import Actor
from proxy_orchestration.cli.csv.cells import NEW_MENTOR_ID, Column, identifier
from proxy_orchestration.cli.csv.dates import day, resolved
from proxy_orchestration.cli.csv.layouts import Layout
from proxy_orchestration.cli.csv.problems import CellError, quoted
from proxy_orchestration.cli.csv.tables import FileFormat, Record
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.requests import RegistrationEntry, SubmissionMode

_MINUTES: Final = re.compile(r"(?P<whole>[0-9]{1,6})(?:[.,]0{1,2})?")


def _minutes(text: str) -> int:
    found = _MINUTES.fullmatch(text)
    if found is None or int(found["whole"]) == 0:
        msg = f"{quoted(text)} is not a number of minutes. Write a whole number from 1 to 999999."
        raise CellError(msg)
    return int(found["whole"])


_ACTIVITY: Final = ("activity_type", "activity_date", "duration_minutes", "notes")
_AS_IT_COMES: Final = Layout()

FORMAT: Final = FileFormat(
    columns=(
        NEW_MENTOR_ID,
        Column("activity_type", identifier),
        Column("activity_date", day),
        Column("duration_minutes", _minutes),
        Column("notes", str, optional=True, blank=""),
    ),
    noun="mentors",
    verdict="cannot be registered; nothing was stored",
)


@attrs.frozen(kw_only=True)
class MentorFile:
    """
    A file that was read.

    Attributes:
        entries: in file order, at least one; where a mentor has several, each has a key of its own,
            and none has the mentor's id, which means all of them.
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
        if mode is not SubmissionMode.INDEPENDENT:  # the usual way adds nothing: keys of before stay
            parts.append(f"mode={mode.value}")
        if on_conflict is not ConflictPolicy.REVIEW:
            parts.append(f"on_conflict={on_conflict.value}")
        # with their lengths, since ("a", "bc") and ("ab", "c") are not the same
        digest = hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode())
        return f"file-{digest.hexdigest()}"


def parse_mentors(
    source: Path | bytes, *, name: str, today: date, limit: int, layout: Layout = _AS_IT_COMES
) -> MentorFile:
    """
    Return what a file says on that day; a batch holds at most `limit` mentors.

    Raises:
        CsvFileError: something in it is wrong; all that was found is in it.
    """
    lines: dict[tuple[str, str, date], int] = {}

    def read(record: Record) -> tuple[str, ProxyActivity, bool]:
        mentor_id, activity, is_relative = activity_of(record, today)
        same = id_form(mentor_id), activity.activity_type, activity.activity_date
        if (line := lines.setdefault(same, record.line)) != record.line:
            msg = (
                f"{quoted(mentor_id)} is already on line {line} with the same activity type and date. Keep "
                "one of the two lines."
            )
            raise CellError(msg, column="mentor_id")
        return mentor_id, activity, is_relative

    parsed = FORMAT.parse(source, read, name=name, most=limit, layout=layout)
    return MentorFile(
        entries=_entries([(mentor_id, activity) for mentor_id, activity, _ in parsed.rows]),
        content=parsed.digest,
        resolved_on=today if any(is_relative for *_, is_relative in parsed.rows) else None,
    )


def activity_of(record: Record, today: date) -> tuple[str, ProxyActivity, bool]:
    """
    Return whose activity a line is about, the activity, and whether its day depends on today's.
    """
    cells = {name: value for name, value in record.values.items() if name in _ACTIVITY}
    when = cells.pop("activity_date")
    activity = ProxyActivity(activity_date=resolved(when, today), **cells)
    return record.values["mentor_id"], activity, isinstance(when, timedelta)


def _entries(rows: Sequence[tuple[str, ProxyActivity]]) -> tuple[RegistrationEntry, ...]:
    """
    Return the entries; those of a mentor with several are named by day and kind.
    """
    lines = Counter(id_form(mentor_id) for mentor_id, _ in rows)
    taken = set(lines)
    entries = []
    for mentor_id, activity in rows:
        item_key = mentor_id
        if lines[id_form(mentor_id)] > 1:
            by_day = f"{mentor_id}/{activity.activity_date}"
            names = (by_day, f"{by_day}/{activity.activity_type}")
            item_key = next((name for name in names if id_form(name) not in taken), names[-1])
            taken.add(id_form(item_key))
        entries.append(RegistrationEntry(mentor_id, activity, item_key))
    return tuple(entries)
