"""
What a pause promises: nothing more is claimed or acquired, and nothing that was begun is lost.
"""

from __future__ import annotations

from proxy_orchestration.errors import BatchStateError, RecordRefusedError
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.runs import Commit, Lease, LeaseHeld, RunPaused, UnfinishedItem
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.testing.contracts.checks import (
    UNKEEPABLE,
    Check,
    error_of,
    expect,
    expect_seconds,
    rule_of,
)
from proxy_orchestration.testing.contracts.registration.samples import (
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
    settled_batch,
    states_of,
    store,
)

pausing: list[Check[BatchLedger]] = []

_AGO = 100.0


@rule_of(pausing)
async def a_paused_run_claims_nothing_and_keeps_what_ends(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(4))
    lease = await lease_of(ledger, batch_id)
    first, _ = await claim(ledger, lease, 2)
    await ledger.pause_run(batch_id, 1, paused_at=later(5), paused_by="coordinator-2")
    committed = await ledger.commit(lease, Commit(outcomes=(ended(first),), claim=9, called=9, ttl=LONG))

    expect("nothing is claimed", expected=(), actual=committed.claimed)
    expect("its driver is told", expected=(True, False), actual=(committed.paused, committed.cancel_wished))
    expect(
        "the outcome is kept",
        expected=[ItemState.SUCCEEDED, ItemState.RUNNING, ItemState.PENDING, ItemState.PENDING],
        actual=await states_of(ledger, batch_id),
    )
    await ledger.commit(lease, Commit(ttl=LONG, called=9))
    await ledger.release(lease)
    expect("nobody may drive it", expected=RunPaused(), actual=await ledger.acquire(batch_id, 1, ttl=LONG))
    await ledger.resume_run(batch_id, 1)
    after = await lease_of(ledger, batch_id)
    expect("calls went no further than claims", expected=(2, 2), actual=(after.called, after.claimed))
    expect("the rest is claimed then", expected=2, actual=len(await claim(ledger, after, 9)))


@rule_of(pausing)
async def a_pause_is_told_until_it_ends(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    await ledger.release(await lease_of(ledger, batch_id))
    await ledger.pause_run(batch_id, 1, paused_at=later(5), paused_by="coordinator-2")
    await ledger.pause_run(batch_id, 1, paused_at=later(6), code="unavailable")
    result = await result_of(ledger, batch_id)

    told = (result.status, result.paused_at, result.paused_by, result.pause_code)
    expect("the first one", expected=(BulkStatus.PAUSED, later(5), "coordinator-2", None), actual=told)
    expect("the header", expected=later(5), actual=(await record_of(ledger, batch_id)).paused_at)
    await ledger.resume_run(batch_id, 1)
    await ledger.resume_run(batch_id, 1)
    result = await result_of(ledger, batch_id)
    told = (result.status, result.paused_at, result.paused_by, result.pause_code)
    expect("nothing after it", expected=(BulkStatus.RUNNING, None, None, None), actual=told)
    await ledger.pause_run(batch_id, 1, paused_at=later(7), code="unavailable")
    result = await result_of(ledger, batch_id)
    expect(
        "a run that paused itself says why",
        expected=(later(7), None, "unavailable"),
        actual=(result.paused_at, result.paused_by, result.pause_code),
    )


@rule_of(pausing)
async def a_paused_run_is_not_found_to_be_driven(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    await ledger.pause_run(batch_id, 1, paused_at=later(5))

    expect("passed over", expected=[], actual=list(await ledger.find_drivable(limit=9)))
    expect("due or not", expected=[], actual=list(await ledger.find_drivable(limit=9, due_only=True)))
    expect("nobody drove it", expected=BulkStatus.PENDING, actual=(await result_of(ledger, batch_id)).status)
    await ledger.resume_run(batch_id, 1)
    found = await ledger.find_drivable(limit=9, due_only=True)
    expect("found again", expected=[batch_id], actual=[run.batch_id for run in found])


@rule_of(pausing)
async def a_lease_outlasts_a_pause(ledger: BatchLedger) -> None:
    # Calls in flight end, and who waits for the run has to wait for them.
    batch_id = await accepted(ledger, batch_of(2))
    await lease_of(ledger, batch_id)
    await ledger.pause_run(batch_id, 1, paused_at=later(5))

    held = await ledger.acquire(batch_id, 1, ttl=LONG)
    expect("it is held", expected=True, actual=isinstance(held, LeaseHeld))
    taken = await ledger.acquire(batch_id, 1, ttl=LONG, take_over=True)
    expect("a host may break it", expected=True, actual=isinstance(taken, Lease))


@rule_of(pausing)
async def a_cancel_overrules_a_pause(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(3))
    lease = await lease_of(ledger, batch_id)
    (work,) = await claim(ledger, lease, 1)
    unfinished = UnfinishedItem(work=work, due_in=LONG, calls=1)
    await ledger.commit(lease, Commit(ttl=LONG, unfinished=(unfinished,)))
    await ledger.pause_run(batch_id, 1, paused_at=later(5))
    await ledger.release(lease, due_in=LONG)
    await ledger.cancel_run(batch_id, reason=None, wished_at=later(6))

    result = await result_of(ledger, batch_id)
    expect("it is CANCELLING", expected=BulkStatus.CANCELLING, actual=result.status)
    expect("and paused no more", expected=(None, None), actual=(result.paused_at, result.paused_by))
    found = await ledger.find_drivable(limit=9, due_only=True)
    expect("it is due", expected=[batch_id], actual=[run.batch_id for run in found])
    driver = await lease_of(ledger, batch_id)
    committed = await ledger.commit(driver, Commit(outcomes=(ended(work),), ttl=LONG))
    expect("its driver ends it", expected=(False, True), actual=(committed.paused, committed.cancel_wished))
    for call in (ledger.pause_run(batch_id, 1, paused_at=later(7)), ledger.resume_run(batch_id, 1)):
        await error_of(BatchStateError, "it is being cancelled", call)


@rule_of(pausing)
async def only_an_open_run_is_paused_or_resumed(ledger: BatchLedger) -> None:
    settled = await settled_batch(ledger, ItemState.FAILED)
    gone = await settled_batch(ledger, ItemState.FAILED)
    await ledger.delete(gone)
    before = await result_of(ledger, settled)
    for batch_id in (settled, gone, "no-such-batch"):
        for call in (ledger.pause_run(batch_id, 1, paused_at=later(5)), ledger.resume_run(batch_id, 1)):
            error = await error_of(BatchStateError, "no open run", call)
            expect("the error names the batch", expected=batch_id, actual=error.batch_id)
    expect("nothing changed", expected=before, actual=await result_of(ledger, settled))

    await ledger.open_run(rerun(settled, mentors(1)))
    await error_of(BatchStateError, "an older run", ledger.pause_run(settled, 1, paused_at=later(6)))
    await ledger.pause_run(settled, 2, paused_at=later(6))
    expect("the current one", expected=later(6), actual=(await record_of(ledger, settled)).paused_at)


@rule_of(pausing)
async def a_pause_ends_with_its_run(ledger: BatchLedger) -> None:
    # The last calls were in flight when it was paused.
    batch_id = await accepted(ledger, batch_of(1))
    lease = await lease_of(ledger, batch_id)
    (work,) = await claim(ledger, lease, 1)
    await ledger.pause_run(batch_id, 1, paused_at=later(5), paused_by="coordinator-2")
    await store(ledger, lease, ended(work, ItemState.FAILED))
    await ledger.settle(lease, settled_at=later(6), audit_hold=OVER)
    result = await result_of(ledger, batch_id)

    told = (result.status, result.paused_at, result.paused_by)
    expect("it has settled", expected=(BulkStatus.TOTAL_FAILURE, None, None), actual=told)
    expect("the header", expected=None, actual=(await record_of(ledger, batch_id)).paused_at)
    await ledger.open_run(rerun(batch_id, mentors(1)))
    expect("a retry is not paused", expected=1, actual=len(await ledger.find_drivable(limit=9)))


@rule_of(pausing)
async def time_stands_still_in_a_pause(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    lease = await lease_of(ledger, batch_id)
    await ledger.commit(lease, Commit(ttl=LONG, since_first_call=_AGO))
    await ledger.release(lease)
    await ledger.pause_run(batch_id, 1, paused_at=later(5))
    await ledger.resume_run(batch_id, 1)

    since = (await lease_of(ledger, batch_id)).since_first_call
    expect_seconds("the time before it counts", at_most=2 * _AGO, actual=since)


@rule_of(pausing)
async def a_text_that_cannot_be_kept_pauses_nothing(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    for odd in UNKEEPABLE:
        call = ledger.pause_run(batch_id, 1, paused_at=later(5), code=odd)
        await error_of(RecordRefusedError, f"the code {odd!r}", call)
    expect("no pause", expected=None, actual=(await record_of(ledger, batch_id)).paused_at)
