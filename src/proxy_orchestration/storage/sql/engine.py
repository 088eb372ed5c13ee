"""
Engines: made for a URL, or a host's own made ready.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Any, Final

import attrs
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from proxy_orchestration.errors import RepositoryUnavailableError

_FILE: Final = "proxy_orchestration_file"
_WRITES: Final = "proxy_orchestration_writes"
_READY: Final = "proxy_orchestration_ready"
_BUSY_SECONDS: Final = 10.0
_PRAGMAS: Final = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")


@attrs.define(eq=False)
class SqliteFile:
    """
    The database file of one engine, and what its connections have to observe.

    Attributes:
        path: where SQLite opened it; empty until the first connection.
        identity: device and inode of that file.
    """

    path: str = ""
    identity: tuple[int, int] | None = None

    def check(self) -> None:
        """
        Make sure that the file at the path is the one that was opened.

        SQLite keeps an unlinked file open, and a commit into it succeeds.

        Raises:
            RepositoryUnavailableError: it was removed or replaced.
        """
        if self.path and _identity_of(self.path) != self.identity:
            raise RepositoryUnavailableError(
                "The database file was removed or replaced while it was open.",
                advice="What was written just now may be lost. Put the file back, and start this process again.",
            )

    def before_connect(self, *_arguments: object) -> None:
        """
        Keep SQLite from making an empty file where the database was.
        """
        self.check()

    def on_checkout(self, connection: Any, entry: ConnectionPoolEntry, _proxy: object) -> None:  # noqa: ANN401 - the driver's own
        """
        Prepare a connection once, whoever opened it.
        """
        if _READY not in entry.info:
            self._prepare(connection)
            entry.info[_READY] = True

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.isolation_level = None  # transactions begin where SQLAlchemy says so
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        if not path:
            msg = (
                "an in-memory database is another one for each thread; "
                "use a file, or proxy_orchestration.storage.memory"
            )
            raise ValueError(msg)
        if self.identity is None:
            self.path, self.identity = path, _identity_of(path)


def _identity_of(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - twice as fast, and called for every transaction
    except OSError:
        return None
    return found.st_dev, found.st_ino


def make_engine(url: str | URL) -> Engine:
    """
    Return an engine for the URL; its connections wait 10 seconds for a lock, unless it says otherwise.
    """
    parsed = make_url(url)
    waiting = {} if "timeout" in parsed.query else {"timeout": _BUSY_SECONDS}
    return prepare(create_engine(parsed, connect_args=waiting if _is_sqlite(parsed) else {}))


def prepare(engine: Engine) -> Engine:
    """
    Make an engine fit for the store and return it; an engine that is fit stays as it is.

    Its SQLite connections get WAL, `synchronous=FULL` and foreign keys, and
    transactions that begin where SQLAlchemy says so.

    Raises:
        ValueError: the engine is for another database than SQLite.
    """
    if not _is_sqlite(engine.url):
        msg = f"the store serves SQLite so far, not {engine.url.get_backend_name()}"
        raise ValueError(msg)
    if _FILE not in engine.get_execution_options():
        file = SqliteFile()
        event.listen(engine, "do_connect", file.before_connect)
        event.listen(engine, "checkout", file.on_checkout)
        event.listen(engine, "begin", _begin)
        engine.update_execution_options(**{_FILE: file})
    return engine


def mark_as_write(connection: Connection) -> None:
    """
    Let the connection's transaction take the write lock from the start.

    A read that turns into a write fails at once if another write came
    between, whatever the busy timeout.
    """
    connection.execution_options(**{_WRITES: True})


def check_file(connection: Connection) -> None:
    """
    Make sure that what the connection read or wrote is still in the database's file.

    Raises:
        RepositoryUnavailableError: the file was removed or replaced.
    """
    file: SqliteFile = connection.get_execution_options()[_FILE]
    file.check()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"
