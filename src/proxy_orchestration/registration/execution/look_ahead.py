"""
Decides how far calls may go before the next commit; only what a commit allowed is called.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import attrs

from proxy_orchestration.registration.execution.attempts import Attempt

_NEGLIGIBLE = 1 / 16
"""The part of its time that a worker may lose by waiting for a commit after each of its calls."""

_AT_ONCE = 0.001
"""A service that answers within so many seconds answers at once: nothing outside this process is asked."""

_MARGIN = 2
"""How many times the likely calls are allowed."""


@attrs.define(eq=False, kw_only=True)
class Speed:
    """
    How fast the service answered and the ledger wrote lately, over all runs of one orchestrator.

    Attributes:
        workers: how many calls a run makes at once.
    """

    workers: int
    _calls: int = attrs.field(default=0, init=False)
    _rate: float = attrs.field(default=0.0, init=False)
    _commit_takes: float = attrs.field(default=0.0, init=False)

    def note_results(self, calls: float, seconds: float) -> None:
        """
        Note that one run had that many answers in that time.
        """
        self._calls += math.ceil(calls)
        if seconds > 0:
            self._rate = max(calls / seconds, self._rate / 2)

    def note_commit(self, seconds: float) -> None:
        """
        Note how long a commit took.
        """
        self._commit_takes = seconds

    def likely_calls(self) -> float:
        """
        Return how many calls of one run are likely to begin while a commit is written.

        Infinite where the service answers at once; 0 where it hardly matters,
        and where too little is known.
        """
        if self._calls < 2 * self.workers:
            return 0
        if self.workers < self._rate * _AT_ONCE:
            return math.inf
        expected = self._rate * self._commit_takes
        return math.ceil(expected * _MARGIN) if expected > self.workers * _NEGLIGIBLE else 0


@attrs.define(eq=False, kw_only=True)
class LookAhead:
    """
    Claimed items that no commit has allowed to be called yet, and how many the next one should allow.

    What was never allowed was provably never called, whoever dies. So no
    more are allowed than there are free workers, and beyond them only what
    is likely to be called before the next commit has come back; decision 100.

    Attributes:
        called: up to which place calls are allowed.
        claimed: up to which place items are claimed.
        speed: what is known of the service and the ledger.
        counted_from: since when calls could be answered, by the clock of `note_commit`.
        step: allowed are multiples of it: what goes into one call.
    """

    called: int
    claimed: int
    speed: Speed
    counted_from: float
    step: int = 1
    _held_back: deque[Attempt] = attrs.field(factory=deque, init=False)
    _was_idle: bool = attrs.field(default=True, init=False)

    @property
    def held_back(self) -> int:
        """
        Return how many items are claimed and not allowed.
        """
        return len(self._held_back)

    def hold_back(self, attempts: Iterable[Attempt]) -> None:
        """
        Take claimed items, in their order.
        """
        self._held_back.extend(attempts)
        if self._held_back:
            self.claimed = max(self.claimed, self._held_back[-1].work.place)

    def free(self, busy: int) -> int:
        """
        Return how many workers have nothing to do while so many items are with the others.
        """
        return max(0, self.speed.workers + -busy // self.step)

    def place_after(self, claim: int, *, queued: int, free: int) -> int:
        """
        Return up to which place the next commit allows calls.

        Args:
            claim: how many further items that commit claims.
            queued: allowed items that no worker has taken.
            free: workers that have nothing to do.
        """
        self._was_idle = free == self.speed.workers and not queued
        room = len(self._held_back) + claim
        further = int(min(room, (free + self.speed.likely_calls()) * self.step - queued))
        if further <= 0:
            return self.called
        if further <= len(self._held_back):
            return max(self.called, self._held_back[further - 1].work.place)
        return max(self.called, self.claimed + further - len(self._held_back))

    def note_results(self, finished: int, now: float) -> None:
        """
        Note with how many results the next commit is about to be sent.
        """
        if finished:
            self.speed.note_results(finished / self.step, now - self.counted_from)

    def note_commit(self, sent_at: float, now: float) -> None:
        """
        Note that a commit has come back.
        """
        self.speed.note_commit(now - sent_at)
        # Who had nothing to do could not finish anything before it came back.
        self.counted_from = now if self._was_idle else sent_at

    def allow(self, place: int) -> list[Attempt]:
        """
        Take what may be called once a commit has allowed it up to that place.
        """
        self.called = max(self.called, place)
        if self._held_back and self._held_back[-1].work.place <= self.called:
            return self.drain()  # mostly all of them, where the service is fast
        allowed: list[Attempt] = []
        while self._held_back and self._held_back[0].work.place <= self.called:
            allowed.append(self._held_back.popleft())
        return allowed

    def drain(self) -> list[Attempt]:
        """
        Take everything that is held back.
        """
        attempts = list(self._held_back)
        self._held_back.clear()
        return attempts
