"""
The one place where vendors' errors are translated.

SQLite says in words what is wrong, PostgreSQL by SQLSTATE; only while a
connection is made has it nothing but words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeAlias

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from proxy_orchestration.errors import (
    OrchestrationError,
    RecordRefusedError,
    RepositoryUnavailableError,
    SchemaVersionError,
)

Explanation: TypeAlias = tuple[str, str]
"""What is wrong, and what to do."""

_READ_ONLY: Final = (
    "The database is read-only.",
    "Connect to a server that accepts writes, not to a replica, and resume.",
)
_CUT: Final = ("The connection to the database was cut.", "Check that its server runs, and resume.")
_REFUSED: Final = (
    "The database server refuses this user or password.",
    "Check both in the database's address, and what the server's pg_hba.conf asks for.",
)
_TOO_MANY: Final = (
    "The database server takes no further connection.",
    "End some, use smaller pools, or raise its limit, and resume.",
)
_NO_DATABASE: Final = ("There is no such database on the server.", "Create it, or correct the address.")
_STARTING: Final = ("The database server is starting or stopping.", "Resume when it is up.")
_UNREACHABLE: Final = (
    "The database server cannot be reached.",
    "Check that it runs, and its host and port in the address; then resume.",
)
_BUSY: Final = ("Transactions kept blocking each other.", "Resume when the database is less busy.")
_WAITING: Final = (
    "The database server ended a statement that took too long.",
    "Look for long transactions, or raise its statement_timeout and lock_timeout, and resume.",
)
_POOLER: Final = (
    "The connection pooler before the database broke off.",
    "Look into the pooler's log for the reason, check that it reaches the server, and resume.",
)
_POOLER_TAKES_NO_OPTIONS: Final = (
    "The connection pooler before the database refuses a parameter of the address.",
    "Take options and other settings out of the address, and set them for the role or the database.",
)
_POOLER_IS_FULL: Final = (
    "The connection pooler before the database takes no further client.",
    "Raise its max_client_conn, or use smaller pools, and resume.",
)
_POOLER_KEPT_US_WAITING: Final = (
    "The connection pooler before the database had no free connection to the server for too long.",
    "Raise its pool_size, use transaction mode or smaller pools, look for long transactions, and resume.",
)
_POOLER_POOLS_STATEMENTS: Final = (
    "The connection pooler before the database pools statements, and allows no transaction of several.",
    "Set its pool_mode to transaction or session, or take another of its addresses.",
)
_PREPARED: Final = (
    "The connection pooler before the database mixes up prepared statements.",
    "Leave them off: take prepare_threshold out of the address, or give your engine prepare_threshold=None.",
)
_DISK_FULL: Final = ("The disk of the database server is full.", "Free space there, and resume.")
_DAMAGED: Final = ("The database is damaged.", "Restore it from a backup, and resume.")
_SCHEMA: Final = (
    "The database lacks this library's schema, or has an older one.",
    "Run proxy_orchestration.storage.sql.create_schema on it.",
)

_ELSEWHERE: Final = (
    'Give open, create_schema and the stores another prefix, such as prefix="bulk_", or on PostgreSQL a '
    "schema of their own; where this library's tables are there already, rename what is yours. "
    "Nothing was changed."
)
_TAKEN: Final = ("42P07", "42710")
"""A relation, which an index and a sequence are too; a type, which every table is too."""

_NAMED: Final = re.compile(r"(?:table|index|trigger) (\w+) already exists|already an? \w+ named (\w+)")
_QUOTED: Final = re.compile(r"[\"'«„“](\w+)")

_FROM_A_POOLER: Final = "08P01"
_QUERY_WAIT: Final = "query_wait_timeout"

_OF_A_POOLER: Final[Mapping[str, Explanation]] = {
    _QUERY_WAIT: _POOLER_KEPT_US_WAITING,
    "statement pooling": _POOLER_POOLS_STATEMENTS,
}
"""What a pooler's own message holds, which comes with the code 08P01."""

_SQLITE: Final[Mapping[str, Explanation]] = {
    "locked": (
        "The database is locked by another process.",
        "Wait for it to finish, or end it, and resume.",
    ),
    "readonly": ("The database is read-only.", "Make the file and its folder writable, and resume."),
    "read-only": ("The database is read-only.", "Connect to a database that accepts writes, and resume."),
    "full": ("The disk or the database is full.", "Free space, and resume."),
    "unable to open": (
        "The database cannot be opened.",
        "Check that its folder exists and may be written to.",
    ),
    "not a database": (
        "The file is not a database, or is damaged.",
        "Choose another file, or restore a backup.",
    ),
    "malformed": _DAMAGED,
    "disk i/o": ("The disk failed.", "Check the disk, and resume."),
    "no such table": _SCHEMA,
    "no such column": _SCHEMA,
}
"""What SQLite's message holds."""

_CONNECTING: Final[Mapping[str, Explanation]] = {
    "unsupported startup parameter": _POOLER_TAKES_NO_OPTIONS,
    "no more connections allowed": _POOLER_IS_FULL,
    _QUERY_WAIT: _POOLER_KEPT_US_WAITING,
    "the database system is": _STARTING,
    "too many": _TOO_MANY,
    "remaining connection slots": _TOO_MANY,
    "authentication failed": _REFUSED,
    "no password supplied": _REFUSED,
    "pg_hba.conf": _REFUSED,
    "role ": _REFUSED,
    "database ": _NO_DATABASE,
}
"""What the message of a server holds that refuses a connection; it has no SQLSTATE then."""

_SQLSTATES: Final[Mapping[str, Explanation]] = {
    "08": _CUT,
    "08P01": _POOLER,
    "25001": (
        "A listener of the engine's host queries before our transaction has begun.",
        "Let it only SET something, or do its queries elsewhere.",
    ),
    "25006": _READ_ONLY,
    "25P03": ("The database server ended a transaction that stood idle.", "Resume."),
    "25P04": _WAITING,
    "26000": _PREPARED,
    "28": _REFUSED,
    "3D000": _NO_DATABASE,
    "3F000": ("The database has no such schema.", "Create it, or correct the search_path, and resume."),
    "40": _BUSY,
    "42501": (
        "This user may not do that in the database.",
        "Grant it the right, or let the owner run create_schema.",
    ),
    "42P01": _SCHEMA,
    "42P05": _PREPARED,
    "42703": _SCHEMA,
    "53100": _DISK_FULL,
    "53300": _TOO_MANY,
    "53": ("The database server lacks memory or another resource.", "Give it more, and resume."),
    "55P03": _WAITING,
    "57014": _WAITING,
    "57P": _CUT,
    "58": ("The disk of the database server failed.", "Check the disk and the server's log, and resume."),
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
"""What PostgreSQL's SQLSTATE begins with; a longer beginning comes before a shorter one."""

_BY_A_TRIGGER: Final = "P0001"
_DENIED: Final = "42501"
_DENIES_A_ROW: Final = ("ExecWithCheckOptions", "exec_stmt_raise")
"""Where the server says so of a row, by a policy or a trigger; of a missing right it does elsewhere."""

_ENDS_OF_A_TRANSACTION: Final = ("40001", "40P01")
_SHOWING_ROWS: Final = ("22", "23")
_TOO_LONG: Final = "54"  # a key of more bytes than an index takes


@contextmanager
def translated_errors() -> Iterator[None]:
    """
    Turn whatever the database raises into an error that says what to do, and hides the vendor's text.

    Raises:
        SchemaVersionError: a table or a column is missing.
        RecordRefusedError: a value cannot be kept, such as a text with NUL.
        RepositoryUnavailableError: everything else.
    """
    try:
        yield
    except UnicodeEncodeError:
        _raise_alone(RecordRefusedError())  # the driver's error holds the whole text
    except SQLAlchemyError as error:
        translated = _translated(error)
        if not _may_tell_secrets(error):
            raise translated from error
        _raise_alone(translated)


@contextmanager
def refused_as(error: OrchestrationError) -> Iterator[None]:
    """
    Raise this error where a constraint refuses a row.
    """
    try:
        yield
    except IntegrityError:
        raise error from None  # the driver's text may show the row


def refuses_row(error: DBAPIError) -> bool:
    """
    Return whether the database refuses a row that is written, by a constraint, a trigger or a policy.
    """
    if isinstance(error, IntegrityError | DataError):
        return True
    state = sqlstate_of(error)
    if state == _DENIED:
        return getattr(getattr(error.orig, "diag", None), "source_function", None) in _DENIES_A_ROW
    return state == _BY_A_TRIGGER


def was_undone(error: DBAPIError) -> bool:
    """
    Return whether the database gave the whole transaction up for its own reasons, so that it may be repeated.
    """
    if sqlstate_of(error) == _FROM_A_POOLER and _first(_OF_A_POOLER, str(error.orig)):
        return False  # the pooler's own patience is long enough
    return error.connection_invalidated or sqlstate_of(error) in _ENDS_OF_A_TRANSACTION


def sqlstate_of(error: SQLAlchemyError) -> str:
    """
    Return PostgreSQL's code of the error; nothing for other errors.
    """
    return getattr(getattr(error, "orig", None), "sqlstate", None) or ""


def _raise_alone(error: OrchestrationError) -> None:
    """
    Raise the error without what it comes from, hidden or not.
    """
    try:
        raise error from None
    except OrchestrationError:
        error.__context__ = None
        raise


def _may_tell_secrets(error: SQLAlchemyError) -> bool:
    # A refusal shows the row, and a failure to connect what was misread as a host; decisions 36 and 50.
    if isinstance(error, IntegrityError | DataError):
        return True
    if not isinstance(error, DBAPIError) or not hasattr(error.orig, "sqlstate"):
        return False
    connecting = error.statement is None and not error.connection_invalidated and not sqlstate_of(error)
    return connecting or sqlstate_of(error).startswith(_SHOWING_ROWS)


def _translated(error: SQLAlchemyError) -> OrchestrationError:
    if isinstance(error, DataError) or sqlstate_of(error).startswith(_TOO_LONG):
        return RecordRefusedError()
    if isinstance(error, PoolTimeoutError):
        return RepositoryUnavailableError(
            "Every connection of the pool is in use.", advice="Give the engine a larger pool, and resume."
        )
    reason, advice = _explanation(error)
    kind = SchemaVersionError if (reason, advice) == _SCHEMA else RepositoryUnavailableError
    return kind(reason, advice=advice)


def _explanation(error: SQLAlchemyError) -> Explanation:
    if not isinstance(error, DBAPIError) or not hasattr(error.orig, "sqlstate"):
        return _in_words(error)
    state = sqlstate_of(error)
    if state == _FROM_A_POOLER and (told := _first(_OF_A_POOLER, str(error.orig))):
        return told
    if error.connection_invalidated:
        return _SQLSTATES.get(state) or _CUT
    if not state:
        return _refusal_to_connect(str(error.orig))
    if state in _TAKEN and (quoted := _QUOTED.search(str(error.orig))):
        return _clash(quoted[1])
    beginnings = (state[:length] for length in (5, 3, 2))
    known = next((_SQLSTATES[one] for one in beginnings if one in _SQLSTATES), None)
    return known or _unknown(f"{type(error).__name__}, SQLSTATE {state}")


def _in_words(error: SQLAlchemyError) -> Explanation:
    text = str(error.orig if isinstance(error, DBAPIError) else error)
    if named := _NAMED.search(text):
        return _clash(named[1] or named[2])
    return _first(_SQLITE, text.lower()) or _unknown(type(error).__name__)


def _clash(name: str) -> Explanation:
    return f"The database has something of its own that has this library's name {name}.", _ELSEWHERE


def _refusal_to_connect(text: str) -> Explanation:
    # In the server's own language; what is in none that we know is told as unreachable.
    said = text.partition("FATAL:")[2].lower()
    return _first(_CONNECTING, said) or _UNREACHABLE


def _first(known: Mapping[str, Explanation], text: str) -> Explanation | None:
    return next((explanation for sign, explanation in known.items() if sign in text), None)


def _unknown(name: str) -> Explanation:
    return f"The database failed ({name}).", "Check the database, and resume."
