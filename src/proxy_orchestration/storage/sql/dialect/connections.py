"""
Begins the library's transactions, on connections of a host's engine or its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import RootTransaction
from sqlalchemy.pool import StaticPool

from proxy_orchestration.errors import InvalidTypeError
from proxy_orchestration.storage.sql.dialect import pragmas, sessions
from proxy_orchestration.storage.sql.dialect.addresses import file_of, is_in_memory

_WRITERS: Final = 4
_MODE: Final = "proxy_orchestration_mode"
_OURS: Final = "proxy_orchestration_ours"
_NAMES: Final = "proxy_orchestration_names"
_AS_WRITTEN: Final = "proxy_orchestration_as_written"


class Naming(Protocol):
    """
    Where the tables are: in which schema, and by which names.
    """

    @property
    def schema(self) -> str | None:
        """
        The schema of PostgreSQL that has them, and nothing else that we use; `None` for the connection's own.
        """
        ...

    @property
    def prefix(self) -> str:
        """
        What stands before each name.
        """
        ...

    def rewritten(self, text: str) -> str:
        """
        Return the SQL with those names.
        """
        ...


def check_engine(engine: Engine) -> Engine:
    """
    Return the engine if there is a store for its driver, and transactions have connections of their own.

    Raises:
        InvalidTypeError: it is no engine.
        ValueError: there is none, or they have not.
    """
    given: object = engine
    if not isinstance(given, Engine):
        rule = (
            f"must be a synchronous SQLAlchemy Engine, not {type(given).__name__}: "
            "make one with `sqlalchemy.create_engine`, or use `open(url)`"
        )
        raise InvalidTypeError("engine", rule)  # noqa: EM101 - an argument's name
    known = {"sqlite": engine.dialect.driver, "postgresql": "psycopg"}
    if engine.dialect.is_async or known.get(engine.dialect.name) != engine.dialect.driver:
        msg = (
            "The store supports sqlite, and PostgreSQL through postgresql+psycopg, both with synchronous "
            "drivers"
        )
        raise ValueError(msg)
    if isinstance(engine.pool, StaticPool):
        msg = (
            "An engine with a StaticPool shares one connection, on which transactions would mix: use "
            "SQLAlchemy's usual pool and, with SQLite, a file. For a test, use the store in memory"
        )
        raise ValueError(msg)  # noqa: TRY004 - a kind of engine, not of argument
    return engine


def make_ours(engine: Engine) -> Engine:
    """
    Set up an engine that nobody else uses: durable, and patient for a while only.
    """
    engine.update_execution_options(**{_OURS: True})
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", pragmas.configure)
    return engine


def for_writing(engine: Engine, names: Naming) -> Engine:
    """
    Return the engine's twin for `transaction`, whose transactions are begun to write.

    Errors of a twin never show values: notes are personal data.
    """
    return _twin(engine, names, pragmas.WRITES if engine.dialect.name == "sqlite" else sessions.WRITES)


def for_reading(engine: Engine, names: Naming) -> Engine:
    """
    Return the engine's twin for `transaction`, whose transactions see one moment.
    """
    return _twin(engine, names, pragmas.READS if engine.dialect.name == "sqlite" else sessions.READS)


@contextmanager
def transaction(twin: Engine) -> Iterator[tuple[Connection, RootTransaction]]:
    """
    Begin a transaction as the store needs it, and leave the connection as it was found.

    Durable, in UTF-8 and UTC, with foreign keys. The engine is untouched:
    whatever the host does with it beside us is as it would be without us.
    """
    with twin.connect() as connection, _left_as_found(connection), connection.begin() as begun:
        _begin(connection)
        yield connection, begun


def is_pooled(engine: Engine, names: Naming) -> bool:
    """
    Return whether the engine's connections are to a pooler, such as PgBouncer.
    """
    if engine.dialect.name != "postgresql":
        return False
    with transaction(for_reading(engine, names)) as (connection, _):
        return sessions.is_pooled(connection)


def writers_at_once(engine: Engine) -> int:
    """
    Return how many transactions may write beside each other.
    """
    # SQLite lets waiting writers starve each other, so they queue here and not there.
    return 1 if engine.dialect.name == "sqlite" else _WRITERS


def is_of_one_thread(engine: Engine) -> bool:
    """
    Return whether every thread would see another database: SQLite's in memory.

    One that has a name is refused too: who shares it does not wait for others, whatever the busy timeout.
    """
    return engine.dialect.name == "sqlite" and is_in_memory(engine.url)


def database_file(engine: Engine) -> Path | None:
    """
    Return the file that the database lives in, or `None` where it is no file of ours to watch.
    """
    file = file_of(engine.url)
    return None if file is None else file.absolute()


def names_of(connection: Connection) -> object:
    """
    Return the names that were given for this connection; `None` for one that is not ours.
    """
    return connection.get_execution_options().get(_NAMES)


@contextmanager
def named_as_by_the_host(connection: Connection) -> Iterator[None]:
    """
    Have the statements of a block, which are a host's, find its tables and not ours of the same name.
    """
    schema = connection.get_execution_options()[_NAMES].schema
    connection.execution_options(**{_AS_WRITTEN: True})
    try:
        with sessions.on_the_hosts_path(connection, schema):
            yield
    finally:
        connection.execution_options(**{_AS_WRITTEN: False})


def _twin(engine: Engine, names: Naming, mode: str) -> Engine:
    twin = engine.execution_options(**{_MODE: mode, _NAMES: names})
    twin.hide_parameters = True
    if names.prefix:
        event.listen(twin, "before_cursor_execute", _renamed, retval=True)
    return twin


def _renamed(
    connection: Connection,
    _cursor: Any,  # noqa: ANN401 - the driver's
    statement: str,
    parameters: Any,  # noqa: ANN401 - the driver's
    *_: Any,  # noqa: ANN401 - the hook's signature
) -> tuple[str, Any]:
    options = connection.get_execution_options()
    names: Naming = options[_NAMES]
    return statement if options.get(_AS_WRITTEN, False) else names.rewritten(statement), parameters


@contextmanager
def _left_as_found(connection: Connection) -> Iterator[None]:
    kept = pragmas if connection.dialect.name == "sqlite" else sessions
    with kept.left_as_found(connection):
        yield


def _begin(connection: Connection) -> None:
    # After the host's own listeners, which may have begun it in the driver.
    options = connection.get_execution_options()
    mode, ours = options[_MODE], options.get(_OURS, False)
    if connection.dialect.name == "sqlite":
        pragmas.begin(connection, mode, ours=ours)
    else:
        sessions.begin(connection, mode, ours=ours, schema=options[_NAMES].schema)
