"""
The few places where SQLite and PostgreSQL need different words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from typing import cast as cast_type

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Double,
    Insert,
    Table,
    any_,
    bindparam,
    cast,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine


class store_now(FunctionElement[float]):  # noqa: N801 - reads like the SQL function it is
    """
    The store's own clock, in seconds since 1970 with fractions.
    """

    type: TypeEngine[float] = Double()
    inherit_cache: bool | None = True


@compiles(store_now, "sqlite")
def _sqlite_now(_element: store_now, _compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401 - the hook's signature
    # SQLite 3.40 has no sub-second unixepoch; a julian day is good for 0.05 ms.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(store_now, "postgresql")
def _postgresql_now(_element: store_now, _compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401 - the hook's signature
    # now() would stand still within a transaction.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS double precision)"


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """
    Insert many rows, each a tuple in the order of the table's columns, by the driver's own executemany.

    SQLAlchemy would look at every value of every row; for the rows that are
    written per item that is most of the cost.
    """
    if rows:
        connection.exec_driver_sql(_insert_text(table, connection.dialect), list(rows))


@lru_cache(maxsize=32)
def _insert_text(table: Table, dialect: Dialect, *, ignore: bool = False) -> str:
    statement: Insert = insert(table)
    if ignore:
        upsert = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
        statement = upsert(table).on_conflict_do_nothing()
    # Rows are tuples, so a driver that takes parameters by name is given places instead.
    placed = (
        dialect
        if dialect.positional
        else cast_type("type[DefaultDialect]", type(dialect))(paramstyle="format")
    )
    return str(statement.compile(dialect=placed))


def insert_rows_or_ignore(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> int:
    """
    Insert those rows that no unique constraint holds already; return how many.
    """
    return connection.exec_driver_sql(
        _insert_text(table, connection.dialect, ignore=True), list(rows)
    ).rowcount


def is_any_of(column: Column[Any], name: str, dialect: Dialect) -> ColumnElement[bool]:
    """
    Return the condition that a column's value is in the list bound to that name, whatever its length.

    One statement and one parameter for any number of values; see `listed`.
    """
    if dialect.name == "sqlite":
        return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))
    return column == any_(cast(bindparam(name), postgresql.ARRAY(column.type)))


def listed(values: Iterable[str | int], dialect: Dialect) -> Any:  # noqa: ANN401 - text or list
    """
    Return the values as `is_any_of` takes them.
    """
    return json.dumps(list(values)) if dialect.name == "sqlite" else list(values)


def insert_or_ignore(connection: Connection, table: Table, row: Mapping[str, object]) -> bool:
    """
    Insert the row unless a unique constraint already holds one; return whether it was inserted.
    """
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = upsert(table).values(row).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return connection.execute(statement).rowcount == 1
