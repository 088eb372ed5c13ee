"""
A store's methods, declared: each is one function over a connection, all or nothing.

The function has the name, the arguments and the docstring of the port's
method, and a connection before them. The class names the port as its base,
so that type checkers compare the two (decision 71).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CoroutineType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar, cast

from sqlalchemy import Connection

from proxy_orchestration.storage.sql.database.host_transactions import HostTransactions
from proxy_orchestration.storage.sql.database.transactions import Transactions
from proxy_orchestration.storage.sql.database.waiting_writes import Joint

P = ParamSpec("P")
T = TypeVar("T")


_Some: TypeAlias = Transactions | HostTransactions


class _Store(Protocol):
    @property
    def _transactions(self) -> _Some: ...


def reading(
    work: Callable[Concatenate[Connection, P], T],
) -> Callable[Concatenate[Any, P], CoroutineType[Any, Any, T]]:
    """
    Return the method that reads by this function, as of one moment.
    """

    async def method(self: _Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._transactions.read(lambda connection: work(connection, *args, **kwargs))

    return _described(method, work)


def writing(
    work: Callable[Concatenate[Connection, P], T], *, joint: Callable[P, Joint[Any, T] | None] | None = None
) -> Callable[Concatenate[Any, P], CoroutineType[Any, Any, T]]:
    """
    Return the method that writes by this function, all or nothing.

    With `joint`, of the same arguments, it is done with others of its kind where that returns how.
    """

    async def method(self: _Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._transactions.write(
            lambda connection: work(connection, *args, **kwargs),
            joint=None if joint is None else joint(*args, **kwargs),
        )

    return _described(method, work)


def _described(
    method: Any,  # noqa: ANN401 - a function's attributes
    work: Callable[Concatenate[Connection, P], T],
) -> Callable[Concatenate[Any, P], CoroutineType[Any, Any, T]]:
    _describe(method, work)
    # mypy calls what an async function returns a Coroutine, pyright a CoroutineType, which is one.
    return cast("Callable[Concatenate[Any, P], CoroutineType[Any, Any, T]]", method)


def _describe(method: Any, work: Callable[..., Any]) -> None:  # noqa: ANN401 - a function's attributes
    """
    Name and describe the method like the function, with the store in the connection's place.
    """
    signature = inspect.signature(work)
    connection, *arguments = signature.parameters.values()
    store = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__name__ = method.__qualname__ = work.__name__
    method.__doc__ = work.__doc__
    method.__annotations__ = {
        name: kind for name, kind in work.__annotations__.items() if name != connection.name
    }
    method.__signature__ = signature.replace(parameters=[store, *arguments])
    method.__wrapped__ = work  # in whose module the annotations are looked up
