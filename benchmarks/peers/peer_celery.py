"""
Celery with Redis as broker; results in Redis, or in PostgreSQL where the scene has one.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any, Final

import _job
import sqlalchemy
from celery import Celery, group
from celery.result import GroupResult

_LOOK_AGAIN: Final = 0.02
_SUCCEEDED: Final = sqlalchemy.text(
    "SELECT count(*) FROM celery_taskmeta WHERE task_id = ANY(:wanted) AND status = 'SUCCESS'"
)
_RESULTS: Final = sqlalchemy.text("SELECT result FROM celery_taskmeta WHERE task_id = ANY(:wanted)")

_scene = _job.Scene.given()
_QUICK_RETURN: Final = {
    "visibility_timeout": _scene.patience,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}
"""For the kill only: with the defaults a dead worker's tasks come back after an hour."""

app = Celery("peers")
app.conf.update(
    broker_url=f"redis+socket://{_scene.redis}",
    result_backend=f"db+{_scene.sqlalchemy_url}" if _scene.postgresql else f"redis+socket://{_scene.redis}",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
    broker_transport_options=_QUICK_RETURN if _scene.calls else {},
)


@app.task(name="register")
def register(item: int) -> str:
    """
    Register one item.
    """
    return _job.register_blocking(item, _scene.delay)


def work(scene: _job.Scene) -> None:
    """
    Run a worker with a thread or a process per call in flight.
    """
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"]
    app.worker_main(["worker", f"--pool={scene.pool}", f"--concurrency={scene.cap}", *quiet])


def submit(scene: _job.Scene, items: int, per_job: int) -> float:
    """
    Send a group of tasks, or of chunks, and collect its results.
    """
    engine = sqlalchemy.create_engine(scene.sqlalchemy_url) if scene.postgresql else None

    def done(numbers: range, per_job: int) -> list[str]:
        sent = _group(numbers, per_job).apply_async()
        results = sent.join() if engine is None else _from_database(engine, sent)
        return results if per_job == 1 else _job.flat(results)

    return _job.timed(done, items, per_job)


def _group(numbers: range, per_job: int) -> Any:
    if per_job == 1:
        return group(register.s(number) for number in numbers)
    return register.chunks([(number,) for number in numbers], per_job).group()


def _from_database(engine: sqlalchemy.Engine, sent: GroupResult) -> list[Any]:
    """
    Look at the whole table of results, where Celery's own `join` asks for one result at a time, twice a second.
    """
    wanted = [result.id for result in sent.results]
    with engine.connect() as connection:
        while True:
            with suppress(sqlalchemy.exc.ProgrammingError), connection.begin():
                if connection.scalar(_SUCCEEDED, {"wanted": wanted}) == len(wanted):
                    return [json.loads(row) for row in connection.scalars(_RESULTS, {"wanted": wanted})]
            time.sleep(_LOOK_AGAIN)


if __name__ == "__main__":
    _job.main(submit=submit, work=work)
