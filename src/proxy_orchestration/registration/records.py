"""
Lists of registered activities with their correction notes.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Final

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.registration.activities import ActivityRecord

_NO_CURSOR: Final = "is not a valid cursor: give the next_cursor of a page, unchanged"


@attrs.frozen(kw_only=True)
class CorrectionNote(PlainModel):
    """
    A person's note about what to correct in a registered activity; the activity itself stays unchanged.

    Attributes:
        note_id: the id of the note.
        activity_id: the id of the record that the note is about.
        text: what is wrong; free text, so never in a repr.
        written_by: the id of the person who wrote it.
        written_at: when it was written, by the service's clock; aware, UTC.
    """

    note_id: str
    activity_id: str
    text: str = attrs.field(repr=False)
    written_by: str
    written_at: datetime


@attrs.frozen(kw_only=True)
class RegisteredActivity(PlainModel):
    """
    A record as it was registered, with its correction notes.

    Attributes:
        record: the original record, which may be void.
        corrections: the correction notes, the oldest first.
    """

    record: ActivityRecord
    corrections: tuple[CorrectionNote, ...] = ()


@attrs.frozen(kw_only=True)
class RecordFilter:
    """
    Which records to list; a field that is `None` filters nothing.

    Attributes:
        coordinator_id: only records that this person registered.
        mentor_ids: only records that are attributed to one of these mentors.
        activity_from, activity_through: only activities from the first day to the second day, both
            included.
        cursor: only records that follow the page with this `next_cursor`.
    """

    coordinator_id: str | None = None
    mentor_ids: frozenset[str] | None = None
    activity_from: date | None = None
    activity_through: date | None = None
    cursor: str | None = None

    def position(self) -> tuple[date, datetime, str] | None:
        """
        Return the day, time and id of the last record before the cursor; `None` without a cursor.

        Raises:
            InvalidValueError: the cursor is not valid.
        """
        if self.cursor is None:
            return None
        with suppress(ValueError):
            day, recorded_at, activity_id = self.cursor.split("~", maxsplit=2)
            moment = datetime.fromisoformat(recorded_at)
            if moment.tzinfo is not None:
                return date.fromisoformat(day), moment, activity_id
        raise InvalidValueError("cursor", _NO_CURSOR)  # noqa: EM101 - a field's name


@attrs.frozen(kw_only=True)
class RecordPage(PlainModel):
    """
    One page of records, newest first: by the activity's day, then by the time of registration.

    Attributes:
        records: at most as many records as requested; empty if none matches.
        next_cursor: pass it as `cursor` to get the records that follow; `None` on the last page.
    """

    records: tuple[RegisteredActivity, ...]
    next_cursor: str | None = None


def place_of(record: ActivityRecord) -> tuple[date, datetime, str]:
    """
    Return what records are put in order by: the newest is the greatest.
    """
    return record.registration.activity.activity_date, record.recorded_at, record.activity_id


def cursor_behind(record: ActivityRecord) -> str:
    """
    Return the cursor for what follows this record.
    """
    day, recorded_at, activity_id = place_of(record)
    return f"{day.isoformat()}~{recorded_at.astimezone(UTC).isoformat()}~{activity_id}"
