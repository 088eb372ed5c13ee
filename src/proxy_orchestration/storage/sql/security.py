"""
Row-level security: the script that keeps clients of the database to what is theirs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from proxy_orchestration.storage.sql.database.names import Names

_SCRIPT: Final = Path(__file__).with_name("row_level_security.sql")


def row_level_security(*, schema: str | None = None, prefix: str = "") -> str:
    """
    Return the SQL that closes every table of this library to clients, and opens what they may read.

    One script for PostgreSQL and for Supabase, of many statements, without
    parameters. Run it as the owner of the tables and in one transaction,
    after `create_schema` and again after each upgrade of the library; to run
    it again changes nothing. It makes the roles `anon`, `authenticated` and
    `proxy_orchestration_service` where they are missing.

    Args:
        schema: of PostgreSQL, where the tables are, as `create_schema` was told.
        prefix: before each table's name, likewise.

    Raises:
        InvalidValueError: one of the two is no such name.
    """
    names = Names(schema, prefix)
    lines = _SCRIPT.read_text(encoding="utf-8").splitlines(keepends=True)
    script = "".join(line if line.startswith("--") else names.rewritten(line) for line in lines)
    return script if schema is None else f'set local search_path to "{schema}";\n\n{script}'
