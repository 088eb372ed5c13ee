"""
The registry of hidden mentors in SQL: each method is one transaction, in a worker thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import URL, Engine

from proxy_orchestration.notification.visibility_port import VisibilityRegistry
from proxy_orchestration.storage.sql.database.methods import reading, writing
from proxy_orchestration.storage.sql.database.open import open_database, transactions_of
from proxy_orchestration.storage.sql.notification import visibility
from proxy_orchestration.storage.sql.notification import visibility_changes as audit
from proxy_orchestration.storage.sql.notification.rows import refusals


class SqlVisibilityRegistry(VisibilityRegistry):
    """
    A `VisibilityRegistry` over a database that SQLAlchemy reaches; see `SqlNotificationRepository`.

    Args:
        engine: a synchronous engine; on SQLite the database must be a file.
        schema: of PostgreSQL, where the tables are; `None` for the connection's own.
        prefix: before each table's name.

    Raises:
        InvalidTypeError: it is no engine; an address is given to `open`.
        ValueError: the engine is an in-memory SQLite, or schema or prefix is no such name.
    """

    def __init__(self, engine: Engine, *, schema: str | None = None, prefix: str = "") -> None:
        self.engine = engine
        self._transactions = transactions_of(engine, refusals=refusals, schema=schema, prefix=prefix)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str | URL, *, schema: str | None = None, prefix: str = "", migrate: bool = True
    ) -> AsyncIterator[SqlVisibilityRegistry]:
        """
        Open a database, bring its schema up to date, and close it at the end.

        Args:
            url: for example `sqlite:///notices.db`.
            schema: of PostgreSQL, for the tables alone; made where it is missing.
            prefix: before each table's name, up to 20 characters.
            migrate: whether to bring the schema up to date; without it the
                schema has to be one that this version works on.

        Raises:
            SchemaVersionError: the schema is too new for this version of the
                library; or missing or too old, where it is not to be migrated.
            RepositoryUnavailableError: the database cannot be opened or written,
                or has tables of its own by these names.
            InvalidValueError: schema or prefix is no such name.
        """
        async with open_database(url, schema=schema, prefix=prefix, migrate=migrate) as engine:
            yield cls(engine, schema=schema, prefix=prefix)

    track: Final = writing(visibility.track)
    hidden: Final = reading(visibility.hidden)
    suppressed: Final = reading(visibility.suppressed)
    restore: Final = writing(visibility.restore)
    changes: Final = reading(audit.changes)
    purge_changes: Final = writing(audit.purge_changes)
    changes_of: Final = reading(audit.changes_of)
    erase_mentor: Final = writing(visibility.erase_mentor)
