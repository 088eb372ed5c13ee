"""
The store that `--db` names: a SQLite file, or an address that the library accepts.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from pathlib import Path
from typing import Final

import attrs
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from proxy_orchestration.storage.sql.dialect.addresses import file_of, is_in_memory

_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+_.-]*://")
_SECRETS: Final = ("password", "sslpassword")
_HIDDEN: Final = "..."  # of asterisks an address would make %2A


@attrs.frozen(kw_only=True)
class TableNames:
    """
    Where in the database the tables are.

    Attributes:
        schema: of PostgreSQL; `None` for the connection's own.
        prefix: before each table's name.
    """

    schema: str | None = None
    prefix: str = ""


_OWN_NAMES: Final = TableNames()
NAMED_TABLES: Final[ContextVar[TableNames]] = ContextVar("NAMED_TABLES", default=_OWN_NAMES)
"""What stood before the command; its own options are read after those."""


@attrs.frozen
class Store:
    """
    A database, and where in it the tables are.

    Attributes:
        address: a file's path or an address; it may hold a password.
        names: the schema and the prefix of the tables.
    """

    address: str = attrs.field(repr=False)
    names: TableNames = attrs.field(factory=NAMED_TABLES.get)

    def __str__(self) -> str:
        """
        Return the address as it may be shown, without secrets.
        """
        url = self._parsed
        if url is None:
            return self.address if self.url_given is None else "the given address"
        hidden = {name: _HIDDEN for name in _SECRETS if name in url.query}
        return url.update_query_dict(hidden).render_as_string(hide_password=True)

    @property
    def url_given(self) -> str | None:
        """
        Return the address, `None` where a file was named by its path.
        """
        return self.address if _ADDRESS.match(self.address) else None

    @property
    def url(self) -> str | URL:
        """
        Return what the library opens.
        """
        return self.url_given or URL.create("sqlite", database=self.address)

    @property
    def file(self) -> Path | None:
        """
        Return the SQLite file; `None` for a server, and for what is no path.
        """
        return None if self._place is None else file_of(self._place)

    @property
    def is_missing(self) -> bool:
        """
        Tell whether it is a file, and not there.
        """
        return self.file is not None and not self.file.exists()

    @property
    def is_in_memory(self) -> bool:
        """
        Tell whether it would end with the command.
        """
        return self._place is not None and is_in_memory(self._place)

    @property
    def _place(self) -> URL | None:
        return URL.create("sqlite", database=self.address) if self.url_given is None else self._parsed

    @property
    def _parsed(self) -> URL | None:
        try:
            return None if self.url_given is None else make_url(self.url_given)
        except (ArgumentError, ValueError):  # what it is not is told by the library, without showing it
            return None


def as_store(named: Store | Path | str) -> Store:
    """
    Return the store that a path or an address names.
    """
    return named if isinstance(named, Store) else Store(str(named))
