"""
What a ledger promises that accepts a batch and takes its lease in one transaction.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from proxy_orchestration.registration.ledger import NewBatch
from proxy_orchestration.registration.ports import (
    BatchLedger,
    SupportsAcceptAndBegin,
    SupportsFusedWrites,
)
from proxy_orchestration.registration.requests import RegistrationEntry, SubmissionMode
from proxy_orchestration.registration.runs import Lease, LeaseHeld
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.testing.contracts.checks import Check, broken, expect, rule_where
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    CONFLICTING,
    LONG,
    OVER,
    REFUSED,
    accepted,
    batch_of,
    claim,
    later,
    mentors,
    override,
    record_of,
    result_of,
)

driven_acceptance: list[Check[BatchLedger]] = []


class _Ledger(BatchLedger, SupportsFusedWrites, SupportsAcceptAndBegin, Protocol):
    """
    A ledger with the ability.
    """


async def _driven(ledger: _Ledger, batch: NewBatch, *, claim: int, called: int, ttl: float = LONG) -> Lease:
    acceptance, lease = await ledger.accept_and_begin(batch, ttl=ttl, claim=claim, called=called)
    expect("it is new", expected=True, actual=acceptance.created)
    return lease or broken("who creates a batch so must have its lease")


async def _twin(ledger: _Ledger, batch: NewBatch, *, claim: int, called: int) -> Lease:
    lease = await ledger.begin(await accepted(ledger, batch), 1, ttl=LONG, claim=claim, called=called)
    return lease if isinstance(lease, Lease) else broken(f"a free run must begin, got {lease!r}")


def _odd_batch() -> NewBatch:
    """
    Return a batch with a verdict, an override, and keys of its own.
    """
    first, second, *others = mentors(5)
    entries = (
        RegistrationEntry(first, ACTIVITY),
        RegistrationEntry(second, ACTIVITY, item_key="the second's own"),
        *(RegistrationEntry(mentor, ACTIVITY) for mentor in others),
    )
    return batch_of(
        5,
        entries=entries,
        verdicts={first: REFUSED, others[0]: CONFLICTING},
        overrides={others[1]: override("activity-in-the-way")},
    )


@rule_where(driven_acceptance, SupportsFusedWrites, SupportsAcceptAndBegin)
async def it_is_as_if_the_batch_had_been_accepted_and_begun(ledger: _Ledger) -> None:
    for batch in (batch_of(5), _odd_batch(), batch_of(2, mode=SubmissionMode.ATOMIC)):
        lease = await _driven(ledger, batch, claim=2, called=1)
        twin = await _twin(ledger, batch, claim=2, called=1)

        expect("the lease", expected=attrs.evolve(twin, batch_id=lease.batch_id), actual=lease)
        stored, other = await result_of(ledger, lease.batch_id), await result_of(ledger, twin.batch_id)
        expect("what is stored", expected=attrs.evolve(other, batch_id=lease.batch_id), actual=stored)


@rule_where(driven_acceptance, SupportsFusedWrites, SupportsAcceptAndBegin)
async def nobody_else_drives_it_then(ledger: _Ledger) -> None:
    lease = await _driven(ledger, batch_of(5), claim=3, called=1)
    held = await ledger.acquire(lease.batch_id, 1, ttl=LONG)

    expect("others wait", expected=True, actual=isinstance(held, LeaseHeld))
    expect("the rest follows", expected=[3, 4], actual=[work.item for work in await claim(ledger, lease, 9)])


@rule_where(driven_acceptance, SupportsFusedWrites, SupportsAcceptAndBegin)
async def a_batch_that_was_there_is_left_to_its_driver(ledger: _Ledger) -> None:
    batch = batch_of(2, idempotency_key="once")
    batch_id = await accepted(ledger, batch)
    acceptance, lease = await ledger.accept_and_begin(batch, ttl=LONG, claim=2, called=2)

    expect("the same batch", expected=(batch_id, False), actual=(acceptance.batch_id, acceptance.created))
    expect("no lease", expected=None, actual=lease)
    expect("nobody drove it", expected=False, actual=(await record_of(ledger, batch_id)).driven)


@rule_where(driven_acceptance, SupportsFusedWrites, SupportsAcceptAndBegin)
async def who_accepts_and_dies_may_have_called_what_was_allowed(ledger: _Ledger) -> None:
    first = await _driven(ledger, batch_of(5), claim=3, called=1, ttl=OVER)
    second = await ledger.acquire(first.batch_id, 1, ttl=LONG)
    if not isinstance(second, Lease):
        broken(f"a lease that is over must be free, got {second!r}")

    expect("begun", expected=first.claimed_now[:1], actual=second.begun)
    expect("uncalled", expected=first.claimed_now[1:], actual=second.uncalled)


@rule_where(driven_acceptance, SupportsFusedWrites, SupportsAcceptAndBegin)
async def what_is_given_back_can_be_cancelled_whole(ledger: _Ledger) -> None:
    # Its caller was cancelled as it was accepted: nothing was called, and a cancel must find it so.
    late = await _driven(ledger, batch_of(3), claim=2, called=2)
    await ledger.give_back(late)
    await ledger.cancel_run(late.batch_id, reason=None, wished_at=later(1))
    states = [outcome.state for outcome in (await result_of(ledger, late.batch_id)).outcomes]

    expect("all of it", expected=[ItemState.CANCELLED] * 3, actual=states)
