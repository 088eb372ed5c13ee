"""
The activities that the standard service writes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from proxy_orchestration._frozen_json import canonical_json
from proxy_orchestration.access import Actor, Role
from proxy_orchestration.registration.activities import ActivityRecord, ProxyActivity, ProxyRegistration
from proxy_orchestration.storage.sql.dialects import insert_or_ignore
from proxy_orchestration.storage.sql.schema import activities

_BY_REGISTRATION = select(activities).where(activities.c.registration_id == bindparam("wanted"))
_OF_BATCH = (
    select(activities)
    .where(activities.c.batch_id == bindparam("wanted"))
    .order_by(activities.c.attributed_to)
)


def add(connection: Connection, record: ActivityRecord) -> ActivityRecord:
    """
    Store the record unless its registration has one; return the stored one.
    """
    if insert_or_ignore(connection, activities, _row(record)):
        return record
    return _record(
        connection.execute(_BY_REGISTRATION, {"wanted": record.registration.registration_id}).one()
    )


def find(connection: Connection, registration_id: str) -> ActivityRecord | None:
    """
    Return the registration's record, or `None`.
    """
    row = connection.execute(_BY_REGISTRATION, {"wanted": registration_id}).one_or_none()
    return None if row is None else _record(row)


def of_batch(connection: Connection, batch_id: str) -> Sequence[ActivityRecord]:
    """
    Return what the batch wrote, by mentor id.
    """
    return [_record(row) for row in connection.execute(_OF_BATCH, {"wanted": batch_id})]


def _row(record: ActivityRecord) -> dict[str, object]:
    registration = record.registration
    activity = registration.activity
    return {
        "activity_id": record.activity_id,
        "registration_id": registration.registration_id,
        "idempotency_key": registration.idempotency_key,
        "batch_id": registration.batch_id,
        "organization_id": registration.registered_by.organization_id,
        "registered_by": registration.registered_by.user_id,
        "registered_by_roles": ",".join(sorted(role.value for role in registration.registered_by.roles)),
        "attributed_to": registration.mentor_id,
        "activity_type": activity.activity_type,
        "activity_date": activity.activity_date,
        "duration_minutes": activity.duration_minutes,
        "notes": activity.notes,
        "details": canonical_json(activity.details),
        "override_of": registration.override_of,
        "recorded_at": record.recorded_at,
    }


def _record(row: Row[Any]) -> ActivityRecord:
    return ActivityRecord(
        activity_id=row.activity_id,
        recorded_at=row.recorded_at,
        registration=ProxyRegistration(
            registration_id=row.registration_id,
            idempotency_key=row.idempotency_key,
            batch_id=row.batch_id,
            mentor_id=row.attributed_to,
            activity=ProxyActivity(
                activity_type=row.activity_type,
                activity_date=row.activity_date,
                duration_minutes=row.duration_minutes,
                notes=row.notes,
                details=json.loads(row.details),
            ),
            registered_by=Actor(
                user_id=row.registered_by,
                roles=frozenset(Role(role) for role in row.registered_by_roles.split(",") if role),
                organization_id=row.organization_id,
            ),
            override_of=row.override_of,
        ),
    )
