"""
Passes many rows as one JSON parameter, on both databases.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Boolean, Double, FromClause, Integer, Text, bindparam, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine


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


class json_integer(json_text):  # noqa: N801 - reads like the SQL function it is
    """
    The same for a whole number.
    """

    type: TypeEngine[Any] = Integer()
    inherit_cache: bool | None = True
    postgresql_type: str = "integer"


class json_number(json_text):  # noqa: N801 - reads like the SQL function it is
    """
    The same for a number with fractions.
    """

    type: TypeEngine[Any] = Double()
    inherit_cache: bool | None = True
    postgresql_type: str = "double precision"


class json_flag(json_text):  # noqa: N801 - reads like the SQL function it is
    """
    The same for a truth value.
    """

    type: TypeEngine[Any] = Boolean()
    inherit_cache: bool | None = True
    postgresql_type: str = "boolean"


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
