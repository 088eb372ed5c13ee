"""
SQL for a host's own tables: a view of who is hidden now, and a policy that leaves them out.

Both compare the ends themselves with the moment of the query, so that a late run hides nobody late.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.storage.sql.database.names import Names
from proxy_orchestration.storage.sql.dialect.databases import Database, check_database

_VIEW: Final = "hidden_mentors"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}")


def hidden_mentors_view(database: Database, *, schema: str | None = None, prefix: str = "") -> str:
    """
    Return the SQL of the view `hidden_mentors`: `mentor_id`, and `ended_at` of what ended first.

    Of many statements, without parameters; run it after `create_schema`, as the
    owner of the tables. To run it again changes nothing. Nobody but the owner
    may read the view until you grant it.

    Args:
        database: which one it is for.
        schema: of PostgreSQL, where the tables are, as `create_schema` was told.
        prefix: before the name of each table, and of the view, likewise.

    Raises:
        InvalidValueError: one of the arguments is no such name.
    """
    check_database(database, schema=schema)
    names = Names(schema, prefix)
    text = Path(__file__).with_name(f"{_VIEW}_{database}.sql").read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    script = "".join(line if line.startswith("--") else _named(line, names) for line in lines)
    return script if schema is None else f'set local search_path to "{schema}";\n\n{script}'


def hidden_mentors_policy(  # noqa: PLR0913 - each names one thing
    table: str,
    column: str,
    *,
    role: str = "authenticated",
    table_schema: str = "public",
    schema: str = "public",
    prefix: str = "",
) -> str:
    """
    Return the SQL by which a role reads no hidden mentor in a host's own table, on PostgreSQL.

    It is a restrictive policy: what else the role may read is up to your other
    policies, without which it reads nothing. It lets the role read the view,
    which has to be there. Run it as the owner of the table and of the view; to
    run it again changes nothing.

    Args:
        table: the host's table of mentors.
        column: of it, with the mentor's id as the certificates have it; of any type.
        role: who is not to see hidden mentors.
        table_schema: where the table is.
        schema: where the view is.
        prefix: before the view's name.

    Raises:
        InvalidValueError: one of the arguments is no such name.
    """
    for name, given in {
        "table": table,
        "column": column,
        "role": role,
        "table_schema": table_schema,
        "schema": schema,
    }.items():
        if not _NAME.fullmatch(given):
            rule = "is up to 63 letters, digits, underscores, dollars and hyphens, not a digit first"
            raise InvalidValueError(name, rule)
    view = f'"{schema}"."{Names(schema, prefix).prefix}{_VIEW}"'
    whose = f'"{table_schema}"."{table}"'
    return f"""\
grant usage on schema "{schema}" to "{role}";
grant select on {view} to "{role}";
alter table {whose} enable row level security;
drop policy if exists {_VIEW} on {whose};
create policy {_VIEW} on {whose} as restrictive for select to "{role}"
  using (not exists (select from {view} as hidden where hidden.mentor_id = {whose}."{column}"::text));
"""  # noqa: S608 - names that were checked


def _named(line: str, names: Names) -> str:
    return names.rewritten(line).replace(_VIEW, names.prefix + _VIEW)
