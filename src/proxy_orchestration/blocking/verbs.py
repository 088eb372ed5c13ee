"""
Makes blocking methods from async ones, with the same name, arguments and docstring.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_type_hints

import anyio

from proxy_orchestration.blocking.calls import Call, Loop, wait_for
from proxy_orchestration.blocking.part import BlockingPart

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


def waiting(
    verb: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Any, P], R]:
    """
    Return the verb as a plain call, which waits for its end.
    """

    def blocking(self: BlockingPart[Any], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._call(verb.__name__, lambda part: verb(part, *args, **kwargs)).run()

    return _described(blocking, verb)


def asking(verb: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """
    Return a verb that is not async, carried out in the event loop's thread.
    """

    def blocking(self: BlockingPart[Any], /, *args: P.args, **kwargs: P.kwargs) -> R:
        async def ask(part: object) -> R:
            return verb(part, *args, **kwargs)

        return self._call(verb.__name__, ask).run()

    return _described(blocking, verb)


def holding(
    verb: Callable[Concatenate[Any, P], AbstractAsyncContextManager[T]],
    shown_as: Callable[[T, Loop], R],
) -> Callable[Concatenate[Any, P], AbstractContextManager[R]]:
    """
    Return a verb with an `async with` block as one with a `with` block.

    Args:
        verb: the verb.
        shown_as: makes of what the async block yields what the blocking one does.
    """

    @contextmanager
    def blocking(self: BlockingPart[Any], /, *args: P.args, **kwargs: P.kwargs) -> Generator[R]:
        block = _Block(lambda part: verb(part, *args, **kwargs))
        call = self._call(verb.__name__, block.hold)
        with block.held_by(call) as held:
            yield shown_as(held, call.loop)

    described = _described(blocking, verb)
    described.__annotations__["return"] = Iterator[shown_as]  # type: ignore[valid-type]  # a class
    return described


class _Block(Generic[T]):
    """
    An async block that one task of an event loop enters and leaves, for a thread that is in between.
    """

    def __init__(self, opening: Callable[[Any], AbstractAsyncContextManager[T]]) -> None:
        self._opening = opening
        self._held: list[T] = []
        self._is_told = threading.Event()
        self._may_leave: anyio.Event

    async def hold(self, part: object) -> None:
        """
        Enter the block, and leave it when its thread has, or when this is cancelled.
        """
        try:
            self._may_leave = anyio.Event()
            async with self._opening(part) as held:
                self._held.append(held)
                self._is_told.set()
                await self._may_leave.wait()
        finally:
            self._is_told.set()

    @contextmanager
    def held_by(self, call: Call[None]) -> Generator[T]:
        """
        Enter the block and be in it; an error in there, or an interruption, cancels its task.
        """
        try:
            call.start()
            wait_for(self._is_told)
            if not self._held:
                call.result()  # raises why
            yield self._held[0]
            call.loop.run(self._may_leave.set)
            call.result()
        except BaseException:
            call.cancel()
            raise


C = TypeVar("C", bound=Callable[..., Any])


def _described(blocking: C, verb: Callable[..., Any]) -> C:
    """
    Name and describe a call like its verb, with annotations that need no module to be looked up in.
    """
    hints = get_type_hints(inspect.unwrap(verb))
    signature = inspect.signature(verb)
    described: Any = blocking
    described.__name__, described.__doc__ = verb.__name__, verb.__doc__
    described.__qualname__ = described.__name__
    vars(described).pop("__wrapped__", None)  # which has none of this
    described.__annotations__ = hints
    described.__signature__ = signature.replace(
        parameters=[
            parameter.replace(annotation=hints.get(name, inspect.Parameter.empty))
            for name, parameter in signature.parameters.items()
        ],
        return_annotation=hints["return"],
    )
    return blocking
