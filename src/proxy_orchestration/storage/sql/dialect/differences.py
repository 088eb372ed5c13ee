"""
SQL expressions that differ between SQLite and PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Double,
    Text,
    any_,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

_TURN = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("what"), 0)))


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


class by_code_point(FunctionElement[str]):  # noqa: N801 - reads like the SQL function it is
    """
    A text of a released column that was made before its order mattered, as `BY_CODE_POINT` has it.
    """

    type: TypeEngine[str] = Text()
    inherit_cache: bool | None = True


@compiles(by_code_point, "sqlite")
def _sqlite_text(element: by_code_point, compiler: SQLCompiler, **rest: Any) -> str:  # noqa: ANN401 - the hook's signature
    return compiler.process(element.clauses.clauses[0], **rest)


@compiles(by_code_point, "postgresql")
def _postgresql_text(element: by_code_point, compiler: SQLCompiler, **rest: Any) -> str:  # noqa: ANN401 - the hook's signature
    return f'({compiler.process(element.clauses.clauses[0], **rest)} COLLATE "C")'


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


def locks_rows(dialect: Dialect) -> bool:
    """
    Return whether a transaction locks rows; SQLite's has locked all of the database when it begins to write.
    """
    return dialect.name != "sqlite"


def has_schemas(dialect: Dialect) -> bool:
    """
    Return whether tables of one database may stand in several schemas.
    """
    return dialect.name == "postgresql"


def wait_for_turn(connection: Connection, what: str) -> None:
    """
    Let nobody else do that until this transaction ends; SQLite's lock for writing says so already.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_TURN, {"what": f"proxy-orchestration {what}"})
