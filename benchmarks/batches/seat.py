"""
A process that does one job after the other, each with the build of this library that it was started with.

A line on its standard input is a job, a line on its standard output what came of it.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio
import attrs
from anyio import to_thread

sys.path.extend([str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "peers")])

from _hand import opened_by_hand
from _scene import COORDINATOR, PacedService, SilentAuditLogger, request_for
from _watching import Counts, counting, measuring_pauses

import proxy_orchestration
from proxy_orchestration import BulkRegistrationOrchestrator
from proxy_orchestration.ports import AuditEvent
from proxy_orchestration.storage.sql import SqlActivityRepository

_LOOKS: Final = 7
_NEVER: Final = 3600.0

Submitting: TypeAlias = Callable[[], Awaitable[None]]


@attrs.frozen(kw_only=True)
class Job:
    """
    What is to be done.

    Attributes:
        part: which of the parts below.
        url: of a database of its own, as SQLAlchemy finds it.
        way: who does it: `ours`, or by hand, `three` commits or one `grouping` writer.
        size: mentors of a batch.
        callers: who submit, each one batch after the other.
        batches: of all callers together.
        pause: of the service, in seconds; `None` for one that answers at once.
        watch: `counts` or `pauses`; empty where only the clock and the processor are read.
        server: the folder of PostgreSQL's socket.
        told: the file that is told of each settled batch.
    """

    part: str
    url: str
    way: str = "ours"
    size: int = 10
    callers: int = 1
    batches: int = 1
    pause: float | None = None
    watch: str = ""
    server: str = ""
    told: str = ""


@asynccontextmanager
async def _orchestrator(
    job: Job, **settings: Any
) -> AsyncIterator[tuple[BulkRegistrationOrchestrator, SqlActivityRepository]]:
    async with SqlActivityRepository.open(job.url) as repository:
        yield (
            BulkRegistrationOrchestrator(
                registration_service=PacedService(job.pause),
                repository=repository,
                **{"audit_logger": SilentAuditLogger(), **settings},
            ),
            repository,
        )


@asynccontextmanager
async def _ours(job: Job) -> AsyncIterator[Submitting]:
    async with _orchestrator(job) as (orchestrator, _):

        async def submit() -> None:
            result = await orchestrator.submit_bulk_registration(request_for(job.size), actor=COORDINATOR)
            assert len(result.succeeded) == job.size

        yield submit


@asynccontextmanager
async def _by_hand(job: Job) -> AsyncIterator[Submitting]:
    numbers = count(1)
    async with opened_by_hand(job.url, grouping=job.way == "grouping") as by_hand:

        async def submit() -> None:
            await by_hand.submit(f"batch-{next(numbers)}", job.size)

        yield submit
        assert by_hand.store.settled() == (next(numbers) - 1) * job.size


async def _by_all_callers(job: Job, batches: int, submit: Submitting) -> list[float]:
    """
    Return the seconds that each batch's caller waited.
    """
    numbers = iter(range(batches))
    waited: list[float] = []

    async def call() -> None:
        for _ in numbers:
            begin = time.perf_counter()
            await submit()
            waited.append(time.perf_counter() - begin)

    async with anyio.create_task_group() as callers:
        for _ in range(job.callers):
            callers.start_soon(call)
    return waited


async def submit(job: Job) -> dict[str, float]:
    """
    Have the batches submitted, and return what one batch took.
    """
    figures: dict[str, float] = {}
    warm_ups = max(2, job.callers)
    opened = _ours(job) if job.way == "ours" else _by_hand(job)
    with _synced(job, job.batches + warm_ups, figures):
        async with opened as submit_one:
            await _by_all_callers(job, warm_ups, submit_one)
            async with _watched(job, figures):
                waited = await _by_all_callers(job, job.batches, submit_one)
    hundredths = statistics.quantiles(waited, n=100, method="inclusive")
    return {**figures, "wait p50": hundredths[49], "wait p99": hundredths[98]}


@contextmanager
def _synced(job: Job, batches: int, figures: dict[str, float]) -> Iterator[None]:
    if not job.server:
        yield
        return
    server = _server(job)
    before = server.fsyncs()
    yield
    figures["fsyncs"] = (server.fsyncs() - before) / batches


@asynccontextmanager
async def _watched(job: Job, figures: dict[str, float]) -> AsyncIterator[None]:
    counts, server = Counts(), _server(job) if job.server else None
    async with AsyncExitStack() as stack:
        if job.watch == "pauses":
            await stack.enter_async_context(measuring_pauses(figures))
        if job.watch == "counts":
            stack.enter_context(counting(counts))
        there = server.processor_time() if server else 0.0
        here, begin = time.process_time(), time.perf_counter()
        yield
        figures["seconds"] = time.perf_counter() - begin
        figures["here"] = (time.process_time() - here) / job.batches
        figures["there"] = (server.processor_time() - there) / job.batches if server else 0.0
    if job.watch == "counts":
        figures.update({name: number / job.batches for name, number in attrs.asdict(counts).items()})


def _server(job: Job) -> Any:
    import _postgresql  # noqa: PLC0415 - only where there is a PostgreSQL

    return _postgresql.Server(Path(job.server), "")


async def accept(job: Job) -> dict[str, float]:
    """
    Have the batches accepted, and drive none.
    """
    async with _orchestrator(job) as (orchestrator, _):

        async def accept_one() -> None:
            request = request_for(job.size)
            await orchestrator.submit_bulk_registration(request, actor=COORDINATOR, drive=False)

        begin = time.perf_counter()
        await _by_all_callers(job, job.batches, accept_one)
        return {"seconds": time.perf_counter() - begin}


@attrs.define(eq=False)
class _Teller:
    """
    Writes the id of each settled batch into a file.
    """

    file: int

    async def log_bulk_submission(self, event: AuditEvent, /) -> None:
        os.write(self.file, f"{event.batch_id}\n".encode())


async def serve(job: Job) -> dict[str, float]:
    """
    Drive what was accepted, from a first line of input until a second.
    """
    file = os.open(job.told, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    async with _orchestrator(job, audit_logger=_Teller(file)) as (orchestrator, _):
        result = await orchestrator.submit_bulk_registration(request_for(job.size), actor=COORDINATOR)
        assert len(result.succeeded) == job.size
        _answer({"ready": 1.0})
        await to_thread.run_sync(sys.stdin.readline)
        processor = time.process_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orchestrator.serve)
            await to_thread.run_sync(sys.stdin.readline)
            figures = {"here": time.process_time() - processor}
            tasks.cancel_scope.cancel()
    os.close(file)
    return figures


async def look(job: Job) -> dict[str, float]:
    """
    Return the seconds of a server's first look, among as many open runs of one mentor as there are batches.
    """
    async with _orchestrator(attrs.evolve(job, pause=_NEVER)) as (orchestrator, repository):
        await orchestrator.submit_bulk_registration(request_for(1), actor=COORDINATOR, drive=False)
        _multiply(repository.engine, job.batches - 1)
        taken = []
        for _ in range(_LOOKS):
            async with anyio.create_task_group() as tasks:
                begin = time.perf_counter()
                await tasks.start(orchestrator.serve)
                taken.append(time.perf_counter() - begin)
                tasks.cancel_scope.cancel()
    return {"seconds": statistics.median(taken)}


def _multiply(engine: Any, copies: int) -> None:
    """
    Copy the only batch of the store, as accepting that often would take minutes.
    """
    from sqlalchemy import MetaData, insert, select, text  # noqa: PLC0415 - what is done by hand runs without it

    tables = MetaData()
    with warnings.catch_warnings(action="ignore"):  # of an index that is made of an expression
        tables.reflect(engine)
    batches = tables.tables["batches"]
    with engine.begin() as connection:
        (original,) = connection.execute(select(batches)).mappings()
        numbers = range(original["id"] + 1, original["id"] + 1 + copies)
        rows = [{**original, "id": one, "batch_id": f"copy-{one}"} for one in numbers]
        connection.execute(insert(batches), rows)
        for table in tables.sorted_tables:
            if "batch" in table.c:
                for row in connection.execute(select(table)).mappings().all():
                    connection.execute(insert(table), [{**row, "batch": one} for one in numbers])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


PARTS: Final[Mapping[str, Callable[[Job], Awaitable[dict[str, float]]]]] = {
    "submit": submit,
    "accept": accept,
    "serve": serve,
    "look": look,
}


def _answer(figures: Mapping[str, float]) -> None:
    print(json.dumps(figures), flush=True)


def main() -> None:
    """
    Do what the lines ask for, until there are no more.
    """
    build = Path(sys.argv[1])
    assert Path(proxy_orchestration.__file__).is_relative_to(build), proxy_orchestration.__file__
    while line := sys.stdin.readline():
        job = Job(**json.loads(line))
        _answer(anyio.run(PARTS[job.part], job))


if __name__ == "__main__":
    main()
