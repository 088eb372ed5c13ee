"""
A clock that a test holds in its hand.
"""

from __future__ import annotations

import bisect
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio
import attrs
from anyio.lowlevel import checkpoint

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        msg = "a clock's moment must be aware; give it a tzinfo, for example datetime.UTC"
        raise ValueError(msg)
    return moment.astimezone(UTC)


@attrs.frozen(eq=False)
class _Sleeper:
    deadline: float
    awake: anyio.Event


@attrs.define(eq=False)
class FakeClock:
    """
    A `Clock` whose time moves only when `advance` says so; for one event loop.

    Attributes:
        start: the first `now`; aware. `monotonic` starts at 0.
    """

    start: datetime = attrs.field(default=_START, converter=_aware)
    _now: datetime = attrs.field(init=False, repr=False)
    _elapsed: float = attrs.field(init=False, repr=False, default=0.0)
    _sleepers: list[_Sleeper] = attrs.field(init=False, repr=False, factory=list)
    _due: deque[_Sleeper] = attrs.field(init=False, repr=False, factory=deque)
    _watchers: list[anyio.Event] = attrs.field(init=False, repr=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self._now = self.start

    @property
    def sleepers(self) -> int:
        """
        Return how many tasks sleep and are not due.
        """
        return len(self._sleepers)

    @property
    def next_alarm(self) -> float | None:
        """
        Return the seconds until the first sleeper is due; `None` when nobody sleeps.
        """
        return self._sleepers[0].deadline - self._elapsed if self._sleepers else None

    def now(self) -> datetime:
        """
        Return the present moment as an aware datetime in UTC.
        """
        return self._now

    def monotonic(self) -> float:
        """
        Return the seconds advanced so far.
        """
        return self._elapsed

    def set_now(self, moment: datetime) -> None:
        """
        Make `now` jump, as a corrected machine clock does; `monotonic` stays and nobody wakes.

        Args:
            moment: the new `now`; aware, before or after the present one.
        """
        self._now = _aware(moment)

    def advance(self, seconds: float) -> None:
        """
        Move both times and wake whoever is due, in the order of their deadlines.

        The woken tasks run when the caller next awaits.

        Args:
            seconds: zero or more.
        """
        if seconds < 0:
            msg = f"time moves forward only, not by {seconds!r} seconds; set_now makes the date jump"
            raise ValueError(msg)
        self._elapsed += seconds
        self._now += timedelta(seconds=seconds)
        due = bisect.bisect_right(self._sleepers, self._elapsed, key=lambda sleeper: sleeper.deadline)
        self._due.extend(self._sleepers[:due])
        del self._sleepers[:due]
        self._wake_first()

    async def sleep(self, seconds: float, /) -> None:
        """
        Return once `advance` has moved the time by that much; zero or less is a checkpoint.
        """
        if seconds <= 0:
            await checkpoint()
            return
        sleeper = _Sleeper(self._elapsed + seconds, anyio.Event())
        bisect.insort_right(self._sleepers, sleeper, key=lambda other: other.deadline)
        self._tell_watchers()
        try:
            await sleeper.awake.wait()
        finally:
            self._leave(sleeper)

    async def wait_for_sleepers(self, count: int = 1) -> None:
        """
        Return as soon as that many tasks sleep, at once if they do.
        """
        await checkpoint()
        while len(self._sleepers) < count:
            arrival = anyio.Event()
            self._watchers.append(arrival)
            await arrival.wait()

    def _tell_watchers(self) -> None:
        for arrival in self._watchers:
            arrival.set()
        self._watchers.clear()

    def _leave(self, sleeper: _Sleeper) -> None:
        if sleeper in self._due:
            self._due.remove(sleeper)
            self._wake_first()
        else:
            self._sleepers.remove(sleeper)

    def _wake_first(self) -> None:
        # One at a time, each waking the next: trio runs tasks that become ready together in any order.
        if self._due:
            self._due[0].awake.set()
