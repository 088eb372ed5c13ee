"""
Which revision of the schema a database has, and which ones this library knows.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Select, Text, column, inspect, select, table

from proxy_orchestration.errors import SchemaVersionError

REVISIONS: Final = ("0001", "0002", "0003", "0004")
"""Every revision, oldest first; the last one is the library's own."""

VERSION_TABLE: Final = "proxy_orchestration_version"
"""Where the revision stands; a host's own migrations keep theirs elsewhere."""

_REVISION: Final[Select[Any]] = select(column("version_num", Text)).select_from(table(VERSION_TABLE))


def revision_of(connection: Connection) -> str | None:
    """
    Return the database's revision; `None` when our migrations never touched it.

    Raises:
        SchemaVersionError: it is one that a newer version of the library made.
    """
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision: str | None = connection.execute(_REVISION).scalar()
    if revision is not None and revision not in REVISIONS:
        reason = "The database was made by a newer version of this library."
        raise SchemaVersionError(
            reason,
            advice="Upgrade proxy-orchestration here. Nothing was changed.",
        )
    return revision


def check_version(connection: Connection) -> None:
    """
    Accept the library's own revision, and a schema that a host's migrations made.

    Raises:
        SchemaVersionError: the revision is an older one, or one not known yet.
    """
    if revision_of(connection) not in {None, REVISIONS[-1]}:
        reason = "The database was made by an older version of this library."
        raise SchemaVersionError(
            reason,
            advice="Bring it up to date with create_schema(engine); its rows are kept.",
        )
