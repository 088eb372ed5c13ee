"""
Inserts many rows at once, also rows that may already exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from typing import cast as cast_type

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    Insert,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    func,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.default import DefaultDialect

_MOST_TEXT: Final = 1_000_000
"""Characters in one statement: libpq takes ever longer to send more, up to a gigabyte; decision 58."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """
    Insert many rows, each a tuple in the order of the table's columns, straight through the driver.

    SQLAlchemy would look at every value of every row; for the rows that are
    written per item that is most of the cost (decision 18).
    """
    if rows:
        _insert(connection, table, rows, _insert_text(table, connection.dialect))


def insert_rows_or_ignore(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> int:
    """
    Insert those rows that no unique constraint holds already; return how many.
    """
    return _insert(connection, table, rows, _ignore_text(table, connection.dialect)) if rows else 0


def replace_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """
    Insert rows, each once, in the place of those that have the same primary key.
    """
    if rows:
        _insert(connection, table, rows, _replace_text(table, connection.dialect))


def _insert(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], statement: str) -> int:
    """
    Insert by the driver's executemany; on PostgreSQL, where that runs each row by itself, by column.
    """
    if connection.dialect.name == "sqlite":
        return connection.exec_driver_sql(statement, list(rows)).rowcount
    columns = tuple(map(_column, zip(*rows, strict=True)))
    if len(rows) > 1 and _length_of_texts(table, columns) > _MOST_TEXT:
        halves = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        return sum(_insert(connection, table, half, statement) for half in halves)
    return connection.exec_driver_sql(statement, columns).rowcount


def _column(values: tuple[Any, ...]) -> list[Any] | None:
    # Shorter arrays are filled up with NULLs: for nothing but NULLs, nothing is enough.
    return None if values[0] is None and values.count(None) == len(values) else list(values)


def _length_of_texts(table: Table, columns: Sequence[list[Any] | None]) -> int:
    texts = (
        values for column, values in zip(table.columns, columns, strict=True) if isinstance(column.type, Text)
    )
    return sum(sum(map(len, filter(None, values))) for values in texts if values)


@lru_cache(maxsize=32)
def _insert_text(table: Table, dialect: Dialect) -> str:
    return _text_of(_many(table, dialect), dialect)


@lru_cache(maxsize=32)
def _ignore_text(table: Table, dialect: Dialect) -> str:
    return _text_of(_many(table, dialect).on_conflict_do_nothing(), dialect)


@lru_cache(maxsize=32)
def _replace_text(table: Table, dialect: Dialect) -> str:
    insert = _many(table, dialect)
    replacing = insert.on_conflict_do_update(
        index_elements=[column.name for column in table.primary_key],
        set_={
            column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key
        },
    )
    return _text_of(replacing, dialect)


def _many(table: Table, dialect: Dialect) -> sqlite.Insert | postgresql.Insert:
    insert = upserting(table, dialect)
    if dialect.name == "sqlite":
        return insert
    return insert.from_select(table.columns.keys(), _unnested(table))


def _text_of(insert: Insert, dialect: Dialect) -> str:
    return driver_text(insert, dialect).replace(
        "%s", "%b"
    )  # arrays go in binary: as text, every value would be quoted and read


def _unnested(table: Table) -> Select[*tuple[Any, ...]]:
    arrays = (cast(bindparam(column.key), postgresql.ARRAY(column.type)) for column in table.columns)
    return select(func.unnest(*arrays).table_valued(*table.columns.keys()).render_derived(name="rows"))


def insert_or_ignore(connection: Connection, table: Table, row: Mapping[str, object]) -> bool:
    """
    Insert the row unless a unique constraint already holds one; return whether it was inserted.
    """
    insert = upserting(table, connection.dialect).values(row).on_conflict_do_nothing()
    return connection.execute(insert.execution_options(preserve_rowcount=True)).rowcount == 1


def upserting(table: Table, dialect: Dialect) -> sqlite.Insert | postgresql.Insert:
    """
    Return an insert that can say what to do where a row is there already.
    """
    return sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)


def upserting_rows(
    table: Table, values: Mapping[str, ColumnElement[Any]], rows: FromClause, dialect: Dialect
) -> sqlite.Insert | postgresql.Insert:
    """
    Return an upsert of what these rows say of these columns.
    """
    # SQLite reads ON after a join's table as the join's own, unless there is a WHERE.
    selected = select(*values.values()).select_from(rows).where(true())
    return upserting(table, dialect).from_select(list(values), selected)


def driver_text(statement: Insert, dialect: Dialect) -> str:
    """
    Return the insert as the driver takes it with rows that are tuples.
    """
    # A driver that takes parameters by name is given places instead.
    placed = (
        dialect
        if dialect.positional
        else cast_type("type[DefaultDialect]", type(dialect))(paramstyle="format")
    )
    return str(statement.compile(dialect=placed))
