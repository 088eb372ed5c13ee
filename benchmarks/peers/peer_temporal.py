"""
Temporal's SDK on its test server: one workflow for the batch, an activity per job.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    import _job
    from _batches import Submitting

QUEUE: Final = "registrations"
_LONGEST_JOB: Final = timedelta(seconds=10)


@activity.defn
async def register(items: Sequence[int]) -> list[str]:
    """
    Register the items of one job.
    """
    return await _job.register_each(items, _job.Scene.given().delay)


@workflow.defn
class Registrations:
    """
    A batch: starts the activities of all jobs, and returns their results.
    """

    @workflow.run
    async def run(self, jobs: list[list[int]]) -> list[str]:
        """
        Return the results of all items.
        """
        calls = [
            workflow.execute_activity(register, job, start_to_close_timeout=_LONGEST_JOB) for job in jobs
        ]
        return _job.flat(await asyncio.gather(*calls))


async def _work(scene: _job.Scene) -> None:
    client = await Client.connect(scene.temporal)
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[Registrations],
        activities=[register],
        max_concurrent_activities=scene.cap,
        # The test server never takes back what it gave to a dead worker's sticky queue.
        max_cached_workflows=0 if scene.calls else 1000,
    ):
        await asyncio.Event().wait()


def work(scene: _job.Scene) -> None:
    """
    Run a worker until killed.
    """
    asyncio.run(_work(scene))


def submit(scene: _job.Scene, items: int, per_job: int) -> float:
    """
    Start a workflow for the batch and await its result.
    """
    with asyncio.Runner() as runner:
        client = runner.run(Client.connect(scene.temporal))

        def done(numbers: range, per_job: int) -> list[str]:
            return runner.run(
                client.execute_workflow(
                    Registrations.run,
                    _job.jobs_of(numbers, per_job),
                    id=uuid.uuid4().hex,
                    task_queue=QUEUE,
                )
            )

        return _job.timed(done, items, per_job)


@asynccontextmanager
async def batches(scene: _job.Scene) -> AsyncIterator[Submitting]:
    """
    Lend what starts a workflow for one batch and awaits its result.
    """
    client = await Client.connect(scene.temporal)

    async def submit_one(items: range, per_job: int) -> list[str]:
        return await client.execute_workflow(
            Registrations.run, _job.jobs_of(items, per_job), id=uuid.uuid4().hex, task_queue=QUEUE
        )

    yield submit_one


if __name__ == "__main__":
    _job.main(submit=submit, batches=batches, work=work)
