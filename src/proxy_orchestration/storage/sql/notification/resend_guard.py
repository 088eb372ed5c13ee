"""
The resend guard: prevents a second notice about a mentor and type within a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, and_, bindparam, or_, select, true
from sqlalchemy.sql.dml import ReturningInsert

from proxy_orchestration.notification.ends import Certificate
from proxy_orchestration.notification.resend import last_allowed
from proxy_orchestration.storage.sql.dialect.inserts import upserting
from proxy_orchestration.storage.sql.dialect.json_tables import json_instant, json_rows, json_text
from proxy_orchestration.storage.sql.notification.rows import json_list
from proxy_orchestration.storage.sql.notification.schema import expiry_guards
from proxy_orchestration.storage.sql.schema import Instant

_ROWS, _COLUMNS = json_rows("rows", json_text, json_text, json_instant)
_PAIRS, (_MENTOR, _TYPE) = json_rows("pairs", json_text, json_text)
_LAST_TOLD = select(
    expiry_guards.c.mentor_id, expiry_guards.c.certificate_type, expiry_guards.c.notified_at
).join_from(
    _PAIRS,
    expiry_guards,
    and_(expiry_guards.c.mentor_id == _MENTOR, expiry_guards.c.certificate_type == _TYPE),
)


def last_told(
    connection: Connection, certificates: Iterable[Certificate]
) -> dict[Certificate, datetime | None]:
    """
    Return when each of these was told last, of those that have a guard.
    """
    rows = connection.execute(_LAST_TOLD, {"pairs": json_list(sorted(certificates))})
    return {(row[0], row[1]): row[2] for row in rows}


def take(
    connection: Connection, certificates: Iterable[Certificate], *, at: datetime, guard: timedelta
) -> set[Certificate]:
    """
    Note that these are told at that moment, unless they were a shorter time ago; return which ones.
    """
    moment = at.astimezone(UTC).isoformat()
    rows = [(*certificate, moment) for certificate in sorted(certificates)]
    if not rows:
        return set()
    values = {"rows": json_list(rows), "limit": last_allowed(at, guard)}
    return {(row[0], row[1]) for row in connection.execute(_take(connection.dialect), values)}


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
