"""
What a ledger promises about items without an outcome: how far calls went, and which items wait.
"""

from __future__ import annotations

from typing import Final

from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.runs import Commit, UnfinishedItem
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.testing.contracts.checks import Check, expect, expect_seconds, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    OVER,
    accepted,
    batch_of,
    claim,
    ended,
    later,
    lease_of,
    store,
)

_AGO: Final = 100.0

waiting: list[Check[BatchLedger]] = []


@rule_of(waiting)
async def what_lies_above_the_calls_was_not_called(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(5))
    first = await lease_of(ledger, batch_id)
    work = (await ledger.commit(first, Commit(claim=4, called=2, ttl=LONG))).claimed
    expect("places count from 1", expected=[1, 2, 3, 4], actual=[one.place for one in work])
    await ledger.commit(first, Commit(outcomes=(ended(work[0]),), called=1, ttl=LONG))
    await ledger.release(first)
    second = await lease_of(ledger, batch_id)

    expect("begun", expected=[work[1]], actual=list(second.begun))
    expect("uncalled", expected=[work[2], work[3]], actual=list(second.uncalled))
    expect("how far calls and claims went", expected=(2, 4), actual=(second.called, second.claimed))


@rule_of(waiting)
async def a_driver_that_says_nothing_may_have_called_all(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(3))
    work = await claim(ledger, await lease_of(ledger, batch_id, ttl=OVER), 2, ttl=OVER)
    lease = await lease_of(ledger, batch_id)

    expect("begun", expected=list(work), actual=list(lease.begun))
    expect("uncalled", expected=(), actual=lease.uncalled)


@rule_of(waiting)
async def a_driver_that_called_nothing_leaves_no_doubt(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(3))
    first = await lease_of(ledger, batch_id, ttl=OVER)
    work = (await ledger.commit(first, Commit(claim=2, called=1, ttl=OVER))).claimed
    await lease_of(ledger, batch_id, ttl=OVER)
    third = await lease_of(ledger, batch_id)

    expect("it stays uncalled", expected=[work[1]], actual=list(third.uncalled))


@rule_of(waiting)
async def what_waits_is_told_with_all_that_is_known(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(3))
    first = await lease_of(ledger, batch_id)
    work = (await ledger.commit(first, Commit(claim=3, called=3, ttl=LONG))).claimed
    waits = UnfinishedItem(
        work=work[1], due_in=LONG, calls=2, rounds=3, in_doubt=True, not_seen=True, reason="bad_answer"
    )
    await ledger.commit(first, Commit(unfinished=(waits,), ttl=LONG))
    await ledger.release(first)
    second = await lease_of(ledger, batch_id)
    (told,) = second.unfinished

    expect("the others are begun", expected=[work[0], work[2]], actual=list(second.begun))
    expect(
        "what is known",
        expected=(work[1], 2, 3, True, True, False, 0),
        actual=(
            told.work,
            told.calls,
            told.rounds,
            told.in_doubt,
            told.not_seen,
            told.is_called,
            told.deaths,
        ),
    )
    expect_seconds("until it is due", at_most=LONG, actual=told.due_in)


@rule_of(waiting)
async def the_newest_word_on_an_item_counts(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(2))
    first = await lease_of(ledger, batch_id)
    work = (await ledger.commit(first, Commit(claim=2, called=2, ttl=LONG))).claimed
    known = tuple(UnfinishedItem(work=one, due_in=LONG, calls=1, rounds=1) for one in work)
    await ledger.commit(first, Commit(unfinished=known, ttl=LONG))
    again = UnfinishedItem(work=work[0], calls=1, rounds=1, is_called=True)
    await ledger.commit(first, Commit(unfinished=(again,), ttl=LONG))
    await store(ledger, first, ended(work[1], ItemState.FAILED))
    await ledger.release(first)

    expect(
        "only what has no outcome", expected=(again,), actual=(await lease_of(ledger, batch_id)).unfinished
    )


@rule_of(waiting)
async def a_run_is_due_when_its_driver_said(ledger: BatchLedger) -> None:
    waits = await accepted(ledger, batch_of(1))
    due = await accepted(ledger, batch_of(1, submitted_at=later(1)))
    await ledger.release(await lease_of(ledger, waits), due_in=LONG)
    found = {run.batch_id: run.due_in for run in await ledger.find_drivable(limit=9)}

    expect("both can be driven", expected={waits, due}, actual=set(found))
    expect("one is due", expected=0.0, actual=found[due])
    expect_seconds("the other will be", at_most=LONG, actual=found[waits])
    expect(
        "the due ones",
        expected=[due],
        actual=[run.batch_id for run in await ledger.find_drivable(limit=9, due_only=True)],
    )
    lease = await lease_of(ledger, waits)
    expect("who acquires it all the same may", expected=2, actual=lease.fence)
    await ledger.release(lease)
    expect("and makes it due", expected=2, actual=len(await ledger.find_drivable(limit=9, due_only=True)))


@rule_of(waiting)
async def a_service_finds_its_own_runs_and_those_without_a_name(ledger: BatchLedger) -> None:
    others = [await accepted(ledger, batch_of(1, service_name=name)) for name in ("b", "ab", "A")]
    nameless = await accepted(ledger, batch_of(1, submitted_at=later(1)))
    own = await accepted(ledger, batch_of(1, submitted_at=later(2), service_name="a"))

    for due_only in (False, True):
        found = await ledger.find_drivable(limit=2, due_only=due_only, service_name="a")
        expect("those of a", expected=[nameless, own], actual=[run.batch_id for run in found])
    everything = await ledger.find_drivable(limit=9)
    expect("of all", expected=[*others, nameless, own], actual=[run.batch_id for run in everything])


@rule_of(waiting)
async def a_cancel_makes_a_run_due(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(2))
    lease = await lease_of(ledger, batch_id)
    await claim(ledger, lease, 1)
    await ledger.release(lease, due_in=LONG)
    await ledger.cancel_run(batch_id, reason=None, wished_at=later(1))

    expect("it is due", expected=1, actual=len(await ledger.find_drivable(limit=9, due_only=True)))
    lease = await lease_of(ledger, batch_id)
    await ledger.release(lease, due_in=LONG)
    expect("and stays so", expected=1, actual=len(await ledger.find_drivable(limit=9, due_only=True)))


@rule_of(waiting)
async def a_death_counts_for_the_item_called_alone(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(3))
    first = await lease_of(ledger, batch_id, ttl=OVER)
    work = (await ledger.commit(first, Commit(claim=3, called=3, ttl=OVER))).claimed
    second = await lease_of(ledger, batch_id, ttl=OVER)
    expect("a death among many counts for nobody", expected=(), actual=second.unfinished)
    deaths = []
    for _ in range(2):
        await ledger.commit(second, Commit(alone=2, ttl=OVER))
        second = await lease_of(ledger, batch_id, ttl=OVER)
        deaths += [(one.work, one.deaths, one.is_called) for one in second.unfinished]
    expect("its deaths", expected=[(work[1], 1, True), (work[1], 2, True)], actual=deaths)
    third = await lease_of(ledger, batch_id, ttl=OVER)
    expect("each counts once", expected=2, actual=third.unfinished[0].deaths)
    await ledger.commit(third, Commit(unfinished=(UnfinishedItem(work=work[1]),), ttl=OVER))
    fourth = await lease_of(ledger, batch_id)
    expect("no driver takes them away", expected=2, actual=fourth.unfinished[0].deaths)


@rule_of(waiting)
async def what_nobody_claimed_was_not_called(ledger: BatchLedger) -> None:
    # A driver tells how far it will call before it knows how many it is given.
    batch_id = await accepted(ledger, batch_of(3))
    first = await lease_of(ledger, batch_id, ttl=OVER)
    (work,) = (await ledger.commit(first, Commit(claim=1, called=1, ttl=OVER))).claimed
    await ledger.commit(first, Commit(called=3, ttl=OVER))
    lease = await lease_of(ledger, batch_id)

    expect("the one that was claimed", expected=((work,), ()), actual=(lease.begun, lease.uncalled))


@rule_of(waiting)
async def the_newest_write_says_when_a_run_is_due(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    lease = await lease_of(ledger, batch_id)
    for seconds, is_due in ((LONG, False), (0.0, True), (LONG, False)):
        await ledger.release(lease, due_in=seconds)
        (run,) = await ledger.find_drivable(limit=9)
        expect(f"after {seconds} seconds", expected=is_due, actual=run.due_in == 0)
    await ledger.commit(lease, Commit(ttl=LONG))
    (run,) = await ledger.find_drivable(limit=9)
    expect("a driver has it", expected=0.0, actual=run.due_in)


@rule_of(waiting)
async def a_release_is_no_death(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    lease = await lease_of(ledger, batch_id)
    await ledger.commit(lease, Commit(claim=1, alone=1, ttl=LONG))
    await ledger.release(lease)

    expect("nobody died", expected=(), actual=(await lease_of(ledger, batch_id)).unfinished)


@rule_of(waiting)
async def an_outcome_ends_being_alone(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(2))
    lease = await lease_of(ledger, batch_id)
    work = (await ledger.commit(lease, Commit(claim=2, alone=1, ttl=LONG))).claimed
    await ledger.commit(lease, Commit(outcomes=(ended(work[0]),), ttl=OVER))

    expect("nobody died", expected=(), actual=(await lease_of(ledger, batch_id)).unfinished)


@rule_of(waiting)
async def the_first_call_is_remembered(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(2))
    first = await lease_of(ledger, batch_id)
    expect("no call yet", expected=None, actual=first.since_first_call)
    await ledger.commit(first, Commit(since_first_call=_AGO, ttl=LONG))
    await ledger.commit(first, Commit(since_first_call=5.0, ttl=OVER))
    second = await lease_of(ledger, batch_id)
    since = second.since_first_call

    expect("the first one told", expected=True, actual=since is not None and _AGO <= since < LONG)
