"""
The databases for which SQL is shipped, with their names.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from proxy_orchestration.errors import InvalidValueError

Database: TypeAlias = Literal["postgresql", "sqlite"]

_WITH_SCHEMAS: Final = frozenset({"postgresql"})


def check_database(database: object, *, schema: str | None) -> None:
    """
    Accept a database that SQL is shipped for, and a schema where it has schemas.

    Raises:
        InvalidValueError: there is none for that one, or it has no schemas.
    """
    if database not in get_args(Database):
        name, rule = "database", "must be 'postgresql' or 'sqlite'"
        raise InvalidValueError(name, rule)
    if schema is not None and database not in _WITH_SCHEMAS:
        name, rule = "schema", "must be omitted on SQLite, which has no schemas: give a prefix instead"
        raise InvalidValueError(name, rule)
