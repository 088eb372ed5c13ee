"""
SQLite settings of a transaction: permanent on own connections, temporary on a host's.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from proxy_orchestration.errors import HostTransactionError

WRITES: Final = "BEGIN IMMEDIATE"
"""A read that upgrades to a write fails at once, whatever the busy timeout."""

READS: Final = "BEGIN"

_BUSY_SECONDS: Final = 10
_BUSY_PAUSE: Final = 0.01
_CACHE_KIB: Final = 16_000
_WAL_PAGES: Final = 4_000
_NEEDED: Final = {"foreign_keys": 1, "synchronous": 2, "busy_timeout": _BUSY_SECONDS * 1000}
_FOUND: Final = (
    "SELECT foreign_keys, synchronous, timeout"
    " FROM pragma_foreign_keys, pragma_synchronous, pragma_busy_timeout"
)
_WRITE_NOTHING: Final = "DELETE FROM batches WHERE 0"  # takes the lock all the same
_LEGACY: Final = -1  # sqlite3.LEGACY_TRANSACTION_CONTROL, from Python 3.12 on


def configure(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's pool record
    """
    Set up a connection of our own: WAL, durable commits, foreign keys, and a wait for others.
    """
    settings = {**_NEEDED, "cache_size": -_CACHE_KIB, "wal_autocheckpoint": _WAL_PAGES}
    for name, value in settings.items():
        connection.execute(f"PRAGMA {name} = {value}").close()
    _keep_a_write_ahead_log(connection)


@contextmanager
def left_as_found(connection: Connection) -> Iterator[None]:
    """
    Put back what `begin` changes on a host's connection.
    """
    driver: Any = connection.connection.driver_connection
    control = getattr(driver, "autocommit", _LEGACY)
    try:
        yield
    finally:
        if not connection.invalidated:
            for pragma in connection.info.pop(_FOUND, ()):
                driver.execute(pragma).close()
            if control != _LEGACY:
                driver.autocommit = control


def begin(connection: Connection, mode: str, *, ours: bool) -> None:
    """
    Begin in this mode; on a host's connection, with what the store needs until `left_as_found` ends.

    The journal's mode is the file's, and stays what the host made it.
    """
    driver: Any = connection.connection.driver_connection
    if not ours:
        if getattr(driver, "autocommit", _LEGACY) != _LEGACY:
            driver.autocommit = _LEGACY  # else the driver begins, or never commits
        if driver.in_transaction:  # begun by a listener of the host's, and not for writing
            driver.rollback()
        _set_needed(connection)
    connection.exec_driver_sql(mode)


def _set_needed(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    found = connection.exec_driver_sql(_FOUND).one()  # by SQLAlchemy, since it opens the file
    changed = {
        name: before
        for (name, needed), before in zip(_NEEDED.items(), found, strict=True)
        if before != needed
    }
    connection.info[_FOUND] = [f"PRAGMA {name} = {before}" for name, before in changed.items()]
    for name in changed:
        driver.execute(f"PRAGMA {name} = {_NEEDED[name]}").close()


def _keep_a_write_ahead_log(connection: sqlite3.Connection) -> None:
    # Changing the mode of a new file needs it alone, and does not heed the busy timeout.
    give_up = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= give_up:
                raise
            time.sleep(_BUSY_PAUSE)
        else:
            return


def check_begun(driver: Any) -> None:  # noqa: ANN401 - the driver's connection
    """
    Accept a host's connection whose transaction is begun.

    Raises:
        HostTransactionError: it is not, or the connection is closed, or another thread's.
    """
    try:
        if isinstance(driver, sqlite3.Connection):
            driver.cursor().close()
        is_begun = driver.in_transaction
    except (sqlite3.ProgrammingError, ValueError) as error:  # the latter of one that is awaited
        reason = "This connection is closed, or was opened in another thread."
        raise HostTransactionError(reason, advice="Submit in the thread that opened it.") from error
    if not is_begun:
        reason = "This connection is not in a transaction that its owner commits."
        raise HostTransactionError(
            reason, advice="Begin a transaction with BEGIN IMMEDIATE, and submit within it."
        )


@contextmanager
def without_waiting(driver: Any) -> Iterator[None]:  # noqa: ANN401 - the driver's connection
    """
    Have a host's connection fail at once where it would have to wait for others, as it then does for ever.
    """
    # Not by SQLAlchemy, which may have given the connection up when it is to be put back.
    cursor = driver.cursor()
    cursor.execute("PRAGMA busy_timeout")
    (before,) = cursor.fetchone()
    try:
        cursor.execute("PRAGMA busy_timeout = 0")
        yield
    finally:
        cursor.execute(f"PRAGMA busy_timeout = {before}")
        cursor.close()


def take_lock(connection: Connection) -> None:
    """
    Make sure that a transaction may write, where it was not begun to.

    Raises:
        HostTransactionError: another connection writes, or has written since this transaction looked.
    """
    try:
        connection.exec_driver_sql(_WRITE_NOTHING).close()
    except OperationalError as error:
        if "locked" not in str(error.orig):
            raise
        reason = (
            "This transaction did not begin as a writing one, and another connection is writing or has "
            "written."
        )
        advice = "Roll it back, begin again with BEGIN IMMEDIATE, and repeat everything in it."
        raise HostTransactionError(reason, advice=advice) from error
