"""
Time comes in through a port, so that a test can hold it in its hand.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

import anyio
import attrs


class Clock(Protocol):
    """
    Where the library's time comes from.

    Any number of tasks of one event loop may use a clock at once.
    """

    def now(self) -> datetime:
        """
        Return the present moment as an aware datetime in UTC.
        """
        ...

    def monotonic(self) -> float:
        """
        Return seconds from a fixed but arbitrary start; never goes back.
        """
        ...

    async def sleep(self, seconds: float, /) -> None:
        """
        Return after that many seconds of `monotonic`; zero or less is a checkpoint.
        """
        ...


@attrs.define(eq=False)
class SystemClock:
    """
    The machine's own time.
    """

    def now(self) -> datetime:
        """
        Return the present moment as an aware datetime in UTC.
        """
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """
        Return seconds since some point in the past; never goes back.
        """
        return time.monotonic()

    async def sleep(self, seconds: float, /) -> None:
        """
        Sleep in the running event loop, asyncio or trio.
        """
        await anyio.sleep(max(0.0, seconds))
