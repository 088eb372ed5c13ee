"""
How far calls may go before the next commit: only what a commit allowed is called.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import attrs

from proxy_orchestration.registration.execution.attempts import Attempt

_NEGLIGIBLE = 1 / 16
"""The part of its time that a worker may lose by waiting for a commit after each of its calls."""

_AT_ONCE = 3
"""A worker that would make so many calls during one commit calls a service that answers at once."""

_MARGIN, _CATCH_UP = 2, 4
"""How many times the likely calls are allowed; the second where the workers had nothing to do."""


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
        workers: how many calls there may be at once.
        step: allowed are multiples of it: what goes into one call.
    """

    called: int
    claimed: int
    workers: int
    step: int = 1
    _held_back: deque[Attempt] = attrs.field(factory=deque, init=False)
    _rate: float = attrs.field(default=0.0, init=False)
    _commit_takes: float = attrs.field(default=0.0, init=False)
    _counted_from: float = attrs.field(default=0.0, init=False)
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
        return max(0, self.workers + -busy // self.step)

    def place_after(self, claim: int, *, queued: int, free: int) -> int:
        """
        Return up to which place the next commit allows calls.

        Args:
            claim: how many further items that commit claims.
            queued: allowed items that no worker has taken.
            free: workers that have nothing to do.
        """
        self._was_idle = free == self.workers and not queued
        room = len(self._held_back) + claim
        further = min(room, (free + self._likely_calls(room)) * self.step - queued)
        if further <= 0:
            return self.called
        if further <= len(self._held_back):
            return max(self.called, self._held_back[further - 1].work.place)
        return max(self.called, self.claimed + further - len(self._held_back))

    def _likely_calls(self, room: int) -> int:
        """
        Return how many calls are likely to begin between now and the return of the next commit.
        """
        if self._rate == math.inf:
            return room
        expected = self._rate * self._commit_takes
        if expected > self.workers * _AT_ONCE:
            return room
        if expected < self.workers * _NEGLIGIBLE:
            return 0
        return math.ceil(expected * (_CATCH_UP if self._was_idle else _MARGIN))

    def note_results(self, finished: int, now: float) -> None:
        """
        Note with how many results the next commit is about to be sent.
        """
        if not finished:
            return
        seconds = now - self._counted_from
        calls = finished / self.step
        self._rate = max(calls / seconds, self._rate / 2) if seconds > 0 else math.inf

    def note_commit(self, sent_at: float, now: float) -> None:
        """
        Note that a commit has come back.
        """
        self._commit_takes = now - sent_at
        # Who had nothing to do could not finish anything before it came back.
        self._counted_from = now if self._was_idle else sent_at

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
