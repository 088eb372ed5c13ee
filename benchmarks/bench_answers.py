"""
How long people wait: for the first sign of progress, and for a batch's status.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import anyio
from _harness import Case, Story, Table, Target, medians, tell
from _scene import COORDINATOR, SETTLED_BATCHES, accept_batch, new_database, orchestrator_over, warm_store

from proxy_orchestration.ports import ActivityRepository
from proxy_orchestration.storage.memory import MemoryActivityRepository

Opening: TypeAlias = Callable[[], AbstractAsyncContextManager[ActivityRepository]]

SIZES: Final = (1000, 10_000, 100_000)
WAITED_FOR: Final = SIZES
READ: Final = SIZES[1:]
ROUNDS: Final = 3


async def first_update(repository: ActivityRepository) -> float:
    """
    Return the milliseconds from beginning to drive what was accepted to its first update.
    """
    (waiting,) = await repository.find_drivable(limit=1)
    orchestrator = orchestrator_over(repository, pause=0)
    begin = time.perf_counter()
    async with orchestrator.drive_batch(waiting.batch_id) as run:
        await anext(run)
        return (time.perf_counter() - begin) * 1e3


async def read_status(repository: ActivityRepository) -> float:
    """
    Drive what was accepted, and return the milliseconds that its status takes then.
    """
    orchestrator = orchestrator_over(repository)
    (batch_id,) = await orchestrator.resume_interrupted()
    begin = time.perf_counter()
    result = await orchestrator.get_bulk_submission_status(batch_id, actor=COORDINATOR)
    elapsed = (time.perf_counter() - begin) * 1e3
    assert len(result.succeeded) == result.total
    return elapsed


def _case(opening: Opening, measured: Callable[[ActivityRepository], Awaitable[float]]) -> Case:
    async def timed() -> float:
        async with opening() as repository:
            gc.collect()
            return await measured(repository)

    return partial(anyio.run, timed)


def _openings(folder: Path, size: int) -> dict[str, Opening]:
    """
    Return stores in which a batch of that size waits, in a process that has driven before.
    """

    @asynccontextmanager
    async def in_memory() -> AsyncIterator[ActivityRepository]:
        repository = MemoryActivityRepository()
        await accept_batch(repository, size)
        yield repository

    def in_sqlite(copy: Callable[[], Path]) -> Opening:
        @asynccontextmanager
        async def opened() -> AsyncIterator[ActivityRepository]:
            file = copy()
            async with warm_store(file) as repository:
                yield repository
            file.unlink()

        return opened

    return {
        "memory": in_memory,
        "SQLite, empty": in_sqlite(new_database(folder, f"empty-{size}", accepted=size)),
        "SQLite, 100 settled batches": in_sqlite(
            new_database(folder, f"filled-{size}", settled=SETTLED_BATCHES, accepted=size)
        ),
    }


def measure() -> Story:
    """
    Ask each store in turns.
    """
    questions = {"first update": (first_update, WAITED_FOR), "status": (read_status, READ)}
    with tempfile.TemporaryDirectory() as folder:
        stores = {size: _openings(Path(folder), size) for size in SIZES}
        figures = medians(
            {
                f"{name}/{question}/{size}": _case(opening, measured)
                for question, (measured, sizes) in questions.items()
                for size in sizes
                for name, opening in stores[size].items()
            },
            rounds=ROUNDS,
        )
    columns = [(question, size) for question, (_, sizes) in questions.items() for size in sizes]
    names = stores[SIZES[0]]
    rows = [
        (name, *(f"{figures[f'{name}/{question}/{size}']:.1f}" for question, size in columns))
        for name in names
    ]
    heading = ("", *(f"{question}, {size:,} items" for question, size in columns))
    return Story(
        title="Milliseconds until an answer, sleep(0) service",
        tables=[Table(heading=heading, rows=rows)],
        targets=[
            Target(
                what=f"{name}: ms until the first update, slowest size",
                figure=max(figures[f"{name}/first update/{size}"] for size in WAITED_FOR),
                at_most=10,
                digits=1,
            )
            for name in names
        ],
    )


if __name__ == "__main__":
    tell(measure)
