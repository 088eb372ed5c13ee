"""
What is known of each mentor's certificate of one type: its latest end, and when it was last told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain
from typing import Any

import attrs
from sqlalchemy import Connection, Dialect, and_, bindparam, or_, select, true
from sqlalchemy.sql.dml import ReturningInsert

from proxy_orchestration._pseudonyms import PSEUDONYM
from proxy_orchestration.notification.records import CertificateEnd, NoticeDraft
from proxy_orchestration.notification.resend import Certificate, Standing, last_allowed, told_ends
from proxy_orchestration.storage.sql.dialect.inserts import upserting
from proxy_orchestration.storage.sql.dialect.json_tables import json_instant, json_rows, json_text
from proxy_orchestration.storage.sql.dialect.texts import check_texts
from proxy_orchestration.storage.sql.notification.rows import json_list
from proxy_orchestration.storage.sql.notification.schema import expiry_guards
from proxy_orchestration.storage.sql.schema import Instant

_PAIRS, _PAIR = json_rows("pairs", json_text, json_text)
_ROWS, _COLUMNS = json_rows("rows", json_text, json_text, json_instant)
_KNOWN = select(expiry_guards).join_from(
    _PAIRS,
    expiry_guards,
    and_(expiry_guards.c.mentor_id == _PAIR[0], expiry_guards.c.certificate_type == _PAIR[1]),
)

_PSEUDONYMS = (
    select(expiry_guards.c.mentor_id)
    # Hexadecimal digits follow. PostgreSQL's parser takes no collation inside a BETWEEN.
    .where(expiry_guards.c.mentor_id > PSEUDONYM, expiry_guards.c.mentor_id < f"{PSEUDONYM}g")
    .limit(1)
)


@attrs.frozen
class Ends:
    """
    What a call says about certificates, each once.

    Attributes:
        latest: the latest end of those that have one.
        revoked: the others.
    """

    latest: Mapping[Certificate, datetime]
    revoked: Collection[Certificate]


def ends_of(ends: Sequence[CertificateEnd], drafts: Sequence[NoticeDraft] = ()) -> Ends:
    """
    Return the latest end of each; a revoked one stands only where there is no other.
    """
    latest = told_ends(ends, drafts)
    return Ends(latest, {(end.mentor_id, end.certificate_type) for end in ends} - latest.keys())


def known(connection: Connection, certificates: Iterable[Certificate]) -> dict[Certificate, Standing]:
    """
    Return what the store knows of these; who is absent was never spoken of.
    """
    rows = connection.execute(_KNOWN, {"pairs": json_list(certificates)}).all()
    return {(row[0], row[1]): Standing(row[2], row[3]) for row in rows}


def knows_pseudonyms(connection: Connection) -> bool:
    """
    Tell whether anybody whose certificate was told is erased.
    """
    return connection.execute(_PSEUDONYMS).first() is not None


def note_ends(connection: Connection, ends: Ends, *, corrected: bool = False) -> set[Certificate]:
    """
    Keep the ends that are later than those known, or corrected ones whatever is known; return which ones.

    On PostgreSQL it locks the row of each, noted or not, until the
    transaction ends, so that of two calls at once one sees the other's.
    """
    rows = [
        (*certificate, ends.latest[certificate].astimezone(UTC).isoformat())
        for certificate in sorted(ends.latest)
    ]
    check_texts(chain.from_iterable(rows))
    return _written(connection, _note(connection.dialect, corrected=corrected), rows)


def take(
    connection: Connection, certificates: Iterable[Certificate], *, at: datetime, guard: timedelta
) -> set[Certificate]:
    """
    Note that these are told at that moment, unless they were a shorter time ago; return which ones.
    """
    moment = at.astimezone(UTC).isoformat()
    rows = [(*certificate, moment) for certificate in sorted(certificates)]
    return _written(connection, _take(connection.dialect), rows, limit=last_allowed(at, guard))


def _written(
    connection: Connection,
    statement: ReturningInsert[*tuple[Any, ...]],
    rows: Sequence[tuple[str, ...]],
    **values: datetime,
) -> set[Certificate]:
    if not rows:
        return set()
    written = connection.execute(statement, {"rows": json_list(rows), **values}).all()
    return {(mentor_id, certificate_type) for mentor_id, certificate_type in written}


@lru_cache(maxsize=8)
def _note(dialect: Dialect, *, corrected: bool) -> ReturningInsert[*tuple[Any, ...]]:
    insert = upserting(expiry_guards, dialect).from_select(
        ["mentor_id", "certificate_type", "ends_at"], select(*_COLUMNS).select_from(_ROWS).where(true())
    )
    ends_at = insert.excluded.ends_at
    later = or_(expiry_guards.c.ends_at.is_(None), expiry_guards.c.ends_at < ends_at)
    return insert.on_conflict_do_update(
        index_elements=["mentor_id", "certificate_type"],
        set_={"ends_at": ends_at},
        where=None if corrected else later,
    ).returning(expiry_guards.c.mentor_id, expiry_guards.c.certificate_type)


@lru_cache(maxsize=8)
def _take(dialect: Dialect) -> ReturningInsert[*tuple[Any, ...]]:
    insert = upserting(expiry_guards, dialect).from_select(
        ["mentor_id", "certificate_type", "notified_at"], select(*_COLUMNS).select_from(_ROWS).where(true())
    )
    notified_at = expiry_guards.c.notified_at
    return insert.on_conflict_do_update(
        index_elements=["mentor_id", "certificate_type"],
        set_={"notified_at": insert.excluded.notified_at},
        where=or_(notified_at.is_(None), notified_at <= bindparam("limit", type_=Instant)),
    ).returning(expiry_guards.c.mentor_id, expiry_guards.c.certificate_type)
