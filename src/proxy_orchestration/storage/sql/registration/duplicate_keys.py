"""
Duplicate keys of before Unicode and case made no difference, recomputed: SQLite cannot.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

import attrs
from sqlalchemy import Connection, Dialect, Engine, Select, bindparam, select, update
from sqlalchemy.exc import IntegrityError

from proxy_orchestration import _loggers
from proxy_orchestration.registration.activities import usual_duplicate_key
from proxy_orchestration.storage.sql.database.errors import translated_errors
from proxy_orchestration.storage.sql.database.names import Names
from proxy_orchestration.storage.sql.dialect.connections import (
    check_engine,
    for_reading,
    for_writing,
    transaction,
)
from proxy_orchestration.storage.sql.dialect.lookups import narrowed, scoped
from proxy_orchestration.storage.sql.schema import ORIGINAL, activities

_AT_ONCE: Final = 1_000
_TRIES: Final = 5
_ASIDE: Final = "\x1f"
"""Stands in the key of a record that is aside, and in no other: no id and no code has it."""

_COLUMNS: Final = (
    activities.c.activity_id,
    activities.c.organization_id,
    activities.c.attributed_to,
    activities.c.activity_type,
    activities.c.activity_date,
    activities.c.override_of,
    activities.c.recorded_at,
    activities.c.duplicate_key,
    activities.c.voided_at,
)
_PAGE: Final = (
    select(*_COLUMNS)
    .where(activities.c.duplicate_key.is_not(None), activities.c.activity_id > bindparam("after"))
    .order_by(activities.c.activity_id)
    .limit(bindparam("most"))
)
_SET: Final = (
    update(activities)
    .where(activities.c.activity_id == bindparam("one"))
    .values(duplicate_key=bindparam("key"))
)

_Place: TypeAlias = tuple[str, str]
"""An organization and a key."""

_log = logging.getLogger(_loggers.SCHEMA)


@attrs.frozen
class KeyCollision:
    """
    Two records that register the same, which was not seen when the younger one was written.

    Attributes:
        kept: the older record's activity id; it has the key and is in the way of others.
        other: the younger record's; it stays as it is and is in nobody's way.
    """

    kept: str
    other: str


@attrs.frozen(kw_only=True)
class RecomputedKeys:
    """
    What became of the duplicate keys of a database.

    Attributes:
        changed: how many records have another key now.
        collisions: every two that register the same, those of earlier calls too.
    """

    changed: int
    collisions: tuple[KeyCollision, ...]


def recompute_duplicate_keys(
    engine: Engine, *, schema: str | None = None, prefix: str = ""
) -> RecomputedKeys:
    """
    Bring the standard service's duplicate keys to their present form, and tell which records collide.

    An upgrade does it once. Do it again to read the collisions, or after one
    of two was declared void: the other gets the key then. Keys that are a
    host's own rule's are left alone. Works in short transactions, beside
    whoever uses the database. Blocks; call it in a thread.

    Args:
        engine: the host's, which is left as it is.
        schema: of PostgreSQL, where the tables are.
        prefix: before each table's name.

    Raises:
        RepositoryUnavailableError: the database failed; what was done stays, call it again.
        InvalidValueError: schema or prefix is no such name.
    """
    names = Names(schema, prefix)
    names.check_for(check_engine(engine).dialect)
    writing, rekeying = for_writing(engine, names), _Rekeying()
    after: str | None = ""
    with translated_errors():
        while after is not None:
            after = _page_of(writing, rekeying, after)
        with transaction(for_reading(engine, names)) as (connection, _):
            return rekeying.report(connection)


def _page_of(writing: Engine, rekeying: _Rekeying, after: str) -> str | None:
    # Somebody may take a key between the look and the write; then it is looked again.
    for _ in range(_TRIES - 1):
        try:
            with transaction(writing) as (connection, _begun):
                return rekeying.page(connection, after)
        except IntegrityError:
            continue
    with transaction(writing) as (connection, _begun):
        return rekeying.page(connection, after)


def recompute_all(connection: Connection) -> None:
    """
    Bring all keys to their present form in one transaction, and log who collides; for a migration.
    """
    rekeying = _Rekeying()
    after: str | None = ""
    while after is not None:
        after = rekeying.page(connection, after)
    for collision in rekeying.report(connection).collisions:
        _log.warning(
            "two records register the same; the older one keeps the key",
            extra={"activity_id": collision.other, "existing_activity_id": collision.kept},
        )


def restore_all(connection: Connection) -> None:
    """
    Give all keys the form that they had before; for a migration that is taken back.
    """
    after: str | None = ""
    while after is not None:
        rows = connection.execute(_PAGE, {"after": after, "most": _AT_ONCE}).all()
        records = [_Keyed(*row) for row in rows]
        _write(connection, {each.activity_id: each.former for each in records if each.is_usual})
        after = rows[-1].activity_id if len(rows) == _AT_ONCE else None


@attrs.frozen
class _Keyed:
    """
    A record as far as its key goes.
    """

    activity_id: str
    organization_id: str
    attributed_to: str
    activity_type: str
    activity_date: date
    override_of: str | None
    recorded_at: datetime
    duplicate_key: str
    voided_at: datetime | None

    @property
    def key(self) -> str:
        return usual_duplicate_key(self.attributed_to, self.activity_type, self.activity_date)

    @property
    def former(self) -> str:
        """
        Return the key that versions up to 0.5 made.
        """
        mentor_id = self.attributed_to
        return f"{self.activity_date.isoformat()}:{len(mentor_id)}:{mentor_id}:{self.activity_type}"

    @property
    def is_usual(self) -> bool:
        """
        Tell whether the key is the usual rule's, of any time.
        """
        return self.duplicate_key in {self.key, self.former, self.aside(self.key)}

    @property
    def is_original(self) -> bool:
        return self.voided_at is None and self.override_of is None

    @property
    def place(self) -> _Place:
        return self.organization_id, self.key

    @property
    def age(self) -> tuple[datetime, str]:
        return self.recorded_at, self.activity_id

    def aside(self, key: str) -> str:
        """
        Return the key under which the record is in nobody's way.
        """
        return f"{key}{_ASIDE}{self.activity_id}"


@attrs.define(eq=False)
class _Rekeying:
    """
    Goes through the records page by page; of those that collide the oldest has the key, in whatever order.
    """

    _changed: int = 0
    _aside: dict[str, _Place] = attrs.field(factory=dict)

    def page(self, connection: Connection, after: str) -> str | None:
        """
        Recompute the keys of the records that follow; return the last one's id, or `None` at the end.
        """
        rows = connection.execute(_PAGE, {"after": after, "most": _AT_ONCE}).all()
        wanting = [
            each
            for each in (_Keyed(*row) for row in rows)
            if each.is_usual and each.duplicate_key != each.key
        ]
        aside: dict[str, str] = {}
        taken = {each.activity_id: each.key for each in wanting if not each.is_original}
        originals = sorted((each for each in wanting if each.is_original), key=lambda each: each.age)
        holders = _holders(connection, [each.place for each in originals])
        for record in originals:
            holder = holders.get(record.place)
            younger = record if holder is not None and holder.age < record.age else holder
            if younger is not record:
                holders[record.place] = record
                taken[record.activity_id] = record.key
            if younger is not None:
                aside[younger.activity_id] = younger.aside(record.key)
                self._aside[younger.activity_id] = record.place
        # Who goes aside first: a key is free before it is taken.
        _write(connection, aside)
        _write(connection, taken)
        before = {each.activity_id: each.duplicate_key for each in wanting}
        self._changed += sum(before.get(one) != key for one, key in (aside | taken).items())
        return rows[-1].activity_id if len(rows) == _AT_ONCE else None

    def report(self, connection: Connection) -> RecomputedKeys:
        """
        Return what was done, by who has the keys in the end.
        """
        holders = _holders(connection, list(self._aside.values()))
        collisions = [
            KeyCollision(kept=holders[place].activity_id, other=one)
            for one, place in sorted(self._aside.items())
            if place in holders
        ]
        return RecomputedKeys(changed=self._changed, collisions=tuple(collisions))


def _write(connection: Connection, keys: Mapping[str, str]) -> None:
    if keys:
        connection.execute(_SET, [{"one": one, "key": key} for one, key in keys.items()])


def _holders(connection: Connection, places: Sequence[_Place]) -> dict[_Place, _Keyed]:
    """
    Return by place the record that has the key there and the last word.
    """
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for organization_id, key in places:
        wanted[organization_id].append(key)
    found: dict[_Place, _Keyed] = {}
    for organization_id, keys in wanted.items():
        values = scoped(organization_id, dict.fromkeys(keys), connection.dialect)
        for row in connection.execute(_holding(connection.dialect), values):
            found[organization_id, row.duplicate_key] = _Keyed(*row)
    return found


@lru_cache(maxsize=8)
def _holding(dialect: Dialect) -> Select[Any]:
    records = select(*_COLUMNS).where(ORIGINAL)
    return narrowed(records, activities.c.organization_id, activities.c.duplicate_key, dialect)
