"""
What a transaction of ours needs on PostgreSQL, set within it, and the connection left as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection

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
_LIMITS: Final = "".join(
    f", set_config('{name}', CASE current_setting('{name}') WHEN '0' THEN '30s'"
    f" ELSE current_setting('{name}') END, true)"
    for name in ("idle_in_transaction_session_timeout", "lock_timeout")
)
_IDLE: Final = 0  # libpq's PQTRANS_IDLE
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
    if schema is not None:  # of letters, digits and the like: see `Names`
        settings += f""", set_config('search_path', '"{schema}"', true)"""
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
