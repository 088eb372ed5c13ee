"""
Celery with Redis as broker; results in Redis, or in PostgreSQL where the scene has one.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import _job
import sqlalchemy
from _batches import Collector, Submitting
from celery import Celery, group
from celery.result import GroupResult

_LOOK_AGAIN: Final = 0.02
_SUCCEEDED: Final = sqlalchemy.text(
    "SELECT count(*) FROM celery_taskmeta WHERE task_id = ANY(:wanted) AND status = 'SUCCESS'"
)
_FOUND: Final = sqlalchemy.text(
    "SELECT task_id, result FROM celery_taskmeta WHERE task_id = ANY(:wanted) AND status = 'SUCCESS'"
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


def _found_in_database(engine: sqlalchemy.Engine, ids: Sequence[str]) -> dict[str, Any]:
    with suppress(sqlalchemy.exc.ProgrammingError), engine.connect() as connection:  # no table as yet
        rows = connection.execute(_FOUND, {"wanted": list(ids)})
        return {row.task_id: json.loads(row.result) for row in rows}
    return {}


def _found_in_redis(ids: Sequence[str]) -> dict[str, Any]:
    backend = app.backend
    found = backend.mget([backend.get_key_for_task(one) for one in ids])
    return {one: backend.decode_result(said)["result"] for one, said in zip(ids, found, strict=True) if said}


@asynccontextmanager
async def batches(scene: _job.Scene) -> AsyncIterator[Submitting]:
    """
    Lend what sends one batch, and waits for its results.
    """
    engine = sqlalchemy.create_engine(scene.sqlalchemy_url) if scene.postgresql else None

    async def look(ids: Sequence[str]) -> dict[str, Any]:
        if engine is None:
            return await asyncio.to_thread(_found_in_redis, ids)
        return await asyncio.to_thread(_found_in_database, engine, ids)

    async with Collector(look).looking() as collector:

        async def submit_one(items: range, per_job: int) -> list[str]:
            sent = await asyncio.to_thread(_group(items, per_job).apply_async)
            results = await collector.collect([result.id for result in sent.results])
            return results if per_job == 1 else _job.flat(results)

        yield submit_one


if __name__ == "__main__":
    _job.main(submit=submit, batches=batches, work=work)
