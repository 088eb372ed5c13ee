"""
What a cancel request promises.
"""

from __future__ import annotations

from proxy_orchestration.errors import BatchStateError, RecordRefusedError
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.runs import CancelMark
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.testing.contracts.checks import UNKEEPABLE, Check, at_once, error_of, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    OVER,
    accepted,
    batch_of,
    claim,
    ended,
    later,
    lease_of,
    log_of,
    mentors,
    record_of,
    rerun,
    result_of,
    settled_batch,
    states_of,
    store,
)

cancelling: list[Check[BatchLedger]] = []

_DONE, _CANCELLED = ItemState.SUCCEEDED, ItemState.CANCELLED


@rule_of(cancelling)
async def what_was_not_claimed_is_cancelled(ledger: BatchLedger) -> None:
    # Only above the watermark is it proven that no call began.
    batch_id = await accepted(ledger, batch_of(5))
    lease = await lease_of(ledger, batch_id)
    first, _ = await claim(ledger, lease, 2)
    await store(ledger, lease, ended(first))
    mark = await ledger.cancel_run(batch_id, reason="A mistake", wished_at=later(5))

    expect("the mark", expected=CancelMark(run=1, tail_before=1, settled_before=1), actual=mark)
    expect(
        "claimed items go on",
        expected=[_DONE, ItemState.RUNNING] + [_CANCELLED] * 3,
        actual=await states_of(ledger, batch_id),
    )
    log = await log_of(ledger, batch_id)
    cancelled = [update.outcome for update in log[1:]]
    expect(
        "in request order", expected=list(mentors(5)[2:]), actual=[outcome.mentor_id for outcome in cancelled]
    )
    expect("gapless", expected=[1, 2, 3, 4], actual=[update.sequence for update in log])
    expect(
        "never called, with code `cancelled`, at the moment of the request",
        expected={("cancelled", 0, later(5))},
        actual={(o.failure.code if o.failure else None, o.attempts, o.settled_at) for o in cancelled},
    )
    expect("the header", expected=later(5), actual=(await record_of(ledger, batch_id)).cancel_wished_at)
    expect("nothing is left to claim", expected=(), actual=await claim(ledger, lease, 9))


@rule_of(cancelling)
async def a_second_wish_is_the_first(ledger: BatchLedger) -> None:
    # Whoever asks again gets the same report, also after a lost answer.
    batch_id = await accepted(ledger, batch_of(3))
    lease = await lease_of(ledger, batch_id)
    (work,) = await claim(ledger, lease, 1)
    first = await ledger.cancel_run(batch_id, reason=None, wished_at=later(5))
    await store(ledger, lease, ended(work))
    again = await ledger.cancel_run(batch_id, reason="Again", wished_at=later(6))

    expect("the first one's mark", expected=first, actual=again)
    expect("nothing changed", expected=3, actual=len(await log_of(ledger, batch_id)))
    expect("the first moment", expected=later(5), actual=(await record_of(ledger, batch_id)).cancel_wished_at)
    await ledger.settle(lease, settled_at=later(7), audit_hold=OVER)
    late = await ledger.cancel_run(batch_id, reason=None, wished_at=later(8))
    expect("also after the run settled", expected=first, actual=late)


@rule_of(cancelling)
async def wishes_at_once_are_one(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(4))
    marks = await at_once(*[lambda: ledger.cancel_run(batch_id, reason=None, wished_at=later(5))] * 4)

    expect("one mark", expected={CancelMark(run=1, tail_before=0, settled_before=0)}, actual=set(marks))
    expect("each item cancelled once", expected=4, actual=len(await log_of(ledger, batch_id)))


@rule_of(cancelling)
async def a_batch_nobody_drove_can_be_cancelled(ledger: BatchLedger) -> None:
    # No driver may ever come, and waiting for one would leave it open.
    batch_id = await accepted(ledger, batch_of(2))
    await ledger.cancel_run(batch_id, reason=None, wished_at=later(5))

    expect("all are cancelled", expected=[_CANCELLED] * 2, actual=await states_of(ledger, batch_id))
    await ledger.settle(await lease_of(ledger, batch_id), settled_at=later(6), audit_hold=OVER)
    expect(
        "a driver closes it", expected=BulkStatus.CANCELLED, actual=(await result_of(ledger, batch_id)).status
    )


@rule_of(cancelling)
async def a_settled_or_missing_batch_cannot_be_cancelled(ledger: BatchLedger) -> None:
    settled = await settled_batch(ledger, _DONE)
    gone = await settled_batch(ledger, _DONE)
    await ledger.delete(gone)
    before = await result_of(ledger, settled)

    for batch_id in (settled, gone, "no-such-batch"):
        error = await error_of(
            BatchStateError,
            "there is nothing to cancel",
            ledger.cancel_run(batch_id, reason=None, wished_at=later(5)),
        )
        expect("the error names the batch", expected=batch_id, actual=error.batch_id)
    expect("nothing changed", expected=before, actual=await result_of(ledger, settled))


@rule_of(cancelling)
async def items_in_doubt_survive_a_cancel(ledger: BatchLedger) -> None:
    # CANCELLED says never begun, and the run before may have written their records.
    batch_id = await settled_batch(
        ledger, ItemState.FAILED, ItemState.UNKNOWN, _DONE, ItemState.FAILED, ItemState.UNKNOWN
    )
    first, second, _, fourth, fifth = mentors(5)
    await ledger.open_run(rerun(batch_id, [first, second, fourth, fifth]))
    mark = await ledger.cancel_run(batch_id, reason=None, wished_at=later(70))

    expect(
        "numbers of the whole batch", expected=CancelMark(run=2, tail_before=5, settled_before=1), actual=mark
    )
    pending = ItemState.PENDING
    expect(
        "doubt stays open",
        expected=[_CANCELLED, pending, _DONE, _CANCELLED, pending],
        actual=await states_of(ledger, batch_id),
    )
    claimed = await claim(ledger, await lease_of(ledger, batch_id, 2), 2)
    expect(
        "a driver still gets them, in doubt, in one page",
        expected=[(second, True), (fifth, True)],
        actual=[(work.mentor_id, work.in_doubt) for work in claimed],
    )


@rule_of(cancelling)
async def a_wish_ends_with_its_run(ledger: BatchLedger) -> None:
    # A retry after a cancel is a new decision.
    batch_id = await accepted(ledger, batch_of(1))
    await ledger.cancel_run(batch_id, reason=None, wished_at=later(5))
    await ledger.settle(await lease_of(ledger, batch_id), settled_at=later(6), audit_hold=OVER)
    await ledger.open_run(rerun(batch_id, mentors(1)))

    expect("the header of run 2", expected=None, actual=(await record_of(ledger, batch_id)).cancel_wished_at)
    lease = await lease_of(ledger, batch_id, 2)
    expect("its lease", expected=False, actual=lease.cancel_wished)
    expect("its items", expected=1, actual=len(await claim(ledger, lease, 9)))
    mark = await ledger.cancel_run(batch_id, reason=None, wished_at=later(70))
    expect("a request of its own", expected=CancelMark(run=2, tail_before=1, settled_before=0), actual=mark)


@rule_of(cancelling)
async def a_reason_that_cannot_be_kept_cancels_nothing(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(2))
    for odd in UNKEEPABLE:
        call = ledger.cancel_run(batch_id, reason=odd, wished_at=later(5))
        await error_of(RecordRefusedError, f"the reason {odd!r}", call)

    expect("no wish", expected=None, actual=(await record_of(ledger, batch_id)).cancel_wished_at)
    expect("no outcome", expected=[], actual=list(await log_of(ledger, batch_id)))
