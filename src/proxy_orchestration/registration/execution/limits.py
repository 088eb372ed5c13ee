"""
How many calls may be in flight: slots under one limit, or under two at once.
"""

from __future__ import annotations

from typing import Protocol

import anyio
import attrs


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
class CombinedLimiter:
    """
    Lends slots under a run's own limit and under that over all runs: both or none.
    """

    own: anyio.CapacityLimiter
    shared: anyio.CapacityLimiter

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
        self.own.release_on_behalf_of(borrower)
