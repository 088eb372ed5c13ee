"""
What a ledger promises that leases many free runs at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from proxy_orchestration.registration.ports import BatchLedger, SupportsTakingFreeRuns
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.runs import Commit, Lease, LeaseHeld, UnfinishedItem
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.testing.contracts.checks import Check, expect, rule_where
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    NOON,
    OVER,
    REFUSED,
    accepted,
    batch_of,
    claim,
    later,
    lease_of,
    mentors,
    record_of,
    settled_batch,
)

taking: list[Check[BatchLedger]] = []


class _Taking(BatchLedger, SupportsTakingFreeRuns, Protocol):
    """
    A ledger with the ability.
    """


async def _taken(  # noqa: PLR0913 - what is asked for, by name
    ledger: _Taking,
    limit: int = 9,
    *,
    ttl: float = LONG,
    claim: int = 2,
    called: int = 1,
    except_for: Collection[str] = (),
    service_name: str | None = None,
) -> Sequence[Lease]:
    return await ledger.take_free_runs(
        limit=limit, ttl=ttl, claim=claim, called=called, except_for=except_for, service_name=service_name
    )


def _named(leases: Sequence[Lease]) -> list[str]:
    return [lease.batch_id for lease in leases]


@rule_where(taking, SupportsTakingFreeRuns)
async def the_batches_that_were_accepted_first_are_taken_first(ledger: _Taking) -> None:
    batch_ids = [await accepted(ledger, batch_of(1, submitted_at=later(number))) for number in range(5)]
    first, second, third = [_named(await _taken(ledger, 2)) for _ in range(3)]

    expect("in order", expected=[batch_ids[:2], batch_ids[2:4], batch_ids[4:]], actual=[first, second, third])
    expect("nothing is left", expected=[], actual=list(await _taken(ledger)))


@rule_where(taking, SupportsTakingFreeRuns)
async def a_taken_run_is_held(ledger: _Taking) -> None:
    batch_id = await accepted(ledger, batch_of(1))
    (lease,) = await _taken(ledger)
    held = await ledger.acquire(batch_id, 1, ttl=LONG)

    expect("its fence", expected=(batch_id, 1, 1), actual=(lease.batch_id, lease.run, lease.fence))
    expect("nobody else gets it", expected=1, actual=isinstance(held, LeaseHeld) and held.fence)


@rule_where(taking, SupportsTakingFreeRuns)
async def taken_runs_come_with_their_first_items(ledger: _Taking) -> None:
    verdicts = dict.fromkeys(mentors(3)[:1], REFUSED)
    await accepted(ledger, batch_of(5))
    await accepted(ledger, batch_of(3, verdicts=verdicts))
    await accepted(ledger, batch_of(1, verdicts=dict.fromkeys(mentors(1), REFUSED)))
    many, few, none = await _taken(ledger, claim=3, called=2)

    expect("in order", expected=[0, 1, 2], actual=[work.item for work in many.claimed_now])
    expect("by place", expected=[1, 2, 3], actual=[work.place for work in many.claimed_now])
    expect("called and claimed", expected=(2, 3), actual=(many.called, many.claimed))
    expect("what has no verdict", expected=[1, 2], actual=[work.item for work in few.claimed_now])
    expect("as far as there are items", expected=(2, 2), actual=(few.called, few.claimed))
    expect("nothing where nothing is open", expected=((), 0), actual=(none.claimed_now, none.claimed))
    expect("the rest follows", expected=[3, 4], actual=[work.item for work in await claim(ledger, many, 9)])


@rule_where(taking, SupportsTakingFreeRuns)
async def what_is_held_or_paused_or_over_or_not_due_is_left(ledger: _Taking) -> None:
    held, paused, waits = [await accepted(ledger, batch_of(1)) for _ in range(3)]
    await settled_batch(ledger, ItemState.SUCCEEDED)
    await lease_of(ledger, held)
    await ledger.pause_run(paused, 1, paused_at=NOON)
    await ledger.release(await lease_of(ledger, waits), due_in=LONG)
    expect("all of them", expected=[], actual=_named(await _taken(ledger)))

    await ledger.resume_run(paused, 1)
    await ledger.cancel_run(waits, reason=None, wished_at=later(1))
    expect("until that ends", expected=[paused, waits], actual=_named(await _taken(ledger)))


@rule_where(taking, SupportsTakingFreeRuns)
async def a_cancel_overrules_a_pause_and_nothing_is_claimed(ledger: _Taking) -> None:
    batch_id = await accepted(ledger, batch_of(3))
    work = await claim(ledger, await lease_of(ledger, batch_id, ttl=OVER), 1, ttl=OVER)
    await ledger.pause_run(batch_id, 1, paused_at=NOON)
    await ledger.cancel_run(batch_id, reason=None, wished_at=later(1))
    (lease,) = await _taken(ledger)

    expect("what was begun", expected=tuple(work), actual=lease.begun)
    expect("nothing new", expected=((), True), actual=(lease.claimed_now, lease.cancel_wished))


@rule_where(taking, SupportsTakingFreeRuns)
async def what_a_dead_driver_left_is_told_as_acquire_tells_it(ledger: _Taking) -> None:
    batch_id = await accepted(ledger, batch_of(5))
    first = await lease_of(ledger, batch_id)
    work = (await ledger.commit(first, Commit(claim=4, called=2, ttl=LONG))).claimed
    known = UnfinishedItem(work=work[0], calls=1, rounds=1, is_called=True)
    await ledger.commit(first, Commit(unfinished=(known,), called=2, alone=1, ttl=OVER))
    (lease,) = await _taken(ledger)

    expect("begun", expected=(work[1],), actual=lease.begun)
    expect("uncalled", expected=work[2:], actual=lease.uncalled)
    expect(
        "more is known, and one died",
        expected=[(1, 1)],
        actual=[(one.calls, one.deaths) for one in lease.unfinished],
    )
    expect(
        "nothing further is claimed",
        expected=((), 4, 2),
        actual=(lease.claimed_now, lease.claimed, lease.fence),
    )


@rule_where(taking, SupportsTakingFreeRuns)
async def an_all_or_nothing_run_is_taken_and_not_claimed_from(ledger: _Taking) -> None:
    await accepted(ledger, batch_of(3, mode=SubmissionMode.ATOMIC))
    (lease,) = await _taken(ledger)

    expect("its driver claims all at once", expected=((), 0), actual=(lease.claimed_now, lease.claimed))


@rule_where(taking, SupportsTakingFreeRuns)
async def batches_are_left_out_by_id_and_by_service(ledger: _Taking) -> None:
    other = await accepted(ledger, batch_of(1, service_name="b"))
    nameless = await accepted(ledger, batch_of(1))
    left_out, own = [await accepted(ledger, batch_of(1, service_name="a")) for _ in range(2)]
    taken = await _taken(ledger, except_for=[left_out, "no-such-batch"], service_name="a")

    expect("those of a", expected=[nameless, own], actual=_named(taken))
    expect("and later", expected=[left_out], actual=_named(await _taken(ledger, service_name="a")))
    expect("of all", expected=[other], actual=_named(await _taken(ledger)))


@rule_where(taking, SupportsTakingFreeRuns)
async def a_taken_run_is_given_back_as_if_nobody_had_claimed(ledger: _Taking) -> None:
    batch_id = await accepted(ledger, batch_of(3))
    (late,) = await _taken(ledger)
    await ledger.give_back(late)
    (again,) = await _taken(ledger)
    await ledger.give_back(late)

    expect("claimed anew", expected=late.claimed_now, actual=again.claimed_now)
    expect("nothing begun", expected=((), ()), actual=(again.begun, again.uncalled))
    expect("an old fence gives nothing back", expected=[], actual=list(await _taken(ledger)))
    await ledger.give_back(again)
    await ledger.cancel_run(batch_id, reason=None, wished_at=later(1))
    expect("all could be cancelled", expected=3, actual=(await record_of(ledger, batch_id)).tail)


@rule_where(taking, SupportsTakingFreeRuns)
async def a_run_that_was_begun_before_is_given_back_as_it_was(ledger: _Taking) -> None:
    # What the driver before it called is in doubt for ever.
    await accepted(ledger, batch_of(3))
    (first,) = await _taken(ledger, ttl=OVER)
    (second,) = await _taken(ledger)
    await ledger.give_back(second)
    (third,) = await _taken(ledger)

    expect("begun", expected=first.claimed_now[:1], actual=third.begun)
    expect("uncalled", expected=first.claimed_now[1:], actual=third.uncalled)
    expect("nothing anew", expected=(), actual=third.claimed_now)
