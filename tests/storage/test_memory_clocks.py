"""
A memory store whose clock goes back, as a host's own may: nothing lasts longer than it was to.
"""

from __future__ import annotations

import pytest

from proxy_orchestration.registration.runs import Commit, UnfinishedItem
from proxy_orchestration.storage.memory import MemoryActivityRepository, MemoryNotificationRepository
from proxy_orchestration.testing import FakeClock
from proxy_orchestration.testing.contracts.notification.samples import HOLD, MORNING, chunk_of, draft_of
from proxy_orchestration.testing.contracts.registration.samples import (
    accepted,
    batch_of,
    ended,
    later,
    lease_of,
)


class _Adjustable(FakeClock):
    """
    A clock that can be set back.
    """

    back = 0.0

    def monotonic(self) -> float:
        """
        Return the seconds, less what it was set back by.
        """
        return super().monotonic() - self.back


@pytest.mark.parametrize(("seconds", "is_over"), [(3600.0, True), (0.5, False)])
async def test_what_was_written_by_a_clock_that_was_set_back_is_over(seconds: float, is_over: bool) -> None:
    """
    A lease, an item that waits, its run, and the first call that is counted from.
    """
    clock = _Adjustable()
    store = MemoryActivityRepository(clock)
    batch_id = await accepted(store, batch_of(2))
    lease = await lease_of(store, batch_id, ttl=30.0)
    (work,) = (await store.commit(lease, Commit(claim=1, called=1, ttl=30.0))).claimed
    known = UnfinishedItem(work=work, due_in=60.0, calls=1, rounds=1)
    await store.commit(lease, Commit(unfinished=(known,), since_first_call=0.0, ttl=30.0))
    (held,) = await store.find_drivable(limit=9)
    clock.back = seconds
    (leased,) = await store.find_drivable(limit=9)
    clock.back = 0.0
    await store.release(lease, due_in=60.0)
    clock.back = seconds
    (waits,) = await store.find_drivable(limit=9)
    due = await store.find_drivable(limit=9, due_only=True)
    taken = await lease_of(store, batch_id)

    assert 30.0 == held.lease_remaining
    assert is_over is (leased.lease_remaining == 0.0)
    assert (is_over, is_over) == (waits.due_in == 0.0, bool(due))
    assert is_over is (taken.unfinished[0].due_in == 0.0)
    assert 0.0 == taken.since_first_call


@pytest.mark.parametrize(("seconds", "is_over"), [(3600.0, True), (0.5, False)])
async def test_no_audit_event_and_no_push_is_held_by_it(seconds: float, is_over: bool) -> None:
    """
    Whoever held them had a few seconds.
    """
    clock = _Adjustable()
    store, notices = MemoryActivityRepository(clock), MemoryNotificationRepository(clock=clock)
    batch_id = await accepted(store, batch_of(1))
    lease = await lease_of(store, batch_id, ttl=30.0)
    (work,) = (await store.commit(lease, Commit(claim=1, ttl=30.0))).claimed
    await store.commit(lease, Commit(outcomes=(ended(work),), ttl=30.0))
    await store.settle(lease, settled_at=later(1), audit_hold=4.0)
    await notices.record(chunk_of(draft_of("mentor-1")))
    await notices.claim_pushes(now=MORNING + HOLD, limit=9, hold=30.0)
    clock.back = seconds

    assert is_over is (await store.audit_wait() == 0.0)
    assert is_over is bool(await store.claim_audit_events(limit=9, hold=4.0))
    assert is_over is (await notices.push_wait(now=MORNING + HOLD) == 0.0)
    assert is_over is bool(await notices.claim_pushes(now=MORNING + HOLD, limit=9, hold=30.0))
