"""
Which revision of the schema a database has, and which code may work on it.

A revision only adds: nullable or defaulted columns, tables, indexes. What
takes something away comes a release later, when no code that needs it is
left; one that older code would misread is compatible with itself alone. So
code works on its own revision, and on the next one where the version row
names it as compatible: a fleet is upgraded one process after the other
(decision 70).
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    Select,
    String,
    Table,
    Text,
    column,
    inspect,
    select,
    table,
)

from proxy_orchestration.errors import SchemaVersionError
from proxy_orchestration.storage.sql.database.names import VERSION_TABLE, names_of

__all__ = [
    "REVISIONS",
    "VERSION_TABLE",
    "check_version",
    "declare_compatible",
    "is_current",
    "revision_of",
    "stamp",
]

REVISIONS: Final = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
    "0013",
    "0014",
    "0015",
    "0016",
    "0017",
    "0018",
    "0019",
    "0020",
    "0021",
    "0022",
    "0023",
    "0024",
)
"""Every revision, oldest first; the last one is the library's own."""

_VERSION: Final = table(VERSION_TABLE, column("version_num", Text), column("compatible_from", Text))
_REVISION: Final[Select[Any]] = select(_VERSION.c.version_num)
_COMPATIBLE_FROM: Final[Select[Any]] = select(_VERSION.c.compatible_from)


def revision_of(connection: Connection) -> str | None:
    """
    Return the database's revision; `None` when our migrations never touched it.
    """
    if not _has_row(connection):
        return None
    revision: str | None = connection.execute(_REVISION).scalar()
    return revision


def is_current(connection: Connection) -> bool:
    """
    Return whether this code works on the schema as it is: its own revision, or one compatible with it.

    Raises:
        SchemaVersionError: it is one that a newer version of the library
            made, and too new for this one.
    """
    revision = revision_of(connection)
    if revision is None or revision in REVISIONS[:-1]:
        return False
    if revision != REVISIONS[-1] and not _is_next_and_compatible(connection, revision):
        reason = "The database was made by a newer version of this library, whose schema this one cannot use."
        raise SchemaVersionError(reason, advice="Upgrade proxy-orchestration here. Nothing was changed.")
    return True


def check_version(connection: Connection) -> None:
    """
    Accept a schema that this code works on, and one that a host's migrations made.

    Raises:
        SchemaVersionError: the revision is an older one, or one that is too new.
    """
    if not is_current(connection) and revision_of(connection) is not None:
        reason = "The database was made by an older version of this library."
        raise SchemaVersionError(
            reason,
            advice="Bring it up to date with create_schema(engine); its rows are kept.",
        )


def declare_compatible(connection: Connection, revision: str) -> None:
    """
    Note from which revision on code may work on the schema; for a migration, once it has changed it.

    A host that runs our migrations in a chain of its own has no version row
    of ours, and keeps its code and its schema together itself.
    """
    if _has_row(connection):
        connection.execute(_VERSION.update().values(compatible_from=revision))


def stamp(connection: Connection, compatible_from: str) -> None:
    """
    Note that tables which were made from the metadata are of the newest revision.
    """
    table = Table(
        names_of(connection).version_table,
        MetaData(),
        Column("version_num", String(32), nullable=False),
        Column("compatible_from", Text),
        PrimaryKeyConstraint("version_num", name=f"{names_of(connection).version_table}_pkc"),
    )
    table.create(connection, checkfirst=True)
    connection.execute(_VERSION.insert().values(version_num=REVISIONS[-1], compatible_from=compatible_from))


def _has_row(connection: Connection) -> bool:
    names = names_of(connection)
    return inspect(connection).has_table(names.version_table, schema=names.schema)


def _is_next_and_compatible(connection: Connection, revision: str) -> bool:
    # Two revisions newer may already lack what this code needs, whatever the row says: it was
    # written by a release that need not remember this one.
    if revision != f"{int(REVISIONS[-1]) + 1:04}":
        return False
    compatible_from: str | None = connection.execute(_COMPATIBLE_FROM).scalar()
    return compatible_from in REVISIONS
