"""
Brings a database to this library's schema.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from proxy_orchestration.storage.sql.database.errors import translated_errors
from proxy_orchestration.storage.sql.database.versions import (
    REVISIONS,
    VERSION_TABLE,
    is_current,
    revision_of,
)
from proxy_orchestration.storage.sql.dialect.connections import (
    check_engine,
    for_reading,
    for_writing,
    transaction,
)
from proxy_orchestration.storage.sql.dialect.differences import wait_for_turn
from proxy_orchestration.storage.sql.dialect.policies import lay_policies_aside

MIGRATIONS: Final = Path(__file__).parents[1] / "migrations"
"""Where the Alembic revisions are, for a host's own `version_locations`."""

_ALTERED_LATER: Final = REVISIONS[: REVISIONS.index("0004")]
"""Revisions whose columns a later one alters; from then on a revision only adds, and clients read on."""

_ALONE: Final = threading.Lock()  # alembic's `op` speaks to one connection in a process; decision 48


def create_schema(engine: Engine) -> None:
    """
    Create the tables, or bring older ones up to date; does nothing when they are.

    Nothing is done either where a newer version of the library made the
    schema, and one that is compatible with this version's.

    All in one transaction that locks out others, so that any number of
    processes and threads may call it at once. Blocks; call it before the event loop
    starts, or in a thread.

    Raises:
        SchemaVersionError: the schema is too new for this version of the library.
        RepositoryUnavailableError: the database cannot be opened or written.
    """
    check_engine(engine)
    with translated_errors(), transaction(for_reading(engine)) as (connection, _):
        if is_current(connection):
            return  # a look first: whoever only opens the store waits for no writer
    with _ALONE, translated_errors(), transaction(for_writing(engine)) as (connection, _):
        wait_for_turn(connection, "schema")
        if not is_current(connection):  # another process may have had its turn before
            _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    script = ScriptDirectory(str(MIGRATIONS))

    def to_head(revision: str, _context: MigrationContext) -> object:
        return script._upgrade_revs("head", revision)  # noqa: SLF001 - what alembic.command.upgrade does

    if revision_of(connection) in _ALTERED_LATER:
        lay_policies_aside(connection)
    upgrading = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "fn": to_head})
    with Operations.context(upgrading):
        upgrading.run_migrations()
