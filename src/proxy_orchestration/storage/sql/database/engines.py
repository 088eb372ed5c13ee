"""
Engines of our own, for a database that is named by its address.
"""

from __future__ import annotations

from sqlalchemy import URL, Engine, create_engine

from proxy_orchestration.storage.sql.database.addresses import read_address
from proxy_orchestration.storage.sql.dialect.connections import limit_waits, prepare


def open_engine(url: str | URL) -> Engine:
    """
    Return an engine for that database, prepared for this store.

    Raises:
        RepositoryUnavailableError: it is no address of SQLite or PostgreSQL.
        MissingExtraError: it is PostgreSQL's, and psycopg is not installed.
    """
    address, arguments = read_address(url)
    engine = prepare(create_engine(address, connect_args=arguments))
    limit_waits(engine)
    return engine
