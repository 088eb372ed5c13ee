"""
Where a durable batch spends its time: the event loop, the store's transactions, its statements, and waiting.

No aim is attached; it explains the figures of the others.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest.mock import patch

import anyio
from _harness import Story, Table, tell
from _scene import COORDINATOR, new_database, orchestrator_over, request_for, warm_store
from sqlalchemy import Connection, Engine, event

from proxy_orchestration.storage.sql.database.transactions import Transactions

T = TypeVar("T")

ITEMS: Final = 20_000
ROUNDS: Final = 5
FEWEST: Final = 0.1
"""Parts below this many µs per item are left out of the table."""


@contextmanager
def timed_transactions(spent: defaultdict[str, float]) -> Iterator[None]:
    """
    Add up the CPU seconds of the store's threads, by the method that asked.
    """
    run = Transactions._run  # noqa: SLF001 - the one place where every transaction passes

    def timed(self: Transactions, engine: Engine, work: Callable[[Connection], T]) -> T:
        begin = time.thread_time()
        try:
            return run(self, engine, work)
        finally:
            method = work.__qualname__.split(".")[1]
            spent[f"store's thread: {method}"] += time.thread_time() - begin

    with patch.object(Transactions, "_run", timed):
        yield


@contextmanager
def timed_statements(engine: Engine, spent: defaultdict[str, float]) -> Iterator[None]:
    """
    Add up the seconds inside SQLite, by statement and table; rows of a SELECT are fetched later.
    """
    begins: dict[int, float] = {}

    def before(_connection: Any, cursor: Any, *_: Any) -> None:
        begins[id(cursor)] = time.perf_counter()

    def after(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        elapsed = time.perf_counter() - begins.pop(id(cursor))
        verb, *words = statement.split()
        if verb in {"INSERT", "UPDATE"}:
            spent[f"of which {verb} {words[verb == 'INSERT']}"] += elapsed

    commit = engine.dialect.do_commit

    def timed_commit(connection: Any) -> None:
        begin = time.perf_counter()
        commit(connection)
        spent["of which COMMIT (fsync)"] += time.perf_counter() - begin

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    with patch.object(engine.dialect, "do_commit", timed_commit):
        yield


async def profile(file: Path) -> dict[str, float]:
    """
    Return µs per item by part, for one batch from submission to the end of its progress.
    """
    spent: defaultdict[str, float] = defaultdict(float)
    async with warm_store(file) as repository:
        orchestrator = orchestrator_over(repository)
        request = request_for(ITEMS)
        with timed_transactions(spent), timed_statements(repository.engine, spent):
            begin, loop_begin = time.perf_counter(), time.thread_time()
            async with orchestrator.stream_bulk_registration(request, actor=COORDINATOR) as run:
                assert sum([1 async for _update in run]) == ITEMS
                whole = time.perf_counter() - begin
                spent["event loop's thread"] = time.thread_time() - loop_begin
                parts = dict(spent)
    parts["neither thread is busy: disk, hops between threads, other processes"] = whole - sum(
        seconds for part, seconds in parts.items() if not part.startswith("of which")
    )
    parts["total"] = whole
    return {part: seconds / ITEMS * 1e6 for part, seconds in parts.items()}


def measure() -> Story:
    """
    Take the median of each part.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = new_database(Path(folder), "empty")
        found = [anyio.run(profile, copy()) for _ in range(ROUNDS)]
    parts = {part: statistics.median(figures.get(part, 0.0) for figures in found) for part in found[0]}
    rows = [
        (part, f"{figure:.1f}", f"{figure / parts['total']:.0%}")
        for part, figure in sorted(parts.items(), key=lambda pair: (pair[0].startswith("of which"), -pair[1]))
        if abs(figure) >= FEWEST
    ]
    return Story(
        title=f"Time spent on a durable batch: SQLite FULL, {ITEMS:,} items, no-op service, cap 20",
        tables=[Table(heading=("part", "µs per item", "share"), rows=rows)],
    )


if __name__ == "__main__":
    tell(measure)
