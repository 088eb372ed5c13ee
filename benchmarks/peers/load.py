"""
Many coordinators at once: 50 batches of 50 mentors, submitted in the same moment.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from typing import Any, Final

import _job
import _postgresql
import attrs
from peer_ours import COORDINATOR, opened, request_for

from proxy_orchestration import BulkRegistrationOrchestrator

BATCHES: Final = 50
MENTORS: Final = 50
LATENCY: Final = 0.02
CALLS_IN_FLIGHT: Final = (50, 250)
"""All batches together: the standard setting, and as many as 50 batches of 5 calls can use."""


@attrs.frozen
class Waited:
    """
    What one coordinator waited for, in seconds from the moment that all submitted.
    """

    acceptance: float
    first_progress: float
    end: float


def ideal(in_flight: int) -> float:
    """
    Return the seconds that the service alone needs.
    """
    return BATCHES * MENTORS * LATENCY / in_flight


async def _coordinate(orchestrator: BulkRegistrationOrchestrator, since: float) -> Waited:
    request = request_for(range(MENTORS))
    async with orchestrator.stream_bulk_registration(request, actor=COORDINATOR) as run:
        accepted = time.perf_counter()
        await anext(run)
        first = time.perf_counter()
        seen = sum([1 async for _update in run])
    assert seen == MENTORS - 1
    return Waited(accepted - since, first - since, time.perf_counter() - since)


async def _all_at_once(scene: _job.Scene, in_flight: int) -> list[Waited]:
    async with opened(scene, 1, max_calls_in_flight=in_flight) as orchestrator:
        await _coordinate(orchestrator, time.perf_counter())
        since = time.perf_counter()
        return await asyncio.gather(*[_coordinate(orchestrator, since) for _ in range(BATCHES)])


def _figures(waited: list[Waited]) -> dict[str, float]:
    def hundredths(values: list[float]) -> list[float]:
        return statistics.quantiles(values, n=100, method="inclusive")

    accepted = hundredths([one.acceptance for one in waited])
    first = hundredths([one.first_progress for one in waited])
    return {
        "seconds": max(one.end for one in waited),
        "acceptance p50": accepted[49],
        "acceptance p99": accepted[98],
        "first progress p50": first[49],
        "first progress p99": first[98],
    }


def measure(server: _postgresql.Server, *, rounds: int) -> dict[str, Any]:
    """
    Return the medians of the rounds, both stores taking turns.
    """
    found: dict[str, list[dict[str, float]]] = {}
    for number in range(rounds):
        for in_flight in CALLS_IN_FLIGHT:
            for store in ("SQLite", "PostgreSQL"):
                database = f"load_{number}_{in_flight}"
                url = server.create(database) if store == "PostgreSQL" else ""
                with tempfile.TemporaryDirectory() as folder:
                    scene = _job.Scene(folder=folder, delay=LATENCY, postgresql=url)
                    figures = _figures(asyncio.run(_all_at_once(scene, in_flight)))
                server.drop(database)
                print("load", store, in_flight, figures, flush=True)
                found.setdefault(f"{store}, {in_flight}", []).append(figures)
    return {
        name: {key: statistics.median(one[key] for one in rounds_of) for key in rounds_of[0]}
        for name, rounds_of in found.items()
    }
