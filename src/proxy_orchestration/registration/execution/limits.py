"""
Limits the calls in progress: slots under one limit, or under two at once.
"""

from __future__ import annotations

import logging
from typing import Protocol

import anyio
import attrs

from proxy_orchestration import _loggers
from proxy_orchestration.clock import Clock
from proxy_orchestration.registration.settings import BulkSettings

_log = logging.getLogger(_loggers.DRIVER)


class Limiter(Protocol):
    """
    Lends slots: one is taken before a call and given back after it; `anyio.CapacityLimiter` is one.
    """

    def acquire_on_behalf_of_nowait(self, borrower: object, /) -> None:
        """
        Take a slot, or raise `anyio.WouldBlock`.
        """
        ...

    async def acquire_on_behalf_of(self, borrower: object, /) -> None:
        """
        Take a slot, waiting for one.
        """
        ...

    def release_on_behalf_of(self, borrower: object, /) -> None:
        """
        Give the slot back.
        """
        ...


@attrs.define(eq=False)
class AbandonedCalls:
    """
    Calls of one orchestrator that were left behind and have not ended.

    Attributes:
        limit: how many there may be before no further call begins.
        count: how many there are.
        is_full: whether there are that many.
        full_since: when that began, by the monotonic clock; `None` while there are fewer.
    """

    limit: int
    clock: Clock
    count: int = 0
    is_full: bool = False
    full_since: float | None = None

    @classmethod
    def under(cls, settings: BulkSettings, clock: Clock) -> AbandonedCalls:
        """
        Return that there are none, where as many are allowed as the settings say.
        """
        # Each keeps a slot: with all slots kept, a further call would wait for ever.
        return cls(limit=min(settings.max_abandoned, settings.max_calls_in_flight), clock=clock)

    def note(self) -> None:
        """
        Count one more.
        """
        self.count += 1
        if self.count == self.limit:
            self.is_full, self.full_since = True, self.clock.monotonic()
            _log.error(
                "%d calls to the service were cancelled but have not ended; this process starts no new calls "
                "until they end",
                self.count,
                extra={"calls": self.count},
            )

    def note_end(self) -> None:
        """
        Count one less.
        """
        self.count -= 1
        if self.count < self.limit:
            self.is_full, self.full_since = False, None


@attrs.define(eq=False)
class CombinedLimiter:
    """
    Lends slots under a run's own limit and under that over all runs: both or none.
    """

    own: anyio.CapacityLimiter
    shared: anyio.CapacityLimiter
    _left: set[object] = attrs.field(factory=set, init=False)

    def acquire_on_behalf_of_nowait(self, borrower: object, /) -> None:
        """
        Take a slot under both, or raise `anyio.WouldBlock` and take none.
        """
        self.own.acquire_on_behalf_of_nowait(borrower)
        try:
            self.shared.acquire_on_behalf_of_nowait(borrower)
        except BaseException:
            self.own.release_on_behalf_of(borrower)
            raise

    async def acquire_on_behalf_of(self, borrower: object, /) -> None:
        """
        Take a slot under both, waiting for it.
        """
        # The own one first: who waits for it keeps no shared slot from other runs.
        await self.own.acquire_on_behalf_of(borrower)
        try:
            await self.shared.acquire_on_behalf_of(borrower)
        except BaseException:
            self.own.release_on_behalf_of(borrower)
            raise

    def release_on_behalf_of(self, borrower: object, /) -> None:
        """
        Give both back.
        """
        self.shared.release_on_behalf_of(borrower)
        if borrower in self._left:
            self._left.discard(borrower)
        else:
            self.own.release_on_behalf_of(borrower)

    def leave_behind(self, borrower: object, /) -> None:
        """
        Give the run's own slot back, and keep the shared one, for a call that nobody waits for.
        """
        self.own.release_on_behalf_of(borrower)
        self._left.add(borrower)
