"""
The few places where SQLite and PostgreSQL need different words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from typing import cast as cast_type

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Double,
    Exists,
    FromClause,
    Insert,
    Integer,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    exists,
    func,
    insert,
    literal_column,
    select,
    true,
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


_TURN = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("what"), 0)))

# What has an offset is not merged into the statement around it.
_FENCE: Final[ColumnElement[int]] = literal_column("0", Integer)


def one_by_one(*conditions: ColumnElement[bool]) -> Exists:
    """
    Return whether such a row exists, looked for by itself for each row of the statement around.

    PostgreSQL would join, and with statistics that are old compare every
    row of a batch with every other.
    """
    return exists(select(literal_column("1")).where(*conditions).offset(_FENCE))


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
    return driver_text(statement, dialect)


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


def insert_or_ignore(connection: Connection, table: Table, row: Mapping[str, object]) -> bool:
    """
    Insert the row unless a unique constraint already holds one; return whether it was inserted.
    """
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = upsert(table).values(row).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return connection.execute(statement).rowcount == 1


class json_elements(FunctionElement[Any]):  # noqa: N801 - reads like the SQL function it is
    """
    The elements of a JSON array, one a row, in a column called `value`.
    """

    name: str = "json_elements"
    inherit_cache: bool | None = True


@compiles(json_elements, "sqlite")
def _sqlite_elements(element: json_elements, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - the hook's signature
    return f"json_each({compiler.process(element.clauses, **kw)})"


@compiles(json_elements, "postgresql")
def _postgresql_elements(element: json_elements, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - the hook's signature
    return f"jsonb_array_elements(CAST({compiler.process(element.clauses, **kw)} AS jsonb))"


class json_text(FunctionElement[str]):  # noqa: N801 - reads like the SQL function it is
    """
    A text in a JSON array, by its index.
    """

    type: TypeEngine[Any] = Text()
    inherit_cache: bool | None = True
    postgresql_type: str = "text"


class json_instant(json_text):  # noqa: N801 - reads like the SQL function it is
    """
    The same for a moment, in ISO 8601.
    """

    inherit_cache: bool | None = True
    postgresql_type: str = "timestamptz"


class json_date(json_text):  # noqa: N801 - reads like the SQL function it is
    """
    The same for a day.
    """

    inherit_cache: bool | None = True
    postgresql_type: str = "date"


@compiles(json_text, "sqlite")
def _sqlite_item(element: json_text, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - the hook's signature
    value, index = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"json_extract({value}, '$[{index}]')"


@compiles(json_text, "postgresql")
def _postgresql_item(element: json_text, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - the hook's signature
    value, index = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"CAST({value} ->> {index} AS {element.postgresql_type})"


@lru_cache(maxsize=8)
def json_rows(name: str, *kinds: type[json_text]) -> tuple[FromClause, tuple[json_text, ...]]:
    """
    Return a table of the JSON array of arrays bound to that name, and its columns.
    """
    table = json_elements(bindparam(name, type_=Text)).table_valued("value").alias(f"{name}_each")
    columns = tuple(kind(table.c.value, literal_column(str(index))) for index, kind in enumerate(kinds))
    return table, columns


def upserting(table: Table, dialect: Dialect) -> sqlite.Insert | postgresql.Insert:
    """
    Return an insert that can say what to do where a row is there already.
    """
    return sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)


def wait_for_turn(connection: Connection, what: str) -> None:
    """
    Let nobody else do that until this transaction ends; SQLite's lock for writing says so already.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_TURN, {"what": f"proxy-orchestration {what}"})
