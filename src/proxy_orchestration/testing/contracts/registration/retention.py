"""
What a store promises about deleting old audit events and old keys.
"""

from __future__ import annotations

from proxy_orchestration.errors import IdempotencyKeyReusedError
from proxy_orchestration.registration.ports import ActivityRepository
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.testing.contracts.checks import Check, error_of, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
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

letting_go: list[Check[ActivityRepository]] = []

_DONE, _FAILED = ItemState.SUCCEEDED, ItemState.FAILED


async def _waiting(store: ActivityRepository) -> list[str]:
    return [event.event_id for event in await store.claim_audit_events(limit=9, hold=OVER)]


@rule_of(letting_go)
async def an_event_that_is_not_known_to_be_taken_stays(store: ActivityRepository) -> None:
    await settled_batch(store, _DONE, at=NOON, hold=OVER)
    before = await _waiting(store)

    expect("nothing goes", expected=0, actual=await store.purge_audit_events(settled_before=later(9)))
    expect("it still waits", expected=before, actual=await _waiting(store))


@rule_of(letting_go)
async def old_events_that_were_taken_go_once(store: ActivityRepository) -> None:
    batch_id = await settled_batch(store, _FAILED, at=NOON, hold=OVER)
    await store.open_run(rerun(batch_id, mentors(1)))
    await settle(store, batch_id, [_DONE], run=2, at=later(5), hold=OVER)
    for event_id in (first := await _waiting(store)):
        await store.mark_audited(event_id)
    gone = [await store.purge_audit_events(settled_before=later(seconds)) for seconds in (0, 5, 5, 9, 9)]

    expect("both events were there", expected=2, actual=len(first))
    # A store may forget what is taken at once, and has nothing to delete then.
    expect("the older one, then the other", expected=True, actual=gone in ([0, 1, 0, 1, 0], [0] * 5))
    expect("nothing is delivered again", expected=[], actual=await _waiting(store))


@rule_of(letting_go)
async def the_key_of_a_deleted_batch_is_forgotten_when_it_is_old(store: ActivityRepository) -> None:
    batch_id = await settled_batch(store, _DONE, idempotency_key="key-1")
    await store.delete(batch_id)
    young = await store.purge_tombstones(accepted_before=NOON)
    again_too_early = store.accept(batch_of(1, idempotency_key="key-1"))
    error = await error_of(IdempotencyKeyReusedError, "a tombstone holds", again_too_early)
    old = [await store.purge_tombstones(accepted_before=later(1)) for _ in range(2)]
    again = await store.accept(batch_of(1, idempotency_key="key-1"))

    expect("it is taken until then", expected=(0, True), actual=(young, error.deleted))
    expect("it goes once", expected=[1, 0], actual=old)
    expect("and is a new one then", expected=True, actual=again.created)


@rule_of(letting_go)
async def the_key_of_a_batch_that_is_there_stays(store: ActivityRepository) -> None:
    batch_id = await accepted(store, batch_of(1, idempotency_key="key-1"))
    gone = await store.purge_tombstones(accepted_before=later(99))
    again = await store.accept(batch_of(1, idempotency_key="key-1"))

    expect("nothing goes", expected=0, actual=gone)
    expect("it is that batch", expected=(batch_id, False), actual=(again.batch_id, again.created))
