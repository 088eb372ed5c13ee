"""
A service that takes its time: how near a durable batch comes to what the service allows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import anyio
from _harness import Case, Story, Table, Target, medians, tell
from _scene import (
    COORDINATOR,
    SETTLED_BATCHES,
    new_database,
    orchestrator_over,
    request_for,
    url_of,
    warm_store,
)

from proxy_orchestration.ports import ActivityRepository
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.storage.sql import SqlActivityRepository

CAP: Final = 20
SLOW, SLOW_ITEMS = 0.05, 400
QUICK, QUICK_ITEMS = 0.001, 4000
ROUNDS: Final = 3
MEMORY, EMPTY, FILLED = "memory", "SQLite, empty", "SQLite, 100 settled batches"

Opening: TypeAlias = Callable[[], AbstractAsyncContextManager[ActivityRepository]]


@asynccontextmanager
async def in_memory() -> AsyncIterator[ActivityRepository]:
    """
    Lend a store in memory.
    """
    yield MemoryActivityRepository()


def bare_pool(pause: float, size: int) -> float:
    """
    Return the seconds that workers who share an iterator need to wait as often: what the event loop allows.
    """

    async def timed() -> float:
        items = iter(range(size))

        async def work() -> None:
            for _item in items:
                await anyio.sleep(pause)

        begin = time.perf_counter()
        async with anyio.create_task_group() as crew:
            for _ in range(CAP):
                crew.start_soon(work)
        return time.perf_counter() - begin

    return anyio.run(timed)


def orchestrated(opening: Opening, pause: float, size: int, *, with_result: bool) -> float:
    """
    Return the seconds from the submission to the end of the progress, or until the result was read.
    """

    async def timed() -> float:
        async with opening() as repository:
            orchestrator = orchestrator_over(repository, pause=pause, concurrency=CAP)
            request = request_for(size)
            begin = time.perf_counter()
            async with orchestrator.stream_bulk_registration(request, actor=COORDINATOR) as run:
                seen = sum([1 async for _update in run])
                end = time.perf_counter()
            if with_result:
                end = time.perf_counter()
        assert seen == size == len(run.result.succeeded)
        return end - begin

    return anyio.run(timed)


def _cases(folder: Path, pause: float, size: int) -> dict[str, Case]:
    empty = new_database(folder, f"empty-{size}")
    filled = new_database(folder, f"filled-{size}", settled=SETTLED_BATCHES)

    def ours(opening: Opening, *, with_result: bool = False) -> Case:
        return partial(orchestrated, opening, pause, size, with_result=with_result)

    return {
        "bare anyio pool that only waits": partial(bare_pool, pause, size),
        MEMORY: ours(in_memory),
        EMPTY: ours(lambda: warm_store(empty())),
        FILLED: ours(lambda: warm_store(filled())),
        "SQLite, and reading the result": ours(lambda: warm_store(empty()), with_result=True),
        "SQLite, first batch of the process": ours(lambda: SqlActivityRepository.open(url_of(empty()))),
    }


def measure() -> Story:
    """
    Submit to each store in turns.
    """
    with tempfile.TemporaryDirectory() as folder:
        slow = medians(_cases(Path(folder), SLOW, SLOW_ITEMS), rounds=ROUNDS)
        quick = medians(_cases(Path(folder), QUICK, QUICK_ITEMS), rounds=ROUNDS)
    ideal, quick_ideal = SLOW_ITEMS / CAP * SLOW, QUICK_ITEMS / CAP * QUICK
    rows = [
        (
            name,
            f"{slow[name]:.3f} s ({ideal / slow[name]:.1%})",
            f"{quick[name]:.3f} s ({quick_ideal / quick[name]:.1%})",
            f"{quick[MEMORY] / quick[name]:.2f}",
        )
        for name in slow
    ]
    heading = (
        "",
        f"{SLOW_ITEMS:,} items of 50 ms (share of the ideal)",
        f"{QUICK_ITEMS:,} items of 1 ms (share of the ideal)",
        "1 ms: speed, ratio to memory",
    )
    return Story(
        title=f"A slow service, cap {CAP}: time from submission to the last progress update",
        tables=[Table(heading=heading, rows=rows)],
        targets=[target for name in (EMPTY, FILLED) for target in _targets(name, ideal, slow, quick)],
    )


def _targets(
    name: str, ideal: float, slow: Mapping[str, float], quick: Mapping[str, float]
) -> tuple[Target, ...]:
    return (
        Target(what=f"50 ms, {name}: % of the ideal", figure=100 * ideal / slow[name], at_least=97, digits=1),
        Target(what=f"1 ms, {name}: ratio to memory", figure=quick[MEMORY] / quick[name], at_least=0.65),
    )


if __name__ == "__main__":
    tell(measure)
