"""
Brings a database to this library's schema.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from proxy_orchestration.errors import SchemaVersionError
from proxy_orchestration.storage.sql.engines import prepare, writing
from proxy_orchestration.storage.sql.transactions import translated_errors

MIGRATIONS: Final = Path(__file__).parent / "migrations"
"""Where the Alembic revisions are, for a host's own `version_locations`."""

VERSION_TABLE: Final = "proxy_orchestration_version"
"""The table that holds the revision; named so that it never meets a host's own."""


def create_schema(engine: Engine) -> None:
    """
    Create the tables, or bring older ones up to date; does nothing when they are.

    All in one transaction that locks out others, so that any number of
    processes may call it at once. Blocks; call it before the event loop
    starts, or in a thread.

    Raises:
        SchemaVersionError: the schema is newer than this library.
        RepositoryUnavailableError: the database cannot be opened or written.
    """
    with translated_errors(), writing(prepare(engine)).begin() as connection:
        _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    known = {revision.revision for revision in script.walk_revisions()}
    if unknown := set(context.get_current_heads()) - known:
        reason = f"The database's schema ({', '.join(sorted(unknown))}) is newer than this library."
        raise SchemaVersionError(reason, advice="Upgrade proxy-orchestration, or open another database.")

    def to_head(revision: str, _context: MigrationContext) -> object:
        return script._upgrade_revs("head", revision)  # noqa: SLF001 - what alembic.command.upgrade does

    upgrading = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "fn": to_head})
    with Operations.context(upgrading):
        upgrading.run_migrations()
