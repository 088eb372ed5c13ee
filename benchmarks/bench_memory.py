"""
Peak memory of a process that drives a batch, by the size of the batch.

The batch is built and accepted in another process, and no result is asked
for: what is left is what driving itself needs.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import anyio
from _harness import Story, Table, Target, tell
from _scene import SETTLED_BATCHES, new_database, orchestrator_over, url_of

from proxy_orchestration.storage.sql import SqlActivityRepository

SIZES: Final = (20_000, 200_000)
SETTLED: Final = (0, SETTLED_BATCHES)
ROUNDS: Final = 3
MEBI: Final = 1024


def memory(field: str) -> float:
    """
    Return a figure of this process in MiB: `VmHWM` the peak, `VmRSS` now. Linux only.

    `ru_maxrss` would begin with the peak of the process that forked this one.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = [line for line in lines if line.startswith(f"{field}:")]
    return int(line.split()[1]) / MEBI


async def resume(file: str) -> None:
    """
    Drive what waits in the database and print memory before, peak, and seconds.
    """
    async with SqlActivityRepository.open(url_of(Path(file))) as repository:
        before = memory("VmRSS")
        begin = time.perf_counter()
        driven = await orchestrator_over(repository, pause=0).resume_interrupted()
        assert len(driven) == 1
    print(before, memory("VmHWM"), time.perf_counter() - begin)


def _drive_elsewhere(file: Path) -> tuple[float, float, float]:
    answer = subprocess.run(
        [sys.executable, __file__, "resume", str(file)], check=True, capture_output=True, text=True
    ).stdout
    before, peak, seconds = map(float, answer.split())
    return before, peak, seconds


def measure() -> Story:
    """
    Drive each size in fresh processes, in turns, on an empty and on a well-filled database.
    """
    cases = [(settled, size) for settled in SETTLED for size in SIZES]
    found: dict[tuple[int, int], list[tuple[float, float, float]]] = {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as folder:
        copies = {
            (settled, size): new_database(Path(folder), f"{settled}-{size}", settled=settled, accepted=size)
            for settled, size in cases
        }
        for _ in range(ROUNDS):
            for case, copy in copies.items():
                file = copy()
                found[case].append(_drive_elsewhere(file))
                file.unlink()
    medians = {
        case: [statistics.median(values) for values in zip(*found[case], strict=True)] for case in cases
    }
    rows = [
        (f"{size:,}", f"{settled}", f"{before:.1f}", f"{peak:.1f}", f"{seconds / size * 1e6:.1f}")
        for (settled, size), (before, peak, seconds) in medians.items()
    ]
    small, large = SIZES
    heading = ("items", "settled batches in the database", "MiB before", "peak MiB", "µs per item")
    return Story(
        title="Peak memory of the driving process, SQLite, sleep(0) service, without reading the result",
        tables=[Table(heading=heading, rows=rows)],
        targets=[
            Target(
                what=f"peak at {large:,} items, ratio to peak at {small:,}, {settled} settled batches",
                figure=medians[settled, large][1] / medians[settled, small][1],
                at_most=1.3,
            )
            for settled in SETTLED
        ],
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["resume"]:
        anyio.run(resume, sys.argv[2])
    else:
        tell(measure)
