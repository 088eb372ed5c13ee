"""
Places among the calls in flight, under two limits at once.
"""

from __future__ import annotations

from typing import Protocol

import anyio
import attrs


class Places(Protocol):
    """
    What a worker takes before a call and gives back after it; `anyio.CapacityLimiter` is one.
    """

    def acquire_on_behalf_of_nowait(self, borrower: object, /) -> None:
        """
        Take a place, or raise `anyio.WouldBlock`.
        """
        ...

    async def acquire_on_behalf_of(self, borrower: object, /) -> None:
        """
        Take a place, waiting for one.
        """
        ...

    def release_on_behalf_of(self, borrower: object, /) -> None:
        """
        Give the place back.
        """
        ...


@attrs.define(eq=False)
class PlacesOfBoth:
    """
    A place under a run's own limit and under that over all runs.
    """

    own: anyio.CapacityLimiter
    shared: anyio.CapacityLimiter

    def acquire_on_behalf_of_nowait(self, borrower: object, /) -> None:
        """
        Take a place under both, or raise `anyio.WouldBlock` and take none.
        """
        self.own.acquire_on_behalf_of_nowait(borrower)
        try:
            self.shared.acquire_on_behalf_of_nowait(borrower)
        except BaseException:
            self.own.release_on_behalf_of(borrower)
            raise

    async def acquire_on_behalf_of(self, borrower: object, /) -> None:
        """
        Take a place under both, waiting for it.
        """
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
