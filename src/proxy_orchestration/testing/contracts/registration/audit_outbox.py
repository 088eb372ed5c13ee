"""
What the audit outbox promises.
"""

from __future__ import annotations

from proxy_orchestration.registration.ports import BatchLedger, SupportsMarkingMany
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.testing.contracts.checks import Check, at_once, expect, expect_seconds, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    NOON,
    OVER,
    accepted,
    batch_of,
    later,
    mentors,
    rerun,
    settle,
    settled_batch,
)

outbox: list[Check[BatchLedger]] = []

_DONE, _FAILED = ItemState.SUCCEEDED, ItemState.FAILED


async def _claimed(ledger: BatchLedger, *, limit: int = 9, hold: float = LONG) -> list[str]:
    return [event.event_id for event in await ledger.claim_audit_events(limit=limit, hold=hold)]


@rule_of(outbox)
async def an_empty_outbox_waits_for_nothing(ledger: BatchLedger) -> None:
    await accepted(ledger, batch_of(1))

    expect("no event", expected=[], actual=await _claimed(ledger))
    expect("no wait", expected=None, actual=await ledger.audit_wait())


@rule_of(outbox)
async def a_settled_run_event_is_held_by_whoever_settled(ledger: BatchLedger) -> None:
    # It delivers the event itself at once; others come in only if it is killed before.
    await settled_batch(ledger, _DONE, hold=60)

    expect("nobody else gets it", expected=[], actual=await _claimed(ledger))
    expect_seconds("until the hold ends", at_most=60, actual=await ledger.audit_wait())


@rule_of(outbox)
async def a_free_event_is_claimed_as_it_was_stored(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(2))
    event = await settle(ledger, batch_id, [_DONE, _FAILED], at=NOON, hold=OVER)

    expect("it is free now", expected=0, actual=await ledger.audit_wait())
    events = await ledger.claim_audit_events(limit=9, hold=LONG)
    expect("the very event", expected=[event], actual=list(events))
    expect("and held then", expected=[], actual=await _claimed(ledger))


@rule_of(outbox)
async def an_event_comes_again_when_its_hold_is_over(ledger: BatchLedger) -> None:
    # Whoever held it may have been killed before the delivery, or after it: the id tells which.
    await settled_batch(ledger, _DONE, hold=OVER)
    first = await ledger.claim_audit_events(limit=9, hold=OVER)
    again = await ledger.claim_audit_events(limit=9, hold=60)

    expect("the same event", expected=list(first), actual=list(again))
    expect_seconds("held anew", at_most=60, actual=await ledger.audit_wait())


@rule_of(outbox)
async def a_taken_event_never_comes_again(ledger: BatchLedger) -> None:
    await settled_batch(ledger, _DONE, hold=OVER)
    (event_id,) = await _claimed(ledger, hold=OVER)
    for _ in range(2):
        await ledger.mark_audited(event_id)
        expect("nothing to claim", expected=[], actual=await _claimed(ledger))
        expect("nothing to wait for", expected=None, actual=await ledger.audit_wait())


@rule_of(outbox)
async def marking_an_unknown_event_changes_nothing(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _DONE, hold=OVER)
    await ledger.mark_audited("no-such-event")

    expect("the other event stays", expected=[f"{batch_id}:run-1"], actual=await _claimed(ledger))


@rule_of(outbox)
async def many_events_are_marked_at_once(ledger: BatchLedger) -> None:
    # An ability that not every ledger has.
    if isinstance(ledger, SupportsMarkingMany):
        taken = [f"{await settled_batch(ledger, _DONE, hold=OVER)}:run-1" for _ in range(3)]
        left = f"{await settled_batch(ledger, _DONE, hold=OVER)}:run-1"
        await ledger.mark_all_audited([])
        await ledger.mark_all_audited([*taken, "no-such-event"])

        expect("the others come again", expected=[left], actual=await _claimed(ledger))


@rule_of(outbox)
async def each_run_has_its_own_event(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _FAILED, hold=OVER)
    await ledger.open_run(rerun(batch_id, mentors(1)))
    await settle(ledger, batch_id, [_DONE], run=2, at=later(90), hold=OVER)

    expect(
        "two events", expected={f"{batch_id}:run-1", f"{batch_id}:run-2"}, actual=set(await _claimed(ledger))
    )


@rule_of(outbox)
async def a_claim_takes_at_most_its_limit(ledger: BatchLedger) -> None:
    ids = {f"{await settled_batch(ledger, _DONE, hold=OVER)}:run-1" for _ in range(3)}
    first, second = await _claimed(ledger, limit=2), await _claimed(ledger, limit=2)

    expect("two, then one", expected=(2, 1), actual=(len(first), len(second)))
    expect("each once", expected=ids, actual={*first, *second})


@rule_of(outbox)
async def of_claims_at_once_one_gets_an_event(ledger: BatchLedger) -> None:
    ids = [f"{await settled_batch(ledger, _DONE, hold=OVER)}:run-1" for _ in range(3)]
    answers = await at_once(*[lambda: _claimed(ledger)] * 4)

    expect(
        "each event once",
        expected=sorted(ids),
        actual=sorted(event_id for answer in answers for event_id in answer),
    )


@rule_of(outbox)
async def the_wait_is_for_the_event_that_is_free_first(ledger: BatchLedger) -> None:
    await settled_batch(ledger, _DONE, hold=LONG)
    await settled_batch(ledger, _DONE, hold=30)
    expect_seconds("the shorter hold", at_most=30, actual=await ledger.audit_wait())
    await settled_batch(ledger, _DONE, hold=OVER)

    expect("none once one is free", expected=0, actual=await ledger.audit_wait())
