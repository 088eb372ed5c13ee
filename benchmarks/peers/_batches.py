"""
Many small batches at once: each caller submits one after the other, and has its results before the next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

import attrs

_LOOK_AGAIN: Final = 0.02
_WARM_UPS: Final = 2
"""Batches of each caller before the clock starts."""

Submitting: TypeAlias = Callable[[range, int], Awaitable[list[str]]]
"""Submits one batch, so many items a job, and returns its results."""


@attrs.frozen
class Load:
    """
    What is submitted.

    Attributes:
        batches: of all callers together.
        size: items of each.
        per_job: items of a job.
        callers: at once.
    """

    batches: int
    size: int
    per_job: int
    callers: int


def timed_batches(
    opened: AbstractAsyncContextManager[Submitting], load: Load, answer_to: Callable[[int], str]
) -> float:
    """
    Warm up, then return the seconds until the last caller has the last result.
    """

    async def timed() -> float:
        async with opened as submit:
            warm_ups = _WARM_UPS * load.callers
            await _all(range(-warm_ups, 0), load, submit, answer_to)
            begin = time.perf_counter()
            await _all(range(load.batches), load, submit, answer_to)
            return time.perf_counter() - begin

    return asyncio.run(timed())


async def _all(batches: range, load: Load, submit: Submitting, answer_to: Callable[[int], str]) -> None:
    numbers = iter(batches)

    async def call() -> None:
        for number in numbers:
            items = range(number * load.size, (number + 1) * load.size)
            results = await submit(items, load.per_job)
            assert set(results) == {answer_to(item) for item in items}

    async with asyncio.TaskGroup() as callers:
        for _ in range(load.callers):
            callers.create_task(call())


@attrs.define(eq=False)
class Collector:
    """
    Asks for the results of all who wait in one question, where a peer has no better way to wait for many.

    Attributes:
        look: returns the results that are there, by the keys that it is asked for.
    """

    look: Callable[[Sequence[Any]], Awaitable[Mapping[Any, Any]]]
    _open: dict[Hashable, asyncio.Future[Any]] = attrs.field(factory=dict)
    _some: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def collect(self, keys: Sequence[Hashable]) -> list[Any]:
        """
        Return the results of these, in order, when all are there.
        """
        loop = asyncio.get_running_loop()
        waiting = {key: loop.create_future() for key in keys}
        self._open.update(waiting)
        self._some.set()
        return await asyncio.gather(*waiting.values())

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Collector]:
        """
        Look every 20 ms while anybody waits.
        """
        looking = asyncio.create_task(self._keep_looking())
        try:
            yield self
        finally:
            looking.cancel()

    async def _keep_looking(self) -> None:
        while True:
            await self._some.wait()
            for key, result in (await self.look([*self._open])).items():
                self._open.pop(key).set_result(result)
            if not self._open:
                self._some.clear()
            await asyncio.sleep(_LOOK_AGAIN)
