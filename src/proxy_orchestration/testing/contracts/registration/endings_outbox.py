"""
What the outbox of settled runs promises.
"""

from __future__ import annotations

from proxy_orchestration.registration.batches import BatchSummary, PurgedBatches
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.testing.contracts.checks import Check, at_once, expect, rule_of
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
    rerun,
    settle,
    settled_batch,
    store,
)

endings: list[Check[BatchLedger]] = []


async def _untold(ledger: BatchLedger, state: ItemState = ItemState.SUCCEEDED) -> BatchSummary:
    """
    Return the summary of a batch that settled and of which the host is to be told.
    """
    batch_id = await accepted(ledger, batch_of(1))
    lease = await lease_of(ledger, batch_id)
    (work,) = await claim(ledger, lease, 1)
    await store(ledger, lease, ended(work, state))
    await ledger.settle(lease, settled_at=later(30), audit_hold=LONG, tell=True)
    summary = await ledger.read_summary(batch_id)
    assert summary is not None  # noqa: S101 - it was accepted
    return summary


@rule_of(endings)
async def a_settled_run_is_claimed_once_and_held(ledger: BatchLedger) -> None:
    await settled_batch(ledger, ItemState.SUCCEEDED)
    summary = await _untold(ledger)

    expect("one that is to be told is free", expected=0.0, actual=await ledger.endings_wait())
    claimed = await ledger.claim_endings(limit=9, hold=LONG)
    expect("it is the batch as it stood", expected=[summary], actual=list(claimed))
    expect("it is held", expected=[], actual=list(await ledger.claim_endings(limit=9, hold=LONG)))
    wait = await ledger.endings_wait()
    expect("its hold is waited for", expected=True, actual=wait is not None and 0 < wait <= LONG)


@rule_of(endings)
async def what_was_told_is_never_claimed_again(ledger: BatchLedger) -> None:
    summary = await _untold(ledger)

    for _ in range(2):
        await ledger.mark_told(summary.batch_id, summary.run)
        expect("nothing is left", expected=[], actual=list(await ledger.claim_endings(limit=9, hold=OVER)))
        expect("nothing is waited for", expected=None, actual=await ledger.endings_wait())
    await ledger.mark_told("no-such-batch", 1)


@rule_of(endings)
async def what_was_not_told_is_claimed_again_after_the_others(ledger: BatchLedger) -> None:
    # One that is never taken keeps no other waiting.
    first, second = await _untold(ledger), await _untold(ledger)
    claimed = [
        *await ledger.claim_endings(limit=1, hold=OVER),
        *await ledger.claim_endings(limit=1, hold=OVER),
    ]

    expect(
        "both come",
        expected={first.batch_id, second.batch_id},
        actual={summary.batch_id for summary in claimed},
    )
    await ledger.mark_told(second.batch_id, second.run)
    again = await ledger.claim_endings(limit=9, hold=OVER)
    expect("a hold of no seconds is over", expected=[first], actual=list(again))


@rule_of(endings)
async def an_ending_is_told_as_it_was_whatever_came_after(ledger: BatchLedger) -> None:
    summary = await _untold(ledger, ItemState.FAILED)
    await ledger.open_run(rerun(summary.batch_id, mentors(1)))
    await settle(ledger, summary.batch_id, [ItemState.SUCCEEDED], run=2)

    claimed = await ledger.claim_endings(limit=9, hold=OVER)
    expect("run 1 as it ended", expected=[summary], actual=list(claimed))


@rule_of(endings)
async def an_ending_has_the_label_of_now(ledger: BatchLedger) -> None:
    summary = await _untold(ledger)
    for label in ("Renamed", None):
        await ledger.relabel(summary.batch_id, label)
        claimed = await ledger.claim_endings(limit=9, hold=OVER)
        expect("as people call it", expected=[label], actual=[one.label for one in claimed])


@rule_of(endings)
async def a_deleted_batch_tells_no_end(ledger: BatchLedger) -> None:
    deleted, purged = await _untold(ledger), await _untold(ledger)
    await ledger.delete(deleted.batch_id)
    await ledger.purge(settled_before=later(60), with_untold=True)

    expect("neither is left", expected=[], actual=list(await ledger.claim_endings(limit=9, hold=OVER)))
    expect("purged too", expected=None, actual=await ledger.read_summary(purged.batch_id))


@rule_of(endings)
async def a_purge_leaves_what_the_host_was_not_told_of(ledger: BatchLedger) -> None:
    told, untold, retried = [await _untold(ledger) for _ in range(3)]
    await ledger.mark_told(told.batch_id, 1)
    await ledger.open_run(rerun(retried.batch_id, mentors(1)))
    await settle(ledger, retried.batch_id, [ItemState.NEEDS_REVIEW], run=2)
    await ledger.claim_endings(limit=1, hold=LONG)
    moment = later(60)

    left = await ledger.purge(settled_before=moment)
    expect(
        "each in one number", expected=PurgedBatches(deleted=1, left_for_review=1, left_untold=1), actual=left
    )
    left = await ledger.purge(settled_before=moment, with_open_reviews=True)
    expect("of an earlier run, too", expected=PurgedBatches(left_untold=2), actual=left)
    await ledger.mark_told(untold.batch_id, 1)
    await ledger.mark_told(retried.batch_id, 1)
    gone = await ledger.purge(settled_before=moment, with_open_reviews=True)
    expect("once it was told", expected=PurgedBatches(deleted=2), actual=gone)


@rule_of(endings)
async def one_ending_at_once_goes_to_one_caller(ledger: BatchLedger) -> None:
    await _untold(ledger)

    async def claim_one() -> int:
        return len(await ledger.claim_endings(limit=9, hold=LONG))

    expect("one has it", expected=1, actual=sum(await at_once(*[claim_one] * 4)))
