"""
What the database holds about one mentor, and what is left of them.

A mentor is looked for in whole tables, since no index begins with the id: it
is seldom done, and each registration would pay for one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Row, Select, and_, bindparam, select, union, update

from proxy_orchestration._frozen_json import canonical_json
from proxy_orchestration._normal_forms import has_one_spelling, id_form
from proxy_orchestration._pseudonyms import mentor_pseudonym, pseudonym_of
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
    erased_note,
    erased_record,
    exported_event,
    names,
)
from proxy_orchestration.storage.sql.dialect.differences import is_any_of, listed
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.registration.activities import record_of
from proxy_orchestration.storage.sql.registration.correction_notes import notes_beside
from proxy_orchestration.storage.sql.registration.item_pages import read_item_page
from proxy_orchestration.storage.sql.registration.locks import lock_batches
from proxy_orchestration.storage.sql.registration.rows import event_of, event_text
from proxy_orchestration.storage.sql.schema import (
    activities,
    audit_events,
    batches,
    correction_notes,
    edits,
    items,
    outcomes,
    runs,
)

_OF_ORGANIZATION = batches.c.organization_id == bindparam("organization")
_IDS = union(
    select(items.c.mentor_id).join(batches, items.c.batch == batches.c.id).where(_OF_ORGANIZATION),
    select(activities.c.attributed_to).where(activities.c.organization_id == bindparam("organization")),
)
_EVENTS = select(audit_events.c.id, audit_events.c.payload, audit_events.c.further).order_by(
    audit_events.c.id
)
_ERASE_NOTE = (
    update(correction_notes)
    .where(
        correction_notes.c.activity_id == bindparam("record"), correction_notes.c.note_id == bindparam("note")
    )
    .values(text=ERASED_TEXT, written_by=bindparam("author"))
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
def _places(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    return (
        select(batches.c.id, batches.c.batch_id, items.c.position)
        .join(items, items.c.batch == batches.c.id)
        .where(_OF_ORGANIZATION, is_any_of(items.c.mentor_id, "mentors", dialect))
        .order_by(batches.c.id, items.c.position)
    )


@lru_cache(maxsize=8)
def _attributed(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    return (
        select(activities)
        .where(
            activities.c.organization_id == bindparam("organization"),
            is_any_of(activities.c.attributed_to, "mentors", dialect),
        )
        .order_by(activities.c.recorded_at, activities.c.activity_id)
    )


@lru_cache(maxsize=8)
def _items(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    return (
        select(items)
        .where(is_any_of(items.c.batch, "wanted", dialect), is_any_of(items.c.mentor_id, "mentors", dialect))
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
    asked = _asked(connection, organization_id, mentor_id)
    found = connection.execute(_places(connection.dialect), asked).all()
    pages = [
        (batch_id, read_item_page(connection, batch_id, states=None, after=position, limit=1))
        for _, batch_id, position in found
    ]
    records = _records(connection, asked)
    notes = notes_beside(connection, [record.activity_id for record in records])
    return MentorExport(
        mentor_id=mentor_id,
        organization_id=organization_id,
        items=tuple(ExportedItem(batch_id=batch_id, item=page.items[0]) for batch_id, page in pages),
        records=tuple(records),
        corrections=tuple(note for record in records for note in notes.get(record.activity_id, ())),
        audit_events=tuple(
            exported_event(event, mentor_id) for _, event in _events(connection, organization_id, mentor_id)
        ),
    )


def erase_mentor(connection: Connection, organization_id: str, mentor_id: str, /) -> MentorErasure:
    """
    Put pseudonyms in the place of that mentor, and delete what was written about them.
    """
    asked = _asked(connection, organization_id, mentor_id)
    found = connection.execute(_places(connection.dialect), asked).all()
    rows = sorted({row.id for row in found})
    # No run is opened from here on, so nothing new is written about whom these batches name; decision 45.
    lock_batches(connection, rows)
    wanted = {"wanted": listed(rows, connection.dialect)}
    still_open = connection.execute(_still_open(connection.dialect), wanted).scalar()
    if still_open is not None:
        raise BatchStateError(still_open, STILL_OPEN)
    known = connection.execute(_items(connection.dialect), wanted | {"mentors": asked["mentors"]}).all()
    for item in known:
        _erase_item(connection, item)
    return MentorErasure(
        pseudonym=mentor_pseudonym(mentor_id),
        items=len(known),
        # Before the records, whose notes are found by their mentor.
        corrections=_erase_notes(connection, organization_id, mentor_id),
        records=_erase_records(connection, asked),
        audit_events=_erase_events(connection, organization_id, mentor_id),
    )


def _asked(connection: Connection, organization_id: str, *mentor_ids: str) -> dict[str, Any]:
    """
    Return the organization, and each spelling of these ids by which somebody of it is known.
    """
    # In here, since SQLite has no NFC, and a letter with two marks has more spellings than two.
    organization = {"organization": findable(organization_id)}
    forms = {id_form(each) for each in mentor_ids}
    known = connection.execute(_IDS, organization).scalars()
    return organization | {
        "mentors": listed([each for each in known if id_form(each) in forms], connection.dialect)
    }


def _erase_item(connection: Connection, item: Row[Any]) -> None:
    place = {"b": item.batch, "i": item.position}
    for run, text in connection.execute(_EDITS, place).all():
        connection.execute(_ERASE_EDIT, place | {"r": run, "text": _without_texts(text)})
    connection.execute(_ERASE_MESSAGES, place)
    pseudonym = mentor_pseudonym(item.mentor_id)
    own_key = pseudonym_of(item.mentor_id if item.item_key is None else item.item_key)
    connection.execute(
        _ERASE_ITEM,
        place
        | {
            "pseudonym": pseudonym,
            "own_key": None if own_key == pseudonym else own_key,
            "text": _without_texts(item.activity),
            "newest": None if item.edited is None else _without_texts(item.edited),
        },
    )


def _without_texts(text: str) -> str:
    return encode_activity(erased_activity(decode_activity(text)))


def _records(connection: Connection, asked: Mapping[str, Any]) -> list[ActivityRecord]:
    return [record_of(row) for row in connection.execute(_attributed(connection.dialect), asked)]


def _erase_notes(connection: Connection, organization_id: str, mentor_id: str) -> int:
    # What was put beside an erased record since is about the same mentor.
    records = _records(
        connection, _asked(connection, organization_id, mentor_id, mentor_pseudonym(mentor_id))
    )
    notes = notes_beside(connection, [record.activity_id for record in records])
    known = [note for beside in notes.values() for note in beside if note.text != ERASED_TEXT]
    for note in known:
        author = erased_note(note, mentor_id).written_by
        key = {"record": note.activity_id, "note": note.note_id}
        connection.execute(_ERASE_NOTE, {**key, "author": author})
    return len(known)


def _erase_records(connection: Connection, asked: Mapping[str, Any]) -> int:
    known = _records(connection, asked)
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
    statement = _EVENTS
    if has_one_spelling(mentor_id):
        # This may find too much, and spares decoding all the others.
        statement = _EVENTS.where(audit_events.c.payload.contains(json.dumps(mentor_id), autoescape=True))
    rows = connection.execute(statement).all()
    events = ((row.id, event_of(row.payload, row.further)) for row in rows)
    return [(row, event) for row, event in events if names(event, organization_id, mentor_id)]


def _erase_events(connection: Connection, organization_id: str, mentor_id: str) -> int:
    known = _events(connection, organization_id, mentor_id)
    for row, event in known:
        connection.execute(_ERASE_EVENT, {"event": row, "text": event_text(erased_event(event, mentor_id))})
    return len(known)
