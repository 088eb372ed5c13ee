"""
aiometer: calls with a cap in one process, results in a list. Nothing is durable; the floor.
"""

from __future__ import annotations

import asyncio
from functools import partial

import _job
import aiometer


def submit(scene: _job.Scene, items: int, per_job: int) -> float:
    """
    Run all jobs in this process.
    """
    with asyncio.Runner() as runner:

        def done(numbers: range, per_job: int) -> list[str]:
            calls = [partial(_job.register_each, job, scene.delay) for job in _job.jobs_of(numbers, per_job)]
            return _job.flat(runner.run(_all(calls, scene.cap)))

        return _job.timed(done, items, per_job)


async def _all(calls: list[partial[object]], cap: int) -> list[list[str]]:
    return await aiometer.run_all(calls, max_at_once=cap)


if __name__ == "__main__":
    _job.main(submit=submit)
