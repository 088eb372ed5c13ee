"""
What databases say differently, all of it in one place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from sqlalchemy import Double, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from proxy_orchestration.errors import RepositoryUnavailableError, SchemaVersionError


class store_now(GenericFunction[float]):  # noqa: N801 - named like the SQL function it is
    """
    The store's clock: seconds since 1970, with a resolution of at least a millisecond.
    """

    type = Double()
    inherit_cache = True


@compiles(store_now, "sqlite")
def _sqlite_now(_element: store_now, _compiler: SQLCompiler, **_options: object) -> str:
    # `unixepoch` has no decimals before SQLite 3.42.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(store_now, "postgresql")
def _postgresql_now(_element: store_now, _compiler: SQLCompiler, **_options: object) -> str:
    return "extract(epoch FROM clock_timestamp())::double precision"


def insert_new(table: Table, *key: str) -> sqlite.Insert:
    """
    Return an insert that leaves out each row whose key exists; `rowcount` tells how many went in.
    """
    return sqlite.insert(table).on_conflict_do_nothing(index_elements=key)


_Told = tuple[type[RepositoryUnavailableError], str, str]

_SAFE: Final = "What was acknowledged is stored, and the batch can be resumed."
_BROKEN: Final[_Told] = (
    RepositoryUnavailableError,
    "The database answered with an error.",
    f"{_SAFE} The error's cause has the details.",
)
_NO_SCHEMA: Final[_Told] = (
    SchemaVersionError,
    "The database has no schema of this library, or an older one.",
    "Call create_schema(engine) once, or open it with SqlActivityRepository.open(url).",
)
_BY_CODE: Final[Mapping[int, _Told]] = {
    sqlite3.SQLITE_BUSY: (
        RepositoryUnavailableError,
        "The database is locked by another connection.",
        f"{_SAFE} End what holds it for so long, and try again.",
    ),
    sqlite3.SQLITE_FULL: (
        RepositoryUnavailableError,
        "The disk or the database is full.",
        f"{_SAFE} Free some space, and try again.",
    ),
    sqlite3.SQLITE_READONLY: (
        RepositoryUnavailableError,
        "The database is read-only.",
        f"{_SAFE} Make the file and its folder writable, and try again.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        RepositoryUnavailableError,
        "The database cannot be opened.",
        "Check that its folder exists and may be read and written, and try again.",
    ),
    sqlite3.SQLITE_IOERR: (
        RepositoryUnavailableError,
        "The database's disk failed to read or write.",
        f"{_SAFE} Check the disk and that the file is still there, and try again.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        RepositoryUnavailableError,
        "The database is malformed.",
        "Keep a copy of the file, and restore it from a backup.",
    ),
    sqlite3.SQLITE_NOTADB: (
        RepositoryUnavailableError,
        "The file is no database.",
        "Name the right file. Nothing was changed in this one.",
    ),
    sqlite3.SQLITE_CONSTRAINT: (
        RepositoryUnavailableError,
        "The database refused a row that breaks a rule of the schema; nothing was stored.",
        "The error's cause names the rule. Attribute no activity to the person who registers it.",
    ),
}
_PRIMARY_CODE: Final = 0xFF


def told(error: BaseException) -> RepositoryUnavailableError:
    """
    Return what the driver's error means for a user, without the driver's own words.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_ERROR and "no such" in str(error):
        kind, reason, advice = _NO_SCHEMA
    else:
        kind, reason, advice = _BY_CODE.get((code or 0) & _PRIMARY_CODE, _BROKEN)
    return kind(reason, advice=advice)


