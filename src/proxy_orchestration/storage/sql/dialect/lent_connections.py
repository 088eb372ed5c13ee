"""
Uses a host's own connection for one call, without ending its transaction.

A plain engine over a lent connection would run queries of its own at its first
connect and roll back what the lender has begun, and its commit would commit
it. So the connection at the driver is wrapped, and the engine is put together
without what usually looks at a new connection (decision 332).
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Final, cast

import attrs
from sqlalchemy import Connection, Dialect, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import NullPool
from sqlalchemy.util import LRUCache

from proxy_orchestration.errors import HostTransactionError, MisconfiguredError
from proxy_orchestration.storage.sql.dialect import pragmas, sessions
from proxy_orchestration.storage.sql.dialect.connections import Naming, for_writing

_DRIVERS: Final = {"sqlite": ("pysqlite", "aiosqlite"), "postgresql": ("psycopg",)}
_REMEMBERED: Final = 500

_NO_CONNECTION: Final = (
    "Give a connection to the store's database: one of SQLAlchemy (from a session: session.connection()), or "
    "one of sqlite3 or psycopg (from Django: connection.connection)."
)
_NOT_BEGUN: Final = "This connection is not in a transaction that its owner commits."
_BEGIN: Final = "Begin a transaction first (engine.begin(), transaction.atomic()), and submit within it."


_SAVEPOINT: Final = "SAVEPOINT proxy_orchestration"


class _Lent:
    """
    A connection at the driver that whoever borrows it cannot close, and whose transaction is a savepoint.

    Attributes:
        has_begun: whether there is one to be ended; before and after that commit and rollback do nothing.
    """

    def __init__(self, lender: Any) -> None:  # noqa: ANN401 - the driver's
        self._lender = lender
        self.has_begun = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the driver's
        return getattr(self._lender, name)

    def cursor(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - the driver's
        """
        Return a cursor whose rows and values are as the driver has them by itself, whatever it was taught.
        """
        if isinstance(self._lender, sqlite3.Connection):
            cursor = sqlite3.Cursor(self._lender)
            cursor.row_factory = None
            return cursor
        psycopg: Any = sys.modules.get("psycopg")
        if psycopg is not None and isinstance(self._lender, psycopg.Connection):
            return sessions.plain_cursor(psycopg, self._lender)
        return self._lender.cursor(*arguments, **options)  # SQLAlchemy's own, over one that is awaited

    def commit(self) -> None:
        """
        Release the savepoint; the rest is the host's.
        """
        self._end(f"RELEASE {_SAVEPOINT}")

    def rollback(self) -> None:
        """
        Undo what was done since the savepoint; the rest is the host's.
        """
        self._end(f"ROLLBACK TO {_SAVEPOINT}", f"RELEASE {_SAVEPOINT}")

    def _end(self, *statements: str) -> None:
        if not self.has_begun:
            return
        self.has_begun = False
        cursor = self.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()

    @contextmanager
    def undone(self) -> Iterator[None]:
        """
        Undo what a block leaves behind that fails, be it interrupted or of a connection that was given up.
        """
        try:
            yield
        except BaseException:
            with suppress(Exception):  # where the server is gone, all of it is
                self.rollback()
            raise

    def close(self) -> None:
        """
        Do nothing: that is the host's.
        """


@attrs.frozen(eq=False)
class LentConnection:
    """
    A host's connection, and how statements reach it.

    Attributes:
        driver: the connection at the driver, which tells of its transaction.
        engine: an engine that has this connection, and no other.
        schema: of PostgreSQL, where the tables are; `None` for the connection's own.
        host: the host's connection in SQLAlchemy, where it is one.
    """

    driver: Any
    engine: Engine
    schema: str | None
    host: Connection | None

    @contextmanager
    def savepoint(self, *, writes: bool) -> Iterator[Connection]:
        """
        Let statements run in the host's transaction; those of a block that fails are undone, and no others.

        Raises:
            HostTransactionError: there is no transaction, or none in which this can be done.
        """
        if self.host is not None and not self.host.in_transaction():
            raise HostTransactionError(_NOT_BEGUN, advice=_BEGIN)
        is_sqlite = self.engine.dialect.name == "sqlite"
        (pragmas if is_sqlite else sessions).check_begun(self.driver)
        with self.engine.connect() as connection:
            lent: Any = connection.connection.dbapi_connection
            waiting = pragmas.without_waiting(lent) if is_sqlite else nullcontext()
            # SQLAlchemy gives up a connection on which it is interrupted, and forgets what it has begun.
            with waiting, lent.undone(), connection.begin():
                connection.exec_driver_sql(_SAVEPOINT)
                lent.has_begun = True
                if is_sqlite:
                    if writes:
                        pragmas.take_lock(connection)
                    yield connection
                else:
                    with sessions.set_for_us(connection, self.schema):
                        yield connection


@attrs.define(eq=False)
class Lending:
    """
    Borrows connections of hosts for one store.

    Attributes:
        engine: the store's own, which says how to speak to its database.
        names: where the tables are.
    """

    engine: Engine
    names: Naming
    # An engine for each lent connection would have each statement compiled anew.
    _compiled: LRUCache[Any, Any] = attrs.field(init=False, factory=lambda: LRUCache(_REMEMBERED))

    def borrow(self, given: object) -> LentConnection:
        """
        Return what runs statements on a host's connection.

        Raises:
            MisconfiguredError: it is no connection to such a database.
        """
        host: object = getattr(given, "sync_connection", None) if is_awaited(given) else given
        if isinstance(host, Connection):
            self._check_dialect(host)
            pooled = host.connection
            engine = self._engine_of(pooled.dbapi_connection, host.dialect)
            return LentConnection(pooled.driver_connection, engine, self.names.schema, host)
        if not _is_driver_s(host, self.engine.dialect.name):
            raise _not_a_connection(type(given).__name__)
        if self.engine.dialect.server_version_info is None:
            self.engine.connect().close()  # has the dialect learn what it knows of the server, on its own
        return LentConnection(host, self._engine_of(host, self.engine.dialect), self.names.schema, None)

    def _check_dialect(self, host: Connection) -> None:
        dialect, own = host.dialect, self.engine.dialect.name
        if dialect.name != own or dialect.driver not in _DRIVERS[own]:
            kind = f"connection of {dialect.name}+{dialect.driver}"
            raise _not_a_connection(kind)

    def _engine_of(self, lender: object, dialect: Dialect) -> Engine:
        # Pyright misses the methods that `__getattr__` hands on.
        pool = NullPool(lambda: cast("DBAPIConnection", _Lent(lender)), reset_on_return=None)
        engine = Engine(pool, dialect, self.engine.url)
        return for_writing(engine.execution_options(compiled_cache=self._compiled), self.names)


def _not_a_connection(kind: str) -> MisconfiguredError:
    return MisconfiguredError("SqlActivityRepository", "connection", f"it is a {kind}. {_NO_CONNECTION}")


def is_awaited(given: object) -> bool:
    """
    Return whether it is SQLAlchemy's connection for asyncio, whose module needs more than SQLAlchemy itself.
    """
    module: Any = sys.modules.get("sqlalchemy.ext.asyncio")
    return module is not None and isinstance(given, module.AsyncConnection)


def _is_driver_s(given: object, database: str) -> bool:
    if database == "sqlite":
        return isinstance(given, sqlite3.Connection)
    psycopg: Any = sys.modules.get("psycopg")
    return psycopg is not None and isinstance(given, psycopg.Connection)
