from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.testing import FakeClock
from proxy_orchestration.testing.contracts import Check, Opener, clock


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
