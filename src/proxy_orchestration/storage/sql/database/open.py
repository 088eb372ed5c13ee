"""
Databases that are opened for a while.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from anyio import to_thread
from sqlalchemy import URL, Engine

from proxy_orchestration.storage.sql.database.engines import open_engine
from proxy_orchestration.storage.sql.database.errors import translated_errors
from proxy_orchestration.storage.sql.database.migrate import check_schema, create_schema
from proxy_orchestration.storage.sql.database.names import Names
from proxy_orchestration.storage.sql.database.transactions import Refusals, Transactions
from proxy_orchestration.storage.sql.dialect.connections import check_engine, is_of_one_thread, is_pooled


@asynccontextmanager
async def open_database(
    url: str | URL, *, schema: str | None, prefix: str, migrate: bool
) -> AsyncIterator[Engine]:
    """
    Open a database, bring its schema up to date unless told not to, and close it at the end.

    Raises:
        SchemaVersionError: the schema is too new for this version of the
            library; or missing or too old, where it is not to be migrated.
        RepositoryUnavailableError: the database cannot be opened or written,
            has tables of its own by our names, or the address is not understood.
        MissingExtraError: the address is PostgreSQL's, and psycopg is not installed.
        InvalidValueError: schema or prefix is no such name, or the database has no schemas.
    """
    engine = await to_thread.run_sync(_opened, url, Names(schema, prefix), migrate)
    try:
        yield engine
    finally:
        engine.dispose()


def _opened(url: str | URL, names: Names, migrate: bool) -> Engine:  # noqa: FBT001 - what a thread is handed
    engine = open_engine(url)
    try:
        names.check_for(engine.dialect)
        if migrate:
            create_schema(engine, schema=names.schema, prefix=names.prefix)
        else:
            check_schema(engine, names)
        with translated_errors():
            pooled = is_pooled(engine, names)
    except BaseException:
        engine.dispose()
        raise
    if not pooled:
        return engine
    engine.dispose()
    return open_engine(url, pooled=True)


def transactions_of(
    engine: Engine, *, refusals: Refusals = nullcontext, schema: str | None, prefix: str
) -> Transactions:
    """
    Return what runs transactions on an engine.

    Raises:
        InvalidTypeError: it is no engine.
        ValueError: the engine is an in-memory SQLite, where every thread
            would see another database; or schema or prefix is no such name.
    """
    if is_of_one_thread(check_engine(engine)):
        msg = "SQLite in memory is not shared by threads: use a file, or the store in memory"
        raise ValueError(msg)
    return Transactions(engine, refusals, Names(schema, prefix))
