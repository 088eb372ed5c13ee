"""
Engines as this store needs them: SQLite durable, and with transactions that begin when we say so.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url

BUSY_SECONDS: Final = 10
"""How long a SQLite connection waits for another process's write."""

_BUSY_PAUSE: Final = 0.01
_CACHE_KIB: Final = 16_000
_WAL_PAGES: Final = 4_000

_BEGIN: Final = "proxy_orchestration_begin"


def open_engine(url: str | URL) -> Engine:
    """
    Return an engine for that database, prepared for this store.
    """
    return prepare(create_engine(make_url(url)))


def prepare(engine: Engine) -> Engine:
    """
    Set up a host's own engine; harmless when repeated.

    On SQLite every new connection gets WAL, `synchronous=FULL`, foreign keys
    and a busy timeout, and the driver's own transaction handling is turned
    off: a transaction that writes begins IMMEDIATE, since a read that
    upgrades to a write fails at once, whatever the busy timeout. Errors never
    show values: notes are personal data.
    """
    engine.hide_parameters = True
    if engine.dialect.name == "sqlite" and not event.contains(engine, "connect", _configure):
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
    return engine


def writing(engine: Engine) -> Engine:
    """
    Return the engine's twin whose transactions are begun to write.
    """
    return engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})


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
