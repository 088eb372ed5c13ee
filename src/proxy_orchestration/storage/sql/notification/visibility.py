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

from sqlalchemy import Connection, Dialect, Select, and_, bindparam, delete, func, select

from proxy_orchestration.notification.ends import Certificate, certificate_about
from proxy_orchestration.notification.records import CertificateEnd
from proxy_orchestration.storage.sql.dialect.differences import wait_for_turn
from proxy_orchestration.storage.sql.dialect.inserts import replace_rows
from proxy_orchestration.storage.sql.dialect.json_tables import json_rows, json_text
from proxy_orchestration.storage.sql.dialect.lookups import looked_up
from proxy_orchestration.storage.sql.dialect.texts import check_texts, keepable
from proxy_orchestration.storage.sql.dialect.types import stored_instant
from proxy_orchestration.storage.sql.notification.rows import json_list, refusals
from proxy_orchestration.storage.sql.notification.schema import certificate_ends, mentor_visibility
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


_PAIRS, (_MENTOR, _TYPE) = json_rows("pairs", json_text, json_text)
_COUNTING = (
    select(_MENTOR, _TYPE, func.max(certificate_ends.c.ends_at))
    .join_from(
        _PAIRS,
        certificate_ends,
        and_(certificate_ends.c.mentor_id == _MENTOR, certificate_ends.c.certificate_type == _TYPE),
    )
    .group_by(_MENTOR, _TYPE)
)
_FORGET = delete(mentor_visibility).where(
    mentor_visibility.c.mentor_id == bindparam("mentor"),
    mentor_visibility.c.certificate_type == bindparam("type"),
)


class _Standing(NamedTuple):
    ends_at: datetime
    suppressed_at: datetime | None


def track(connection: Connection, ends: Sequence[CertificateEnd], /, *, at: datetime) -> int:
    """
    Note these ends, suppress and restore by them; return how many mentors are newly suppressed.

    Where the notices' store in the same database knows ends of a mentor and type, those count.

    Raises:
        RecordRefusedError: an id is empty, or cannot be kept as text.
    """
    told = {certificate_about(end): end.ends_at for end in ends}
    if not told:
        return 0
    check_texts(chain.from_iterable(told))
    # Whether a mentor is newly suppressed is up to rows of other types, which may not be there yet;
    # decision 48.
    wait_for_turn(connection, "visibility")
    with refusals():
        # What the store beside it knows by now: of two runs at once the one that knew less may come last.
        told |= _counting(connection, told)
        before = _standings(connection, {mentor_id for mentor_id, _ in told})
        ends_now = {one: standing.ends_at for one, standing in before.items()} | told
        after = {
            one: _tracked(before.get(one), ends_at, at)
            for one, ends_at in ends_now.items()
            if ends_at is not None
        }
        changed = sorted(one for one, standing in after.items() if standing != before.get(one))
        replace_rows(
            connection,
            mentor_visibility,
            [_row(one, after[one], connection.dialect) for one in changed],
        )
        gone = [{"mentor": one[0], "type": one[1]} for one in sorted(before.keys() - after.keys())]
        if gone:
            connection.execute(_FORGET, gone)
    return len(_suppressed(after) - _suppressed(before))


def _counting(connection: Connection, pairs: Iterable[Certificate]) -> dict[Certificate, datetime | None]:
    rows = connection.execute(_COUNTING, {"pairs": json_list(sorted(pairs))})
    return {(row[0], row[1]): row[2] for row in rows}


def _standings(connection: Connection, mentor_ids: Iterable[str]) -> dict[Certificate, _Standing]:
    ids = json_list([one] for one in sorted(mentor_ids))
    rows = connection.execute(_of_mentors(connection.dialect), {"ids": ids})
    return {(row[0], row[1]): _Standing(row[2], row[3]) for row in rows}


def _tracked(known: _Standing | None, told: datetime, at: datetime) -> _Standing:
    """
    Return how a certificate stands at that moment; what is suppressed stays until another end.
    """
    if known is not None and known.ends_at == told and known.suppressed_at is not None:
        return known
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
