"""
What a ledger promises that does two of a driver's writes in one transaction.
"""

from __future__ import annotations

from typing import Protocol

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.errors import BatchStateError, LeaseLostError
from proxy_orchestration.registration.ports import BatchLedger, SupportsFusedWrites
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.runs import Commit, Lease, LeaseHeld, RunSettled
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.testing.contracts.checks import Check, broken, error_of, expect, rule_where
from proxy_orchestration.testing.contracts.registration.samples import (
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
    override,
    record_of,
    result_of,
    settle,
)

fusing: list[Check[BatchLedger]] = []


class _Fused(BatchLedger, SupportsFusedWrites, Protocol):
    """
    A ledger with the ability.
    """


async def _begun(ledger: _Fused, batch_id: str, *, claim: int, called: int, ttl: float = LONG) -> Lease:
    answer = await ledger.begin(batch_id, 1, ttl=ttl, claim=claim, called=called)
    return answer if isinstance(answer, Lease) else broken(f"a free run must begin, got {answer!r}")


async def _finish(ledger: _Fused, lease: Lease, commit: Commit) -> AuditEvent:
    return await ledger.finish(lease, commit, settled_at=NOON, audit_hold=OVER)


@rule_where(fusing, SupportsFusedWrites)
async def a_run_begins_with_its_first_items(ledger: _Fused) -> None:
    batch_id = await accepted(ledger, batch_of(5))
    first = await _begun(ledger, batch_id, claim=3, called=1)
    held = await ledger.begin(batch_id, 1, ttl=LONG, claim=3, called=1)

    expect("claimed in order", expected=[1, 2, 3], actual=[work.place for work in first.claimed_now])
    expect("how far calls and claims go", expected=(1, 3), actual=(first.called, first.claimed))
    expect("others wait", expected=True, actual=isinstance(held, LeaseHeld))
    expect("the rest follows", expected=[3, 4], actual=[work.item for work in await claim(ledger, first, 9)])


@rule_where(fusing, SupportsFusedWrites)
async def who_dies_at_the_beginning_may_have_called_what_was_allowed(ledger: _Fused) -> None:
    batch_id = await accepted(ledger, batch_of(5))
    first = await _begun(ledger, batch_id, claim=3, called=1, ttl=OVER)
    second = await _begun(ledger, batch_id, claim=3, called=3)

    expect("begun", expected=first.claimed_now[:1], actual=second.begun)
    expect("uncalled", expected=first.claimed_now[1:], actual=second.uncalled)
    expect("nothing further is claimed", expected=(), actual=second.claimed_now)


@rule_where(fusing, SupportsFusedWrites)
async def a_short_run_is_claimed_whole(ledger: _Fused) -> None:
    verdicts = dict.fromkeys(mentors(3)[:1], REFUSED)
    lease = await _begun(ledger, await accepted(ledger, batch_of(3, verdicts=verdicts)), claim=9, called=9)

    expect("what has no verdict", expected=[1, 2], actual=[work.item for work in lease.claimed_now])
    expect("and no more", expected=(2, 2), actual=(lease.called, lease.claimed))


@rule_where(fusing, SupportsFusedWrites)
async def what_is_given_back_was_never_called(ledger: _Fused) -> None:
    # A lease that came too late for its driver: a cancel must find that nothing was begun.
    batch_id = await accepted(ledger, batch_of(3))
    late = await _begun(ledger, batch_id, claim=2, called=2)
    await ledger.give_back(late)
    again = await _begun(ledger, batch_id, claim=2, called=1)

    expect("claimed anew", expected=late.claimed_now, actual=again.claimed_now)
    expect("nothing begun", expected=((), ()), actual=(again.begun, again.uncalled))
    await ledger.give_back(late)
    held = await ledger.begin(batch_id, 1, ttl=LONG, claim=1, called=1)
    expect("an old fence gives nothing back", expected=True, actual=isinstance(held, LeaseHeld))
    await ledger.give_back(again)
    mark = await ledger.cancel_run(batch_id, reason=None, wished_at=later(1))
    expect("all of them could be cancelled", expected=0, actual=mark.settled_before)
    expect("and were", expected=3, actual=(await record_of(ledger, batch_id)).tail)


@rule_where(fusing, SupportsFusedWrites)
async def a_lease_gives_back_what_it_claimed_and_no_more(ledger: _Fused) -> None:
    # What the driver before it called is in doubt for ever.
    batch_id = await accepted(ledger, batch_of(3))
    first = await _begun(ledger, batch_id, claim=2, called=1, ttl=OVER)
    await ledger.give_back(await _begun(ledger, batch_id, claim=2, called=2))
    lease = await _begun(ledger, batch_id, claim=2, called=2)

    expect("begun", expected=first.claimed_now[:1], actual=lease.begun)
    expect("uncalled", expected=first.claimed_now[1:], actual=lease.uncalled)
    expect("nothing anew", expected=(), actual=lease.claimed_now)


@rule_where(fusing, SupportsFusedWrites)
async def what_is_given_back_after_a_cancel_was_never_called(ledger: _Fused) -> None:
    batch_id = await accepted(ledger, batch_of(3))
    late = await _begun(ledger, batch_id, claim=2, called=2)
    await ledger.cancel_run(batch_id, reason=None, wished_at=later(1))
    await ledger.give_back(late)
    result, summary = await result_of(ledger, batch_id), await ledger.read_summary(batch_id)
    lease = await _begun(ledger, batch_id, claim=2, called=2)
    further = await claim(ledger, lease, 3)

    expect("both count the same", expected=result.counts, actual=summary and summary.counts)
    expect("nothing begun", expected=((), ()), actual=(lease.begun, lease.unfinished))
    expect("its driver has them all", expected=late.claimed_now, actual=lease.uncalled or further)


@rule_where(fusing, SupportsFusedWrites)
async def nothing_is_claimed_after_a_cancel(ledger: _Fused) -> None:
    batch_id = await accepted(ledger, batch_of(3))
    work = await claim(ledger, await lease_of(ledger, batch_id, ttl=OVER), 1, ttl=OVER)
    await ledger.cancel_run(batch_id, reason=None, wished_at=later(1))
    lease = await _begun(ledger, batch_id, claim=3, called=3)

    expect("what was begun", expected=tuple(work), actual=lease.begun)
    expect("nothing new", expected=((), True), actual=(lease.claimed_now, lease.cancel_wished))


@rule_where(fusing, SupportsFusedWrites)
async def an_all_or_nothing_run_is_not_claimed_from(ledger: _Fused) -> None:
    batch_id = await accepted(ledger, batch_of(3, mode=SubmissionMode.ATOMIC))
    lease = await _begun(ledger, batch_id, claim=2, called=2)

    expect("its driver claims all at once", expected=((), 0), actual=(lease.claimed_now, lease.claimed))


@rule_where(fusing, SupportsFusedWrites)
async def the_last_outcomes_end_the_run(ledger: _Fused) -> None:
    batch_id, twin = [await accepted(ledger, batch_of(2)) for _ in range(2)]
    lease = await _begun(ledger, batch_id, claim=2, called=2)
    outcomes = tuple(map(ended, lease.claimed_now))
    event = await _finish(ledger, lease, Commit(outcomes=outcomes, ttl=LONG))
    expected = await settle(ledger, twin, [ItemState.SUCCEEDED] * 2)
    settled = await result_of(ledger, batch_id)

    expect("in the log", expected=[1, 2], actual=[entry.sequence for entry in await log_of(ledger, batch_id)])
    expect("as `settle` counts", expected=expected.counts, actual=event.counts)
    expect(
        "status and moment", expected=(event.status, NOON), actual=(settled.status.value, settled.settled_at)
    )
    over = await ledger.begin(batch_id, 1, ttl=LONG, claim=2, called=2)
    expect("nothing left to drive", expected=RunSettled(), actual=over)
    events = await ledger.claim_audit_events(limit=9, hold=LONG)
    expect("its event waits", expected=1, actual=[one.batch_id for one in events].count(batch_id))


@rule_where(fusing, SupportsFusedWrites)
async def the_event_of_a_run_that_ends_at_once_names_its_overrides(ledger: _Fused) -> None:
    first, second = mentors(2)
    decided = override("activity-in-the-way")
    batch_id = await accepted(ledger, batch_of(2, overrides={second: decided}))
    lease = await _begun(ledger, batch_id, claim=2, called=2)
    event = await _finish(ledger, lease, Commit(outcomes=tuple(map(ended, lease.claimed_now)), ttl=LONG))

    expect("who was overridden", expected=[second], actual=[each.mentor_id for each in event.overrides])
    expect("by whom", expected=[decided.decided_by], actual=[each.decided_by for each in event.overrides])
    expect("nothing about the others", expected=False, actual=first in str(event.overrides))


@rule_where(fusing, SupportsFusedWrites)
async def a_run_with_an_open_item_does_not_end(ledger: _Fused) -> None:
    batch_id = await accepted(ledger, batch_of(2))
    lease = await _begun(ledger, batch_id, claim=2, called=2)
    too_few = Commit(outcomes=(ended(lease.claimed_now[0]),), ttl=LONG)
    await error_of(BatchStateError, "an item is open", _finish(ledger, lease, too_few))

    expect("nothing was written", expected=[], actual=list(await log_of(ledger, batch_id)))


@rule_where(fusing, SupportsFusedWrites)
async def an_old_fence_ends_nothing(ledger: _Fused) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    stale = await _begun(ledger, batch_id, claim=1, called=1, ttl=OVER)
    await _begun(ledger, batch_id, claim=1, called=1)
    last = Commit(outcomes=(ended(stale.claimed_now[0]),), ttl=LONG)
    await error_of(LeaseLostError, "a stale end is refused", _finish(ledger, stale, last))

    expect("nothing was written", expected=[], actual=list(await log_of(ledger, batch_id)))
