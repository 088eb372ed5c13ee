"""
PostgreSQL settings of a transaction, set within it, so that the connection is left unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection

from proxy_orchestration.errors import HostTransactionError

WRITES: Final = "ISOLATION LEVEL READ COMMITTED"
"""Each statement has to see what others committed while it waited for their locks; decision 46."""

READS: Final = "ISOLATION LEVEL REPEATABLE READ READ ONLY"

_SETTINGS: Final = (
    "SELECT set_config('client_encoding', 'UTF8', true), set_config('TimeZone', 'UTC', true),"
    " set_config('DateStyle', 'ISO', true), set_config('synchronous_commit',"
    " CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'"
    " ELSE current_setting('synchronous_commit') END, true)"
)
# A process that sleeps within a transaction would keep others from taking over its run for ever,
# and whoever waits for a lock in a thread could not be told to stop.
_PATIENCE: Final = "30s"
_LIMITS: Final = "".join(
    f", set_config('{name}', CASE current_setting('{name}') WHEN '0' THEN '{_PATIENCE}'"
    f" ELSE current_setting('{name}') END, true)"
    for name in ("idle_in_transaction_session_timeout", "lock_timeout")
)
_NAMES: Final = ("client_encoding", "TimeZone", "DateStyle", "lock_timeout", "search_path")
_BEFORE: Final = "SELECT " + ", ".join(f"current_setting('{name}')" for name in _NAMES)
_SET: Final = "SELECT " + ", ".join(f"set_config('{name}', %s, true)" for name in _NAMES)
# The host's own search path, noted in the server for as long as ours stands in its place.
_NOTE_PATH: Final = (
    "SELECT set_config('proxy_orchestration.search_path', current_setting('search_path'), true); "
)
_HOSTS_PATH: Final = (
    "SELECT set_config('search_path', current_setting('proxy_orchestration.search_path'), true)"
)

_IDLE: Final = 0  # libpq's PQTRANS_IDLE
_USELESS: Final = (3, 4)  # PQTRANS_INERROR and PQTRANS_UNKNOWN
_UNASKED: Final = 5  # psycopg's own `prepare_threshold`


@contextmanager
def left_as_found(connection: Connection) -> Iterator[None]:
    """
    Put back what a transaction of ours changes at the driver; whatever it sets in the server ends with it.
    """
    driver: Any = connection.connection.driver_connection
    autocommit, threshold = driver.autocommit, driver.prepare_threshold
    try:
        yield
    finally:
        if not driver.closed:
            driver.prepare_threshold = threshold
            if driver.info.transaction_status == _IDLE:
                driver.autocommit = autocommit
            else:  # nobody else should have it
                connection.invalidate()


def begin(connection: Connection, mode: str, *, ours: bool, schema: str | None) -> None:
    """
    Begin in this mode, with what the store needs set until the transaction ends, in one round trip.

    The server's `default_transaction_read_only` holds, and so does a host's own
    choice of read-only connections. Nothing that a pooler in transaction mode
    would hand to another client stays behind, and nothing is prepared unless
    the host asked for it; decision 151.
    """
    driver: Any = connection.connection.driver_connection
    word = "SET TRANSACTION"  # where a listener of the host's has begun it
    if driver.info.transaction_status == _IDLE:
        driver.autocommit = True  # so that the driver does not begin it by itself, in its own mode
        word = "BEGIN"
    if driver.read_only and "READ ONLY" not in mode:
        mode += " READ ONLY"
    asked = driver.prepare_threshold if ours or driver.prepare_threshold != _UNASKED else None
    driver.prepare_threshold = None  # which two statements in one message cannot be
    settings = _SETTINGS + (_LIMITS if ours else "")
    if schema is not None:
        settings = f"{_NOTE_PATH}{settings}, {_path_to(schema)}"
    connection.exec_driver_sql(f"{word} {mode}; {settings}")
    driver.prepare_threshold = asked


def is_pooled(connection: Connection) -> bool:
    """
    Return whether a pooler stands before the server: the process that it names is not the one that answers.
    """
    driver: Any = connection.connection.driver_connection
    answering: int = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    named: int = driver.info.backend_pid
    return named != answering


def check_begun(driver: Any) -> None:  # noqa: ANN401 - the driver's connection
    """
    Accept a host's connection whose transaction is begun, or will be by its first statement.

    Raises:
        HostTransactionError: each of its statements would be a transaction, or no more of them can be run.
    """
    status = driver.info.transaction_status
    if driver.closed or status in _USELESS:
        reason = "The transaction of this connection has failed already, or the connection is closed."
        raise HostTransactionError(reason, advice="Roll it back, and repeat everything in it.")
    if status == _IDLE and driver.autocommit:
        reason = "This connection is not in a transaction that its owner commits."
        advice = "Begin a transaction first (engine.begin(), transaction.atomic()), and submit within it."
        raise HostTransactionError(reason, advice=advice)


@contextmanager
def set_for_us(connection: Connection, schema: str | None) -> Iterator[None]:
    """
    Have a host's transaction be as our statements need it; a savepoint undoes what fails in there.
    """
    before = connection.exec_driver_sql(_BEFORE).one()
    *_, lock_timeout, path = before
    # Whoever is to end the other transaction may wait for this thread, or this event loop.
    patience = _PATIENCE if lock_timeout == "0" else lock_timeout
    wanted = ("UTF8", "UTC", "ISO", patience, path if schema is None else f'"{schema}"')
    if tuple(before) == wanted:
        yield
        return
    if schema is not None:
        connection.exec_driver_sql(_NOTE_PATH)
    connection.exec_driver_sql(_SET, wanted)
    yield
    connection.exec_driver_sql(_SET, tuple(before))


@contextmanager
def on_the_hosts_path(connection: Connection, schema: str | None) -> Iterator[None]:
    """
    Have names mean what they mean to the host; what fails in there is to undo all of the transaction.
    """
    if schema is None:
        yield
        return
    connection.exec_driver_sql(_HOSTS_PATH)
    yield
    connection.exec_driver_sql(f"SELECT {_path_to(schema)}")


def _path_to(schema: str) -> str:
    # Of letters, digits and the like: see `Names`.
    return f"""set_config('search_path', '"{schema}"', true)"""


def plain_cursor(psycopg: Any, lender: Any) -> Any:  # noqa: ANN401 - an extra, and what it has
    """
    Return a cursor that sends and reads values as the driver does by itself.

    Django's makes literals of parameters, and takes moments to be in its own zone.
    """
    return _plain_kind(psycopg)(lender, row_factory=psycopg.rows.tuple_row)


@cache
def _plain_kind(psycopg: Any) -> type[Any]:  # noqa: ANN401 - an extra
    class PlainCursor(psycopg.Cursor):  # type: ignore[misc]  # whatever that is without the extra
        adapters = psycopg.adapt.AdaptersMap(psycopg.adapters)  # in place of the connection's

    return PlainCursor
