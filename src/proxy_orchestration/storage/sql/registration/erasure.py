"""
What the database holds about one mentor, and what is left of them.

A mentor is looked for in whole tables, since no index begins with the id: it
is seldom done, and each registration would pay for one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Row, Select, and_, bindparam, select, update

from proxy_orchestration._frozen_json import canonical_json
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.errors import BatchStateError
from proxy_orchestration.registration.activities import ActivityRecord, decode_activity, encode_activity
from proxy_orchestration.registration.erasure import (
    ERASED_TEXT,
    STILL_OPEN,
    ExportedItem,
    MentorErasure,
    MentorExport,
    erased_activity,
    erased_event,
    erased_record,
    exported_event,
    names,
    pseudonym_of,
)
from proxy_orchestration.storage.sql.dialect.differences import is_any_of, listed
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.registration.activities import record_of
from proxy_orchestration.storage.sql.registration.item_pages import read_item_page
from proxy_orchestration.storage.sql.registration.locks import lock_batches
from proxy_orchestration.storage.sql.registration.rows import event_of, event_text
from proxy_orchestration.storage.sql.schema import (
    activities,
    audit_events,
    batches,
    edits,
    items,
    outcomes,
    runs,
)

_OF_MENTOR: Final = and_(
    batches.c.organization_id == bindparam("organization"), items.c.mentor_id == bindparam("mentor")
)
_PLACES = (
    select(batches.c.id, batches.c.batch_id, items.c.position)
    .join(items, items.c.batch == batches.c.id)
    .where(_OF_MENTOR)
    .order_by(batches.c.id, items.c.position)
)
_RECORDS = (
    select(activities)
    .where(
        activities.c.organization_id == bindparam("organization"),
        activities.c.attributed_to == bindparam("mentor"),
    )
    .order_by(activities.c.recorded_at, activities.c.activity_id)
)
_EVENTS = select(audit_events.c.id, audit_events.c.payload, audit_events.c.further).order_by(
    audit_events.c.id
)
_EDITS = select(edits.c.run, edits.c.activity).where(
    edits.c.batch == bindparam("b"), edits.c.item == bindparam("i")
)
_ERASE_EDIT = (
    update(edits)
    .where(edits.c.batch == bindparam("b"), edits.c.item == bindparam("i"), edits.c.run == bindparam("r"))
    .values(activity=bindparam("text"))
)
_ERASE_ITEM = (
    update(items)
    .where(items.c.batch == bindparam("b"), items.c.position == bindparam("i"))
    .values(
        mentor_id=bindparam("pseudonym"),
        item_key=bindparam("own_key"),
        activity=bindparam("text"),
        edited=bindparam("newest"),
    )
)
_ERASE_MESSAGES = (
    update(outcomes)
    .where(
        outcomes.c.batch == bindparam("b"),
        outcomes.c.item == bindparam("i"),
        outcomes.c.message.is_not(None),
    )
    .values(message=ERASED_TEXT)
)
_ERASE_RECORD = (
    update(activities)
    .where(activities.c.activity_id == bindparam("record"))
    .values(
        registration_id=bindparam("registration"),
        idempotency_key=bindparam("key"),
        attributed_to=bindparam("pseudonym"),
        notes=bindparam("no_notes"),
        details=bindparam("no_details"),
        duplicate_key=bindparam("likeness"),
    )
)
# The trigger lets a change of content pass that counts itself; decision 172.
_ERASE_EVENT = (
    update(audit_events)
    .where(audit_events.c.id == bindparam("event"))
    .values(payload=bindparam("text"), erasures=audit_events.c.erasures + 1)
)


@lru_cache(maxsize=8)
def _items(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    return (
        select(items)
        .where(is_any_of(items.c.batch, "wanted", dialect), items.c.mentor_id == bindparam("mentor"))
        .order_by(items.c.batch, items.c.position)
    )


@lru_cache(maxsize=8)
def _still_open(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    return (
        select(batches.c.batch_id)
        .join(runs, and_(runs.c.batch == batches.c.id, runs.c.run == batches.c.run))
        .where(is_any_of(batches.c.id, "wanted", dialect), runs.c.settled_at.is_(None))
        .order_by(batches.c.id)
        .limit(1)
    )


def export_mentor(connection: Connection, organization_id: str, mentor_id: str, /) -> MentorExport:
    """
    Return what is known of that mentor, as of one moment.
    """
    found = connection.execute(_PLACES, _asked(organization_id, mentor_id)).all()
    pages = [
        (batch_id, read_item_page(connection, batch_id, states=None, after=position, limit=1))
        for _, batch_id, position in found
    ]
    return MentorExport(
        mentor_id=mentor_id,
        organization_id=organization_id,
        items=tuple(ExportedItem(batch_id=batch_id, item=page.items[0]) for batch_id, page in pages),
        records=tuple(_records(connection, organization_id, mentor_id)),
        audit_events=tuple(
            exported_event(event, mentor_id) for _, event in _events(connection, organization_id, mentor_id)
        ),
    )


def erase_mentor(connection: Connection, organization_id: str, mentor_id: str, /) -> MentorErasure:
    """
    Put pseudonyms in the place of that mentor, and delete what was written about them.
    """
    found = connection.execute(_PLACES, _asked(organization_id, mentor_id)).all()
    rows = sorted({row.id for row in found})
    # No run is opened from here on, so nothing new is written about whom these batches name; decision 45.
    lock_batches(connection, rows)
    wanted = {"wanted": listed(rows, connection.dialect)}
    still_open = connection.execute(_still_open(connection.dialect), wanted).scalar()
    if still_open is not None:
        raise BatchStateError(still_open, STILL_OPEN)
    known = connection.execute(_items(connection.dialect), wanted | {"mentor": findable(mentor_id)}).all()
    for item in known:
        _erase_item(connection, item)
    return MentorErasure(
        pseudonym=pseudonym_of(mentor_id),
        items=len(known),
        records=_erase_records(connection, organization_id, mentor_id),
        audit_events=_erase_events(connection, organization_id, mentor_id),
    )


def _asked(organization_id: str, mentor_id: str) -> dict[str, str]:
    return {"organization": findable(organization_id), "mentor": findable(mentor_id)}


def _erase_item(connection: Connection, item: Row[Any]) -> None:
    place = {"b": item.batch, "i": item.position}
    for run, text in connection.execute(_EDITS, place).all():
        connection.execute(_ERASE_EDIT, place | {"r": run, "text": _without_texts(text)})
    connection.execute(_ERASE_MESSAGES, place)
    connection.execute(
        _ERASE_ITEM,
        place
        | {
            "pseudonym": pseudonym_of(item.mentor_id),
            "own_key": None if item.item_key is None else pseudonym_of(item.item_key),
            "text": _without_texts(item.activity),
            "newest": None if item.edited is None else _without_texts(item.edited),
        },
    )


def _without_texts(text: str) -> str:
    return encode_activity(erased_activity(decode_activity(text)))


def _records(connection: Connection, organization_id: str, mentor_id: str) -> list[ActivityRecord]:
    rows = connection.execute(_RECORDS, _asked(organization_id, mentor_id)).all()
    return [record_of(row) for row in rows]


def _erase_records(connection: Connection, organization_id: str, mentor_id: str) -> int:
    known = _records(connection, organization_id, mentor_id)
    for record in map(erased_record, known):
        of = record.registration
        connection.execute(
            _ERASE_RECORD,
            {
                "record": record.activity_id,
                "registration": of.registration_id,
                "key": of.idempotency_key,
                "pseudonym": of.mentor_id,
                "no_notes": of.activity.notes,
                "no_details": canonical_json(of.activity.details),
                "likeness": record.duplicate_key,
            },
        )
    return len(known)


def _events(connection: Connection, organization_id: str, mentor_id: str) -> Sequence[tuple[int, AuditEvent]]:
    # This may find too much, and spares decoding all the others.
    may_name = audit_events.c.payload.contains(json.dumps(mentor_id), autoescape=True)
    rows = connection.execute(_EVENTS.where(may_name)).all()
    events = ((row.id, event_of(row.payload, row.further)) for row in rows)
    return [(row, event) for row, event in events if names(event, organization_id, mentor_id)]


def _erase_events(connection: Connection, organization_id: str, mentor_id: str) -> int:
    known = _events(connection, organization_id, mentor_id)
    for row, event in known:
        connection.execute(_ERASE_EVENT, {"event": row, "text": event_text(erased_event(event, mentor_id))})
    return len(known)
