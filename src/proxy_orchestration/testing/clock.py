"""
A fake clock that a test moves.
"""

from __future__ import annotations

import bisect
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio
import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._validators import is_not_negative

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        msg = "a clock's time must be aware: give it a tzinfo, for example datetime.UTC"
        raise ValueError(msg)
    return moment.astimezone(UTC)


_TURNS: Final = 100
"""Turns of the event loop in which everything runs that waits for nothing."""


@attrs.define(eq=False)
class _Sleeper:
    deadline: float
    awake: anyio.Event = attrs.field(factory=anyio.Event)


@attrs.define(eq=False)
class FakeClock:
    """
    A `Clock` whose time moves only by `advance`, or by itself if `moves_after` is set; for one event loop.

    With `moves_after`, the clock moves to the time when the first sleeper is due as soon as nothing
    else happens, so a test with pauses of an hour takes no time. Use 0 if everything that the test
    waits for runs in its event loop. If threads or connections answer, such as a database, use a
    number of real seconds that is longer than such an answer, for example 0.05.

    Attributes:
        start: the first `now`; aware. `monotonic` starts at 0.
        moves_after: the real seconds without any use of the clock after which it moves by itself;
            `None`: never.
    """

    start: datetime = attrs.field(default=_START, converter=_aware)
    moves_after: float | None = attrs.field(
        default=None, kw_only=True, validator=attrs.validators.optional(is_not_negative)
    )
    _now: datetime = attrs.field(init=False, repr=False)
    _elapsed: float = attrs.field(init=False, repr=False, default=0.0)
    _sleepers: list[_Sleeper] = attrs.field(init=False, repr=False, factory=list)
    _due: deque[_Sleeper] = attrs.field(init=False, repr=False, factory=deque)
    _watchers: list[anyio.Event] = attrs.field(init=False, repr=False, factory=list)
    _uses: int = attrs.field(init=False, repr=False, default=0)

    def __attrs_post_init__(self) -> None:
        self._now = self.start

    @property
    def sleepers(self) -> int:
        """
        Return the number of tasks that sleep and are not due.
        """
        return len(self._sleepers)

    @property
    def next_alarm(self) -> float | None:
        """
        Return the seconds until the first sleeper is due; `None` if no task sleeps.
        """
        return self._sleepers[0].deadline - self._elapsed if self._sleepers else None

    def now(self) -> datetime:
        """
        Return the current time as an aware datetime in UTC.
        """
        self._uses += 1
        return self._now

    def monotonic(self) -> float:
        """
        Return the seconds advanced so far.
        """
        self._uses += 1
        return self._elapsed

    def set_now(self, moment: datetime) -> None:
        """
        Set `now`, like a corrected machine clock; `monotonic` does not change, and no sleeper wakes.

        Args:
            moment: the new `now`; aware, before or after the current one.
        """
        self._now = _aware(moment)

    def advance(self, seconds: float) -> None:
        """
        Move `now` and `monotonic` forward, and wake due sleepers in the order of their deadlines.

        The woken tasks run when the caller next awaits.

        Args:
            seconds: zero or more.
        """
        if seconds < 0:
            msg = f"time can only move forward, not by {seconds!r} seconds; use set_now to set another date"
            raise ValueError(msg)
        self._elapsed += seconds
        self._now += timedelta(seconds=seconds)
        due = bisect.bisect_right(self._sleepers, self._elapsed, key=lambda sleeper: sleeper.deadline)
        self._due.extend(self._sleepers[:due])
        del self._sleepers[:due]
        self._wake_first()

    async def sleep(self, seconds: float, /) -> None:
        """
        Return once the time has moved by this many seconds; for zero or less, only let other tasks run.
        """
        self._uses += 1
        if seconds <= 0:
            await checkpoint()
            return
        sleeper = _Sleeper(self._elapsed + seconds)
        bisect.insort_right(self._sleepers, sleeper, key=lambda other: other.deadline)
        self._tell_watchers()
        self._wake_mover()
        try:
            while not self._is_its_turn(sleeper):
                await self._wait_or_move(sleeper)
        finally:
            self._leave(sleeper)
            self._wake_mover()

    def _is_its_turn(self, sleeper: _Sleeper) -> bool:
        return bool(self._due) and self._due[0] is sleeper

    async def _wait_or_move(self, sleeper: _Sleeper) -> None:
        """
        Wait for a sleeper's turn, or move the time if its alarm is the next and nothing else happens.
        """
        if self.moves_after is None or self._due or self._sleepers[0] is not sleeper:
            sleeper.awake = anyio.Event()
            await sleeper.awake.wait()
            return
        uses = self._uses
        for _ in range(_TURNS):
            await checkpoint()
        await anyio.sleep(self.moves_after)
        if uses == self._uses and self._sleepers and self._sleepers[0] is sleeper:
            self.advance(sleeper.deadline - self._elapsed)

    def _wake_mover(self) -> None:
        # The first sleeper moves the time: no task of the clock's own, which a test would have to end.
        if self.moves_after is not None and self._sleepers:
            self._sleepers[0].awake.set()

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
        self._uses += 1
        if sleeper in self._due:
            self._due.remove(sleeper)
            self._wake_first()
        else:
            self._sleepers.remove(sleeper)

    def _wake_first(self) -> None:
        # One at a time, each waking the next: trio runs tasks that become ready together in any order.
        if self._due:
            self._due[0].awake.set()
