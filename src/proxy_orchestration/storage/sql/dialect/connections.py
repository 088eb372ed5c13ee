"""
How connections are set up, and how their transactions begin.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, event

BUSY_SECONDS: Final = 10
"""How long a SQLite connection waits for another process's write."""

_BUSY_PAUSE: Final = 0.01
_CACHE_KIB: Final = 16_000
_WAL_PAGES: Final = 4_000
_WRITERS: Final = 4

_SESSION: Final = (
    "SELECT set_config('client_encoding', 'UTF8', false), set_config('TimeZone', 'UTC', false),"
    " set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    " WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)"
)
_LIMITS: Final = (
    "SELECT set_config(name, '30s', false) FROM pg_settings"
    " WHERE name IN ('idle_in_transaction_session_timeout', 'lock_timeout') AND setting = '0'"
)
_CONFIGURED: Final = "proxy_orchestration_configured"

_BEGIN: Final = "proxy_orchestration_begin"


def prepare(engine: Engine) -> Engine:
    """
    Set up a host's own engine; harmless when repeated.

    On SQLite every new connection gets WAL, `synchronous=FULL`, foreign keys
    and a busy timeout, and the driver's own transaction handling is turned
    off: a transaction that writes begins IMMEDIATE, since a read that
    upgrades to a write fails at once, whatever the busy timeout. On PostgreSQL
    connections speak UTF-8 and UTC, and a commit waits for the disk even
    where the server's default is not to; those that the engine's pool holds
    already do so from their next use on. Errors never show values: notes are
    personal data.

    Raises:
        ValueError: there is no store for this driver.
    """
    engine.hide_parameters = True
    if engine.dialect.name == "postgresql" and engine.dialect.driver == "psycopg":
        if not event.contains(engine, "checkout", _configure_session):
            event.listen(engine, "checkout", _configure_session)
        return engine
    if engine.dialect.name != "sqlite" or engine.dialect.is_async:
        msg = "The store speaks to sqlite, and to PostgreSQL through postgresql+psycopg, synchronously"
        raise ValueError(msg)
    if not event.contains(engine, "connect", _configure):
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
    return engine


def limit_waits(engine: Engine) -> None:
    """
    Have new connections to PostgreSQL end what waits for long; for an engine of our own.
    """
    if engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _limit_waits)


def for_writing(engine: Engine) -> Engine:
    """
    Return the engine's twin whose transactions are begun to write.
    """
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
    # Each statement has to see what others committed while it waited for their locks; decision 46.
    return engine.execution_options(isolation_level="READ COMMITTED")


def for_reading(engine: Engine) -> Engine:
    """
    Return the engine's twin whose transactions see one moment.
    """
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def writers_at_once(engine: Engine) -> int:
    """
    Return how many transactions may write beside each other.
    """
    # SQLite lets waiting writers starve each other, so they queue here and not there.
    return 1 if engine.dialect.name == "sqlite" else _WRITERS


def is_of_one_thread(engine: Engine) -> bool:
    """
    Return whether every thread would see another database: SQLite's in memory.
    """
    return engine.dialect.name == "sqlite" and engine.url.database in {None, "", ":memory:"}


def database_file(engine: Engine) -> Path | None:
    """
    Return the file that the database lives in, or `None` where it is no file of ours to watch.
    """
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name).absolute()


def _configure(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's pool record
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {BUSY_SECONDS * 1000}",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"cache_size = -{_CACHE_KIB}",
        f"wal_autocheckpoint = {_WAL_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()
    _keep_a_write_ahead_log(connection)


def _configure_session(connection: Any, record: Any, _proxy: Any) -> None:  # noqa: ANN401 - psycopg's, SQLAlchemy's
    if _CONFIGURED not in record.info:  # which is forgotten with the connection
        _set(connection, _SESSION)
        record.info[_CONFIGURED] = True


def _limit_waits(connection: Any, _record: Any) -> None:  # noqa: ANN401 - the same
    # A process that sleeps within a transaction would keep others from taking over its run for ever,
    # and whoever waits for a lock in a thread could not be told to stop.
    _set(connection, _LIMITS)


def _set(connection: Any, settings: str) -> None:  # noqa: ANN401 - psycopg's
    before = connection.autocommit
    connection.autocommit = True
    connection.execute(settings).close()
    connection.autocommit = before


def _keep_a_write_ahead_log(connection: sqlite3.Connection) -> None:
    # Changing the mode of a new file needs it alone, and does not heed the busy timeout.
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= give_up:
                raise
            time.sleep(_BUSY_PAUSE)
        else:
            return


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
