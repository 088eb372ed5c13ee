"""
The activities that the standard service writes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Dialect,
    Row,
    Select,
    and_,
    bindparam,
    func,
    select,
    union_all,
    update,
)
from sqlalchemy.exc import DBAPIError

from proxy_orchestration._frozen_json import canonical_json
from proxy_orchestration._pseudonyms import PSEUDONYM, pseudonym_of
from proxy_orchestration.access import Actor, Role
from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.registration.activities import (
    ActivityRecord,
    ProxyActivity,
    ProxyRegistration,
    check_recordable,
)
from proxy_orchestration.registration.erasure import as_asked
from proxy_orchestration.storage.sql.database.errors import refuses_row
from proxy_orchestration.storage.sql.dialect.differences import is_any_of, listed
from proxy_orchestration.storage.sql.dialect.inserts import insert_rows_or_ignore
from proxy_orchestration.storage.sql.dialect.lookups import narrowed, scoped
from proxy_orchestration.storage.sql.dialect.texts import check_texts, findable, keepable
from proxy_orchestration.storage.sql.dialect.types import stored_date, stored_instant
from proxy_orchestration.storage.sql.schema import LARGEST, ORIGINAL, STANDING_OVERRIDE, activities

_LOOKS = 3
"""What is in the way may be declared void by another transaction before it is read; then the way is free."""

_OF_BATCH = (
    select(activities)
    .where(activities.c.batch_id == bindparam("wanted"))
    .order_by(activities.c.attributed_to)
)
_VOID = (
    update(activities)
    .where(activities.c.activity_id == bindparam("wanted"))
    .values(
        voided_at=func.coalesce(activities.c.voided_at, bindparam("at", type_=activities.c.voided_at.type))
    )
)


@lru_cache(maxsize=8)
def _by_registration(dialect: Dialect) -> Select[Any]:
    return select(activities).where(is_any_of(activities.c.registration_id, "wanted", dialect))


@lru_cache(maxsize=8)
def _unseen_in_the_way(dialect: Dialect) -> CompoundSelect[Any]:
    """
    Return a statement for what the unique index does not see: overrides, and originals that are erased.
    """
    erased = and_(ORIGINAL, func.substr(activities.c.duplicate_key, 1, len(PSEUDONYM)) == PSEUDONYM)
    return union_all(_alike(erased, dialect), _alike(STANDING_OVERRIDE, dialect))


@lru_cache(maxsize=8)
def _in_the_way(dialect: Dialect) -> CompoundSelect[Any]:
    # Each half in the words of its partial index: one condition for both would find neither; decision 27.
    return union_all(_alike(ORIGINAL, dialect), _alike(STANDING_OVERRIDE, dialect))


def _alike(kind: ColumnElement[bool], dialect: Dialect) -> Select[Any]:
    records = select(activities).where(kind)
    return narrowed(records, activities.c.organization_id, activities.c.duplicate_key, dialect)


def add_activities(
    connection: Connection, records: Sequence[ActivityRecord], /, *, atomic: bool
) -> Sequence[ActivityRecord]:
    """
    Store each record, and answer each with the record that stands for it, in order.

    Overrides and what is erased are looked for, everything else the unique indexes
    say: they have the last word, and as a rule nothing to say.
    """
    # An erased record has its registration's pseudonym, which no unique index compares; decision 400.
    own = _own(connection, records)
    blocked = own | _blocked(connection, [record for record in records if _name(record) not in own])
    _check_unwritten(record for record in records if _name(record) in blocked)
    savepoint = connection.begin_nested() if atomic else None
    fresh = [record for record in records if _name(record) not in blocked]
    standing: dict[str, ActivityRecord] = {}
    for _ in range(_LOOKS):
        if _insert(connection, fresh) == len(records):
            return list(records)
        standing = blocked | _standing(connection, records)
        fresh = [record for record in records if _name(record) not in standing]
        if not fresh:
            break
    else:
        raise RecordRefusedError  # neither stored nor in another's way: its id is another record's
    answers = [standing[_name(record)] for record in records]
    if savepoint is not None and any(
        _name(record) != _name(answer) for record, answer in zip(records, answers, strict=True)
    ):
        savepoint.rollback()
    return answers


def _blocked(connection: Connection, records: Sequence[ActivityRecord]) -> dict[str, ActivityRecord]:
    unseen = _unseen_in_the_way(connection.dialect)
    blocked: dict[str, ActivityRecord] = {}
    for organization_id, asked in _keyed(records).items():
        standing = _look_up(connection, organization_id, _keys(asked), unseen)
        blocked |= {_name(one): standing[one.duplicate_key] for one in asked if one.duplicate_key in standing}
    return _blocked_in_the_call(records) | blocked


def _blocked_in_the_call(records: Sequence[ActivityRecord]) -> dict[str, ActivityRecord]:
    """
    Return what an override earlier in the same call stands in the way of.
    """
    overrides: dict[tuple[str, str], ActivityRecord] = {}
    blocked: dict[str, ActivityRecord] = {}
    for record in records:
        if record.duplicate_key is None:
            continue
        likeness = (record.registration.registered_by.organization_id, record.duplicate_key)
        if record.registration.override_of is not None:
            overrides.setdefault(likeness, record)
        elif likeness in overrides:
            blocked[_name(record)] = overrides[likeness]
    return blocked


def _insert(connection: Connection, records: Sequence[ActivityRecord]) -> int:
    if not records:
        return 0
    check_texts(text for record in records for text in _texts(record))
    # PostgreSQL's integers end there and SQLite's do not; what is kept does not depend on the database.
    if any(record.registration.activity.duration_minutes > LARGEST for record in records):
        raise RecordRefusedError
    # In one order, so that two calls at once do not wait for each other; alike ones stay in theirs.
    rows = [_row(record, connection.dialect) for record in sorted(records, key=_place)]
    try:
        return insert_rows_or_ignore(connection, activities, rows)
    except (TypeError, ValueError, OverflowError):  # drivers' own
        pass
    except DBAPIError as error:
        if not refuses_row(error):
            raise
    raise RecordRefusedError  # out here: their texts may show the row, and notes are personal data


def _check_unwritten(records: Iterable[ActivityRecord]) -> None:
    """
    Refuse what no row keeps also of a record that will not be written: one is there, or is in its way.
    """
    for record in records:
        check_texts(_texts(record))
        check_recordable(record.registration)


def _texts(record: ActivityRecord) -> Iterator[str | None]:
    yield record.activity_id
    yield record.duplicate_key
    yield record.registration.activity.notes


def _place(record: ActivityRecord) -> tuple[str, str, str]:
    key = record.duplicate_key
    organization_id = record.registration.registered_by.organization_id
    return organization_id, key or "", "" if key is not None else _name(record)


def _standing(connection: Connection, records: Sequence[ActivityRecord]) -> dict[str, ActivityRecord]:
    """
    Return by registration what stands for it: its own record, or else the one in its way.
    """
    found: dict[str, ActivityRecord] = {}
    for organization_id, asked in _keyed(records).items():
        duplicates = find_duplicates(connection, organization_id, _keys(asked))
        for record in asked:
            key = record.duplicate_key
            if key is not None and key in duplicates:
                found[_name(record)] = duplicates[key]
    return found | _own(connection, records)


def _own(connection: Connection, records: Sequence[ActivityRecord]) -> dict[str, ActivityRecord]:
    known = find_activities(connection, [_name(record) for record in records])
    return {_name(record): record for record in known}


def _keyed(records: Sequence[ActivityRecord]) -> dict[str, list[ActivityRecord]]:
    """
    Return by organization the records that another one may stand in the way of.
    """
    keyed: dict[str, list[ActivityRecord]] = {}
    for record in records:
        if record.duplicate_key is not None and record.registration.override_of is None:
            keyed.setdefault(record.registration.registered_by.organization_id, []).append(record)
    return keyed


def _keys(records: Sequence[ActivityRecord]) -> list[str]:
    return [record.duplicate_key for record in records if record.duplicate_key is not None]


def _name(record: ActivityRecord) -> str:
    return record.registration.registration_id


def find_activities(connection: Connection, registration_ids: Collection[str], /) -> Sequence[ActivityRecord]:
    """
    Return the records of these registrations.
    """
    dialect = connection.dialect
    asked = keepable(registration_ids)
    erased = {pseudonym_of(name): name for name in asked}
    rows = connection.execute(_by_registration(dialect), {"wanted": listed([*asked, *erased], dialect)})
    return [as_asked(record_of(row), _as_asked_for(erased, row.registration_id)) for row in rows]


def _as_asked_for(erased: Mapping[str, str], stored: str) -> str:
    return erased.get(stored, stored)


def find_duplicates(
    connection: Connection, organization_id: str, duplicate_keys: Collection[str], /
) -> Mapping[str, ActivityRecord]:
    """
    Return for each of the keys the organization's record that is in the way, where there is one.
    """
    return _look_up(connection, organization_id, duplicate_keys, _in_the_way(connection.dialect))


def _look_up(
    connection: Connection,
    organization_id: str,
    duplicate_keys: Collection[str],
    statement: Select[Any] | CompoundSelect[Any],
) -> dict[str, ActivityRecord]:
    asked = keepable(duplicate_keys)
    erased = {pseudonym_of(key): key for key in asked}
    values = scoped(organization_id, [*asked, *erased], connection.dialect)
    found: dict[str, ActivityRecord] = {}
    for row in connection.execute(statement, values):
        key = _as_asked_for(erased, row.duplicate_key)
        if row.override_of is None or key not in found:
            found[key] = record_of(row)
    return found


def activities_of_batch(connection: Connection, batch_id: str, /) -> Sequence[ActivityRecord]:
    """
    Return every record that the batch wrote, ordered by mentor id.
    """
    return [record_of(row) for row in connection.execute(_OF_BATCH, {"wanted": findable(batch_id)})]


def void_activity(connection: Connection, activity_id: str, /, *, voided_at: datetime) -> bool:
    """
    Declare a record void; return whether there is such a record.
    """
    return connection.execute(_VOID, {"wanted": findable(activity_id), "at": voided_at}).rowcount == 1


def _row(record: ActivityRecord, dialect: Dialect) -> tuple[Any, ...]:
    registration = record.registration
    activity = registration.activity
    return (
        record.activity_id,
        registration.registration_id,
        registration.idempotency_key,
        registration.batch_id,
        registration.registered_by.organization_id,
        registration.registered_by.user_id,
        _roles_text(registration.registered_by),
        registration.mentor_id,
        activity.activity_type,
        stored_date(activity.activity_date, dialect),
        int(activity.duration_minutes),  # a host may have named its numbers
        activity.notes,
        canonical_json(activity.details),
        registration.override_of,
        stored_instant(record.recorded_at, dialect),
        record.duplicate_key,
        None if record.voided_at is None else stored_instant(record.voided_at, dialect),
    )


@lru_cache(maxsize=64)
def _roles_text(actor: Actor) -> str:
    return ",".join(sorted(role.value for role in actor.roles))


def record_of(row: Row[Any]) -> ActivityRecord:
    """
    Return the record of a row.
    """
    return ActivityRecord(
        activity_id=row.activity_id,
        recorded_at=row.recorded_at,
        duplicate_key=row.duplicate_key,
        voided_at=row.voided_at,
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
