"""
What a lease promises: one driver at a time, and what the next one is told.
"""

from __future__ import annotations

import attrs

from proxy_orchestration.access import Role
from proxy_orchestration.errors import LeaseLostError
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.runs import Commit, Lease, LeaseHeld, RunSettled
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.testing.contracts.checks import (
    Check,
    at_once,
    broken,
    error_of,
    expect,
    expect_seconds,
    rule_of,
)
from proxy_orchestration.testing.contracts.registration.samples import (
    COORDINATOR,
    LONG,
    OVER,
    accepted,
    batch_of,
    claim,
    ended,
    later,
    lease_of,
    mentors,
    record_of,
    rerun,
    result_of,
    settle,
    settled_batch,
    store,
)

acquiring: list[Check[BatchLedger]] = []


@rule_of(acquiring)
async def a_first_lease_tells_the_run(ledger: BatchLedger) -> None:
    actor = attrs.evolve(COORDINATOR, roles={Role.COORDINATOR, Role.CHAPTER_ADMIN})
    batch_id = await accepted(ledger, batch_of(3, actor=actor))
    expected = Lease(batch_id=batch_id, run=1, fence=1, actor=actor, run_items=3, base=0, tail=0)

    expect("the lease", expected=expected, actual=await ledger.acquire(batch_id, 1, ttl=LONG))
    expect("the run counts as driven", expected=True, actual=(await record_of(ledger, batch_id)).driven)
    expect("it is RUNNING", expected=BulkStatus.RUNNING, actual=(await result_of(ledger, batch_id)).status)


@rule_of(acquiring)
async def a_lease_keeps_others_out(ledger: BatchLedger) -> None:
    # Two drivers at once would call for the same items.
    batch_id = await accepted(ledger, batch_of(1))
    lease = await lease_of(ledger, batch_id, ttl=60)
    held = await ledger.acquire(batch_id, 1, ttl=60)

    if not isinstance(held, LeaseHeld):
        broken(f"a lease that runs keeps others out: got {held!r}")
    expect("the holder's fence", expected=lease.fence, actual=held.fence)
    expect_seconds("what remains of the lease", at_most=60, actual=held.remaining)


@rule_of(acquiring)
async def a_lease_that_lasts_is_taken_over_when_that_is_asked_for(ledger: BatchLedger) -> None:
    # A host knows of a dead driver before its lease ends; a living one must not write beside the next.
    batch_id = await accepted(ledger, batch_of(2))
    first = await lease_of(ledger, batch_id, ttl=LONG)
    begun = await claim(ledger, first, 1)
    second = await ledger.acquire(batch_id, 1, ttl=LONG, take_over=True)

    if not isinstance(second, Lease):
        broken(f"a lease that lasts is taken over: got {second!r}")
    expect("the fence is raised", expected=first.fence + 1, actual=second.fence)
    expect("the next driver is told what was begun", expected=begun, actual=second.begun)
    await error_of(LeaseLostError, "the driver before writes nothing", ledger.commit(first, Commit(ttl=LONG)))
    await ledger.release(second)
    expect(
        "given up, it is free",
        expected=[0.0],
        actual=[one.lease_remaining for one in await ledger.find_drivable(limit=9)],
    )


@rule_of(acquiring)
async def a_settled_run_cannot_be_taken_over(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, ItemState.SUCCEEDED)
    actual = await ledger.acquire(batch_id, 1, ttl=LONG, take_over=True)

    expect("nothing is left to take over", expected=RunSettled(), actual=actual)


@rule_of(acquiring)
async def a_shorter_lease_takes_no_longer_one(ledger: BatchLedger) -> None:
    # Its own time says when a lease is over, not that of whoever asks.
    batch_id = await accepted(ledger, batch_of(1))
    await lease_of(ledger, batch_id, ttl=LONG)
    held = await ledger.acquire(batch_id, 1, ttl=0.001)

    if not isinstance(held, LeaseHeld):
        broken(f"a long lease keeps a short one out: got {held!r}")


@rule_of(acquiring)
async def a_lease_that_is_over_is_free(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    first = await lease_of(ledger, batch_id, ttl=OVER)
    second = await lease_of(ledger, batch_id)

    expect("a take-over raises the fence by one", expected=first.fence + 1, actual=second.fence)


@rule_of(acquiring)
async def of_many_at_once_one_acquires(ledger: BatchLedger) -> None:
    # Calls that read before they write would all find the run free.
    batch_id = await accepted(ledger, batch_of(1))
    answers = await at_once(*[lambda: ledger.acquire(batch_id, 1, ttl=LONG)] * 5)

    expect("one lease", expected=1, actual=sum(isinstance(answer, Lease) for answer in answers))
    expect("the rest wait", expected=4, actual=sum(isinstance(answer, LeaseHeld) for answer in answers))


@rule_of(acquiring)
async def nothing_is_left_of_a_settled_run(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, ItemState.FAILED)

    expect("a settled run", expected=RunSettled(), actual=await ledger.acquire(batch_id, 1, ttl=LONG))
    expect(
        "an unknown batch", expected=RunSettled(), actual=await ledger.acquire("no-such-batch", 1, ttl=LONG)
    )
    await ledger.open_run(rerun(batch_id, mentors(1)))
    expect("an earlier run", expected=RunSettled(), actual=await ledger.acquire(batch_id, 1, ttl=LONG))


@rule_of(acquiring)
async def a_released_lease_is_free_at_once(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    first = await lease_of(ledger, batch_id)
    await ledger.release(first)

    expect("the next driver", expected=first.fence + 1, actual=(await lease_of(ledger, batch_id)).fence)


@rule_of(acquiring)
async def releasing_under_an_old_fence_changes_nothing(ledger: BatchLedger) -> None:
    # A driver that slept beyond its lease must not free what another holds by now.
    batch_id = await accepted(ledger, batch_of(1))
    stale = await lease_of(ledger, batch_id, ttl=OVER)
    await lease_of(ledger, batch_id)
    await ledger.release(stale)

    held = await ledger.acquire(batch_id, 1, ttl=LONG)
    expect("the new driver keeps its lease", expected=True, actual=isinstance(held, LeaseHeld))


@rule_of(acquiring)
async def releasing_a_settled_run_changes_nothing(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    lease = await lease_of(ledger, batch_id)
    (work,) = await claim(ledger, lease, 1)
    await store(ledger, lease, ended(work))
    await ledger.settle(lease, settled_at=later(1), audit_hold=OVER)
    before = await result_of(ledger, batch_id)
    await ledger.release(lease)

    expect("it stays settled", expected=before, actual=await result_of(ledger, batch_id))
    expect("for good", expected=RunSettled(), actual=await ledger.acquire(batch_id, 1, ttl=LONG))


@rule_of(acquiring)
async def a_take_over_is_told_what_had_begun(ledger: BatchLedger) -> None:
    # What began and has no outcome is in doubt, which is the driver's to clear: writing here would guess.
    batch_id = await accepted(ledger, batch_of(5))
    first = await lease_of(ledger, batch_id)
    work = await claim(ledger, first, 4)
    await store(ledger, first, ended(work[1]))
    await ledger.release(first)
    before = await result_of(ledger, batch_id)
    second = await lease_of(ledger, batch_id)

    expect(
        "claimed items without an outcome, in request order",
        expected=[work[0], work[2], work[3]],
        actual=list(second.begun),
    )
    expect("the log's length", expected=1, actual=second.tail)
    expect("a take-over writes nothing", expected=before, actual=await result_of(ledger, batch_id))


@rule_of(acquiring)
async def begun_items_are_never_claimed_again(ledger: BatchLedger) -> None:
    # A claim is for items that were provably never called.
    batch_id = await accepted(ledger, batch_of(4))
    await claim(ledger, await lease_of(ledger, batch_id, ttl=OVER), 2, ttl=OVER)
    claimed = await claim(ledger, await lease_of(ledger, batch_id), 9)

    expect("only what nobody claimed", expected=[2, 3], actual=[work.item for work in claimed])


@rule_of(acquiring)
async def a_lease_tells_a_wish_to_cancel(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    await ledger.cancel_run(batch_id, reason="A mistake", wished_at=later(1))
    lease = await lease_of(ledger, batch_id)

    expect("a cancel was requested", expected=True, actual=lease.cancel_wished)
    expect("cancelled items are in the log", expected=1, actual=lease.tail)


@rule_of(acquiring)
async def driving_time_adds_up_over_drivers(ledger: BatchLedger) -> None:
    # The time budget is the run's: killing its driver again and again must not renew it.
    batch_id = await accepted(ledger, batch_of(1))
    first = await lease_of(ledger, batch_id)
    await ledger.commit(first, Commit(driven_for=1.5, ttl=LONG))
    await ledger.commit(first, Commit(driven_for=0.25, ttl=OVER))
    second = await lease_of(ledger, batch_id)
    await ledger.commit(second, Commit(driven_for=2.0, ttl=OVER))
    third = await lease_of(ledger, batch_id)

    expect(
        "seconds driven before",
        expected=(0.0, 1.75, 3.75),
        actual=(first.driven_for, second.driven_for, third.driven_for),
    )


@rule_of(acquiring)
async def a_further_run_is_driven_for_whoever_opened_it(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, ItemState.SUCCEEDED, ItemState.FAILED)
    actor = attrs.evolve(COORDINATOR, user_id="coordinator-9", roles={Role.CHAPTER_ADMIN})
    await ledger.open_run(rerun(batch_id, mentors(2)[1:], actor=actor))
    lease = await lease_of(ledger, batch_id, 2)

    expect(
        "the run's own actor, items and base",
        expected=(actor, 1, 2, 2),
        actual=(lease.actor, lease.run_items, lease.base, lease.tail),
    )
    expect("nothing of run 1", expected=((), 0.0), actual=(lease.begun, lease.driven_for))


@rule_of(acquiring)
async def drivable_runs_come_free_first(ledger: BatchLedger) -> None:
    long = await accepted(ledger, batch_of(1, submitted_at=later(1)))
    free = await accepted(ledger, batch_of(1, submitted_at=later(2)))
    short = await accepted(ledger, batch_of(1, submitted_at=later(3)))
    freed = await accepted(ledger, batch_of(1, submitted_at=later(4)))
    await settled_batch(ledger, ItemState.SUCCEEDED)
    await lease_of(ledger, long, ttl=500)
    await lease_of(ledger, short, ttl=100)
    await lease_of(ledger, freed, ttl=OVER)
    found = await ledger.find_drivable(limit=9)

    expect(
        "free ones as accepted, then by lease end; no settled one",
        expected=[(free, 1, 0), (freed, 1, 1), (short, 1, 1), (long, 1, 1)],
        actual=[(run.batch_id, run.run, run.fence) for run in found],
    )
    remaining = [run.lease_remaining for run in found]
    expect("free ones have no time left", expected=[0, 0], actual=remaining[:2])
    for seconds, ttl in zip(remaining[2:], (100, 500), strict=True):
        expect_seconds("held ones have", at_most=ttl, actual=seconds)
    limited = await ledger.find_drivable(limit=3)
    expect(
        "at most the limit",
        expected=list(found)[:3],
        actual=[
            attrs.evolve(run, lease_remaining=old.lease_remaining)
            for run, old in zip(limited, found, strict=False)
        ],
    )


@rule_of(acquiring)
async def a_further_run_is_drivable(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, ItemState.FAILED)
    expect("settled runs are not", expected=[], actual=list(await ledger.find_drivable(limit=9)))
    await ledger.open_run(rerun(batch_id, mentors(1)))
    (found,) = await ledger.find_drivable(limit=9)

    expect("nobody drove it yet", expected=(batch_id, 2, 0), actual=(found.batch_id, found.run, found.fence))
    await settle(ledger, batch_id, [ItemState.SUCCEEDED], run=2)
    expect("until it settles", expected=[], actual=list(await ledger.find_drivable(limit=9)))
