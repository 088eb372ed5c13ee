"""
A durable batch on SQLite FULL against what sqlite3 alone can do on the same disk.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from _harness import Case, Story, Table, Target, medians, tell
from _scene import (
    COORDINATOR,
    SETTLED_BATCHES,
    SilentAuditLogger,
    new_database,
    orchestrator_over,
    request_for,
    warm_store,
)
from anyio import to_thread

ITEMS: Final = 20_000
ONE_BY_ONE: Final = 4000
"""Items of the slow ways; their cost per item does not depend on it."""

PER_COMMIT: Final = 500
WORKERS: Final = 20
ROUNDS: Final = 5

_TABLE: Final = (
    "CREATE TABLE registrations (batch_id TEXT NOT NULL, mentor_id TEXT NOT NULL, activity TEXT NOT NULL,"
    " state TEXT NOT NULL, activity_id TEXT, attempts INTEGER NOT NULL, settled_at TEXT,"
    " PRIMARY KEY (batch_id, mentor_id)) WITHOUT ROWID"
)
_INSERT: Final = "INSERT INTO registrations VALUES (?, ?, '{}', 'pending', NULL, 0, NULL)"
_UPDATE: Final = (
    "UPDATE registrations SET state = 'succeeded', activity_id = ?, attempts = 1, settled_at = ?"
    " WHERE batch_id = ? AND mentor_id = ?"
)
_BATCH: Final = "3f0c9e5d1b7a4c2e8d6f0a9b8c7d6e5f"


def _update_of(number: int) -> tuple[str, str, str, str]:
    now = datetime.now(UTC).isoformat()
    return f"activity-mentor-{number}", now, _BATCH, f"mentor-{number}"


@contextmanager
def accepted_rows(file: Path) -> Iterator[sqlite3.Connection]:
    """
    Lend a connection, durable like ours, over a plain table that holds the items.
    """
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_TABLE)
        connection.execute("BEGIN")
        connection.executemany(_INSERT, [(_BATCH, f"mentor-{number}") for number in range(ITEMS)])
        connection.execute("COMMIT")
        yield connection
    finally:
        connection.close()


def settle(connection: sqlite3.Connection, numbers: range) -> None:
    """
    Update these items and commit.
    """
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(_UPDATE, map(_update_of, numbers))
    connection.execute("COMMIT")


def raw(new_file: Callable[[], Path], *, size: int, per_commit: int) -> float:
    """
    Update in one thread that does nothing else; return items per second.
    """
    with accepted_rows(new_file()) as connection:
        begin = time.perf_counter()
        for first in range(0, size, per_commit):
            settle(connection, range(first, first + per_commit))
        return size / (time.perf_counter() - begin)


def commit_per_item(new_file: Callable[[], Path]) -> float:
    """
    Have async workers store each outcome by a commit of its own; return items per second.
    """

    async def work_all() -> float:
        numbers = iter(range(ONE_BY_ONE))
        one_writer = anyio.CapacityLimiter(1)

        async def work() -> None:
            for number in numbers:
                await to_thread.run_sync(settle, connection, range(number, number + 1), limiter=one_writer)

        begin = time.perf_counter()
        async with anyio.create_task_group() as crew:
            for _ in range(WORKERS):
                crew.start_soon(work)
        return ONE_BY_ONE / (time.perf_counter() - begin)

    with accepted_rows(new_file()) as connection:
        return anyio.run(work_all)


def ours(copy: Callable[[], Path], *, with_result: bool) -> float:
    """
    Accept, drive, look at every update, audit, and perhaps read the result; return items per second.
    """

    async def timed() -> float:
        async with warm_store(copy()) as repository:
            orchestrator = orchestrator_over(repository, concurrency=WORKERS)
            request = request_for(ITEMS)
            begin = time.perf_counter()
            async with orchestrator.stream_bulk_registration(request, actor=COORDINATOR) as run:
                seen = sum([1 async for _update in run])
                end = time.perf_counter()
            if with_result:
                end = time.perf_counter()
        assert isinstance(orchestrator.audit_logger, SilentAuditLogger)
        assert seen == ITEMS == len(run.result.succeeded)
        assert orchestrator.audit_logger.taken == 1
        return ITEMS / (end - begin)

    return anyio.run(timed)


def _cases(folder: Path) -> dict[str, Case]:
    numbers = iter(range(1_000_000))

    def new_file() -> Path:
        return folder / f"raw-{next(numbers)}.db"

    empty = new_database(folder, "empty")
    filled = new_database(folder, "filled", settled=SETTLED_BATCHES)
    return {
        "raw limit: bulk UPDATE, 500 rows per commit": partial(
            raw, new_file, size=ITEMS, per_commit=PER_COMMIT
        ),
        "raw, one row per commit, one thread": partial(raw, new_file, size=ONE_BY_ONE, per_commit=1),
        "one commit per item from 20 async workers": partial(commit_per_item, new_file),
        "ours, empty database": partial(ours, empty, with_result=False),
        "ours, 100 settled batches": partial(ours, filled, with_result=False),
        "ours, empty database, and reading the result": partial(ours, empty, with_result=True),
    }


def measure() -> Story:
    """
    Let each way settle items on the same disk, in turns.
    """
    with tempfile.TemporaryDirectory() as folder:
        speeds = medians(_cases(Path(folder)), rounds=ROUNDS)
    limit, tight, each, *mine = speeds
    rows = [
        (
            name,
            f"{speed:,.0f}",
            f"{speed / speeds[each]:.1f}x",
            f"{speed / speeds[tight]:.1f}x",
            f"{speed / speeds[limit]:.2f}",
        )
        for name, speed in speeds.items()
    ]
    heading = (
        "",
        "items/s",
        "ratio to one commit per item",
        "ratio to one row per commit, raw",
        "ratio to the raw limit",
    )
    return Story(
        title=f"Durable on SQLite FULL, {ITEMS:,} items, no-op service, cap {WORKERS}",
        tables=[Table(heading=heading, rows=rows)],
        targets=[
            target
            for name in mine[:2]
            for target in (
                Target(
                    what=f"{name}: ratio to one commit per item",
                    figure=speeds[name] / speeds[each],
                    at_least=12,
                    digits=1,
                ),
                Target(
                    what=f"{name}: ratio to the raw limit", figure=speeds[name] / speeds[limit], at_least=0.2
                ),
            )
        ],
    )


if __name__ == "__main__":
    tell(measure)
