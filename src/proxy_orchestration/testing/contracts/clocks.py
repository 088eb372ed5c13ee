"""
What a clock promises.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import anyio

from proxy_orchestration.clock import Clock
from proxy_orchestration.testing.contracts.checks import Check, at_once, broken, expect, rule_of

timing: list[Check[Clock]] = []

_MOMENT = 0.02  # seconds
_PATIENCE = 5.0  # real seconds


async def _wait(clock: Clock, sleeping: Callable[[], Awaitable[object]]) -> None:
    before = clock.monotonic()
    with anyio.move_on_after(_PATIENCE) as scope:
        await sleeping()
    if not scope.cancelled_caught:
        return
    if clock.monotonic() == before:
        broken(
            "the kit needs a clock that moves, and this one stands still: use one that moves by itself, such "
            "as `FakeClock(moves_after=0)`, or move it in a task"
        )
    broken(f"a sleep of {_MOMENT} s did not end within {_PATIENCE} s")


@rule_of(timing)
async def now_is_aware_and_in_utc(clock: Clock) -> None:
    expect("no offset from UTC", expected=timedelta(0), actual=clock.now().utcoffset())


@rule_of(timing)
async def monotonic_time_never_goes_back(clock: Clock) -> None:
    readings = [clock.monotonic() for _ in range(100)]

    expect("in order", expected=sorted(readings), actual=readings)


@rule_of(timing)
async def a_sleep_lasts_as_long_as_it_says(clock: Clock) -> None:
    before = clock.monotonic()
    await _wait(clock, lambda: clock.sleep(_MOMENT))
    slept = clock.monotonic() - before

    expect("at least that much later", expected=True, actual=slept >= _MOMENT * 0.95)  # coarse timers round


@rule_of(timing)
async def no_sleep_is_a_checkpoint(clock: Clock) -> None:
    for seconds in (0, -1, 3600):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await clock.sleep(seconds)
        expect(f"a sleep of {seconds} s can be cancelled", expected=True, actual=scope.cancelled_caught)


@rule_of(timing)
async def tasks_sleep_at_once(clock: Clock) -> None:
    sleeps = [lambda seconds=seconds: clock.sleep(seconds) for seconds in (0.02, 0, 0.01, 0.02)]
    await _wait(clock, lambda: at_once(*sleeps))
