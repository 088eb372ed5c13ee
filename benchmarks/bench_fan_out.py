"""
How much the worker pool of a run costs, against a bare pool and against peers.

All on asyncio, since aiostream is for asyncio only.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeAlias

import aiometer
import aiostream
import anyio
import attrs
from _harness import Story, Table, Target, medians, tell
from anyio.lowlevel import checkpoint

from proxy_orchestration import BulkProgressUpdate, ItemState, MentorOutcome
from proxy_orchestration._concurrency import WorkQueue

ITEMS: Final = 100_000
ITEMS_OF_PEERS: Final = 10_000
ROUNDS: Final = 5
CAPS: Final = (10, 100)
PAGE: Final = 500
NOW: Final = datetime(2026, 11, 3, 12, tzinfo=UTC)

Handler: TypeAlias = Callable[[int], Awaitable[int]]
Way: TypeAlias = Callable[[Handler, int, int], Awaitable[None]]


async def do_nothing(item: int) -> int:
    """
    Answer without letting others run.
    """
    return item


async def yield_once(item: int) -> int:
    """
    Let others run once, then answer.
    """
    await checkpoint()
    return item


async def bare_pool(handler: Handler, size: int, cap: int) -> None:
    """
    Have workers share one iterator and collect into a list: nothing can be told on the way.
    """
    items = iter(range(size))
    results: list[int] = []

    async def work() -> None:
        for item in items:
            results.append(await handler(item))

    async with anyio.create_task_group() as crew:
        for _ in range(cap):
            crew.start_soon(work)
    assert len(results) == size


@attrs.define(eq=False)
class Results:
    """
    Iterates over what a pool finishes, page by page, as a driver and its watcher do.
    """

    pool: WorkQueue[int, int]
    total: int
    told: Callable[[int, int], object] | None
    _seen: int = 0
    _page: deque[object] = attrs.field(factory=deque)

    def __aiter__(self) -> Results:
        return self

    async def __anext__(self) -> object:
        while not self._page:
            if self._seen == self.total:
                raise StopAsyncIteration
            await self._fill()
        return self._page.popleft()

    async def _fill(self) -> None:
        results = self.pool.oldest_results(PAGE)
        if not results:
            await self.pool.wait_for_results()
            return
        self.pool.discard_results(len(results))
        if self.told is None:
            self._page.extend(results)
        else:
            self._page.extend(map(self.told, results, range(self._seen + 1, self.total + 1)))
        self._seen += len(results)


async def our_pool(
    handler: Handler, size: int, cap: int, *, told: Callable[[int, int], object] | None = None
) -> None:
    """
    Work as a run does, and iterate over the results meanwhile.
    """
    pool: WorkQueue[int, int] = WorkQueue()
    pool.put(range(size))

    async def attend() -> None:
        while True:
            item = pool.take_nowait()
            if item is None:
                item = await pool.take()
            if pool.put_result(await handler(item)):
                await checkpoint()

    seen = 0
    async with anyio.create_task_group() as crew:
        for _ in range(cap):
            crew.start_soon(attend)
        async for _result in Results(pool, size, told):
            seen += 1
        crew.cancel_scope.cancel()
    assert seen == size


def update_of(item: int, sequence: int) -> BulkProgressUpdate:
    """
    Return the two objects that a watcher gets for each item.
    """
    return BulkProgressUpdate(
        batch_id="batch",
        run=1,
        sequence=sequence,
        outcome=MentorOutcome(
            mentor_id="mentor",
            state=ItemState.SUCCEEDED,
            activity_id="activity",
            attempts=1,
            sequence=item,
            settled_at=NOW,
        ),
        settled=sequence,
        total=ITEMS,
    )


async def with_aiometer(handler: Handler, size: int, cap: int) -> None:
    """
    Iterate over aiometer's results.
    """
    seen = 0
    async with aiometer.amap(handler, list(range(size)), max_at_once=cap) as results:
        async for _ in results:
            seen += 1
    assert seen == size


async def with_aiostream(handler: Handler, size: int, cap: int) -> None:
    """
    Iterate over aiostream's results.
    """
    seen = 0

    async def handle(item: int, /, *_: int) -> int:
        return await handler(item)

    numbers: aiostream.core.Stream[int] = aiostream.stream.iterate(range(size))
    results: aiostream.core.Stream[int] = aiostream.stream.map(numbers, handle, ordered=False, task_limit=cap)
    async with results.stream() as streamer:
        async for _ in streamer:
            seen += 1
    assert seen == size


WAYS: Final[dict[str, tuple[Way, int]]] = {
    "bare pool into a list": (bare_pool, ITEMS),
    "ours, iterated": (our_pool, ITEMS),
    "ours, outcome and progress objects": (partial(our_pool, told=update_of), ITEMS),
    "aiometer, iterated": (with_aiometer, ITEMS_OF_PEERS),
    "aiostream, iterated": (with_aiostream, ITEMS_OF_PEERS),
}
HANDLERS: Final[dict[str, Handler]] = {"no-op": do_nothing, "sleep(0)": yield_once}


def _case(way: Way, handler: Handler, size: int, cap: int) -> Callable[[], float]:
    async def timed() -> float:
        begin = time.perf_counter()
        await way(handler, size, cap)
        return (time.perf_counter() - begin) / size * 1e6

    return lambda: anyio.run(timed)


def measure() -> Story:
    """
    Run every way under every handler and cap, in turns.
    """
    settings = [(name, cap) for name in HANDLERS for cap in CAPS]
    figures = medians(
        {
            f"{way}/{name}/{cap}": _case(run, HANDLERS[name], size, cap)
            for name, cap in settings
            for way, (run, size) in WAYS.items()
        },
        rounds=ROUNDS,
    )
    bare = next(iter(WAYS))

    def ratio(way: str, name: str, cap: int) -> float:
        return figures[f"{way}/{name}/{cap}"] / figures[f"{bare}/{name}/{cap}"]

    def ratios(way: str, name: str) -> list[float]:
        return [ratio(way, name, cap) for cap in CAPS]

    rows = [
        (
            way,
            *(
                f"{figures[f'{way}/{name}/{cap}']:.2f} ({ratio(way, name, cap):.2f}x)"
                for name, cap in settings
            ),
        )
        for way in WAYS
    ]
    return Story(
        title="Fan-out in memory: µs per item, and the ratio to the bare pool",
        tables=[Table(heading=("", *(f"{name}, cap {cap}" for name, cap in settings)), rows=rows)],
        targets=[
            target
            for handler in HANDLERS
            for target in _targets(handler, {way: ratios(way, handler) for way in WAYS})
        ],
    )


def _targets(handler: str, ratios: Mapping[str, Sequence[float]]) -> Sequence[Target]:
    _, iterated, objects, aiometer_, _ = (ratios[way] for way in WAYS)
    least = min(peer / ours for peer, ours in zip(aiometer_, iterated, strict=True))
    return (
        Target(what=f"{handler}: ours, iterated, ratio to the bare pool", figure=max(iterated), at_most=1.5),
        Target(
            what=f"{handler}: ours, with objects, ratio to the bare pool", figure=max(objects), at_most=2.5
        ),
        Target(what=f"{handler}: aiometer, ratio to ours", figure=least, at_least=4),
    )


if __name__ == "__main__":
    tell(measure)
