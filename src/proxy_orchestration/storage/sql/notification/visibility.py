"""
Hides and shows mentors by the ends of their certificates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Dialect, Select, and_, bindparam, delete, or_, select

from proxy_orchestration.notification.ends import (
    Certificate,
    EndKey,
    KnownEnd,
    certificate_about,
    counting_end,
)
from proxy_orchestration.notification.records import CertificateEnd
from proxy_orchestration.notification.standings import (
    Settled,
    Standing,
    erasures,
    settle_ends,
    settle_restoration,
)
from proxy_orchestration.notification.visibility_records import Restoration, VisibilityChange
from proxy_orchestration.storage.sql.dialect.differences import wait_for_turn
from proxy_orchestration.storage.sql.dialect.inserts import replace_rows
from proxy_orchestration.storage.sql.dialect.json_tables import json_rows, json_text
from proxy_orchestration.storage.sql.dialect.lookups import looked_up
from proxy_orchestration.storage.sql.dialect.texts import check_texts, findable, keepable
from proxy_orchestration.storage.sql.dialect.types import stored_instant
from proxy_orchestration.storage.sql.notification import visibility_changes as audit
from proxy_orchestration.storage.sql.notification.rows import json_list
from proxy_orchestration.storage.sql.notification.schema import certificate_ends, mentor_visibility
from proxy_orchestration.storage.sql.schema import Instant

_IDS, (_ID,) = json_rows("ids", json_text)
_OF_MENTOR = mentor_visibility.c.mentor_id == _ID
_OVER = and_(
    mentor_visibility.c.ends_at <= bindparam("at", type_=Instant),
    or_(
        mentor_visibility.c.restored_at.is_(None),
        mentor_visibility.c.ends_at > mentor_visibility.c.restored_at,
    ),
)


@lru_cache(maxsize=8)
def _of_mentors(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    joined, found = looked_up(_IDS, mentor_visibility, _OF_MENTOR, dialect, locked=True)
    return select(*(found.c[name] for name in mentor_visibility.c.keys())).select_from(joined)  # noqa: SIM118 - columns


@lru_cache(maxsize=8)
def _hidden(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    joined, found = looked_up(_IDS, mentor_visibility, and_(_OF_MENTOR, _OVER), dialect)
    return select(found.c.mentor_id).select_from(joined)


@lru_cache(maxsize=8)
def _suppressed(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    condition = and_(_OF_MENTOR, mentor_visibility.c.suppressed_at.is_not(None))
    joined, found = looked_up(_IDS, mentor_visibility, condition, dialect)
    return select(found.c.mentor_id).select_from(joined)


_PAIRS, (_MENTOR, _TYPE) = json_rows("pairs", json_text, json_text)
_KNOWN_ENDS = select(
    _MENTOR,
    _TYPE,
    certificate_ends.c.organization_id,
    certificate_ends.c.certificate_id,
    certificate_ends.c.ends_at,
    certificate_ends.c.seen_at,
).join_from(
    _PAIRS,
    certificate_ends,
    and_(certificate_ends.c.mentor_id == _MENTOR, certificate_ends.c.certificate_type == _TYPE),
)
_FORGET = delete(mentor_visibility).where(
    mentor_visibility.c.mentor_id == bindparam("mentor"),
    mentor_visibility.c.certificate_type == bindparam("type"),
)


def track(
    connection: Connection,
    ends: Sequence[CertificateEnd],
    /,
    *,
    at: datetime,
    statuses: Mapping[str, str] | None = None,
    withdrawn: bool = False,
) -> int:
    """
    Note these ends, suppress and restore by them; return how many mentors are newly suppressed.

    Where the notices' store in the same database knows ends of a mentor and type, those count.

    Raises:
        RecordRefusedError: an id is empty, or cannot be kept as text.
    """
    told = {certificate_about(end): end for end in ends}
    if not told:
        return 0
    check_texts((*chain.from_iterable(told), *(statuses or {}).values()))
    # Whether a mentor is newly suppressed is up to rows of other types, which may not be there yet;
    # decision 48.
    wait_for_turn(connection, "visibility")
    # What the store beside it knows by now: of two runs at once the one that knew less may come last.
    told |= _counting(connection, told)
    known = _standings(connection, {mentor_id for mentor_id, _ in told})
    settled = settle_ends(known, told, at=at, statuses=statuses or {}, withdrawn=withdrawn)
    _write(connection, known, settled)
    return len(settled.suppressed)


def restore(connection: Connection, wanted: Restoration, /) -> Sequence[VisibilityChange]:
    """
    Show a mentor again, for the types for which we hide them; return the audit rows, by type.
    """
    check_texts((wanted.by, wanted.reason))
    wait_for_turn(connection, "visibility")
    known = _standings(connection, keepable([wanted.mentor_id]))
    return _write(connection, known, settle_restoration(known, wanted))


def erase_mentor(connection: Connection, mentor_id: str, /, *, at: datetime) -> int:
    """
    Forget one mentor, and put a pseudonym into their audit rows; return how many.
    """
    wait_for_turn(connection, "visibility")
    known = _standings(connection, keepable([mentor_id]))
    _write(connection, known, Settled(standings={}, changes=erasures(known, at=at)))
    return audit.erase(connection, findable(mentor_id))


def hidden(connection: Connection, mentor_ids: Collection[str], /, *, at: datetime) -> Collection[str]:
    """
    Return those of the mentors who are not to be shown at that moment.
    """
    asked = {"ids": _listed(keepable(mentor_ids)), "at": at}
    return set(connection.execute(_hidden(connection.dialect), asked).scalars())


def suppressed(connection: Connection, mentor_ids: Collection[str], /) -> Collection[str]:
    """
    Return those of the mentors whom `track` suppressed, and who were not restored since.
    """
    asked = {"ids": _listed(keepable(mentor_ids))}
    return set(connection.execute(_suppressed(connection.dialect), asked).scalars())


def _counting(connection: Connection, pairs: Iterable[Certificate]) -> dict[Certificate, CertificateEnd]:
    known: dict[Certificate, dict[EndKey, KnownEnd]] = {}
    for row in connection.execute(_KNOWN_ENDS, {"pairs": json_list(sorted(pairs))}):
        key = EndKey(row.organization_id, row.certificate_id)
        known.setdefault((row[0], row[1]), {})[key] = KnownEnd(row.ends_at, row.seen_at)
    return {about: counting_end(about, ends) for about, ends in known.items()}


def _standings(connection: Connection, mentor_ids: Iterable[str]) -> dict[Certificate, Standing]:
    rows = connection.execute(_of_mentors(connection.dialect), {"ids": _listed(mentor_ids)})
    return {
        (row.mentor_id, row.certificate_type): Standing(
            ends_at=row.ends_at,
            suppressed_at=row.suppressed_at,
            previous_status=row.previous_status,
            restored_at=row.restored_at,
            certificate_id=row.certificate_id or "",
            organization_id=row.organization_id,
        )
        for row in rows
    }


def _listed(mentor_ids: Iterable[str]) -> str:
    return json_list([one] for one in sorted(mentor_ids))


def _write(
    connection: Connection, known: Mapping[Certificate, Standing], settled: Settled
) -> Sequence[VisibilityChange]:
    """
    Write what is another standing than before, and the audit rows.
    """
    after = settled.standings
    changed = sorted(about for about, standing in after.items() if standing != known.get(about))
    rows = [_row(about, after[about], connection.dialect) for about in changed]
    replace_rows(connection, mentor_visibility, rows)
    gone = [{"mentor": about[0], "type": about[1]} for about in sorted(known.keys() - after.keys())]
    if gone:
        connection.execute(_FORGET, gone)
    return audit.add(connection, settled.changes)


def _row(certificate: Certificate, standing: Standing, dialect: Dialect) -> tuple[Any, ...]:
    since, restored_at = standing.suppressed_at, standing.restored_at
    return (
        *certificate,
        stored_instant(standing.ends_at, dialect),
        None if since is None else stored_instant(since, dialect),
        standing.previous_status,
        standing.certificate_id,
        standing.organization_id,
        None if restored_at is None else stored_instant(restored_at, dialect),
    )
