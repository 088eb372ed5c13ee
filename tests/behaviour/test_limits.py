"""
Slots under two limits: both or none.
"""

import anyio
import pytest

from proxy_orchestration.registration.execution.limits import CombinedLimiter


@pytest.fixture
def limiter():
    """
    Return two slots of one's own, and one that is shared.
    """
    return CombinedLimiter(anyio.CapacityLimiter(2), anyio.CapacityLimiter(1))


async def test_a_slot_is_under_both_limits(limiter):
    """
    Given back, both are free again.
    """
    borrower = object()
    limiter.acquire_on_behalf_of_nowait(borrower)
    assert (1, 1) == (limiter.own.borrowed_tokens, limiter.shared.borrowed_tokens)

    limiter.release_on_behalf_of(borrower)
    assert (0, 0) == (limiter.own.borrowed_tokens, limiter.shared.borrowed_tokens)


async def test_who_does_not_get_both_at_once_gets_none(limiter):
    """
    The shared one is taken by another run.
    """
    limiter.shared.acquire_on_behalf_of_nowait(object())

    with pytest.raises(anyio.WouldBlock):
        limiter.acquire_on_behalf_of_nowait(object())

    assert 0 == limiter.own.borrowed_tokens


async def test_who_stops_waiting_for_the_second_gives_the_first_back(limiter):
    """
    A cut in between leaks no place.
    """
    limiter.shared.acquire_on_behalf_of_nowait(object())
    async with anyio.create_task_group() as crew:
        crew.start_soon(limiter.acquire_on_behalf_of, object())
        await anyio.wait_all_tasks_blocked()
        assert 1 == limiter.own.borrowed_tokens
        crew.cancel_scope.cancel()

    assert 0 == limiter.own.borrowed_tokens
