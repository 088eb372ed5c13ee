from __future__ import annotations

import pytest

from proxy_orchestration.errors import BatchStateError, UnknownMentorError
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    accepted,
    batch_of,
    claim,
    ended,
    lease_of,
    log_of,
    mentors,
    record_of,
    rerun,
    settled_batch,
)


async def test_an_item_gets_one_outcome_per_run() -> None:
    """
    A driver's mistake changes nothing: the whole commit is refused.
    """
    store = MemoryActivityRepository()
    batch_id = await accepted(store, batch_of(2))
    lease = await lease_of(store, batch_id)
    first, second = await claim(store, lease, 2)
    await store.commit(lease, Commit(outcomes=(ended(first),), ttl=LONG))

    with pytest.raises(BatchStateError, match="already has an outcome in this run"):
        await store.commit(lease, Commit(outcomes=(ended(second), ended(first)), ttl=LONG))
    assert 1 == len(await log_of(store, batch_id))


async def test_a_run_over_unknown_mentors_is_not_opened() -> None:
    """
    The store does not drop a mentor in silence.
    """
    store = MemoryActivityRepository()
    batch_id = await settled_batch(store, ItemState.FAILED)

    with pytest.raises(UnknownMentorError) as error:
        await store.open_run(rerun(batch_id, [*mentors(1), "mentor-9"]))
    assert ("mentor-9",) == error.value.mentor_ids
    assert 1 == (await record_of(store, batch_id)).run


async def test_leases_and_holds_end_by_the_clock_given() -> None:
    """
    Advancing the clock by the ttl frees the run, and by the hold the event.
    """
    clock = FakeClock()
    store = MemoryActivityRepository(clock)
    batch_id = await accepted(store, batch_of(1))
    await lease_of(store, batch_id, ttl=30)
    (held,) = await store.find_drivable(limit=1)
    clock.advance(30)
    (free,) = await store.find_drivable(limit=1)
    await settled_batch(store, ItemState.SUCCEEDED, hold=5)
    waits = [await store.audit_wait()]
    clock.advance(5)
    waits.append(await store.audit_wait())

    assert (30.0, 0.0) == (held.lease_remaining, free.lease_remaining)
    assert [5.0, 0.0] == waits
