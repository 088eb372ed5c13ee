"""
Registered activities as they are looked through, with the notes beside them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Select, and_, bindparam, or_, select

from proxy_orchestration.access import Visibility
from proxy_orchestration.registration.records import (
    CorrectionNote,
    RecordFilter,
    RecordPage,
    RegisteredActivity,
    cursor_behind,
)
from proxy_orchestration.storage.sql.dialect.differences import is_any_of, listed
from proxy_orchestration.storage.sql.dialect.inserts import insert_or_ignore
from proxy_orchestration.storage.sql.dialect.texts import check_texts, findable, keepable
from proxy_orchestration.storage.sql.registration.activities import record_of
from proxy_orchestration.storage.sql.schema import activities, correction_notes, registered_by

_NEWEST_FIRST = (
    activities.c.activity_date.desc(),
    activities.c.recorded_at.desc(),
    activities.c.activity_id.desc(),
)
_OWNER = select(activities.c.organization_id, activities.c.registered_by).where(
    activities.c.activity_id == bindparam("wanted")
)
_STANDING = select(correction_notes).where(
    correction_notes.c.activity_id == bindparam("activity_id"),
    correction_notes.c.note_id == bindparam("note_id"),
)


@lru_cache(maxsize=8)
def _notes(dialect: Dialect) -> Select[Any]:
    return (
        select(correction_notes)
        .where(is_any_of(correction_notes.c.activity_id, "wanted", dialect))
        .order_by(correction_notes.c.written_at, correction_notes.c.note_id)
    )


def list_activities(
    connection: Connection, visibility: Visibility, /, *, limit: int, found_by: RecordFilter
) -> RecordPage:
    """
    Return some of the visible records, newest first, with the notes beside them.
    """
    statement = _after(_found(visibility, found_by, connection.dialect), found_by)
    rows = connection.execute(statement.order_by(*_NEWEST_FIRST).limit(limit + 1)).all()
    records = [record_of(row) for row in rows[:limit]]
    notes = notes_beside(connection, [record.activity_id for record in records])
    return RecordPage(
        records=tuple(
            RegisteredActivity(record=record, corrections=tuple(notes.get(record.activity_id, ())))
            for record in records
        ),
        next_cursor=cursor_behind(records[-1]) if len(rows) > limit else None,
    )


def _found(visibility: Visibility, found_by: RecordFilter, dialect: Dialect) -> Select[Any]:
    query = select(activities).where(activities.c.organization_id == visibility.organization_id)
    for coordinator_id in (visibility.coordinator_id, found_by.coordinator_id):
        if coordinator_id is not None:
            query = query.where(registered_by == findable(coordinator_id))
    if found_by.mentor_ids is not None:
        query = _attributed_to(query, found_by.mentor_ids, dialect)
    if found_by.activity_from is not None:
        query = query.where(activities.c.activity_date >= found_by.activity_from)
    if found_by.activity_through is not None:
        query = query.where(activities.c.activity_date <= found_by.activity_through)
    return query


def _attributed_to(query: Select[Any], mentor_ids: Collection[str], dialect: Dialect) -> Select[Any]:
    known = keepable(mentor_ids)
    if len(known) == 1:  # whose records an index has in order
        return query.where(activities.c.attributed_to == known[0])
    one_of_them = is_any_of(activities.c.attributed_to, "mentors", dialect)
    return query.where(one_of_them).params(mentors=listed(known, dialect))


def _after(query: Select[Any], found_by: RecordFilter) -> Select[Any]:
    position = found_by.position()
    if position is None:
        return query
    day, recorded_at, activity_id = position
    same_day = activities.c.activity_date == day
    tied = and_(activities.c.recorded_at == recorded_at, activities.c.activity_id < findable(activity_id))
    # The first condition is all that an index needs to begin where the cursor stands.
    return query.where(
        activities.c.activity_date <= day,
        or_(
            activities.c.activity_date < day,
            and_(same_day, or_(activities.c.recorded_at < recorded_at, tied)),
        ),
    )


def notes_beside(connection: Connection, activity_ids: Collection[str]) -> Mapping[str, list[CorrectionNote]]:
    """
    Return the notes beside each of these records that has some, the oldest first.
    """
    found: defaultdict[str, list[CorrectionNote]] = defaultdict(list)
    dialect = connection.dialect
    for row in connection.execute(_notes(dialect), {"wanted": listed(activity_ids, dialect)}):
        found[row.activity_id].append(CorrectionNote(**row._mapping))  # noqa: SLF001 - SQLAlchemy's public name
    return found


def add_correction(
    connection: Connection, visibility: Visibility, note: CorrectionNote, /
) -> CorrectionNote | None:
    """
    Put the note beside its record; return the note of its id that stands there then.
    """
    check_texts((note.note_id, note.text, note.written_by))
    owner = connection.execute(_OWNER, {"wanted": findable(note.activity_id)}).one_or_none()
    if owner is None or not visibility.covers(
        organization_id=owner.organization_id, coordinator_id=owner.registered_by
    ):
        return None
    key = {"activity_id": note.activity_id, "note_id": note.note_id}
    written = {"text": note.text, "written_by": note.written_by, "written_at": note.written_at}
    insert_or_ignore(connection, correction_notes, {**key, **written})
    return CorrectionNote(**connection.execute(_STANDING, key).one()._mapping)  # noqa: SLF001 - as above
