"""
What an outbox promises that completes and claims in one transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol, cast

from proxy_orchestration.notification.notices import PushState
from proxy_orchestration.notification.ports import NotificationRepository, SupportsCompleteAndClaim
from proxy_orchestration.notification.records import LeasedPush, PushCompletion
from proxy_orchestration.testing.contracts.checks import Check, at_once, expect, rule_of
from proxy_orchestration.testing.contracts.notification.samples import (
    LONG,
    MINUTE,
    MORNING,
    OVER,
    chunk_of,
    claimed,
    draft_of,
    ended,
    expect_counts,
    retried,
    run_with,
)

fusing: list[Check[NotificationRepository]] = []


class _Fused(NotificationRepository, SupportsCompleteAndClaim, Protocol):
    """
    A store with the ability.
    """


def _rule_of_fused(rule: Callable[[_Fused], Awaitable[None]]) -> None:
    async def checked(store: NotificationRepository) -> None:
        if isinstance(store, SupportsCompleteAndClaim):
            await run_with(store, chunk_of(*[draft_of(f"mentor-{number}") for number in range(4)]))
            await rule(cast("_Fused", store))

    checked.__name__ = rule.__name__
    rule_of(fusing)(checked)


async def _ended(
    store: _Fused, *completions: PushCompletion, at: datetime = MORNING, limit: int = 9
) -> Sequence[LeasedPush]:
    return await store.complete_and_claim(completions, now=at, limit=limit, hold=LONG)


@_rule_of_fused
async def what_ends_is_stored_and_the_next_is_leased(store: _Fused) -> None:
    first = await claimed(store, limit=2)
    second = await _ended(store, *map(ended, first), limit=1)
    third = await _ended(store, *(ended(push, PushState.DEAD, code="gone") for push in second))
    expect("one by one", expected=[2, 1, 1], actual=[len(each) for each in (first, second, third)])
    expect("first attempts", expected=[1, 1], actual=[push.attempts for push in (*second, *third)])

    await expect_counts("each as it ended", store, sent=2, dead=1, leased=1)
    expect("none is left", expected=[], actual=list(await _ended(store, *map(ended, third))))
    await expect_counts("all ended", store, sent=3, dead=1)


@_rule_of_fused
async def what_is_put_back_may_be_leased_by_the_same_call(store: _Fused) -> None:
    pushes = await claimed(store)
    soon, late = retried(pushes[0], MORNING), retried(pushes[1], MORNING + MINUTE)
    again = await _ended(store, soon, late, *map(ended, pushes[2:]))

    expect("what is due", expected=[pushes[0].message], actual=[push.message for push in again])
    expect("its second attempt", expected=[2], actual=[push.attempts for push in again])
    await expect_counts("the other waits", store, leased=1, queued=1, sent=2)


@_rule_of_fused
async def a_lease_that_was_lost_is_not_ended_by_the_way(store: _Fused) -> None:
    lost = await claimed(store, hold=OVER)
    taken = await claimed(store)
    found = await _ended(store, *map(ended, lost))

    expect("nothing is free", expected=[], actual=list(found))
    await expect_counts("whose lease it is ends them", store, leased=len(taken))


@_rule_of_fused
async def of_calls_at_once_one_leases_a_message(store: _Fused) -> None:
    (first,), (second,) = await claimed(store, limit=1), await claimed(store, limit=1)
    answers = await at_once(lambda: _ended(store, ended(first)), lambda: _ended(store, ended(second)))

    expect("each once", expected=2, actual=sum(map(len, answers)))
    await expect_counts("both ended", store, sent=2, leased=2)
