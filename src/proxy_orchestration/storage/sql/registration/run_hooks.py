"""
The host's function that is called within the transaction in which a run is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeAlias

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from proxy_orchestration.errors import RunHookError
from proxy_orchestration.storage.sql.database.errors import was_undone
from proxy_orchestration.storage.sql.dialect.connections import named_as_by_the_host

OnRunOpened: TypeAlias = Callable[[Connection, str, int], object]
"""Is given the connection, the batch's id and the run's number; what it returns is not looked at."""


class _EndedError(Exception):
    """
    A function ends a transaction that is not its own.
    """


def tell(connection: Connection, hook: OnRunOpened | None, batch_id: str, run: int) -> None:
    """
    Call the host's function, if there is one, in a savepoint of its own.

    Raises:
        RunHookError: it raised, or was about to end the transaction.
    """
    if hook is None:
        return
    try:
        with named_as_by_the_host(connection), _never_committed(connection), connection.begin_nested():
            hook(connection, batch_id, run)
    except Exception as error:
        if isinstance(error, DBAPIError) and was_undone(error):
            raise  # the whole transaction is repeated, as without a function of the host's
        problem = f"raised {type(error).__name__}"
        if not connection.in_transaction():
            if not connection.closed:
                connection.invalidate()  # what is half ended is not to be committed by anybody
            problem = "ended the transaction, which is not its own"
        raise RunHookError(batch_id, run, problem=problem) from error


@contextmanager
def _never_committed(connection: Connection) -> Iterator[None]:
    event.listen(connection, "commit", _refuse)
    try:
        yield
    finally:
        event.remove(connection, "commit", _refuse)
    if not connection.in_transaction():
        raise _EndedError


def _refuse(_connection: Connection) -> NoReturn:
    raise _EndedError
