"""
How far calls may go before the next commit: only what a commit allowed is called.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import attrs

from proxy_orchestration.registration.execution.attempts import Attempt

_GROWTH = 4
"""By how much the look-ahead grows when the workers had nothing left before a commit came."""


@attrs.define(eq=False, kw_only=True)
class LookAhead:
    """
    Claimed items that no commit has allowed to be called yet, and how many the next one should allow.

    What was never allowed was provably never called, whoever dies; so as few
    are allowed as keep the workers busy until the next commit; decision 100.

    Attributes:
        called: up to which place calls are allowed.
        claimed: up to which place items are claimed.
        least: how many to allow beyond those that are taken.
        step: allowed are multiples of it: what goes into one call.
    """

    called: int
    claimed: int
    least: int
    step: int = 1
    _held_back: deque[Attempt] = attrs.field(factory=deque, init=False)
    _started: int = attrs.field(default=0, init=False)
    _queued: int = attrs.field(default=0, init=False)

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

    def place_after(self, claim: int, *, queued: int, idle: bool) -> int:
        """
        Return up to which place the next commit allows calls.

        Args:
            claim: how many further items that commit claims.
            queued: allowed items that no worker has taken.
            idle: whether the workers have nothing to do.
        """
        self._started = max(0, self._queued - queued)
        further = self._started * (_GROWTH if idle else 1) + self.least * (1 + idle) - queued
        further = -(-max(0, further) // self.step) * self.step
        if further <= 0:
            return self.called
        if further <= len(self._held_back):
            return max(self.called, self._held_back[further - 1].work.place)
        return max(self.called, min(self.claimed + further - len(self._held_back), self.claimed + claim))

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

    def note_queued(self, queued: int) -> None:
        """
        Note how many allowed items no worker has taken just after a commit.
        """
        self._queued = queued

    def drain(self) -> list[Attempt]:
        """
        Take everything that is held back.
        """
        attempts = list(self._held_back)
        self._held_back.clear()
        return attempts
