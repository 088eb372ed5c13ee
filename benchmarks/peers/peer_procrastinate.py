"""
Procrastinate on PostgreSQL: an async worker, and a table of results, since it keeps none itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import _job
from _batches import Collector, Submitting
from procrastinate import App, PsycopgConnector
from psycopg_pool import AsyncConnectionPool

_LOOK_AGAIN: Final = 0.02
_RESCUE_EVERY: Final = 5.0
_TABLE: Final = "CREATE TABLE IF NOT EXISTS results (item bigint PRIMARY KEY, activity_id text NOT NULL)"
_STORE: Final = "INSERT INTO results VALUES (%s, %s) ON CONFLICT (item) DO NOTHING"
_COUNT: Final = (
    "SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded' AND task_name = 'register'"
)
_FOUND: Final = "SELECT item, activity_id FROM results WHERE item = ANY(%s)"
_READ: Final = "SELECT activity_id FROM results WHERE item BETWEEN %s AND %s"

_scene = _job.Scene.given()
app = App(connector=PsycopgConnector(conninfo=_scene.postgresql, min_size=4, max_size=_scene.cap))
_results: Final = AsyncConnectionPool(_scene.postgresql, open=False, min_size=4, max_size=_scene.cap)


@app.task(name="register")
async def register(items: Sequence[int]) -> None:
    """
    Register the items of one job and store its results in one transaction.
    """
    answers = await _job.register_each(items, _scene.delay)
    async with _results.connection() as connection:
        await connection.cursor().executemany(_STORE, list(zip(items, answers, strict=True)))


async def _prepare() -> None:
    async with _results.connection() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(1)")
        await connection.execute(_TABLE)
        found = await connection.execute("SELECT to_regclass('procrastinate_jobs')")
        if (await found.fetchone() or (None,))[0] is None:
            await app.schema_manager.apply_schema_async()


async def _rescue() -> None:
    while True:
        await asyncio.sleep(_RESCUE_EVERY)
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=_scene.patience):
            await app.job_manager.retry_job(job)


async def _work(scene: _job.Scene) -> None:
    async with app.open_async(), _results:
        await _prepare()
        rescue = asyncio.create_task(_rescue())
        await app.run_worker_async(concurrency=scene.cap, install_signal_handlers=False)
        rescue.cancel()


def work(scene: _job.Scene) -> None:
    """
    Run a worker until killed; it also retries what stalled, as the documentation tells.
    """
    asyncio.run(_work(scene))


async def _done(numbers: range, per_job: int) -> list[str]:
    jobs: list[Any] = [{"items": job} for job in _job.jobs_of(numbers, per_job)]
    await register.batch_defer_async(*jobs)
    async with _results.connection() as connection:
        while (await (await connection.execute(_COUNT)).fetchone() or (1,))[0]:
            await connection.commit()
            await asyncio.sleep(_LOOK_AGAIN)
        found = await connection.execute(_READ, (numbers.start, numbers.stop - 1))
        return [activity_id for (activity_id,) in await found.fetchall()]


def submit(_scene_again: _job.Scene, items: int, per_job: int) -> float:
    """
    Defer all jobs at once, look until none is left, and read the results.
    """
    with asyncio.Runner() as runner:

        async def opened() -> None:
            await app.open_async()
            await _results.open()
            await _prepare()

        runner.run(opened())
        seconds = _job.timed(lambda numbers, per_job: runner.run(_done(numbers, per_job)), items, per_job)
        runner.run(_results.close())
        runner.run(app.close_async())
    return seconds


async def _found(items: Sequence[int]) -> Mapping[int, str]:
    async with _results.connection() as connection:
        return dict(await (await connection.execute(_FOUND, (items,))).fetchall())


@asynccontextmanager
async def batches(_scene_again: _job.Scene) -> AsyncIterator[Submitting]:
    """
    Lend what defers the jobs of one batch by one statement, and waits for its results.
    """
    async with app.open_async(), _results, Collector(_found).looking() as collector:
        await _prepare()

        async def submit_one(items: range, per_job: int) -> list[str]:
            jobs: list[Any] = [{"items": job} for job in _job.jobs_of(items, per_job)]
            await register.batch_defer_async(*jobs)
            return await collector.collect(items)

        yield submit_one


if __name__ == "__main__":
    _job.main(submit=submit, batches=batches, work=work)
