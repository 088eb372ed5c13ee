"""
What one PostgreSQL pays for a batch, an item, and a look of an idle server; `simulate_fleet.py` counts with it.

The processor time is that of the server's own processes, as the system counts
it. Prepared statements are off, as behind a pooler.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import attrs
from _harness import Story, Table, tell
from _scene import COORDINATOR, orchestrator_over, request_for
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from proxy_orchestration import BulkSettings
from proxy_orchestration.storage.sql import SqlActivityRepository

sys.path.append(str(Path(__file__).parent / "peers"))

from _postgresql import Server, running

BATCHES: Final = 300
SMALL: Final = 10
LARGE: Final = 110
LOOKS: Final = 400
IDLE: Final = 10
"""Seconds for which a server finds nothing to do."""


@attrs.define
class Counted:
    """
    Statements and transactions of this process.
    """

    statements: int = 0
    transactions: int = 0


@contextmanager
def _counting(engine: Engine) -> Iterator[Counted]:
    counted = Counted()

    def on_statement(*_: Any) -> None:
        counted.statements += 1

    def on_commit(*_: Any) -> None:
        counted.transactions += 1

    event.listen(engine, "before_cursor_execute", on_statement)
    event.listen(engine, "commit", on_commit)
    yield counted
    event.remove(engine, "before_cursor_execute", on_statement)
    event.remove(engine, "commit", on_commit)


@attrs.frozen
class Cost:
    """
    What something cost: milliseconds of the server's processors, statements, transactions that ended.
    """

    milliseconds: float
    statements: float
    transactions: float

    def per(self, times: int) -> Cost:
        """
        Return the cost of one of so many.
        """
        return Cost(self.milliseconds / times, self.statements / times, self.transactions / times)

    def less(self, other: Cost) -> Cost:
        """
        Return what it cost beyond another one.
        """
        return Cost(
            self.milliseconds - other.milliseconds,
            self.statements - other.statements,
            self.transactions - other.transactions,
        )


async def _cost(server: Server, engine: Engine, work: Callable[[], Awaitable[object]]) -> Cost:
    with _counting(engine) as counted:
        before = server.processor_time()
        await work()
        spent = server.processor_time() - before
    return Cost(1_000 * spent, counted.statements, counted.transactions)


async def _submit(repository: SqlActivityRepository, size: int) -> None:
    orchestrator = orchestrator_over(repository, concurrency=5)
    for _ in range(BATCHES):
        await orchestrator.submit_bulk_registration(request_for(size), actor=COORDINATOR)


async def _look(repository: SqlActivityRepository) -> None:
    orchestrator = attrs.evolve(orchestrator_over(repository), settings=BulkSettings())
    for _ in range(LOOKS):
        await orchestrator.waiting_runs(limit=100)


async def _serve(repository: SqlActivityRepository) -> None:
    orchestrator = attrs.evolve(orchestrator_over(repository), settings=BulkSettings())
    with anyio.move_on_after(IDLE):
        await orchestrator.serve()


def _held(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)


async def _costs(server: Server, url: str) -> tuple[dict[str, Cost], float]:
    async with SqlActivityRepository.open(url) as repository:
        engine = repository.engine
        await _submit(repository, SMALL)  # statements are compiled, pages are in memory
        small = (await _cost(server, engine, lambda: _submit(repository, SMALL))).per(BATCHES)
        held = _held(engine)
        large = (await _cost(server, engine, lambda: _submit(repository, LARGE))).per(BATCHES)
        held = (_held(engine) - held) / (BATCHES * LARGE)
        idle = (await _cost(server, engine, lambda: _serve(repository))).per(IDLE)
        look = (await _cost(server, engine, lambda: _look(repository))).per(LOOKS)
    item = large.less(small).per(LARGE - SMALL)
    ten = Cost(SMALL * item.milliseconds, SMALL * item.statements, SMALL * item.transactions)
    costs = {
        "a batch, without its items": small.less(ten),
        "each further item": item,
        "an idle `serve`, per second": idle,
        "one sweep of an engine": look,
    }
    return costs, held


def measure() -> Story:
    """
    Measure on a server of our own.
    """
    with running() as server:
        url = server.create("costs").replace("postgresql:", "postgresql+psycopg:")
        costs, held = anyio.run(_costs, server, url)
    rows = [
        (name, f"{cost.milliseconds:.3f}", f"{cost.statements:.2f}", f"{cost.transactions:.2f}")
        for name, cost in costs.items()
    ]
    heading = ("one PostgreSQL", "processor, ms", "statements", "transactions")
    kept = Table(
        heading=("stored per item, including indexes and its share of the batch", "bytes"),
        rows=[("", f"{held:.0f}")],
    )
    return Story(
        title="What many workers cost their database", tables=[Table(heading=heading, rows=rows), kept]
    )


if __name__ == "__main__":
    tell(measure)
