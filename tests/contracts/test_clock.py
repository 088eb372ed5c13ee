from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.testing import FakeClock
from proxy_orchestration.testing.contracts import Check, Opener, clock, clocks


@asynccontextmanager
async def _open_system_clock() -> AsyncIterator[Clock]:
    yield SystemClock()


async def _keep_moving(fake: FakeClock) -> None:
    while True:
        await fake.wait_for_sleepers()
        fake.advance(1)


@asynccontextmanager
async def _open_moving_clock() -> AsyncIterator[Clock]:
    fake = FakeClock()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_keep_moving, fake)
        yield fake
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("open_clock", [_open_system_clock, _open_moving_clock])
@pytest.mark.parametrize("check", clock, ids=str)
async def test_a_clock_keeps_its_contract(check: Check[Clock], open_clock: Opener[Clock]) -> None:
    """
    Every promise of the port holds for the machine's clock and for the one in a test's hand.
    """
    await check(open_clock)


@asynccontextmanager
async def _open_clock_that_stands_still() -> AsyncIterator[Clock]:
    yield FakeClock()


class _NeverWakes(SystemClock):
    async def sleep(self, _seconds: float, /) -> None:
        await anyio.sleep_forever()


@asynccontextmanager
async def _open_clock_that_never_wakes() -> AsyncIterator[Clock]:
    yield _NeverWakes()


@pytest.mark.parametrize("name", ["a_sleep_lasts_as_long_as_it_says", "tasks_sleep_at_once"])
@pytest.mark.parametrize(
    ("open_clock", "told"),
    [
        (_open_clock_that_stands_still, r"needs a clock that moves.*FakeClock\(moves_after=0\)"),
        (_open_clock_that_never_wakes, "did not end within"),
    ],
)
async def test_a_clock_on_which_nobody_wakes_is_told_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, name: str, open_clock: Opener[Clock], told: str
) -> None:
    """
    A clock in a test's hand moves for nobody; that is told at once, and not by a deadline.
    """
    monkeypatch.setattr(clocks, "_PATIENCE", 0)
    (check,) = [each for each in clock if each.name == name]

    with pytest.raises(AssertionError, match=told):
        await check(open_clock)


@asynccontextmanager
async def _open_clock_that_moves_by_itself() -> AsyncIterator[Clock]:
    yield FakeClock(moves_after=0)


@pytest.mark.parametrize("check", clock, ids=str)
async def test_what_the_kit_advises_passes_it(check: Check[Clock]) -> None:
    """
    A clock that moves by itself needs nobody.
    """
    await check(_open_clock_that_moves_by_itself)
