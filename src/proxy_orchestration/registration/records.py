"""
Registered activities as people look through them, each with the notes that were put beside it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Final

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.registration.activities import ActivityRecord

_NO_CURSOR: Final = "is none: give the next_cursor of a page, as it is"


@attrs.frozen(kw_only=True)
class CorrectionNote(PlainModel):
    """
    What somebody wants corrected in a registered activity, which stays as it is.

    Attributes:
        note_id: the note's own id.
        activity_id: the record that it stands beside.
        text: what is wrong; free text, so never in a repr.
        written_by: who wrote it.
        written_at: when, by the service's clock; aware, UTC.
    """

    note_id: str
    activity_id: str
    text: str = attrs.field(repr=False)
    written_by: str
    written_at: datetime


@attrs.frozen(kw_only=True)
class RegisteredActivity(PlainModel):
    """
    A record as it was registered, and the notes beside it.

    Attributes:
        record: the original, void ones too.
        corrections: what somebody wants corrected, the oldest note first.
    """

    record: ActivityRecord
    corrections: tuple[CorrectionNote, ...] = ()


@attrs.frozen(kw_only=True)
class RecordFilter:
    """
    Which records of a list are asked for; `None` leaves a field out.

    Attributes:
        coordinator_id: those that this person registered.
        mentor_ids: those that are attributed to one of these mentors.
        activity_from, activity_through: those of activities on the one day or later, and on the
            other or earlier.
        cursor: those that follow the page that had it as `next_cursor`.
    """

    coordinator_id: str | None = None
    mentor_ids: frozenset[str] | None = None
    activity_from: date | None = None
    activity_through: date | None = None
    cursor: str | None = None

    def position(self) -> tuple[date, datetime, str] | None:
        """
        Return day, moment and id of the last record before the cursor, `None` without one.

        Raises:
            InvalidValueError: it is no cursor.
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
    Some of the records, newest first: by the activity's day, then by when it was registered.

    Attributes:
        records: at most as many as were asked for; none where nothing fits.
        next_cursor: pass it as `cursor` for the records that follow; `None` when there are none.
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
