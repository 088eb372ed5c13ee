"""
Processes that drive fifty batches at once, whose writes share transactions, and are killed.
"""

from __future__ import annotations

import random
import signal
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from proxy_orchestration import ItemState

pytestmark = pytest.mark.crash

_KILLED = -signal.SIGKILL
_DRIVERS = 50
_KILLS = {1: 6, 10: 3, 50: 1}


def _batches(name: str, size: int) -> dict[str, list[str]]:
    return {
        f"{name}, batch {number}": [f"{name} {number} {place}" for place in range(size)]
        for number in range(_DRIVERS)
    }


@pytest.mark.parametrize("size", [10, 1, 50])
async def test_a_kill_among_fifty_drivers_loses_and_doubles_nothing(scene: Any, size: int) -> None:
    """
    At any statement of a transaction of many: each batch is whole, or not there and accepted again.
    """
    scene.settings = {"max_concurrency": 5, "max_undurable": 200}
    rehearsal = scene.order("rehearsal", verb="submit all", statements=True, many=_batches("rehearsal", size))
    assert [0] == scene.run([rehearsal])
    moments = len(scene.trace("rehearsal"))
    draw = random.Random(f"{size}-{scene.backend}")  # noqa: S311 - has to be repeatable, not secret
    worlds = [_batches(f"kill {index}", size) for index in range(_KILLS[size])]

    statuses = scene.run(
        scene.order(
            f"kill {index}",
            verb="submit all",
            statements=True,
            strike={"number": draw.randint(1, moments // 2)},
            many=many,
        )
        for index, many in enumerate(worlds)
    )

    # How many statements a life takes is up to the threads, so that the last moments may not come.
    assert {_KILLED, 0} >= set(statuses)
    assert _KILLED in statuses
    async with scene.survivor() as orchestrator:
        await orchestrator.resume_interrupted()
        for many in worlds:
            for key, mentors in many.items():
                scene.requests[key] = {"mentors": mentors}
                result = await scene.submit(orchestrator, key)

                await scene.check_end(orchestrator, result, ends=dict.fromkeys(mentors, ItemState.SUCCEEDED))
                assert len(scene.deliveries(result.batch_id)) <= 2, key
