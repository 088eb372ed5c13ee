"""
The clock port, and the system clock. Tests replace it by a fake clock.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

import anyio
import attrs


class Clock(Protocol):
    """
    The source of time for the library.

    Any number of tasks of one event loop may use a clock at once.
    """

    def now(self) -> datetime:
        """
        Return the current time as an aware datetime in UTC.
        """
        ...

    def monotonic(self) -> float:
        """
        Return the seconds since a fixed but arbitrary start; the value never decreases.
        """
        ...

    async def sleep(self, seconds: float, /) -> None:
        """
        Return after this many seconds of `monotonic`; for zero or less, only let other tasks run.
        """
        ...


@attrs.define(eq=False)
class SystemClock:
    """
    A `Clock` that uses the machine's time.
    """

    def now(self) -> datetime:
        """
        Return the current time as an aware datetime in UTC.
        """
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """
        Return the seconds since an arbitrary point in the past; the value never decreases.
        """
        return time.monotonic()

    async def sleep(self, seconds: float, /) -> None:
        """
        Sleep in the running event loop, asyncio or trio.
        """
        await anyio.sleep(max(0.0, seconds))
