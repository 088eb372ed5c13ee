"""
New SQLite databases get their tables from a copy of what the migrations made before, in this process.

Going through every revision takes 70 ms of computing, and hundreds of tests open a database of their
own. What a first one ended as, SQLite tells itself; the next ones are given that, within the same
transaction. Any database with something in it goes through the migrations, and so does everything that
another process opens.
"""

from __future__ import annotations

import sys
from typing import Any, Final

_MIGRATE: Final = "proxy_orchestration.storage.sql.database.migrate"
_TOLD: Final = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"


def have_new_databases_copied() -> None:
    """
    Begin with it, if the module of the migrations has been imported.
    """
    migrate = sys.modules.get(_MIGRATE)
    upgrade = getattr(migrate, "_upgrade", None)
    if upgrade is not None and not isinstance(upgrade, Upgrade):
        migrate._upgrade = Upgrade(upgrade)  # type: ignore[union-attr]  # it is there


class Upgrade:
    """
    The migrations, and what they made of an empty database.
    """

    def __init__(self, migrations: Any) -> None:
        self.migrations = migrations
        self._made: list[tuple[str, list[Any]]] = []

    def __call__(self, connection: Any, names: Any) -> None:  # noqa: D102 - the class says it
        if connection.dialect.name != "sqlite":
            self.migrations(connection, names)
            return
        cursor = connection.connection.cursor()
        empty = not cursor.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        if empty and self._made:
            for statement, rows in self._made:
                cursor.executemany(statement, rows) if rows else cursor.execute(statement)
        else:
            self.migrations(connection, names)
            self._made = self._made or (_read(cursor) if empty else [])
        cursor.close()


def _read(cursor: Any) -> list[tuple[str, list[Any]]]:
    made: list[tuple[str, list[Any]]] = [(sql, []) for (sql,) in cursor.execute(_TOLD).fetchall()]
    for (name,) in cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        rows = cursor.execute(f'SELECT * FROM "{name}"').fetchall()  # noqa: S608 - our own names
        if rows:
            made.append((f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(rows[0]))})', rows))  # noqa: S608 - as above
    return made
