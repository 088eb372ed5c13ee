"""
Items that are called or looked up again later, without occupying a worker or a slot.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import attrs

from proxy_orchestration.clock import Clock
from proxy_orchestration.registration.execution.attempts import Attempt
from proxy_orchestration.registration.runs import UnfinishedItem

Chunk: TypeAlias = Sequence[Attempt]
"""Items that wait together, since they are asked about in one call."""


@attrs.define(eq=False, kw_only=True)
class WaitingItems:
    """
    The items of one run that wait, and what the store has not been told of them.

    Attributes:
        clock: whose seconds count.
        longest: the most seconds that anything waits.
        on_arrival: called when something begins to wait.
        everyone_until: before that, by the clock, nothing of the run is called.
        is_paused: whether nothing of it is called until another driver takes it up.
        count: items that wait.
    """

    clock: Clock
    longest: float
    on_arrival: Callable[[], None] = attrs.field(default=lambda: None)
    everyone_until: float = attrs.field(default=0.0, init=False)
    is_paused: bool = attrs.field(default=False, init=False)
    count: int = attrs.field(default=0, init=False)
    _heap: list[tuple[float, int, Chunk]] = attrs.field(factory=list, init=False)
    _numbers: Iterator[int] = attrs.field(factory=itertools.count, init=False)
    _untold: dict[int, tuple[Attempt, float]] = attrs.field(factory=dict, init=False)
    _telling: dict[int, tuple[Attempt, float]] = attrs.field(factory=dict, init=False)

    @property
    def first_due(self) -> float:
        """
        Return when the first one is due, by the clock; infinite if none waits.
        """
        return self._heap[0][0] if self._heap else math.inf

    @property
    def has_untold(self) -> bool:
        """
        Return whether the store has to be told something.
        """
        return bool(self._untold)

    def everyone_waits(self) -> bool:
        """
        Tell whether the whole run waits now.
        """
        return self.is_paused or (bool(self.everyone_until) and self.clock.monotonic() < self.everyone_until)

    def put(self, chunk: Chunk, seconds: float, *, everyone: bool = False) -> None:
        """
        Let items wait for that long; with `everyone` the whole run, and nobody is called before that.
        """
        self.take(chunk, seconds)
        due = self.clock.monotonic() + min(seconds, self.longest)
        if everyone:
            self.everyone_until = max(self.everyone_until, due)
        for attempt in chunk:
            self._untold[attempt.work.place] = attempt, due
        self.on_arrival()

    def take(self, chunk: Chunk, seconds: float) -> None:
        """
        Let items wait of which the store knows it.
        """
        due = self.clock.monotonic() + min(seconds, self.longest)
        heapq.heappush(self._heap, (due, next(self._numbers), chunk))
        self.count += len(chunk)

    def put_until_all_may(self, chunk: Chunk) -> None:
        """
        Let items wait for as long as the whole run does.
        """
        self.put(chunk, max(0.0, self.everyone_until - self.clock.monotonic()))

    def take_due(self, now: float) -> list[Chunk]:
        """
        Take what is due.
        """
        due: list[Chunk] = []
        while self._heap and self._heap[0][0] <= now:
            chunk = heapq.heappop(self._heap)[2]
            self.count -= len(chunk)
            for attempt in chunk:
                self._untold.pop(attempt.work.place, None)
            due.append(chunk)
        return due

    def drain(self) -> list[Attempt]:
        """
        Take all of it.
        """
        return [attempt for chunk in self.take_due(math.inf) for attempt in chunk]

    def untold(self) -> tuple[UnfinishedItem, ...]:
        """
        Return what the store has to be told.
        """
        if not self._untold:
            return ()
        now = self.clock.monotonic()
        self._telling = dict(self._untold)
        return tuple(waiting(attempt, max(0.0, due - now)) for attempt, due in self._untold.values())

    def note_told(self) -> None:
        """
        Note that the store was told; what changed meanwhile has to be told again.
        """
        for place, told in self._telling.items():
            if self._untold.get(place) is told:
                del self._untold[place]
        self._telling = {}


def regrouped(due: Sequence[Chunk]) -> list[Chunk]:
    """
    Return what is due, with items that were never called in one piece again, as they were claimed.
    """
    fresh: list[Attempt] = []
    others: list[Chunk] = []
    for chunk in due:
        if any(attempt.begun for attempt in chunk):
            others.append(chunk)
        else:
            fresh += chunk
    return [fresh, *others] if fresh else others


def waiting(attempt: Attempt, seconds: float) -> UnfinishedItem:
    """
    Return what is stored of an item that is asked about again in so many seconds.
    """
    return UnfinishedItem(
        work=attempt.work,
        due_in=seconds,
        calls=attempt.calls,
        rounds=attempt.rounds,
        in_doubt=attempt.in_doubt,
        not_seen=attempt.not_seen,
        reason=None if attempt.reason is None else attempt.reason.code,
    )


def called_again(attempt: Attempt) -> UnfinishedItem:
    """
    Return what is stored of an item before it is called again.
    """
    return attrs.evolve(waiting(attempt, 0.0), is_called=True)


@attrs.define(eq=False)
class Pace:
    """
    At most so many calls a second, evenly, over all runs of one orchestrator.
    """

    clock: Clock
    per_second: float
    _next: float = attrs.field(default=0.0, init=False)

    async def wait(self) -> None:
        """
        Return when the next call may begin.
        """
        now = self.clock.monotonic()
        turn = max(now, self._next)
        self._next = turn + 1 / self.per_second
        if turn > now:
            await self.clock.sleep(turn - now)
