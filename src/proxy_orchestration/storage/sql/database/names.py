"""
Where the tables are: under their own names, or in a schema or under a prefix that a host chose.

Statements, migrations and scripts are written with the tables' own names. A
schema is the search path of each transaction; a prefix is put before each
name in the text that goes to the driver (decision 152).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, Literal

import attrs
from sqlalchemy import Connection, Dialect, ForeignKeyConstraint, MetaData, Table, inspect
from sqlalchemy.schema import CreateSchema, SchemaConst
from sqlalchemy.sql.elements import conv

from proxy_orchestration.errors import InvalidValueError, RepositoryUnavailableError
from proxy_orchestration.storage.sql.dialect.connections import names_of as _given_names
from proxy_orchestration.storage.sql.dialect.differences import has_schemas
from proxy_orchestration.storage.sql.dialect.guards import guard
from proxy_orchestration.storage.sql.schema import audit_events, metadata

VERSION_TABLE: Final = "proxy_orchestration_version"
"""Where the revision stands; a host's own migrations keep theirs elsewhere."""

_ELSEWHERE: Final = (
    'Give open, create_schema and the stores another prefix, such as prefix="bulk_", '
    "or on PostgreSQL a schema of their own. Nothing was changed."
)
_PREFIX: Final = re.compile(r"[a-z_][a-z0-9_]{0,19}")
_SCHEMA: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}")


def _fits_prefix(_names: Names, _field: attrs.Attribute[str], given: str) -> None:
    if given and not _PREFIX.fullmatch(given):
        field = "prefix"
        raise InvalidValueError(
            field, "is up to 20 lower-case letters, digits and underscores, not a digit first"
        )


def _fits_schema(_names: Names, _field: attrs.Attribute[str | None], given: str | None) -> None:
    if given is not None and not _SCHEMA.fullmatch(given):
        field = "schema"
        raise InvalidValueError(
            field, "is up to 63 letters, digits, underscores, dollars and hyphens, not a digit first"
        )


@attrs.frozen
class Names:
    """
    A host's choice.

    Attributes:
        schema: of PostgreSQL, for the tables alone; `None` for the connection's own.
        prefix: before each table's name.

    Raises:
        InvalidValueError: one of the two is no such name.
    """

    schema: str | None = attrs.field(default=None, validator=_fits_schema)
    prefix: str = attrs.field(default="", validator=_fits_prefix)

    @property
    def version_table(self) -> str:
        """
        Return the name of the table where the revision stands.
        """
        return self.prefix + VERSION_TABLE

    def check_for(self, dialect: Dialect) -> None:
        """
        Refuse what the database does not have.

        Raises:
            InvalidValueError: SQLite has no schemas.
        """
        if self.schema is not None and not has_schemas(dialect):
            field = "schema"
            raise InvalidValueError(field, "is PostgreSQL's; on SQLite give a prefix")

    def rewritten(self, text: str) -> str:
        """
        Return the SQL with the prefix before each name of ours: of tables, indexes and constraints.
        """
        return _rewritten(text, self.prefix) if self.prefix else text


@lru_cache(maxsize=1024)
def _rewritten(text: str, prefix: str) -> str:
    return _ours().sub(lambda found: prefix + found[0], text)


@lru_cache(maxsize=1)
def _ours() -> re.Pattern[str]:
    tables = "|".join(sorted([*metadata.tables, VERSION_TABLE], key=len, reverse=True))
    return re.compile(rf"\b(?:(?:ix|uq|ck|fk|pk)_(?:{tables})\w*|(?:{tables}))\b")


def names_of(connection: Connection) -> Names:
    """
    Return the names that hold on this connection; for one that is not ours, the tables' own.
    """
    given = _given_names(connection)
    return given if isinstance(given, Names) else Names()


def metadata_for(*, schema: str | None = None, prefix: str = "") -> MetaData:
    """
    Return the tables as they are named with that schema and prefix, for a host's own Alembic.

    Args:
        schema: of PostgreSQL.
        prefix: before each table's name, up to 20 characters.

    Raises:
        InvalidValueError: one of the two is no such name.
    """
    names = Names(schema, prefix)
    if names == Names():
        return metadata
    copied = MetaData(schema=schema, naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables:
        _copy(table, copied, names)
    return copied


def _copy(table: Table, copied: MetaData, names: Names) -> None:
    schema: str | Literal[SchemaConst.RETAIN_SCHEMA] = names.schema or SchemaConst.RETAIN_SCHEMA
    new = table.to_metadata(copied, schema=schema, name=names.prefix + table.name)
    if table is audit_events:
        guard(new)  # what a table listens to is not copied
    for index in new.indexes:
        index.name = conv(names.prefix + str(index.name))
    for constraint in new.constraints:
        # Some are named anew by the convention; all are to be what a migration's text is rewritten to.
        usual = str(constraint.name).replace(new.name, table.name, 1)
        constraint.name = conv(names.prefix + usual)
    _refer_anew(table, new, names)


def _refer_anew(table: Table, new: Table, names: Names) -> None:
    """
    Let the copy's foreign keys refer to copies, where SQLAlchemy has left the names without the prefix.
    """
    for key in new.foreign_key_constraints:
        new.constraints.remove(key)
        for element in key.elements:
            element.parent.foreign_keys.discard(element)
            new.foreign_keys.discard(element)
    start = (f"{names.schema}." if names.schema else "") + names.prefix
    for key in table.foreign_key_constraints:
        referred = [f"{start}{element.column.table.name}.{element.column.name}" for element in key.elements]
        name = conv(names.prefix + str(key.name))
        new.append_constraint(
            ForeignKeyConstraint(key.column_keys, referred, name=name, ondelete=key.ondelete)
        )


def make_schema(connection: Connection, names: Names) -> None:
    """
    Make the schema of PostgreSQL, where a host named one that is not there.
    """
    if names.schema is not None and names.schema not in inspect(connection).get_schema_names():
        connection.execute(CreateSchema(names.schema))


def check_free(connection: Connection, names: Names) -> None:
    """
    Make sure that nothing of a host's is where our tables would come to be.

    Raises:
        RepositoryUnavailableError: it has a table of the same name; nothing was changed.
    """
    inspector = inspect(connection)
    there: dict[str, Any] = {}
    for name in (
        *inspector.get_table_names(schema=names.schema),
        *inspector.get_view_names(schema=names.schema),
    ):
        there[name.lower()] = name  # SQLite does not tell case apart
    wanted = [names.prefix + name for name in metadata.tables]
    if taken := sorted(there[name] for name in wanted if name in there):
        reason = f"The database has tables of its own by this library's names: {', '.join(taken)}."
        raise RepositoryUnavailableError(reason, advice=_ELSEWHERE)
