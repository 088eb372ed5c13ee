"""
What a driver's writes promise: claims in order, outcomes in the log, fences, the end of a run.
"""

from __future__ import annotations

from proxy_orchestration.access import Role
from proxy_orchestration.audit import AuditEvent, audit_event_id
from proxy_orchestration.errors import BatchStateError, LeaseLostError
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.runs import Commit, Committed, LeaseHeld
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.testing.contracts.checks import Check, at_once, error_of, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    COORDINATOR,
    LONG,
    NOON,
    OVER,
    REFUSED,
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
    settle,
    settled_batch,
    store,
)

committing: list[Check[BatchLedger]] = []

_DONE, _FAILED = ItemState.SUCCEEDED, ItemState.FAILED


@rule_of(committing)
async def items_are_claimed_in_request_order_and_once(ledger: BatchLedger) -> None:
    lease = await lease_of(ledger, await accepted(ledger, batch_of(5)))
    pages = [[work.item for work in await claim(ledger, lease, count)] for count in (2, 0, 2, 2, 2)]

    expect("pages of the request", expected=[[0, 1], [], [2, 3], [4], []], actual=pages)


@rule_of(committing)
async def what_is_asked_for_beyond_the_last_item_is_not_counted(ledger: BatchLedger) -> None:
    plain, cancelled = [await accepted(ledger, batch_of(2)) for _ in range(2)]
    for batch_id in (plain, cancelled):
        lease = await lease_of(ledger, batch_id)
        if batch_id == cancelled:
            await ledger.cancel_run(batch_id, reason=None, wished_at=later(1))
        claimed = await claim(ledger, lease, 9)
        result, summary = await result_of(ledger, batch_id), await ledger.read_summary(batch_id)

        expect("the result counts what there is", expected=2, actual=sum(result.counts.values()))
        expect("and so does the summary", expected=result.counts, actual=summary and summary.counts)
        expect("none is pending", expected=None, actual=result.counts.get(ItemState.PENDING))
        await store(ledger, lease, *map(ended, claimed))
        await ledger.settle(lease, settled_at=later(2), audit_hold=LONG)


@rule_of(committing)
async def a_fresh_item_has_an_unused_key(ledger: BatchLedger) -> None:
    lease = await lease_of(ledger, await accepted(ledger, batch_of(2)))
    claimed = await claim(ledger, lease, 2)

    expect("epoch 0, not in doubt", expected={(0, False)}, actual={(w.epoch, w.in_doubt) for w in claimed})


@rule_of(committing)
async def a_claim_is_filled_up_past_refused_items(ledger: BatchLedger) -> None:
    # A driver takes a short claim for the end of the run.
    verdicts = dict.fromkeys(mentors(6)[:3], REFUSED)
    lease = await lease_of(ledger, await accepted(ledger, batch_of(6, verdicts=verdicts)))
    pages = [[work.item for work in await claim(ledger, lease, 2)] for _ in range(3)]

    expect("fewer than asked for only at the end", expected=[[3, 4], [5], []], actual=pages)


@rule_of(committing)
async def outcomes_enter_the_log_as_handed_over(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(4))
    lease = await lease_of(ledger, batch_id)
    work = await claim(ledger, lease, 3)
    answer = await ledger.commit(
        lease, Commit(outcomes=(ended(work[2]), ended(work[0], _FAILED)), claim=5, ttl=LONG)
    )

    expect(
        "the log's length and no cancel request",
        expected=(2, False),
        actual=(answer.tail, answer.cancel_wished),
    )
    expect("outcomes and claims in one write", expected=[3], actual=[item.item for item in answer.claimed])
    expect("the next outcome follows", expected=3, actual=await store(ledger, lease, ended(work[1])))
    log = await log_of(ledger, batch_id)
    expect(
        "in the order handed over",
        expected=[(1, work[2].mentor_id), (2, work[0].mentor_id), (3, work[1].mentor_id)],
        actual=[(update.sequence, update.outcome.mentor_id) for update in log],
    )
    expect("the header's tail", expected=3, actual=(await record_of(ledger, batch_id)).tail)


@rule_of(committing)
async def a_commit_renews_the_lease(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    lease = await lease_of(ledger, batch_id, ttl=OVER)
    renewed = await ledger.commit(lease, Commit(ttl=60))
    held = await ledger.acquire(batch_id, 1, ttl=60)

    expect(
        "an empty commit writes nothing else",
        expected=Committed(tail=0, claimed=(), cancel_wished=False),
        actual=renewed,
    )
    expect("others wait", expected=True, actual=isinstance(held, LeaseHeld))
    await ledger.commit(lease, Commit(ttl=OVER))
    expect("for the new time", expected=lease.fence + 1, actual=(await lease_of(ledger, batch_id)).fence)


@rule_of(committing)
async def a_driver_learns_of_a_wish_to_cancel(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(2))
    lease = await lease_of(ledger, batch_id)
    await ledger.cancel_run(batch_id, reason=None, wished_at=later(1))
    answer = await ledger.commit(lease, Commit(claim=2, ttl=LONG))

    expect("with its next commit", expected=Committed(tail=2, claimed=(), cancel_wished=True), actual=answer)


@rule_of(committing)
async def an_old_fence_changes_nothing(ledger: BatchLedger) -> None:
    # The other driver may have looked the item up meanwhile and stored what is true.
    batch_id = await accepted(ledger, batch_of(3))
    stale = await lease_of(ledger, batch_id)
    work = await claim(ledger, stale, 1)
    await ledger.release(stale)
    lease = await lease_of(ledger, batch_id, ttl=OVER)
    before = await result_of(ledger, batch_id)
    write = Commit(outcomes=(ended(work[0]),), claim=2, driven_for=9.0, ttl=LONG)

    error = await error_of(LeaseLostError, "a stale commit is refused", ledger.commit(stale, write))
    expect("the error names the run", expected=(batch_id, 1), actual=(error.batch_id, error.run))
    await error_of(
        LeaseLostError, "a stale settle is refused", ledger.settle(stale, settled_at=NOON, audit_hold=OVER)
    )
    expect("no outcome, no claim", expected=before, actual=await result_of(ledger, batch_id))
    expect("no entry in the log", expected=[], actual=await log_of(ledger, batch_id))
    third = await lease_of(ledger, batch_id)
    expect(
        "no renewal, no driving time", expected=(lease.fence + 1, 0.0), actual=(third.fence, third.driven_for)
    )


@rule_of(committing)
async def a_settled_or_deleted_run_takes_no_writes(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    lease = await lease_of(ledger, batch_id)
    (work,) = await claim(ledger, lease, 1)
    await store(ledger, lease, ended(work))
    await ledger.settle(lease, settled_at=NOON, audit_hold=OVER)

    for case in ("settled", "deleted"):
        await error_of(LeaseLostError, f"no commit once {case}", ledger.commit(lease, Commit(ttl=LONG)))
        await error_of(
            LeaseLostError, f"no settling once {case}", ledger.settle(lease, settled_at=NOON, audit_hold=OVER)
        )
        await ledger.delete(batch_id)


@rule_of(committing)
async def a_lease_of_an_earlier_run_is_lost(ledger: BatchLedger) -> None:
    # Fences are compared within a run, and run 2 may have the same one.
    batch_id = await accepted(ledger, batch_of(1))
    stale = await lease_of(ledger, batch_id)
    (work,) = await claim(ledger, stale, 1)
    await store(ledger, stale, ended(work, _FAILED))
    await ledger.settle(stale, settled_at=NOON, audit_hold=OVER)
    await ledger.open_run(rerun(batch_id, mentors(1)))
    current = await lease_of(ledger, batch_id, 2)
    await error_of(
        LeaseLostError, "an old run's lease is lost", ledger.commit(stale, Commit(claim=1, ttl=LONG))
    )
    await ledger.release(stale)

    held = await ledger.acquire(batch_id, 2, ttl=LONG)
    expect("releasing it frees nobody", expected=True, actual=isinstance(held, LeaseHeld))
    expect("the current run has its items", expected=1, actual=len(await claim(ledger, current, 9)))


@rule_of(committing)
async def a_run_with_open_items_cannot_settle(ledger: BatchLedger) -> None:
    # The sum of the states would not be the total, and nobody would drive the rest.
    batch_id = await accepted(ledger, batch_of(2))
    lease = await lease_of(ledger, batch_id)
    first, _ = await claim(ledger, lease, 2)
    await store(ledger, lease, ended(first))
    error = await error_of(
        BatchStateError, "an item is open", ledger.settle(lease, settled_at=NOON, audit_hold=OVER)
    )

    expect("the error names the batch", expected=batch_id, actual=error.batch_id)
    expect("it is not settled", expected=None, actual=(await record_of(ledger, batch_id)).settled_at)
    expect("no event is stored", expected=None, actual=await ledger.audit_wait())
    expect(
        "the lease still holds",
        expected=True,
        actual=isinstance(await ledger.acquire(batch_id, 1, ttl=1), LeaseHeld),
    )


@rule_of(committing)
async def a_settled_run_has_one_event_that_tells_it(ledger: BatchLedger) -> None:
    # Stored with the settling itself, so that a kill in between loses no event.
    batch_id = await accepted(ledger, batch_of(3))
    event = await settle(ledger, batch_id, [_DONE, _FAILED, _DONE], at=later(9))
    expected = AuditEvent(
        event_id=audit_event_id(batch_id, 1),
        batch_id=batch_id,
        run=1,
        coordinator_id="coordinator-1",
        actor_id="coordinator-1",
        organization_id="org-1",
        status=BulkStatus.PARTIAL_SUCCESS.value,
        total=3,
        counts={"succeeded": 2, "failed": 1},
        settled_at=later(9),
    )

    expect("the event", expected=expected, actual=event)
    expect("the header", expected=later(9), actual=(await record_of(ledger, batch_id)).settled_at)


@rule_of(committing)
async def a_further_run_has_an_event_over_the_whole_batch(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _DONE, _FAILED, ItemState.UNKNOWN)
    actor = type(COORDINATOR)(user_id="admin-1", roles={Role.COORDINATOR}, organization_id="org-1")
    await ledger.open_run(rerun(batch_id, mentors(3)[1:], actor=actor))
    event = await settle(ledger, batch_id, [_DONE, _DONE], run=2, at=later(90))

    expect(
        "run, people, status and counts",
        expected=(audit_event_id(batch_id, 2), 2, "coordinator-1", "admin-1", "success", 3, {"succeeded": 3}),
        actual=(
            event.event_id,
            event.run,
            event.coordinator_id,
            event.actor_id,
            event.status,
            event.total,
            dict(event.counts),
        ),
    )


@rule_of(committing)
async def drivers_of_different_batches_write_at_once(ledger: BatchLedger) -> None:
    # A driver locks its own run alone; decision 45.
    ids = [await accepted(ledger, batch_of(5)) for _ in range(4)]
    states = [_DONE, _FAILED, _DONE, _DONE, _FAILED]
    await at_once(*[lambda batch_id=batch_id: settle(ledger, batch_id, states) for batch_id in ids])

    for batch_id in ids:
        log = await log_of(ledger, batch_id)
        expect("each log is its own", expected=[1, 2, 3, 4, 5], actual=[update.sequence for update in log])
