"""
Pausing a run, and letting it go on.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, FromClause, and_, bindparam, case, select, update

from proxy_orchestration.errors import BatchStateError
from proxy_orchestration.registration.ledger import NOT_OPEN
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.texts import check_texts, findable
from proxy_orchestration.storage.sql.schema import batches, runs


def is_paused(run: FromClause) -> ColumnElement[bool]:
    """
    Return whether nothing of an open run may be claimed; code of revision 0011 cancels what is paused.
    """
    return and_(run.c.paused_at.is_not(None), run.c.cancel_wished_at.is_(None))


_BATCH = select(batches.c.id).where(batches.c.batch_id == bindparam("wanted")).scalar_subquery()
_IS_OPEN = and_(
    runs.c.batch == _BATCH,
    runs.c.run == bindparam("r"),
    runs.c.settled_at.is_(None),
    runs.c.cancel_wished_at.is_(None),
)
_PAUSE: Final = (
    update(runs)
    .where(_IS_OPEN, runs.c.paused_at.is_(None))
    .values(
        paused_at=bindparam("at"),
        paused_since=store_now(),
        paused_by=bindparam("by"),
        pause_code=bindparam("code"),
    )
)
_STOOD_STILL = store_now() - runs.c.paused_since
_RESUME: Final = (
    update(runs)
    .where(_IS_OPEN)
    .values(
        paused_at=None,
        paused_since=None,
        paused_by=None,
        pause_code=None,
        first_call_at=case(
            (_STOOD_STILL > 0, runs.c.first_call_at + _STOOD_STILL), else_=runs.c.first_call_at
        ),
    )
)
_OPEN: Final = select(runs.c.run).where(_IS_OPEN)


def pause_run(  # noqa: PLR0913 - the port's arguments, and the connection
    connection: Connection,
    batch_id: str,
    run: int,
    /,
    *,
    paused_at: datetime,
    paused_by: str | None = None,
    code: str | None = None,
) -> None:
    """
    Have nothing more of an open run claimed or acquired.
    """
    check_texts((paused_by, code))
    key = {"wanted": findable(batch_id), "r": run}
    connection.execute(_PAUSE, {**key, "at": paused_at, "by": paused_by, "code": code})
    _check_open(connection, batch_id, key)


def resume_run(connection: Connection, batch_id: str, run: int, /) -> None:
    """
    Let a paused run be driven again.
    """
    key = {"wanted": findable(batch_id), "r": run}
    connection.execute(_RESUME, key)
    _check_open(connection, batch_id, key)


def _check_open(connection: Connection, batch_id: str, key: dict[str, Any]) -> None:
    if connection.execute(_OPEN, key).one_or_none() is None:
        raise BatchStateError(batch_id, NOT_OPEN)
