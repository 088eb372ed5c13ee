"""
Transactions, and the one place where the database's errors are translated.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Concatenate, Final, ParamSpec, TypeVar

import anyio
import attrs
from anyio.lowlevel import RunVar
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from proxy_orchestration.storage.sql.dialects import told
from proxy_orchestration.storage.sql.engine import check_file, mark_as_write, prepare

P = ParamSpec("P")
R = TypeVar("R")

_READERS: Final = 4


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """
    Open a transaction that reads, all of it as of one moment.

    Raises:
        RepositoryUnavailableError: the database failed, or its file is gone.
    """
    with _translated(), engine.connect() as connection:
        with connection.begin():
            yield connection
        check_file(connection)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """
    Open a transaction that writes, durable when it ends.

    Raises:
        RepositoryUnavailableError: the database failed, or its file is gone.
    """
    with _translated(), engine.connect() as connection:
        mark_as_write(connection)
        with connection.begin():
            yield connection
        check_file(connection)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise told(error.orig or error) from error
    except (SQLAlchemyError, sqlite3.Error) as error:  # a connection's preparation speaks to the driver
        raise told(error) from error


@attrs.define(eq=False)
class Transactions:
    """
    Runs functions over a connection in worker threads, each in a transaction of its own.

    Writers wait for each other here, in order: SQLite's own waiting polls and
    knows no queue. A call is not abandoned by cancellation, so what it did is
    always known.

    Attributes:
        engine: made fit by `prepare`.
    """

    engine: Engine = attrs.field(converter=prepare)
    _writers: RunVar[anyio.CapacityLimiter] = attrs.field(init=False, factory=lambda: RunVar("writers"))
    _readers: RunVar[anyio.CapacityLimiter] = attrs.field(init=False, factory=lambda: RunVar("readers"))

    async def read(
        self, statements: Callable[Concatenate[Connection, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """
        Return what the function reads, as of one moment.
        """
        call = partial(self._within, reading, partial(_call, statements, args, kwargs))
        return await anyio.to_thread.run_sync(call, limiter=_limiter(self._readers, _READERS))

    async def write(
        self, statements: Callable[Concatenate[Connection, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """
        Return the function's answer once what it wrote is durable; its exception undoes all of it.
        """
        call = partial(self._within, writing, partial(_call, statements, args, kwargs))
        return await anyio.to_thread.run_sync(call, limiter=_limiter(self._writers, 1))
