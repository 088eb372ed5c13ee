"""
The whole orchestrator on memory storage: what every item costs before any store or service does.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import anyio
from _harness import Case, Story, Table, Target, medians, tell
from _scene import COORDINATOR, accept_batch, orchestrator_over, request_for

from proxy_orchestration import BulkRegistrationOrchestrator
from proxy_orchestration.storage.memory import MemoryActivityRepository

ITEMS: Final = 20_000
ROUNDS: Final = 5
BACKENDS: Final = ("asyncio", "trio")
CAPS: Final = (10, 100)


async def submit(orchestrator: BulkRegistrationOrchestrator) -> float:
    """
    Submit and get the result; return the seconds.
    """
    request = request_for(ITEMS)
    begin = time.perf_counter()
    result = await orchestrator.submit_bulk_registration(request, actor=COORDINATOR)
    elapsed = time.perf_counter() - begin
    assert len(result.succeeded) == ITEMS
    return elapsed


async def stream(orchestrator: BulkRegistrationOrchestrator) -> float:
    """
    Submit, look at every update and get the result; return the seconds.
    """
    request = request_for(ITEMS)
    seen = 0
    begin = time.perf_counter()
    async with orchestrator.stream_bulk_registration(request, actor=COORDINATOR) as run:
        async for _update in run:
            seen += 1
    elapsed = time.perf_counter() - begin
    assert seen == ITEMS == len(run.result.succeeded)
    return elapsed


async def resume(orchestrator: BulkRegistrationOrchestrator) -> float:
    """
    Drive what was accepted before; return the seconds.
    """
    await accept_batch(orchestrator.repository, ITEMS)
    begin = time.perf_counter()
    driven = await orchestrator.resume_interrupted()
    elapsed = time.perf_counter() - begin
    assert len(driven) == 1
    return elapsed


WAYS: Final[dict[str, Callable[[BulkRegistrationOrchestrator], Awaitable[float]]]] = {
    "accept, drive, result": submit,
    "the same, with every progress update": stream,
    "drive only": resume,
}


def _case(way: Callable[[BulkRegistrationOrchestrator], Awaitable[float]], backend: str, cap: int) -> Case:
    async def timed() -> float:
        orchestrator = orchestrator_over(MemoryActivityRepository(), pause=0, concurrency=cap)
        return await way(orchestrator) / ITEMS * 1e6

    return partial(anyio.run, timed, backend=backend)


def measure() -> Story:
    """
    Run each way on each backend, in turns.
    """
    columns = [(backend, cap) for backend in BACKENDS for cap in CAPS]
    figures = medians(
        {
            f"{name}/{backend}/{cap}": _case(way, backend, cap)
            for backend, cap in columns
            for name, way in WAYS.items()
        },
        rounds=ROUNDS,
    )
    rows = [
        (name, *(f"{figures[f'{name}/{backend}/{cap}']:.1f}" for backend, cap in columns)) for name in WAYS
    ]
    whole = next(iter(WAYS))
    return Story(
        title=f"The whole orchestrator on memory storage, sleep(0) service, {ITEMS:,} items: µs per item",
        tables=[Table(heading=("", *(f"{backend}, cap {cap}" for backend, cap in columns)), rows=rows)],
        targets=[
            Target(
                what=f"{whole}: µs per item on asyncio, cap {cap}",
                figure=figures[f"{whole}/asyncio/{cap}"],
                at_most=20,
                digits=1,
            )
            for cap in CAPS
        ],
    )


if __name__ == "__main__":
    tell(measure)
