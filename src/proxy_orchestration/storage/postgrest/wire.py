"""
Converts records and notes to and from JSON, with the names of the tables' columns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from proxy_orchestration._frozen_json import canonical_json
from proxy_orchestration._texts import check_texts
from proxy_orchestration.access import Actor, Role
from proxy_orchestration.errors import InvalidValueError, RecordRefusedError
from proxy_orchestration.registration.activities import (
    ActivityRecord,
    ProxyActivity,
    ProxyRegistration,
    check_storable,
)
from proxy_orchestration.registration.records import CorrectionNote, RegisteredActivity
from proxy_orchestration.storage.postgrest.answers import leave_in_doubt


def check_keepable(record: ActivityRecord) -> None:
    """
    Accept a record that JSON and the database keep as it is.

    Raises:
        RecordRefusedError: a text holds NUL or half a surrogate pair, or its minutes are too many.
    """
    asked = record.registration
    ids = (asked.registration_id, asked.idempotency_key, asked.batch_id, asked.mentor_id, asked.override_of)
    check_texts((record.activity_id, record.duplicate_key, *ids))
    try:
        check_storable(asked.activity)
    except InvalidValueError:
        raise RecordRefusedError from None


def record_to_json(record: ActivityRecord) -> dict[str, Any]:
    """
    Return the row of a record.
    """
    registration = record.registration
    activity, actor = registration.activity, registration.registered_by
    return {
        "activity_id": record.activity_id,
        "registration_id": registration.registration_id,
        "idempotency_key": registration.idempotency_key,
        "batch_id": registration.batch_id,
        "organization_id": actor.organization_id,
        "registered_by": actor.user_id,
        "registered_by_roles": ",".join(sorted(role.value for role in actor.roles)),
        "attributed_to": registration.mentor_id,
        "activity_type": activity.activity_type,
        "activity_date": activity.activity_date.isoformat(),
        "duration_minutes": int(activity.duration_minutes),
        "notes": activity.notes,
        "details": canonical_json(activity.details),
        "override_of": registration.override_of,
        "recorded_at": record.recorded_at.isoformat(),
        "duplicate_key": record.duplicate_key,
        "voided_at": None if record.voided_at is None else record.voided_at.isoformat(),
    }


def record_from_json(row: Any) -> ActivityRecord:  # noqa: ANN401 - whatever JSON holds
    """
    Return the record of a row; columns that this version does not know are passed over.

    Raises:
        RepositoryUnavailableError: it is no row of a record.
    """
    try:
        return _record(row)
    except (AttributeError, KeyError, TypeError, ValueError):  # the last is of models and of dates
        leave_in_doubt("it contains an invalid record")


def _record(row: Any) -> ActivityRecord:  # noqa: ANN401 - as above
    return ActivityRecord(
        activity_id=row["activity_id"],
        recorded_at=_moment(row["recorded_at"]),
        duplicate_key=row["duplicate_key"],
        voided_at=None if row["voided_at"] is None else _moment(row["voided_at"]),
        registration=ProxyRegistration(
            registration_id=row["registration_id"],
            idempotency_key=row["idempotency_key"],
            batch_id=row["batch_id"],
            mentor_id=row["attributed_to"],
            activity=ProxyActivity(
                activity_type=row["activity_type"],
                activity_date=date.fromisoformat(row["activity_date"]),
                duration_minutes=row["duration_minutes"],
                notes=row["notes"],
                details=json.loads(row["details"]),
            ),
            registered_by=Actor(
                user_id=row["registered_by"],
                roles=frozenset(Role(role) for role in row["registered_by_roles"].split(",") if role),
                organization_id=row["organization_id"],
            ),
            override_of=row["override_of"],
        ),
    )


def note_to_json(note: CorrectionNote) -> dict[str, Any]:
    """
    Return the row of a note.
    """
    return note.to_dict()


def note_from_json(row: Any) -> CorrectionNote:  # noqa: ANN401 - as above
    """
    Return the note of a row.

    Raises:
        RepositoryUnavailableError: it is no row of a note.
    """
    try:
        return CorrectionNote(
            note_id=row["note_id"],
            activity_id=row["activity_id"],
            text=row["text"],
            written_by=row["written_by"],
            written_at=_moment(row["written_at"]),
        )
    except (KeyError, TypeError, ValueError):
        leave_in_doubt("it contains an invalid note")


def registered_from_json(listed: Any) -> RegisteredActivity:  # noqa: ANN401 - as above
    """
    Return a record of a list, with the notes beside it.

    Raises:
        RepositoryUnavailableError: it is none.
    """
    row, notes = field_of(listed, "record"), list_of(listed, "corrections")
    return RegisteredActivity(record=record_from_json(row), corrections=tuple(map(note_from_json, notes)))


def field_of(answer: Any, name: str) -> Any:  # noqa: ANN401 - as above
    """
    Return a part of an answer.

    Raises:
        RepositoryUnavailableError: it has none.
    """
    if not isinstance(answer, dict) or name not in answer:
        leave_in_doubt(f"it has no field {name}")
    return answer[name]


def list_of(answer: Any, name: str) -> Sequence[Any]:  # noqa: ANN401 - as above
    """
    Return a part of an answer that is a list.

    Raises:
        RepositoryUnavailableError: it has none.
    """
    part = field_of(answer, name)
    if not isinstance(part, list):
        leave_in_doubt(f"its field {name} is not a list")
    return part


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
