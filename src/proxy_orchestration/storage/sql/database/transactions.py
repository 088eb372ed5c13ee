"""
Transactions in worker threads, one for all writes that wait, repeated where the database gave them up.
"""

from __future__ import annotations

import math
import os
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import anyio
import attrs
from anyio import to_thread
from anyio.lowlevel import RunVar
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from proxy_orchestration.errors import RepositoryUnavailableError, SchemaVersionError
from proxy_orchestration.storage.sql.database.errors import translated_errors, was_undone
from proxy_orchestration.storage.sql.database.names import Names
from proxy_orchestration.storage.sql.database.versions import check_version
from proxy_orchestration.storage.sql.database.waiting_writes import Joint, WaitingWrites, Write
from proxy_orchestration.storage.sql.dialect.connections import (
    check_engine,
    database_file,
    for_reading,
    for_writing,
    transaction,
    writers_at_once,
)
from proxy_orchestration.storage.sql.dialect.lent_connections import Lending

T = TypeVar("T")

Refusals: TypeAlias = Callable[[], AbstractContextManager[None]]
"""Translates what only a call's own values can be the cause of."""

_READERS: Final = 8
_MOST_TOGETHER: Final = 64
_LARGEST_TOGETHER: Final = 1000
"""Rows of one set of statements: once begun, nothing ends it until all are written."""

_LONGEST_TOGETHER: Final = 0.02
"""Seconds after which no further write joins a transaction, so that a slow one holds nobody for long."""

_PAUSES: Final = (0.0, 0.01, 0.05, 0.2)
"""Seconds before each repetition, for whoever stands in the way to get through; the thread is a worker's."""

_VERSION_HOLDS: Final = 60.0
"""Seconds until a process looks again whether a newer one changed the schema; a look costs two statements."""

_LOST: Final = "The connection was cut during a commit, so that the answer to it is lost."
_LOOK: Final = "Check that the database's server runs, and resume: what took place is found and not repeated."


class CommitAnswerLostError(RepositoryUnavailableError):
    """
    Nobody knows whether a commit took place; only a look tells.
    """

    def __init__(self) -> None:
        super().__init__(_LOST, advice=_LOOK)


@attrs.define(eq=False)
class Transactions:
    """
    Runs plain functions over a connection, each all or nothing.

    Writes queue for a few threads, one for SQLite, which lets waiting writers
    starve each other. Whoever's turn it is takes along what waits, in one
    transaction, and writes of one kind in one set of statements; should one
    of them fail, each has a transaction of its own.
    Reads run beside them, each in its own. PostgreSQL gives a transaction up for a
    deadlock, and a restart or a cut connection undoes it: what was not
    committed yet is then repeated from its start, a few times.

    Attributes:
        engine: the host's, which stays as it is, or the one that was opened.
        refusals: surrounds each function, and names what its values caused.
        names: where the tables are.
    """

    engine: Engine = attrs.field(converter=check_engine)
    refusals: Refusals = nullcontext
    names: Names = attrs.field(factory=Names)
    _reading: Engine = attrs.field(init=False)
    _writing: Engine = attrs.field(init=False)
    _file: Path | None = attrs.field(init=False)
    _identity: tuple[int, int] | None = attrs.field(init=False, default=None)
    _writers: RunVar[anyio.CapacityLimiter] = attrs.field(init=False, factory=lambda: RunVar("writers"))
    _leaders: RunVar[anyio.CapacityLimiter] = attrs.field(init=False, factory=lambda: RunVar("leaders"))
    _readers: RunVar[anyio.CapacityLimiter] = attrs.field(init=False, factory=lambda: RunVar("readers"))
    _waiting: WaitingWrites = attrs.field(init=False, factory=WaitingWrites)
    _version_seen: float = attrs.field(init=False, default=-math.inf)
    lending: Lending = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.names.check_for(self.engine.dialect)
        self._reading = for_reading(self.engine, self.names)
        self._writing = for_writing(self.engine, self.names)
        self._file = database_file(self.engine)
        self.lending = Lending(self.engine, self.names)
        _alive.add(self)

    def begin_anew(self) -> None:
        """
        Drop what a fork copied and only the parent may go on with: its connections, and writes that wait.
        """
        self.engine.dispose(close=False)
        self._waiting = WaitingWrites()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """
        Run a function that reads, on one consistent snapshot.
        """
        return await to_thread.run_sync(
            self._run, self._reading, work, limiter=_limiter(self._readers, _READERS)
        )

    async def write(
        self, work: Callable[[Connection], T], *, first: bool = False, joint: Joint[Any, T] | None = None
    ) -> T:
        """
        Run a function that writes; when it returns, all it wrote survives a crash.

        Args:
            work: may be run more than once, and what an earlier run wrote is undone then.
            first: whether it goes before the others that wait.
            joint: does it in the function's place where others of its kind wait.
        """
        write = Write(work, joint)
        self._waiting.put(write, first=first)
        try:
            async with _limiter(self._writers, writers_at_once(self.engine)):
                if not write.is_over:
                    await to_thread.run_sync(self._lead, write, limiter=_limiter(self._leaders, math.inf))
        finally:
            await self._leave(write)
        return write.outcome()

    async def _leave(self, write: Write[Any]) -> None:
        """
        Take a write back that nobody has in hand, or wait for its end: whoever leaves leads no others.
        """
        while not write.is_over and not self._waiting.withdraw(write):
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(
                    self._waiting.wait_for, write, limiter=_limiter(self._leaders, math.inf)
                )

    def _lead(self, write: Write[Any]) -> None:
        while not write.is_over:
            group = self._waiting.take(_MOST_TOGETHER)
            if not group:
                self._waiting.wait_for(write)
                continue
            ended: Sequence[Write[Any]] = group
            try:
                ended = self._write_together(group) if len(group) > 1 else self._write_alone(group)
            finally:
                self._waiting.put_back(write for write in group if write not in ended)
                self._waiting.end(ended)

    def _write_together(self, group: Sequence[Write[Any]]) -> Sequence[Write[Any]]:
        """
        Run the first of them in one transaction, or each in its own; return those that have an outcome.
        """
        answers: Mapping[Write[Any], Any] = {}
        try:
            answers = self._commit(self._writing, lambda connection: _answers(connection, group), once=True)
        except CommitAnswerLostError as error:
            for write in group:
                lost = CommitAnswerLostError()
                lost.__cause__ = error.__cause__
                write.fail(lost)
            return group
        except BaseException:  # noqa: BLE001, S110 - whose fault it is, each by itself tells
            pass
        if not answers:  # out here, where no error of one becomes the context of another's
            return self._write_alone(group)
        self._end_committed(answers)
        return tuple(answers)

    def _end_committed(self, answers: Mapping[Write[Any], Any]) -> None:
        # What is committed is never done again, whatever becomes of the file.
        try:
            self._check_file()
        except RepositoryUnavailableError as error:
            for write in answers:
                write.fail(_likewise(error))
        else:
            for write, answer in answers.items():
                write.succeed(answer)

    def _write_alone(self, group: Sequence[Write[Any]]) -> Sequence[Write[Any]]:
        """
        Run each in its own transaction; a store that cannot be reached is not asked once for each.
        """
        begun: list[Write[Any]] = []
        away: RepositoryUnavailableError | None = None
        for write in group:
            if away is not None:
                write.fail(_likewise(away))
                continue
            try:
                write.succeed(self._run(self._writing, partial(_begin, begun, write)))
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                if write not in begun and type(error) is RepositoryUnavailableError:
                    away = error
                write.fail(error)
        return group

    def _run(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        result = self._commit(engine, work)
        self._check_file()
        return result

    def _commit(self, engine: Engine, work: Callable[[Connection], T], *, once: bool = False) -> T:
        try:
            with translated_errors():
                return (self._once if once else self._repeated)(engine, work)
        except SchemaVersionError:
            self._version_seen = -math.inf  # a column is missing: the next call tells whether we are too old
            raise

    def _repeated(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        # Never after the commit was sent: repeating it might be a second batch; decision 47.
        for pause in _PAUSES:
            try:
                return self._once(engine, work)
            except DBAPIError as error:
                if not was_undone(error):
                    raise
            time.sleep(pause)
        return self._once(engine, work)

    def _once(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        with transaction(engine) as (connection, begun):
            self.check_schema(connection)
            with self.refusals():
                result = work(connection)
            try:
                begun.commit()
            except DBAPIError as error:
                if error.connection_invalidated:  # only a look tells whether it took place
                    raise CommitAnswerLostError from error
                raise
        return result

    def check_schema(self, connection: Connection) -> None:
        """
        Accept a schema that this code works on; looks at most once in a while.

        Raises:
            SchemaVersionError: it is too old or too new.
        """
        if time.monotonic() - self._version_seen >= _VERSION_HOLDS:
            check_version(connection)
            self._version_seen = time.monotonic()

    def _check_file(self) -> None:
        # A commit into a file that was unlinked "succeeds", and nobody will ever read it.
        if self._file is None:
            return
        try:
            found = self._file.stat()
        except OSError:
            identity = None
        else:
            identity = (found.st_dev, found.st_ino)
        if self._identity is None:
            self._identity = identity
        if identity is None or identity != self._identity:
            reason = "The database file was deleted or replaced while it was open."
            raise RepositoryUnavailableError(
                reason, advice="Put the file back or choose another, start anew, and resume."
            )


def _answers(connection: Connection, group: Sequence[Write[Any]]) -> Mapping[Write[Any], Any]:
    """
    Run one after the other, those of one kind together, until enough time has passed.
    """
    over = time.monotonic() + _LONGEST_TOGETHER
    answers: dict[Write[Any], Any] = {}
    for writes in _of_one_kind(group):
        joint = writes[0].joint
        if joint is None or len(writes) == 1:
            answers[writes[0]] = writes[0].work(connection)
        else:
            parts = [write.joint.part for write in writes if write.joint is not None]
            answers.update(zip(writes, joint.do_all(connection, parts), strict=True))
        if time.monotonic() >= over:
            break
    return answers


def _likewise(error: RepositoryUnavailableError) -> RepositoryUnavailableError:
    other = RepositoryUnavailableError(error.reason, advice=error.advice)
    other.__cause__ = error.__cause__
    return other


def _begin(begun: list[Write[Any]], write: Write[T], connection: Connection) -> T:
    begun.append(write)
    return write.work(connection)


def _of_one_kind(group: Sequence[Write[Any]]) -> Iterator[Sequence[Write[Any]]]:
    """
    Return the writes in the order of the first of each kind; whoever has no kind is alone.

    What is too large for one set of statements is several.
    """
    kinds: defaultdict[object, list[Write[Any]]] = defaultdict(list)
    for write in group:
        kinds[write if write.joint is None else write.joint.do_all].append(write)
    for writes in kinds.values():
        yield from _of_some_size(writes)


def _of_some_size(writes: Sequence[Write[Any]]) -> Iterator[Sequence[Write[Any]]]:
    some: list[Write[Any]] = []
    size = 0
    for write in writes:
        more = 0 if write.joint is None else write.joint.size
        if some and size + more > _LARGEST_TOGETHER:
            yield some
            some, size = [], 0
        some.append(write)
        size += more
    yield some


def _limiter(kept: RunVar[anyio.CapacityLimiter], tokens: float) -> anyio.CapacityLimiter:
    # One for each event loop: a limiter belongs to the kind of loop that it was first used in.
    limiter = kept.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(tokens)
        kept.set(limiter)
    return limiter


_alive: Final[weakref.WeakSet[Transactions]] = weakref.WeakSet()


def _begin_anew() -> None:
    # Two processes on one connection mix their words, and a copied write is written twice; decision 286.
    for transactions in _alive:
        transactions.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
