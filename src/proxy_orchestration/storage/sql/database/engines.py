"""
Engines of our own, for a database that is named by its address.
"""

from __future__ import annotations

from sqlalchemy import URL, Engine, create_engine

from proxy_orchestration.storage.sql.database.addresses import read_address
from proxy_orchestration.storage.sql.dialect.connections import make_ours


def open_engine(url: str | URL) -> Engine:
    """
    Return an engine for that database, set up for this store alone.

    Raises:
        RepositoryUnavailableError: it is no address of SQLite or PostgreSQL.
        MissingExtraError: it is PostgreSQL's, and psycopg is not installed.
    """
    address, arguments = read_address(url)
    return make_ours(create_engine(address, connect_args=arguments, hide_parameters=True))
