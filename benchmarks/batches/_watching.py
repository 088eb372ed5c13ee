"""
Counts what a process does, from outside: statements, commits, tasks, answers of threads, pauses of the loop.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import attrs

_BEAT: Final = 0.001
_WRITES: Final = ("INSERT", "UPDATE", "DELETE")
_WROTE: Final = "benchmark_wrote"


@attrs.define
class Counts:
    """
    What happened while it was watched.

    Attributes:
        statements: sent to the database, those that begin and end a transaction left out.
        commits: of transactions that wrote.
        hops: answers that a thread gave to the event loop.
        tasks: that the event loop was given.
    """

    statements: int = 0
    commits: int = 0
    hops: int = 0
    tasks: int = 0


@contextmanager
def counting(counts: Counts) -> Iterator[None]:
    """
    Count while the block runs, on asyncio; what runs is slower meanwhile, so nobody times it.
    """
    with _statements(counts), _loop(counts):
        yield


@contextmanager
def _statements(counts: Counts) -> Iterator[None]:
    from sqlalchemy import Engine, event  # noqa: PLC0415 - what is done by hand runs without it

    def executed(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        verb = statement.split(maxsplit=1)[0].upper()
        if verb in {"SELECT", "WITH", "VALUES", *_WRITES}:
            counts.statements += 1
        if verb in _WRITES or (verb == "WITH" and any(word in statement for word in _WRITES)):
            connection.info[_WROTE] = True

    def committed(connection: Any) -> None:
        counts.commits += connection.info.pop(_WROTE, False)

    hooks: tuple[tuple[str, Callable[..., None]], ...] = (
        ("after_cursor_execute", executed),
        ("commit", committed),
    )
    for name, hook in hooks:
        event.listen(Engine, name, hook)
    try:
        yield
    finally:
        for name, hook in hooks:
            event.remove(Engine, name, hook)


@contextmanager
def _loop(counts: Counts) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    answer = loop.call_soon_threadsafe

    def answered(*arguments: Any, **options: Any) -> Any:
        counts.hops += 1
        return answer(*arguments, **options)

    def new_task(
        of_loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        counts.tasks += 1
        return asyncio.Task(work, loop=of_loop, **options)

    loop.set_task_factory(new_task)
    loop.call_soon_threadsafe = answered  # type: ignore[method-assign] # one loop is watched, not the class
    try:
        yield
    finally:
        loop.set_task_factory(None)
        del loop.call_soon_threadsafe


@asynccontextmanager
async def measuring_pauses(found: dict[str, float]) -> AsyncIterator[None]:
    """
    Note, as `pause`, the 99th percentile of the seconds by which a task that asks for 1 ms is late.
    """
    late: list[float] = []

    async def beat() -> None:
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(_BEAT)
            late.append(time.perf_counter() - asked - _BEAT)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
    found["pause"] = statistics.quantiles(late, n=100, method="inclusive")[98] if len(late) > 1 else 0.0
