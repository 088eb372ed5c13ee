"""
The same job by hand: a batch and its items stored, begun and settled, three commits, and nothing else.

There is no lease, fence, conflict check, audit, progress or idempotency key. These are
floors: what the driver and the disk allow whoever writes only what a resumption needs.
"""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
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

Write: TypeAlias = Callable[[Any], None]
"""Writes by a cursor that SQLite or psycopg lends."""


@attrs.define(eq=False)
class Store:
    """
    A few connections to a database, and threads to wait for them.

    Attributes:
        commits: made so far.
    """

    url: str
    commits: int = 0
    _free: queue.SimpleQueue[Any] = attrs.field(factory=queue.SimpleQueue)
    _threads: anyio.CapacityLimiter = attrs.field(init=False)

    async def commit(self, *writes: Write) -> None:
        """
        Make these writes in one transaction.
        """
        await to_thread.run_sync(self._commit, writes, limiter=self._threads)

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

    def _commit(self, writes: Sequence[Write]) -> None:
        connection = self._free.get()
        try:
            connection.execute("BEGIN IMMEDIATE" if self._is_sqlite else "BEGIN")
            for write in writes:
                write(_Cursor(connection.cursor(), marks="?" if self._is_sqlite else "%s"))
            connection.execute("COMMIT")
            self.commits += 1
        finally:
            self._free.put(connection)

    @property
    def _is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """
        Connect, and disconnect at the end; tables are made where there are none.
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


@attrs.frozen
class _Cursor:
    cursor: Any
    marks: str

    def execute(self, statement: str, values: Sequence[object]) -> None:
        self.cursor.execute(statement.replace("?", self.marks), values)

    def executemany(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        self.cursor.executemany(statement.replace("?", self.marks), rows)


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
        await self.commit(lambda cursor: _accept(cursor, batch_id, mentors))
        await self.commit(lambda cursor: cursor.execute(_BEGIN, (_now(), batch_id)))
        answers = [await _register(mentor) for mentor in mentors]
        await self.commit(lambda cursor: _settle(cursor, batch_id, answers))


async def _register(mentor: str) -> str:
    return f"activity-{mentor}"


def _accept(cursor: Any, batch_id: str, mentors: Sequence[str]) -> None:
    cursor.execute(_ACCEPT, (batch_id, len(mentors), _now()))
    cursor.executemany(_ACCEPT_ITEM, [(batch_id, position, one) for position, one in enumerate(mentors)])


def _settle(cursor: Any, batch_id: str, answers: Sequence[str]) -> None:
    cursor.executemany(_SETTLE_ITEM, [(one, batch_id, position) for position, one in enumerate(answers)])
    cursor.execute(_SETTLE, (_now(), batch_id))


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
