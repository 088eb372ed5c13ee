"""
The writes of one process that wait, so that whoever may write next takes others along.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar, cast

import attrs
from sqlalchemy import Connection

T = TypeVar("T")
P = TypeVar("P")


@attrs.frozen
class Refused:
    """
    An answer of one part among many: this one is not done, and raises that.
    """

    error: Exception


@attrs.frozen
class Joint(Generic[P, T]):
    """
    How a write is done with others of its kind, by one set of statements for all of them.

    Attributes:
        do_all: does the parts of all, and answers each in their order: by what its write
            alone returns, or by `Refused`, of which nothing was written then. What it
            raises undoes them all, and each is done alone.
        part: this write's.
        size: about how many rows it writes.
    """

    do_all: Callable[[Connection, Sequence[P]], Sequence[T | Refused]]
    part: P
    size: int = 1


@attrs.define(eq=False)
class Write(Generic[T]):
    """
    A function over a connection, and what came of it once that is durable.

    Attributes:
        work: does it alone.
        joint: does it with others; `None` where each is done alone.
        comes_first: whether it waits among those that do.
        is_over: whether its outcome is known.
    """

    work: Callable[[Connection], T]
    joint: Joint[Any, T] | None = None
    comes_first: bool = False
    is_over: bool = False
    _answer: T | None = None
    _error: BaseException | None = None

    def succeed(self, answer: T | Refused) -> None:
        """
        Keep its answer, which may be that it is refused.
        """
        if isinstance(answer, Refused):
            self._error = answer.error
        else:
            self._answer = answer

    def fail(self, error: BaseException) -> None:
        """
        Keep why it failed.
        """
        self._error = error

    def outcome(self) -> T:
        """
        Return what it returned, or raise what it raised.
        """
        if self._error is None:
            return cast("T", self._answer)
        try:
            raise self._error
        finally:
            del self  # else error and frame keep each other


@attrs.define(eq=False)
class WaitingWrites:
    """
    A queue of any thread's and any event loop's writes; each is taken once, or withdrawn.
    """

    _first: deque[Write[Any]] = attrs.field(init=False, factory=deque)
    _others: deque[Write[Any]] = attrs.field(init=False, factory=deque)
    _first_go_first: bool = attrs.field(init=False, default=True)
    _changed: threading.Condition = attrs.field(init=False, factory=threading.Condition)

    def put(self, write: Write[Any], *, first: bool) -> None:
        """
        Let it wait, before all that come neither first nor earlier.
        """
        with self._changed:
            write.comes_first = first
            self._queue_of(write).append(write)

    def withdraw(self, write: Write[Any]) -> bool:
        """
        Take it out again; return whether nobody has taken it.
        """
        with self._changed:
            try:
                self._queue_of(write).remove(write)
            except ValueError:
                return False
            return True

    def take(self, most: int) -> Sequence[Write[Any]]:
        """
        Take those that have waited longest: half of who comes first, half of the others, if both are many.

        There may be no time for all that is taken. So if both wait, now these are before those and then
        those before these. Else new batches that never cease would keep from being written what drivers
        have to say of theirs, until their leases are over.
        """
        with self._changed:
            half = most // 2
            kept = min(len(self._others), max(half, most - len(self._first)))
            first = _taken(self._first, most - kept)
            others = _taken(self._others, kept)
            if not first or not others:
                return first or others
            go_first, self._first_go_first = self._first_go_first, not self._first_go_first
            return first + others if go_first else others + first

    def put_back(self, writes: Iterable[Write[Any]]) -> None:
        """
        Let them wait on, before the others that come first, or do not, as they do; in their order.
        """
        with self._changed:
            for write in reversed(tuple(writes)):
                self._queue_of(write).appendleft(write)

    def end(self, writes: Iterable[Write[Any]]) -> None:
        """
        Say that their outcomes are known.
        """
        with self._changed:
            for write in writes:
                write.is_over = True
            self._changed.notify_all()

    def wait_for(self, write: Write[Any]) -> None:
        """
        Return when its outcome is known, or when nobody has it in hand any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: write.is_over or write in self._queue_of(write))

    def _queue_of(self, write: Write[Any]) -> deque[Write[Any]]:
        return self._first if write.comes_first else self._others


def _taken(queue: deque[Write[Any]], most: int) -> list[Write[Any]]:
    return [queue.popleft() for _ in range(min(most, len(queue)))]
