"""
Every way in which a host may hold a connection, put to what a ledger promises within its transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url

from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing.contracts import Check, HostDatabase, host_transactions

if TYPE_CHECKING:
    from sqlalchemy import URL

Transaction: TypeAlias = Callable[["URL"], AbstractAsyncContextManager[Any]]


def _begins_to_write(engine: Any) -> None:
    """
    Have each transaction of an engine over SQLite begin as SQLAlchemy's documentation shows it.
    """
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))


@asynccontextmanager
async def _of_sqlalchemy(url: URL) -> AsyncIterator[Any]:
    engine = create_engine(url)
    _begins_to_write(engine)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@asynccontextmanager
async def _awaited(url: URL) -> AsyncIterator[Any]:
    pytest.importorskip("greenlet")
    asyncio = pytest.importorskip("sqlalchemy.ext.asyncio")
    if url.get_backend_name() == "sqlite":
        pytest.importorskip("aiosqlite")
        url = url.set(drivername="sqlite+aiosqlite")
    engine = asyncio.create_async_engine(url)
    _begins_to_write(engine.sync_engine)
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


@contextmanager
def _connected(url: URL) -> Iterator[Any]:
    if url.get_backend_name() == "sqlite":
        connection: Any = sqlite3.connect(url.database or "", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
    else:
        psycopg = pytest.importorskip("psycopg")
        connection = psycopg.connect(
            **url.translate_connect_args(database="dbname", username="user"), **url.query
        )
    try:
        yield connection
    finally:
        connection.close()


@asynccontextmanager
async def _of_the_driver(url: URL) -> AsyncIterator[Any]:
    with _connected(url) as connection:
        yield connection
        connection.commit()


_KINDS: dict[str, Transaction] = {
    "SQLAlchemy": _of_sqlalchemy,
    "SQLAlchemy for asyncio": _awaited,
    "the driver": _of_the_driver,
}


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql(asyncio_only=True))]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """
    A database of both kinds.
    """
    if request.param == "postgresql":
        url: URL = request.getfixturevalue("postgresql_url")
        return url
    return make_url(f"sqlite:///{tmp_path / 'store.db'}")


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("check", host_transactions, ids=str)
async def test_a_store_takes_part_in_a_transaction_of_the_host(
    check: Check[HostDatabase], kind: str, url: URL, anyio_backend: str
) -> None:
    """
    Every promise holds for every connection.
    """
    if kind != "the driver" and anyio_backend != "asyncio":
        pytest.skip("SQLAlchemy awaits on asyncio alone, and the others run in the same thread on both")

    @asynccontextmanager
    async def opened() -> AsyncIterator[HostDatabase]:
        async with SqlActivityRepository.open(url) as ledger:
            yield HostDatabase(ledger, lambda: _KINDS[kind](url))

    await check(opened)
