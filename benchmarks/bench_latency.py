"""
A service that takes its time: how near a durable batch comes to what the service allows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

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

from proxy_orchestration import ActivityRepository
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.storage.sql import SqlActivityRepository

CAP: Final = 20
SLOW, SLOW_ITEMS = 0.05, 400
QUICK, QUICK_ITEMS = 0.001, 4000
ROUNDS: Final = 5


@asynccontextmanager
async def in_memory() -> AsyncIterator[ActivityRepository]:
    """
    Lend a store in memory.
    """
    yield MemoryActivityRepository()


def _case(
    open_store: Callable[[], AbstractAsyncContextManager[ActivityRepository]], pause: float, size: int
) -> Case:
    async def timed() -> float:
        async with open_store() as repository:
            orchestrator = orchestrator_over(repository, pause=pause, concurrency=CAP)
            request = request_for(size)
            begin = time.perf_counter()
            result = await orchestrator.submit_bulk_registration(request, actor=COORDINATOR)
            elapsed = time.perf_counter() - begin
        assert len(result.succeeded) == size
        return elapsed

    return lambda: anyio.run(timed)


def measure() -> Story:
    """
    Submit whole batches, acceptance and result included, to each store in turns.
    """
    with tempfile.TemporaryDirectory() as folder:
        empty = new_database(Path(folder), "empty")
        filled = new_database(Path(folder), "filled", settled=SETTLED_BATCHES)
        stores: dict[str, Callable[[], AbstractAsyncContextManager[ActivityRepository]]] = {
            "memory": in_memory,
            "SQLite, empty": lambda: warm_store(empty()),
            "SQLite, 100 settled batches": lambda: warm_store(filled()),
            "SQLite, first batch of the process": lambda: SqlActivityRepository.open(url_of(empty())),
        }
        slow = medians(
            {name: _case(store, SLOW, SLOW_ITEMS) for name, store in stores.items()}, rounds=ROUNDS
        )
        quick = medians(
            {name: _case(store, QUICK, QUICK_ITEMS) for name, store in stores.items()}, rounds=ROUNDS
        )
    slow_ideal, quick_ideal = SLOW_ITEMS / CAP * SLOW, QUICK_ITEMS / CAP * QUICK
    memory, *durable, _ = stores
    rows = [
        (
            name,
            f"{slow[name]:.3f} s ({slow_ideal / slow[name]:.1%})",
            f"{quick[name]:.3f} s ({quick_ideal / quick[name]:.1%})",
            f"{quick[memory] / quick[name]:.2f}",
        )
        for name in stores
    ]
    heading = (
        "",
        f"{SLOW_ITEMS} items of 50 ms (of the ideal)",
        f"{QUICK_ITEMS} items of 1 ms (of the ideal)",
        "1 ms: speed against memory",
    )
    return Story(
        title=f"A service with latency, cap {CAP}, acceptance and result included",
        tables=[Table(heading=heading, rows=rows)],
        targets=[
            *(
                Target(
                    what=f"50 ms, {name}: % of the ideal",
                    figure=100 * slow_ideal / slow[name],
                    at_least=97,
                    digits=1,
                )
                for name in durable
            ),
            *(
                Target(
                    what=f"1 ms, {name}: speed against memory",
                    figure=quick[memory] / quick[name],
                    at_least=0.65,
                )
                for name in durable
            ),
        ],
    )


if __name__ == "__main__":
    tell(measure)
