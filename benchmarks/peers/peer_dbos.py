"""
DBOS on PostgreSQL: a queue, a worker process, a workflow with one step per job.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import _job
import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions

QUEUE: Final = "registrations"
VERSION: Final = "1"
_LOOK_AGAIN: Final = 0.05
_READY: Final = "ready"

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


def submit(scene: _job.Scene, items: int, per_job: int) -> float:
    """
    Enqueue a workflow per job in one transaction, and ask each handle for its result.
    """
    while not Path(scene.folder, _READY).exists():
        time.sleep(_LOOK_AGAIN)
    client = DBOSClient(system_database_url=scene.sqlalchemy_url)
    options: EnqueueOptions = {"workflow_name": "register", "queue_name": QUEUE, "app_version": VERSION}

    engine = sqlalchemy.create_engine(scene.sqlalchemy_url)

    def done(numbers: range, per_job: int) -> list[str]:
        with engine.begin() as transaction:
            handles = [
                client.enqueue_in_transaction(transaction, options, job)
                for job in _job.jobs_of(numbers, per_job)
            ]
        return _job.flat([handle.get_result(polling_interval_sec=_LOOK_AGAIN) for handle in handles])

    return _job.timed(done, items, per_job)


if __name__ == "__main__":
    _job.main(submit=submit, work=work)
