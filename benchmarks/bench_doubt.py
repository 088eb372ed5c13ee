"""
How many calls are in doubt when the process that makes them is killed.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import anyio
from _harness import Story, Table, Target, tell
from _scene import items_in_doubt, new_database, orchestrator_over, url_of

from proxy_orchestration import BulkSettings
from proxy_orchestration.storage.sql import SqlActivityRepository

ITEMS: Final = 20_000
CONCURRENCY: Final = 20
BOUND: Final = BulkSettings().max_undurable + CONCURRENCY
KILLS: Final = 8
PAUSES: Final[dict[str, float | None]] = {"no-op": None, "sleep(0)": 0.0, "5 ms": 0.005}
LONGEST_LIFE: Final = 0.3


async def drive(file: str, pause: str) -> None:
    """
    Drive what waits in the database, and say when the first outcome is durable.
    """
    async with SqlActivityRepository.open(url_of(Path(file))) as repository:
        orchestrator = orchestrator_over(repository, pause=PAUSES[pause], concurrency=CONCURRENCY)
        (found,) = await repository.find_drivable(limit=1)
        async with orchestrator.drive_batch(found.batch_id) as run:
            await anext(run)
            print("driving", flush=True)
            async for _update in run:
                pass


def killed_while_driving(file: Path, pause: str, life: float) -> tuple[int, int]:
    """
    Kill a driver that many seconds after its first outcome; return the items in doubt and the settled ones.
    """
    with subprocess.Popen(
        [sys.executable, __file__, "drive", str(file), pause], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(life)
        process.kill()
    return items_in_doubt(file)


def measure() -> Story:
    """
    Kill drivers at random moments, with services of different pace.
    """
    moments = random.Random(2093)
    found: dict[str, list[tuple[int, int]]] = {pause: [] for pause in PAUSES}
    with tempfile.TemporaryDirectory() as folder:
        copy = new_database(Path(folder), "accepted", accepted=ITEMS)
        for _ in range(KILLS):
            for pause, counts in found.items():
                counts.append(killed_while_driving(copy(), pause, moments.uniform(0, LONGEST_LIFE)))
    rows = [
        (
            pause,
            f"{len(counts)}",
            f"{min(settled for _, settled in counts):,} to {max(settled for _, settled in counts):,}",
            f"{max(doubt for doubt, _ in counts)}",
        )
        for pause, counts in found.items()
    ]
    return Story(
        title=f"Killed with SIGKILL while driving {ITEMS:,} items on SQLite, cap {CONCURRENCY}",
        tables=[
            Table(
                heading=("service", "kills", "items settled before the kill", "most items in doubt"),
                rows=rows,
            )
        ],
        targets=[
            Target(
                what="most items in doubt (max_undurable + max_concurrency)",
                figure=max(doubt for counts in found.values() for doubt, _ in counts),
                at_most=BOUND,
                digits=0,
            )
        ],
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["drive"]:
        anyio.run(drive, sys.argv[2], sys.argv[3])
    else:
        tell(measure)
