"""
The database functions with which a service reads and writes activity records over PostgREST.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from sqlalchemy import URL

from proxy_orchestration.storage.sql.database.engines import open_engine
from proxy_orchestration.storage.sql.database.errors import translated_errors
from proxy_orchestration.storage.sql.database.migrate import create_schema
from proxy_orchestration.storage.sql.database.names import Names
from proxy_orchestration.storage.sql.security import row_level_security

_SCRIPT: Final = Path(__file__).with_name("supabase.sql")
_FUNCTIONS: Final = re.compile(
    r"\b(?:add_activities|find_activities|find_duplicates|activities_of_batch|void_activity"
    r"|list_activities|add_correction)\b(?=\()"
)


def supabase_functions(*, schema: str | None = None, prefix: str = "") -> str:
    """
    Return the SQL of the functions that `PostgrestActivityRecords` calls, for PostgreSQL and Supabase.

    The SQL has several statements and no parameters. Run it as the owner of the tables and in one
    transaction, after `create_schema` and `row_level_security()`, and again after each upgrade of
    the library. Running it again changes nothing. Only the service's role may call the functions.

    Args:
        schema: the schema of the tables, as given to `create_schema`; PostgREST must expose it.
        prefix: the prefix of the table names, as given to `create_schema`, and of the functions'
            names.

    Raises:
        InvalidValueError: one of the two is not a valid name.
    """
    names = Names(schema, prefix)
    lines = _SCRIPT.read_text(encoding="utf-8").splitlines(keepends=True)
    script = "".join(line if line.startswith("--") else _named(line, names) for line in lines)
    return script if schema is None else f'set local search_path to "{schema}";\n\n{script}'


def _named(line: str, names: Names) -> str:
    return _FUNCTIONS.sub(lambda found: names.prefix + found[0], names.rewritten(line))


def scripts_for_supabase(names: Names) -> str:
    """
    Return all that a project's database needs after `create_schema`, as one transaction.
    """
    where: dict[str, Any] = attrs.asdict(names)
    return f"begin;\n\n{row_level_security(**where)}\n{supabase_functions(**where)}\ncommit;\n"


def set_up(url: str | URL, where: Mapping[str, Any]) -> None:
    """
    Make the tables or bring them up to date, close them to clients, and install the functions.

    Blocks. Whoever is logged in has to own the tables.

    Raises:
        SchemaVersionError, RepositoryUnavailableError, InvalidValueError: as `create_schema`.
    """
    engine = open_engine(url)
    try:
        create_schema(engine, **where)
        with translated_errors(), engine.begin() as connection:
            for script in (row_level_security, supabase_functions):
                connection.exec_driver_sql(script(**where))
    finally:
        engine.dispose()
