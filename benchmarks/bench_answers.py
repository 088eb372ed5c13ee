"""
How long people wait: for the first sign of progress, and for a batch's status.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import anyio
from _harness import Case, Story, Table, Target, medians, tell
from _scene import COORDINATOR, accept_batch, new_database, orchestrator_over, request_for, url_of

from proxy_orchestration import ActivityRepository
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.storage.sql import SqlActivityRepository

Opening: TypeAlias = Callable[[], AbstractAsyncContextManager[ActivityRepository]]

WAITED_FOR: Final = (1000, 10_000, 100_000)
READ: Final = (10_000, 100_000)
ROUNDS: Final = 3


@asynccontextmanager
async def in_memory() -> AsyncIterator[ActivityRepository]:
    """
    Lend a store in memory.
    """
    yield MemoryActivityRepository()


async def first_update(repository: ActivityRepository, size: int) -> float:
    """
    Return the milliseconds from beginning to drive an accepted batch to its first update.
    """
    batch_id = await accept_batch(repository, size)
    orchestrator = orchestrator_over(repository, pause=0)
    begin = time.perf_counter()
    async with orchestrator.drive_batch(batch_id) as run:
        await anext(run)
        return (time.perf_counter() - begin) * 1e3


async def read_status(repository: ActivityRepository, size: int) -> float:
    """
    Return the milliseconds that the status of a settled batch takes.
    """
    orchestrator = orchestrator_over(repository)
    batch_id = await accept_batch(repository, size)
    await orchestrator.resume_interrupted()
    begin = time.perf_counter()
    result = await orchestrator.get_bulk_submission_status(batch_id, actor=COORDINATOR)
    elapsed = (time.perf_counter() - begin) * 1e3
    assert len(result.succeeded) == size
    return elapsed


def _case(opening: Opening, measured: Callable[[ActivityRepository, int], Awaitable[float]], size: int) -> Case:
    async def timed() -> float:
        async with opening() as repository:
            # A process that has just started compiles its statements once; people meet one that runs.
            await orchestrator_over(repository).submit_bulk_registration(request_for(1), actor=COORDINATOR)
            return await measured(repository, size)

    return partial(anyio.run, timed)


def measure() -> Story:
    """
    Ask each store in turns.
    """
    with tempfile.TemporaryDirectory() as folder:
        empty = new_database(Path(folder), "empty")
        filled = new_database(Path(folder), "filled", settled=100)
        stores: dict[str, Opening] = {
            "memory": in_memory,
            "SQLite, empty": lambda: SqlActivityRepository.open(url_of(empty())),
            "SQLite, 100 settled batches": lambda: SqlActivityRepository.open(url_of(filled())),
        }
        waits = medians(
            {f"{name}/{size}": _case(store, first_update, size) for name, store in stores.items() for size in WAITED_FOR},
            rounds=ROUNDS,
        )
        reads = medians(
            {f"{name}/{size}": _case(store, read_status, size) for name, store in stores.items() for size in READ},
            rounds=ROUNDS,
        )
    return Story(
        title="Milliseconds until an answer",
        tables=[
            Table(
                heading=(
                    "",
                    *(f"first update, {size:,} items" for size in WAITED_FOR),
                    *(f"status, {size:,} items" for size in READ),
                ),
                rows=[
                    (
                        name,
                        *(f"{waits[f'{name}/{size}']:.1f}" for size in WAITED_FOR),
                        *(f"{reads[f'{name}/{size}']:.0f}" for size in READ),
                    )
                    for name in stores
                ],
            )
        ],
        targets=[
            Target(
                what=f"{name}: ms to the first update, slowest size",
                figure=max(waits[f"{name}/{size}"] for size in WAITED_FOR),
                at_most=10,
                digits=1,
            )
            for name in stores
        ],
    )


if __name__ == "__main__":
    tell(measure)
