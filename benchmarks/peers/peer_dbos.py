"""
DBOS on PostgreSQL: a queue, a worker process, a workflow with one step per job.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import _job
import attrs
import sqlalchemy
from _batches import Collector, Submitting
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions, WorkflowHandle

QUEUE: Final = "registrations"
VERSION: Final = "1"
_LOOK_AGAIN: Final = 0.05
_READY: Final = "ready"
_OPTIONS: Final[EnqueueOptions] = {"workflow_name": "register", "queue_name": QUEUE, "app_version": VERSION}

_scene = _job.Scene.given()


@DBOS.step()
def call_service(items: Sequence[int]) -> list[str]:
    """
    Call the service for the items of one job; its answer is stored as the step's result.
    """
    return _job.register_each_blocking(items, _scene.delay)


@DBOS.workflow()
def register(items: Sequence[int]) -> list[str]:
    """
    Register the items of one job.
    """
    return call_service(items)


def work(scene: _job.Scene) -> None:
    """
    Run a worker until killed; it takes up what an earlier one of the same executor id left.
    """
    config: DBOSConfig = {
        "name": "peers",
        "system_database_url": scene.sqlalchemy_url,
        "application_version": VERSION,
        "executor_id": "worker",
        "sys_db_pool_size": scene.cap,
        "log_level": "WARNING",
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=scene.cap, polling_interval_sec=_LOOK_AGAIN)
    Path(scene.folder, _READY).touch()
    threading.Event().wait()


@attrs.frozen
class _Client:
    """
    Enqueues from another process than the worker's.
    """

    client: DBOSClient
    engine: sqlalchemy.Engine

    @classmethod
    def of(cls, scene: _job.Scene) -> _Client:
        """
        Return one as soon as the worker is ready.
        """
        while not Path(scene.folder, _READY).exists():
            time.sleep(_LOOK_AGAIN)
        return cls(
            DBOSClient(system_database_url=scene.sqlalchemy_url),
            sqlalchemy.create_engine(scene.sqlalchemy_url, pool_size=scene.cap),
        )

    def enqueue(self, jobs: Sequence[list[int]]) -> list[WorkflowHandle[list[str]]]:
        """
        Enqueue a workflow per job in one transaction.
        """
        with self.engine.begin() as transaction:
            return [self.client.enqueue_in_transaction(transaction, _OPTIONS, job) for job in jobs]

    def outputs(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """
        Return the results of those that have succeeded.
        """
        done = self.client.list_workflows(workflow_ids=list(ids), status="SUCCESS", load_input=False)
        return {one.workflow_id: one.output for one in done}


def submit(scene: _job.Scene, items: int, per_job: int) -> float:
    """
    Enqueue the workflows, and ask each handle for its result.
    """
    client = _Client.of(scene)

    def done(numbers: range, per_job: int) -> list[str]:
        handles = client.enqueue(_job.jobs_of(numbers, per_job))
        return _job.flat([handle.get_result(polling_interval_sec=_LOOK_AGAIN) for handle in handles])

    return _job.timed(done, items, per_job)


@asynccontextmanager
async def batches(scene: _job.Scene) -> AsyncIterator[Submitting]:
    """
    Lend what enqueues the workflows of one batch, and waits for their results.
    """
    client = await asyncio.to_thread(_Client.of, scene)

    async def look(ids: Sequence[str]) -> dict[str, list[str]]:
        return await asyncio.to_thread(client.outputs, ids)

    async with Collector(look).looking() as collector:

        async def submit_one(items: range, per_job: int) -> list[str]:
            handles = await asyncio.to_thread(client.enqueue, _job.jobs_of(items, per_job))
            return _job.flat(await collector.collect([handle.get_workflow_id() for handle in handles]))

        yield submit_one


if __name__ == "__main__":
    _job.main(submit=submit, batches=batches, work=work)
