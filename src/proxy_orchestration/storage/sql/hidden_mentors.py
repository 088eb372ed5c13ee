"""
SQL for a host's own tables: a view of hidden mentors, and a policy that leaves them out.

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
    Return the SQL of the view `hidden_mentors`, with `mentor_id` and, in `ended_at`, the earliest end.

    The SQL has several statements and no parameters. Run it after `create_schema`, as the owner of
    the tables. Running it again changes nothing. Only the owner may read the view until you grant
    access.

    Args:
        database: the kind of database, `postgresql` or `sqlite`.
        schema: the PostgreSQL schema of the tables, as given to `create_schema`.
        prefix: the prefix of the names of the tables, as given to `create_schema`, and of the view.

    Raises:
        InvalidValueError: one of the arguments is not a valid name.
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
    Return the SQL of a policy that hides hidden mentors from a role in the host's own PostgreSQL table.

    It is a restrictive policy. Your other policies decide what else the role may read; without any,
    it reads nothing. The SQL also allows the role to read the view, which must exist. Run it as the
    owner of the table and of the view. Running it again changes nothing.

    Args:
        table: the host's table of mentors.
        column: the column of that table with the mentor's id as in the certificates; it may have
            any type.
        role: the role that must not see hidden mentors.
        table_schema: the schema of the table.
        schema: the schema of the view.
        prefix: the prefix of the view's name.

    Raises:
        InvalidValueError: one of the arguments is not a valid name.
    """
    for name, given in {
        "table": table,
        "column": column,
        "role": role,
        "table_schema": table_schema,
        "schema": schema,
    }.items():
        if not _NAME.fullmatch(given):
            rule = (
                "must have at most 63 characters: letters, digits, underscores, dollar signs and hyphens, "
                "and no digit first"
            )
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
