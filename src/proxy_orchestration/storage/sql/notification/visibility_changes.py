"""
The audit rows of hiding and showing mentors.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import attrs
from sqlalchemy import Connection, Row, Select, and_, bindparam, delete, insert, or_, select, update

from proxy_orchestration._pseudonyms import pseudonym_of
from proxy_orchestration.notification.visibility_records import (
    ChangePlace,
    VisibilityCause,
    VisibilityChange,
)
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.notification.schema import visibility_changes
from proxy_orchestration.storage.sql.schema import Instant

_COLUMNS: Final = visibility_changes.c
_MOMENT = bindparam("moment", type_=Instant)
_NEWEST = (
    select(visibility_changes)
    .order_by(_COLUMNS.changed_at.desc(), _COLUMNS.id.desc())
    .limit(bindparam("most"))
)
_OF_ORGANIZATION = _COLUMNS.organization_id == bindparam("organization")
_BEHIND = and_(
    _COLUMNS.changed_at <= _MOMENT,
    or_(_COLUMNS.changed_at < _MOMENT, _COLUMNS.id < bindparam("last")),
)
_OF_MENTOR = _COLUMNS.mentor_id == bindparam("mentor")
_OLDEST = select(visibility_changes).where(_OF_MENTOR).order_by(_COLUMNS.changed_at, _COLUMNS.id)
_ADD = insert(visibility_changes).returning(_COLUMNS.id, sort_by_parameter_order=True)
_ERASE = (
    update(visibility_changes)
    .where(_OF_MENTOR)
    .values(mentor_id=bindparam("pseudonym"), previous_status=None, reason="")
)
_DELETE_OLD = delete(visibility_changes).where(_COLUMNS.changed_at < _MOMENT)


def add(connection: Connection, changes: Sequence[VisibilityChange]) -> Sequence[VisibilityChange]:
    """
    Store audit rows, and return them with their numbers.
    """
    if not changes:
        return ()
    numbers = connection.execute(_ADD, [_row(change) for change in changes]).scalars()
    return [attrs.evolve(change, change_id=number) for change, number in zip(changes, numbers, strict=True)]


def changes(
    connection: Connection, organization_id: str | None, /, *, after: ChangePlace | None, limit: int
) -> Sequence[VisibilityChange]:
    """
    Return up to so many changes behind the place, newest first, of an organization or of all.
    """
    query: Select[Any] = _NEWEST
    asked: dict[str, Any] = {"most": limit}
    if organization_id is not None:
        query, asked["organization"] = query.where(_OF_ORGANIZATION), findable(organization_id)
    if after is not None:
        query = query.where(_BEHIND)
        asked |= {"moment": after.at, "last": after.change_id}
    return list(map(_change_of, connection.execute(query, asked)))


def changes_of(connection: Connection, mentor_id: str, /) -> Sequence[VisibilityChange]:
    """
    Return the audit rows of one mentor, the oldest first.
    """
    return list(map(_change_of, connection.execute(_OLDEST, {"mentor": findable(mentor_id)})))


def purge_changes(connection: Connection, /, *, changed_before: datetime) -> int:
    """
    Delete the audit rows of changes before that moment; return how many.
    """
    return connection.execute(_DELETE_OLD, {"moment": changed_before}).rowcount


def erase(connection: Connection, mentor_id: str) -> int:
    """
    Put a pseudonym into the audit rows of one mentor; return how many.
    """
    asked = {"mentor": mentor_id, "pseudonym": pseudonym_of(mentor_id)}
    return connection.execute(_ERASE, asked).rowcount


def _row(change: VisibilityChange) -> dict[str, Any]:
    return {
        "mentor_id": change.mentor_id,
        "certificate_type": change.certificate_type,
        "cause": change.cause.value,
        "ends_at": change.ends_at,
        "previous_status": change.previous_status,
        "changed_at": change.at,
        "changed_by": change.by,
        "reason": change.reason,
        "organization_id": change.organization_id,
    }


def _change_of(row: Row[Any]) -> VisibilityChange:
    cause = VisibilityCause(row.cause)
    return VisibilityChange(
        change_id=row.id,
        mentor_id=row.mentor_id,
        certificate_type=row.certificate_type,
        hidden=cause is VisibilityCause.LAPSED,
        cause=cause,
        ends_at=row.ends_at,
        previous_status=row.previous_status,
        at=row.changed_at,
        by=row.changed_by,
        reason=row.reason,
        organization_id=row.organization_id,
    )
