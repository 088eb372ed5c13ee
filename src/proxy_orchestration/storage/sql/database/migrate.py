"""
Brings a database to this library's schema.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, select

from proxy_orchestration.storage.sql.database.engines import open_engine
from proxy_orchestration.storage.sql.database.errors import translated_errors
from proxy_orchestration.storage.sql.database.names import (
    Names,
    check_free,
    make_schema,
    metadata_for,
)
from proxy_orchestration.storage.sql.database.versions import (
    REVISIONS,
    check_version,
    is_current,
    revision_of,
    stamp,
)
from proxy_orchestration.storage.sql.dialect.connections import (
    check_engine,
    for_reading,
    for_writing,
    transaction,
)
from proxy_orchestration.storage.sql.dialect.differences import wait_for_turn
from proxy_orchestration.storage.sql.dialect.policies import lay_policies_aside
from proxy_orchestration.storage.sql.schema import batches

MIGRATIONS: Final = Path(__file__).parents[1] / "migrations"
"""Where the Alembic revisions are, for a host's own `version_locations`."""

_ALTERED_LATER: Final = REVISIONS[: REVISIONS.index("0004")]
"""Revisions whose columns a later one alters; from then on a revision only adds, and clients read on."""

_ANY_BATCH: Final = select(batches.c.id).limit(1)
_ALONE: Final = threading.Lock()  # alembic's `op` speaks to one connection in a process; decision 48


def create_schema(engine: Engine, *, schema: str | None = None, prefix: str = "") -> None:
    """
    Create the tables, or bring older ones up to date; does nothing when they are.

    Nothing is done either where a newer version of the library made the
    schema, and one that is compatible with this version's.

    All in one transaction that locks out others, so that any number of
    processes and threads may call it at once. Blocks; call it before the event loop
    starts, or in a thread.

    Args:
        engine: the host's, which is left as it is.
        schema: of PostgreSQL, for the tables alone; made where it is missing.
        prefix: before each table's name, up to 20 characters.

    Raises:
        SchemaVersionError: the schema is too new for this version of the library.
        RepositoryUnavailableError: the database cannot be opened or written,
            or has tables of its own by these names.
        InvalidValueError: schema or prefix is no such name, or the database has no schemas.
    """
    names = Names(schema, prefix)
    names.check_for(check_engine(engine).dialect)
    with translated_errors(), transaction(for_reading(engine, names)) as (connection, _):
        if is_current(connection):
            return  # a look first: whoever only opens the store waits for no writer
    with _ALONE, translated_errors(), transaction(for_writing(engine, names)) as (connection, _):
        wait_for_turn(connection, "schema")
        if is_current(connection):  # another process may have had its turn before
            return
        if revision_of(connection) is None:
            check_free(connection, names)
            make_schema(connection, names)
        if revision_of(connection) is None and names != Names():
            _make(connection, names)
        else:
            _upgrade(connection, names)


def revision_in(url: str | URL, where: Mapping[str, Any]) -> str | None:
    """
    Return the revision of a database's schema, in that schema and under that prefix; `None` without one.

    Raises:
        RepositoryUnavailableError, InvalidValueError, MissingExtraError: as `create_schema`.
    """
    engine, names = open_engine(url), Names(**where)
    try:
        names.check_for(engine.dialect)
        with translated_errors(), transaction(for_reading(engine, names)) as (connection, _):
            return revision_of(connection)
    finally:
        engine.dispose()


def check_schema(engine: Engine, names: Names) -> None:
    """
    Make sure that this code works on the schema as it is, and change nothing.

    Raises:
        SchemaVersionError: it does not, or there is none.
        RepositoryUnavailableError: the database cannot be opened.
    """
    with translated_errors(), transaction(for_reading(engine, names)) as (connection, _):
        check_version(connection)
        if revision_of(connection) is None:  # as a host's own migrations leave it
            connection.execute(_ANY_BATCH)


def _make(connection: Connection, names: Names) -> None:
    # The released migrations say the tables' own names; a new database has nothing to migrate (decision 152).
    metadata_for(schema=names.schema, prefix=names.prefix).create_all(connection)
    newest = ScriptDirectory(str(MIGRATIONS)).get_revision(REVISIONS[-1])
    stamp(connection, newest.module.compatible_from)


def _upgrade(connection: Connection, names: Names) -> None:
    script = ScriptDirectory(str(MIGRATIONS))

    def to_head(revision: str, _context: MigrationContext) -> object:
        return script._upgrade_revs("head", revision)  # noqa: SLF001 - what alembic.command.upgrade does

    if revision_of(connection) in _ALTERED_LATER:
        lay_policies_aside(connection)
    options = {"version_table": names.version_table, "fn": to_head}
    upgrading = MigrationContext.configure(connection, opts=options)
    with Operations.context(upgrading):
        upgrading.run_migrations()
