"""
Who is hidden, in SQL: each method is one transaction in a worker thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import URL, Engine

from proxy_orchestration.notification.ports import VisibilityRegistry
from proxy_orchestration.storage.sql.database.methods import reading, writing
from proxy_orchestration.storage.sql.database.open import open_database, transactions_of
from proxy_orchestration.storage.sql.notification import visibility


class SqlVisibilityRegistry(VisibilityRegistry):
    """
    A `VisibilityRegistry` over a database that SQLAlchemy reaches; see `SqlNotificationRepository`.

    Args:
        engine: a synchronous engine; on SQLite the database must be a file.

    Raises:
        ValueError: the engine is an in-memory SQLite.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._transactions = transactions_of(engine)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str | URL) -> AsyncIterator[SqlVisibilityRegistry]:
        """
        Open a database, bring its schema up to date, and close it at the end.

        Raises:
            SchemaVersionError: the schema is too new for this version of the library.
            RepositoryUnavailableError: the database cannot be opened or written.
        """
        async with open_database(url) as engine:
            yield cls(engine)

    track: Final = writing(visibility.track)
    hidden: Final = reading(visibility.hidden)
