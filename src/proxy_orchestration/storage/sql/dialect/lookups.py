"""
Looks up each row by its index, whatever PostgreSQL estimates about the table's size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Dialect,
    Exists,
    FromClause,
    Integer,
    Select,
    Table,
    bindparam,
    cast,
    exists,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects import postgresql

from proxy_orchestration.storage.sql.dialect.differences import is_any_of, listed

# What has an offset is not merged into the statement around it; decision 49.
_FENCE: Final[ColumnElement[int]] = literal_column("0", Integer)


def one_by_one(*conditions: ColumnElement[bool]) -> Exists:
    """
    Return whether such a row exists, looked for by itself for each row of the statement around.

    PostgreSQL would join, and with statistics that are old compare every
    row of a batch with every other.
    """
    return exists(select(literal_column("1")).where(*conditions).offset(_FENCE))


def looked_up(
    source: FromClause,
    table: Table,
    condition: ColumnElement[bool],
    dialect: Dialect,
    *,
    locked: bool = False,
) -> tuple[FromClause, FromClause]:
    """
    Return the source joined with the table's rows for each of its own, and what has those rows' columns.

    PostgreSQL is made to look for each by the index: with statistics that
    are old it may go through a whole batch for every row of the source.
    """
    if dialect.name == "sqlite":
        return source.join(table, condition), table
    wanted = select(table).where(condition).offset(_FENCE)
    found = (wanted.with_for_update() if locked else wanted).lateral(f"{table.name}_found")
    return source.join(found, true()), found


def narrowed(
    statement: Select[*tuple[Any, ...]],
    scope: Column[Any],
    column: Column[Any],
    dialect: Dialect,
    *,
    order_by: Sequence[Column[Any]] = (),
) -> Select[*tuple[Any, ...]]:
    """
    Narrow a statement to one scope, such as a batch, and in it to a list of values; see `scoped`.

    PostgreSQL is made to look for each value by the index: with a plain list,
    and statistics that are old, it may read the whole scope for a few values.
    The statement is complete but for this, and returns what is ordered by.
    """
    if dialect.name == "sqlite":
        narrow = statement.where(scope == bindparam("scope"), is_any_of(column, "wanted", dialect))
        return narrow.order_by(*order_by)
    arrays = (
        cast(bindparam(name), postgresql.ARRAY(one.type))
        for name, one in (("scope", scope), ("wanted", column))
    )
    pairs = func.unnest(*arrays).table_valued("scope", "wanted").render_derived(name="pairs")
    each = statement.where(scope == pairs.c.scope, column == pairs.c.wanted).offset(_FENCE).lateral("each")
    return (
        select(each).select_from(pairs.join(each, true())).order_by(*(each.c[one.name] for one in order_by))
    )


def scoped(scope: str | int, values: Iterable[str | int], dialect: Dialect) -> dict[str, Any]:
    """
    Return the scope and the values as `narrowed` takes them.
    """
    wanted = list(values)
    if dialect.name == "sqlite":
        return {"scope": scope, "wanted": listed(wanted, dialect)}
    return {"scope": [scope] * len(wanted), "wanted": wanted}
