"""
Locks on batches: whoever opens or settles a run, cancels or removes takes the batch first.

PostgreSQL looks again at a row that it waited for, and only at that row: a
join with the current run would find none when the run changed meanwhile. So
the batch is locked by a statement of its own, and what depends on it is read
by the next (decision 45). SQLite has one writer at a time, and needs none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Select, bindparam, select

from proxy_orchestration.storage.sql.dialect.differences import is_any_of, listed, locks_rows
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.schema import batches

_ONE = select(batches.c.id).where(batches.c.batch_id == bindparam("wanted")).with_for_update()


@lru_cache(maxsize=8)
def _many(dialect: Dialect) -> Select[Any]:
    return (
        select(batches.c.id)
        .where(is_any_of(batches.c.id, "wanted", dialect))
        .order_by(batches.c.id)
        .with_for_update()
    )


def lock_batch(connection: Connection, batch_id: str) -> None:
    """
    Keep the batch and its current run's number as they are until the transaction ends.
    """
    if locks_rows(connection.dialect):
        connection.execute(_ONE, {"wanted": findable(batch_id)})


def lock_batches(connection: Connection, rows: Sequence[int]) -> None:
    """
    Do so with many batches, by their rows.
    """
    if rows and locks_rows(connection.dialect):
        connection.execute(_many(connection.dialect), {"wanted": listed(rows, connection.dialect)})
