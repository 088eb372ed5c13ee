"""
The functions by which a service reads and writes activity records over PostgREST.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from proxy_orchestration.storage.sql.database.names import Names

_SCRIPT: Final = Path(__file__).with_name("supabase.sql")
_FUNCTIONS: Final = re.compile(
    r"\b(?:add_activities|find_activities|find_duplicates|activities_of_batch|void_activity"
    r"|list_activities|add_correction)\b(?=\()"
)


def supabase_functions(*, schema: str | None = None, prefix: str = "") -> str:
    """
    Return the SQL of the functions that `PostgrestActivityRecords` calls, for PostgreSQL and Supabase.

    Of many statements, without parameters. Run it as the owner of the tables
    and in one transaction, after `create_schema` and `row_level_security()`,
    and again after each upgrade of the library; to run it again changes
    nothing. Only the service's role may call the functions.

    Args:
        schema: where the tables are, as `create_schema` was told; PostgREST has to expose it.
        prefix: before each table's name, likewise; the functions' names begin with it too.

    Raises:
        InvalidValueError: one of the two is no such name.
    """
    names = Names(schema, prefix)
    lines = _SCRIPT.read_text(encoding="utf-8").splitlines(keepends=True)
    script = "".join(line if line.startswith("--") else _named(line, names) for line in lines)
    return script if schema is None else f'set local search_path to "{schema}";\n\n{script}'


def _named(line: str, names: Names) -> str:
    return _FUNCTIONS.sub(lambda found: names.prefix + found[0], names.rewritten(line))
