"""
The same job by hand: a batch and its items stored, begun and settled, three commits, and nothing else.

There is no lease, fence, conflict check, audit, progress or idempotency key. These are
floors: what driver and disk allow whoever writes only what another process needs to go on.
"""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import anyio
import attrs
from anyio import to_thread

_CONNECTIONS: Final = {"sqlite": 1, "postgresql": 8}
_TABLES: Final = (
    (
        "CREATE TABLE by_hand (batch_id TEXT PRIMARY KEY, coordinator TEXT NOT NULL, total INTEGER NOT NULL,"
        " status TEXT NOT NULL, submitted_at TEXT NOT NULL, begun_at TEXT, settled_at TEXT)"
    ),
    (
        "CREATE TABLE by_hand_items (batch_id TEXT NOT NULL, position INTEGER NOT NULL, mentor_id TEXT NOT NULL,"
        " activity TEXT NOT NULL, state TEXT NOT NULL, activity_id TEXT, PRIMARY KEY (batch_id, position))"
    ),
)
_ACCEPT: Final = "INSERT INTO by_hand VALUES (?, 'coord-119', ?, 'pending', ?, NULL, NULL)"
_ACCEPT_ITEM: Final = "INSERT INTO by_hand_items VALUES (?, ?, ?, '{}', 'pending', NULL)"
_BEGIN: Final = "UPDATE by_hand SET status = 'running', begun_at = ? WHERE batch_id = ?"
_SETTLE: Final = "UPDATE by_hand SET status = 'success', settled_at = ? WHERE batch_id = ?"
_SETTLE_ITEM: Final = (
    "UPDATE by_hand_items SET state = 'succeeded', activity_id = ? WHERE batch_id = ? AND position = ?"
)
_SETTLED: Final = "SELECT count(*) FROM by_hand_items WHERE state = 'succeeded'"

Write: TypeAlias = Mapping[str, Sequence[Sequence[object]]]
"""Rows of values by the statement that each is for; the statements in their order."""


@attrs.define(eq=False)
class Store:
    """
    A few connections to a database, and threads to wait for them.
    """

    url: str
    _free: queue.SimpleQueue[Any] = attrs.field(factory=queue.SimpleQueue)
    _threads: anyio.CapacityLimiter = attrs.field(init=False)

    async def commit(self, *writes: Write) -> None:
        """
        Make these writes in one transaction, each statement once for all rows.
        """
        together: dict[str, list[Sequence[object]]] = {}
        for write in writes:
            for statement, rows in write.items():
                together.setdefault(statement, []).extend(rows)
        await to_thread.run_sync(self._commit, together, limiter=self._threads)

    def settled(self) -> int:
        """
        Return how many items are settled.
        """
        connection = self._free.get()
        try:
            (found,) = connection.execute(_SETTLED).fetchone()
            return int(found)
        finally:
            self._free.put(connection)

    def _commit(self, write: Write) -> None:
        connection = self._free.get()
        try:
            connection.execute("BEGIN IMMEDIATE" if self._is_sqlite else "BEGIN")
            with closing(connection.cursor()) as cursor:
                for statement, rows in write.items():
                    cursor.executemany(statement if self._is_sqlite else statement.replace("?", "%s"), rows)
            connection.execute("COMMIT")
        finally:
            self._free.put(connection)

    @property
    def _is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """
        Connect to an empty database, make the tables, and disconnect at the end.
        """
        number = _CONNECTIONS["sqlite" if self._is_sqlite else "postgresql"]
        self._threads = anyio.CapacityLimiter(number)
        connections = [_connect(self.url) for _ in range(number)]
        for table in _TABLES:
            connections[0].execute(table)
        for connection in connections:
            self._free.put(connection)
        try:
            yield self
        finally:
            for connection in connections:
                connection.close()


def _connect(url: str) -> Any:
    if url.startswith("sqlite"):
        file = url.removeprefix("sqlite:///")
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection
    import psycopg  # noqa: PLC0415 - only where there is a PostgreSQL

    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True, prepare_threshold=None)


@attrs.define(eq=False)
class GroupingWriter:
    """
    Commits for all who wait, one transaction at a time.
    """

    store: Store
    _waiting: list[tuple[Write, anyio.Event]] = attrs.field(factory=list)
    _some: anyio.Event = attrs.field(factory=anyio.Event)

    async def commit(self, write: Write) -> None:
        """
        Have this written with what others write meanwhile.
        """
        written = anyio.Event()
        self._waiting.append((write, written))
        self._some.set()
        await written.wait()

    async def keep_writing(self) -> None:
        """
        Write until cancelled.
        """
        while True:
            await self._some.wait()
            group, self._waiting, self._some = self._waiting, [], anyio.Event()
            await self.store.commit(*[write for write, _ in group])
            for _, written in group:
                written.set()


@attrs.frozen
class ByHand:
    """
    A program that settles one batch by three commits.

    Attributes:
        store: where.
        commit: how.
    """

    store: Store
    commit: Callable[[Write], Any]

    async def submit(self, batch_id: str, size: int) -> None:
        """
        Accept, begin, have each registered, and settle.
        """
        mentors = [f"mentor-{number}" for number in range(size)]
        items = [(batch_id, position, mentor) for position, mentor in enumerate(mentors)]
        await self.commit({_ACCEPT: [(batch_id, size, _now())], _ACCEPT_ITEM: items})
        await self.commit({_BEGIN: [(_now(), batch_id)]})
        answers = [await _register(mentor) for mentor in mentors]
        settled = [(answer, batch_id, position) for position, answer in enumerate(answers)]
        await self.commit({_SETTLE_ITEM: settled, _SETTLE: [(_now(), batch_id)]})


async def _register(mentor: str) -> str:
    return f"activity-{mentor}"


def _now() -> str:
    return datetime.now(UTC).isoformat()


@asynccontextmanager
async def opened_by_hand(url: str, *, grouping: bool) -> AsyncIterator[ByHand]:
    """
    Lend the program over an empty database.
    """
    with Store(url).opened() as store:
        if not grouping:
            yield ByHand(store, store.commit)
            return
        writer = GroupingWriter(store)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.keep_writing)
            yield ByHand(store, writer.commit)
            tasks.cancel_scope.cancel()
