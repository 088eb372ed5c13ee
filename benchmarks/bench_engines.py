"""
Who says when a batch is driven: our own `serve`, and Procrastinate over the same PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
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
from procrastinate import App, PsycopgConnector
from sqlalchemy import create_engine

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkSettings,
    ProxyRegistration,
    RegistrationReceipt,
)
from proxy_orchestration.engines.procrastinate import WakeUps, register
from proxy_orchestration.ports import AuditEvent
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema

BATCHES, SIZE, PAUSE = 200, 50, 0.005
PLACES: Final = 50
"""Runs at once: as many as `serve` takes."""

WAKE_UPS: Final = 30
SERVE, PROCRASTINATE = "serve", "Procrastinate"


@attrs.define(eq=False)
class NotedService:
    """
    A service that takes its time, and notes when it was first called since somebody asked.
    """

    inner: PacedService
    called: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Answer with a receipt.
        """
        self.called.set()
        return await self.inner.register(registration)


@attrs.define(eq=False)
class CountingLogger:
    """
    Takes every event, and tells when so many have come.
    """

    awaited: int = 0
    all_here: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def log_bulk_submission(self, _event: AuditEvent, /) -> None:
        """
        Count the event.
        """
        self.awaited -= 1
        if self.awaited == 0:
            self.all_here.set()


@attrs.frozen(eq=False)
class Host:
    """
    A process that accepts and drives.
    """

    orchestrator: BulkRegistrationOrchestrator
    service: NotedService
    logger: CountingLogger
    app: App
    wake_ups: WakeUps

    async def accept(self, size: int) -> tuple[str, int]:
        """
        Accept a batch that nobody drives; return its id and run.
        """
        request = request_for(size)
        batch = await self.orchestrator.submit_bulk_registration(request, actor=COORDINATOR, drive=False)
        return batch.batch_id, batch.run

    def worker(self) -> Coroutine[Any, Any, None]:
        """
        Return a worker of the engine.
        """
        return self.app.run_worker_async(
            concurrency=PLACES, install_signal_handlers=False, shutdown_graceful_timeout=1.0
        )


@asynccontextmanager
async def host_over(url: str) -> AsyncIterator[Host]:
    """
    Open a host on an empty database.
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
    app = App(connector=PsycopgConnector(conninfo=url, max_size=10))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        yield Host(orchestrator, service, logger, app, register(app, orchestrator))
    engine.dispose()


async def _until(event: asyncio.Event, driver: Coroutine[Any, Any, None]) -> float:
    """
    Return the seconds that a driver needs until that happens.
    """
    begin = time.perf_counter()
    task = asyncio.ensure_future(driver)
    await event.wait()
    end = time.perf_counter()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return end - begin


async def drained(url: str, batches: int, *, by: str) -> float:
    """
    Return the seconds from the driver's start until the last batch is settled and told.
    """
    async with host_over(url) as host:
        host.logger.awaited = batches
        accepted = [await host.accept(SIZE) for _ in range(batches)]
        if by == SERVE:
            return await _until(host.logger.all_here, host.orchestrator.serve())
        for batch_id, run in accepted:
            await host.wake_ups.wake(batch_id, run)
        return await _until(host.logger.all_here, host.worker())


async def woken(url: str, times: int) -> float:
    """
    Return the median seconds from a wake-up to the service's first call, of a worker that is idle.
    """
    async with host_over(url) as host:
        worker = asyncio.ensure_future(host.worker())
        found = []
        for _ in range(times):
            host.logger.awaited, host.logger.all_here = 1, asyncio.Event()
            host.service.called.clear()
            batch_id, run = await host.accept(1)
            begin = time.perf_counter()
            await host.wake_ups.wake(batch_id, run)
            await host.service.called.wait()
            found.append(time.perf_counter() - begin)
            await host.logger.all_here.wait()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        return statistics.median(found[1:])


def measure(options: argparse.Namespace) -> Story:
    """
    Have both drive the same batches in turns.
    """
    import _postgresql  # noqa: PLC0415 - only where there is a PostgreSQL

    numbers = count()
    with _postgresql.running() as server:

        def once(work: Callable[[str], Coroutine[Any, Any, float]]) -> float:
            return asyncio.run(work(server.create(f"engines{next(numbers)}")))

        cases = {
            name: partial(once, partial(drained, batches=options.batches, by=name))
            for name in (SERVE, PROCRASTINATE)
        }
        seconds = medians(cases, rounds=options.rounds)
        latency = once(partial(woken, times=options.wake_ups))
    items = options.batches * SIZE
    ratio = seconds[SERVE] / seconds[PROCRASTINATE]
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
            Target(what="speed with Procrastinate, ratio to serve", figure=ratio, at_least=0.8),
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
