"""
Which mentors are hidden, by the ends of their certificates.

A mentor is suppressed while a row of theirs is: each type on its own, so
that one renewal does not restore whom another type still suppresses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Dialect, Select, and_, bindparam, select

from proxy_orchestration.notification.ends import Certificate
from proxy_orchestration.notification.records import CertificateEnd
from proxy_orchestration.notification.resend import told_ends
from proxy_orchestration.storage.sql.dialect.differences import wait_for_turn
from proxy_orchestration.storage.sql.dialect.inserts import driver_text, upserting
from proxy_orchestration.storage.sql.dialect.json_tables import json_rows, json_text
from proxy_orchestration.storage.sql.dialect.lookups import looked_up
from proxy_orchestration.storage.sql.dialect.texts import check_texts, keepable
from proxy_orchestration.storage.sql.dialect.types import stored_instant
from proxy_orchestration.storage.sql.notification.rows import json_list, refusals
from proxy_orchestration.storage.sql.notification.schema import mentor_visibility
from proxy_orchestration.storage.sql.schema import Instant

_VISIBLE: Final = "visible"

_IDS, (_ID,) = json_rows("ids", json_text)
_OF_MENTOR = mentor_visibility.c.mentor_id == _ID
_OVER = mentor_visibility.c.ends_at <= bindparam("at", type_=Instant)


@lru_cache(maxsize=8)
def _of_mentors(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    joined, found = looked_up(_IDS, mentor_visibility, _OF_MENTOR, dialect, locked=True)
    return select(*(found.c[name] for name in mentor_visibility.c.keys())).select_from(joined)  # noqa: SIM118 - columns


@lru_cache(maxsize=8)
def _hidden(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    joined, found = looked_up(_IDS, mentor_visibility, and_(_OF_MENTOR, _OVER), dialect)
    return select(found.c.mentor_id).select_from(joined)


class _Standing(NamedTuple):
    ends_at: datetime
    suppressed_at: datetime | None


def track(connection: Connection, ends: Sequence[CertificateEnd], /, *, at: datetime) -> int:
    """
    Note these ends, suppress and restore by them; return how many mentors are newly suppressed.

    Raises:
        RecordRefusedError: an id is empty, or cannot be kept as text.
    """
    latest = told_ends(ends)
    if not latest:
        return 0
    check_texts(chain.from_iterable(latest))
    # Whether a mentor is newly suppressed is up to rows of other types, which may not be there yet;
    # decision 48.
    wait_for_turn(connection, "visibility")
    with refusals():
        before = _standings(connection, {mentor_id for mentor_id, _ in latest})
        after = {one: _tracked(before.get(one), latest.get(one), at) for one in {*before, *latest}}
        changed = sorted(one for one, standing in after.items() if standing != before.get(one))
        rows = [_row(one, after[one], connection.dialect) for one in changed]
        if rows:
            connection.exec_driver_sql(_upsert_text(connection.dialect), rows)
    return len(_suppressed(after) - _suppressed(before))


def _standings(connection: Connection, mentor_ids: Iterable[str]) -> dict[Certificate, _Standing]:
    ids = json_list([one] for one in sorted(mentor_ids))
    rows = connection.execute(_of_mentors(connection.dialect), {"ids": ids})
    return {(row[0], row[1]): _Standing(row[2], row[3]) for row in rows}


def _tracked(known: _Standing | None, told: datetime | None, at: datetime) -> _Standing:
    """
    Return how a certificate stands at that moment; what is suppressed stays until a later end.
    """
    if known is not None and (told is None or told <= known.ends_at):
        if known.suppressed_at is not None:
            return known
        told = known.ends_at
    assert told is not None  # noqa: S101 - one of the two was given
    if told > at:
        return _Standing(told, None)
    return _Standing(told, (known and known.suppressed_at) or at)


def _suppressed(standings: Mapping[Certificate, _Standing]) -> set[str]:
    return {mentor_id for (mentor_id, _), standing in standings.items() if standing.suppressed_at is not None}


def _row(certificate: Certificate, standing: _Standing, dialect: Dialect) -> tuple[Any, ...]:
    since = standing.suppressed_at
    return (
        *certificate,
        stored_instant(standing.ends_at, dialect),
        None if since is None else stored_instant(since, dialect),
        None if since is None else _VISIBLE,
    )


def hidden(connection: Connection, mentor_ids: Collection[str], /, *, at: datetime) -> Collection[str]:
    """
    Return those of the mentors who are not to be shown at that moment.
    """
    ids = json_list([one] for one in sorted(keepable(mentor_ids)))
    return set(connection.execute(_hidden(connection.dialect), {"ids": ids, "at": at}).scalars())


@lru_cache(maxsize=8)
def _upsert_text(dialect: Dialect) -> str:
    insert = upserting(mentor_visibility, dialect)
    changed = ("ends_at", "suppressed_at", "previous_status")
    statement = insert.on_conflict_do_update(
        index_elements=["mentor_id", "certificate_type"],
        set_={name: insert.excluded[name] for name in changed},
        where=mentor_visibility.c.ends_at <= insert.excluded.ends_at,
    )
    return driver_text(statement, dialect)
