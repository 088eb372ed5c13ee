"""
Engines of our own, for a database that is named by its address.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine

from proxy_orchestration.storage.sql.database.addresses import read_address
from proxy_orchestration.storage.sql.dialect.connections import make_ours

_BEHIND_A_POOLER: Final = {"pool_size": 1, "max_overflow": 14}
"""The pooler in session mode gives each idle connection a server's of its few; to it, connecting is quick."""


def open_engine(url: str | URL, *, pooled: bool = False) -> Engine:
    """
    Return an engine for that database, set up for this store alone.

    Args:
        url: the database's address.
        pooled: whether a pooler stands before it: then one connection is kept,
            and what more is needed at once is given back at once.

    Raises:
        RepositoryUnavailableError: it is no address of SQLite or PostgreSQL.
        MissingExtraError: it is PostgreSQL's, and psycopg is not installed.
    """
    address, arguments = read_address(url)
    options: dict[str, Any] = {**_BEHIND_A_POOLER} if pooled else {}
    return make_ours(create_engine(address, connect_args=arguments, hide_parameters=True, **options))
