"""
Databases on the tests' server: new ones, and one that is emptied again and again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final, LiteralString

import attrs
import psycopg
from sqlalchemy import URL, create_engine
from waits import LONGEST_WAIT

from proxy_orchestration.storage.sql import create_schema, metadata

PASSWORD: Final = "hunter2-canary"  # noqa: S105 - the server does not ask this user for it
"""A password that stands in every address, so that whoever tells it is found out."""

_LET_GO: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_WAITING: Final = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
_RESTART: Final = "SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'"


@attrs.define(eq=False)
class Databases:
    """
    The databases of one server.

    A new database takes 80 ms; so most tests get the one that is emptied, in
    5 ms. Of a file whose tests each need a new one, `dropped` keeps few at a time.
    """

    socket_folder: Path
    _numbers: Any = attrs.field(init=False, factory=count)
    _schema: str | None = attrs.field(init=False, default=None)
    _usual: str | None = attrs.field(init=False, default=None)

    def url(self, name: str, *, user: str = "tester", password: str = PASSWORD) -> URL:
        """
        Return the address of the database of that name.
        """
        return URL.create(
            "postgresql+psycopg", user, password, database=name, query={"host": str(self.socket_folder)}
        )

    def empty(self, template: str = "template1") -> URL:
        """
        Return the address of a new database without any table, or with those of the template.
        """
        name = f"store{next(self._numbers)}"
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[arg-type]  # names of our own
        return self.url(name)

    def stop_syncing(self) -> None:
        """
        Let the server leave its files to the operating system: no test cuts the machine's power.

        What a server loses that is struck down and started again is the same: nothing.
        """
        self.execute("postgres", "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

    @contextmanager
    def dropped(self) -> Iterator[URL]:
        """
        Make a new database without any table, and drop it with the block.
        """
        url = self.empty()
        yield url
        self.execute("postgres", f"DROP DATABASE {url.database} WITH (FORCE)")  # type: ignore[arg-type]  # names of our own

    def new(self) -> URL:
        """
        Return the address of a new database with our tables.
        """
        if self._schema is None:
            url = self.empty()
            engine = create_engine(url)
            create_schema(engine)
            engine.dispose()
            self._schema = url.database
        assert self._schema is not None
        return self.empty(self._schema)

    def emptied(self) -> URL:
        """
        Return the address of a database with our tables and no rows; the one before is this one.
        """
        if self._usual is None:
            self._usual = self.new().database
        assert self._usual is not None
        deletions = (f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))  # noqa: S608 - names of our own
        self.execute(self._usual, _LET_GO, ";".join(deletions), _RESTART)  # type: ignore[arg-type]  # names of our own
        return self.url(self._usual)

    def execute(self, name: str | None, *statements: LiteralString) -> Sequence[tuple[Any, ...]]:
        """
        Execute statements, each committed by itself; return the last one's rows.
        """
        with psycopg.connect(
            host=str(self.socket_folder), user="tester", dbname=name, autocommit=True
        ) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def let_go(self, name: str | None) -> None:
        """
        End every other connection to that database.
        """
        self.execute(name, _LET_GO)

    def terminate(self, backend: int) -> None:
        """
        End the server's process for a connection.
        """
        self.execute("postgres", f"SELECT pg_terminate_backend({backend})")  # type: ignore[arg-type]  # names of our own

    def wait_for_waiting(self, name: str | None) -> None:
        """
        Return as soon as a transaction on that database waits for a lock.
        """
        give_up = time.monotonic() + LONGEST_WAIT
        while not self.execute(name, _WAITING):
            assert time.monotonic() < give_up, "nobody waits for a lock"

    def wait_for_the_end_of(self, backend: int) -> None:
        """
        Return as soon as the server's process for a connection is gone.
        """
        give_up = time.monotonic() + LONGEST_WAIT
        while (backend,) in self.execute("postgres", "SELECT pid FROM pg_stat_activity"):
            assert time.monotonic() < give_up, "the server's process stays"
