"""
Places under two limits: both or none.
"""

import anyio
import pytest

from proxy_orchestration.registration.execution.limits import PlacesOfBoth


@pytest.fixture
def places():
    """
    Return two places of one's own, and one that is shared.
    """
    return PlacesOfBoth(anyio.CapacityLimiter(2), anyio.CapacityLimiter(1))


async def test_a_place_is_under_both_limits(places):
    """
    Given back, both are free again.
    """
    borrower = object()
    places.acquire_on_behalf_of_nowait(borrower)
    assert (1, 1) == (places.own.borrowed_tokens, places.shared.borrowed_tokens)

    places.release_on_behalf_of(borrower)
    assert (0, 0) == (places.own.borrowed_tokens, places.shared.borrowed_tokens)


async def test_who_does_not_get_both_at_once_gets_none(places):
    """
    The shared one is taken by another run.
    """
    places.shared.acquire_on_behalf_of_nowait(object())

    with pytest.raises(anyio.WouldBlock):
        places.acquire_on_behalf_of_nowait(object())

    assert 0 == places.own.borrowed_tokens


async def test_who_stops_waiting_for_the_second_gives_the_first_back(places):
    """
    A cut in between leaks no place.
    """
    places.shared.acquire_on_behalf_of_nowait(object())
    async with anyio.create_task_group() as crew:
        crew.start_soon(places.acquire_on_behalf_of, object())
        await anyio.wait_all_tasks_blocked()
        assert 1 == places.own.borrowed_tokens
        crew.cancel_scope.cancel()

    assert 0 == places.own.borrowed_tokens
