"""
Row-level security: the script that limits what clients of the database may read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from proxy_orchestration.storage.sql.database.names import Names

_SCRIPT: Final = Path(__file__).with_name("row_level_security.sql")


def row_level_security(*, schema: str | None = None, prefix: str = "") -> str:
    """
    Return the SQL that closes every table of this library to clients, except for what they may read.

    It is one script for PostgreSQL and Supabase, with several statements and no parameters. Run it
    as the owner of the tables and in one transaction, after `create_schema` and again after each
    upgrade of the library. Running it again changes nothing. It creates the roles `anon`,
    `authenticated` and `proxy_orchestration_service` if they are missing.

    Args:
        schema: the PostgreSQL schema of the tables, as given to `create_schema`.
        prefix: the prefix of the table names, as given to `create_schema`.

    Raises:
        InvalidValueError: one of the two is not a valid name.
    """
    names = Names(schema, prefix)
    lines = _SCRIPT.read_text(encoding="utf-8").splitlines(keepends=True)
    script = "".join(line if line.startswith("--") else names.rewritten(line) for line in lines)
    return script if schema is None else f'set local search_path to "{schema}";\n\n{script}'
