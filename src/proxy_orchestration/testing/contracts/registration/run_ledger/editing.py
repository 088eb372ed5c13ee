"""
What a ledger promises about further runs with edited activities.
"""

from __future__ import annotations

import attrs

from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.testing.contracts.checks import Check, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    CONFLICTING,
    LONG,
    NOON,
    OVER,
    accepted,
    batch_of,
    claim,
    items_of,
    lease_of,
    mentors,
    override,
    rerun,
    settle,
    settled_batch,
)

editing: list[Check[BatchLedger]] = []

_DONE, _FAILED = ItemState.SUCCEEDED, ItemState.FAILED
_EDITED = attrs.evolve(ACTIVITY, activity_type="call", notes="«ø»", details={"a": [1]})
_AGAIN = attrs.evolve(ACTIVITY, duration_minutes=7)
_FIRST, _SECOND = mentors(3)[:2]


@rule_of(editing)
async def an_edited_item_is_sent_as_edited_under_a_new_key(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(3))
    await ledger.cancel_run(batch_id, reason=None, wished_at=NOON)
    await settle(ledger, batch_id, [])
    await ledger.open_run(rerun(batch_id, [_FIRST, _SECOND], activities={_SECOND: _EDITED}))
    work = await claim(ledger, await lease_of(ledger, batch_id, 2, ttl=OVER), 9, ttl=OVER)
    again = await lease_of(ledger, batch_id, 2, ttl=LONG)

    expect(
        "what is sent, and by which epoch",
        expected=[(_FIRST, ACTIVITY, 0), (_SECOND, _EDITED, 1)],
        actual=[(item.mentor_id, item.activity, item.epoch) for item in work],
    )
    expect("another driver finds the same", expected=work, actual=again.begun)


@rule_of(editing)
async def an_edit_stays_until_the_next_one(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _FAILED, _FAILED)
    first, second = mentors(2)
    await ledger.open_run(rerun(batch_id, [first], activities={first: _EDITED}))
    await settle(ledger, batch_id, [_FAILED], run=2)
    await ledger.open_run(rerun(batch_id, [first, second], expected_run=2))
    lease = await lease_of(ledger, batch_id, 3)
    work = await claim(ledger, lease, 9)
    expect("in the next run", expected=[_EDITED, ACTIVITY], actual=[item.activity for item in work])
    await ledger.release(lease)
    stored = await items_of(ledger, batch_id)
    expect("for whoever looks", expected=[_EDITED, ACTIVITY], actual=[item.activity for item in stored])
    page = await ledger.read_item_page(batch_id, states=None, after=0, limit=9)
    expect("for people", expected=[_EDITED, ACTIVITY], actual=[item.activity for item in page.items])
    expect(
        "the history shows both",
        expected=[[(1, ACTIVITY), (2, _EDITED)], [(1, ACTIVITY)]],
        actual=[[(one.run, one.activity) for one in item.history] for item in page.items],
    )


@rule_of(editing)
async def an_edit_is_kept_where_the_item_is_not_sent(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _FAILED)
    (name,) = mentors(1)
    judged = rerun(batch_id, [name], activities={name: _EDITED}, verdicts={name: CONFLICTING})
    await ledger.open_run(judged)
    await settle(ledger, batch_id, [], run=2)
    await ledger.open_run(rerun(batch_id, [name], expected_run=2, activities={name: _AGAIN}))
    await settle(ledger, batch_id, [_FAILED], run=3)
    await ledger.open_run(rerun(batch_id, [name], expected_run=3))
    (work,) = await claim(ledger, await lease_of(ledger, batch_id, 4), 9)

    expect("the newest edit", expected=(_AGAIN, 3), actual=(work.activity, work.epoch))


@rule_of(editing)
async def an_edit_ends_an_earlier_override(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(
        ledger, _FAILED, _FAILED, overrides=dict.fromkeys(mentors(2), override("a"))
    )
    first, second = mentors(2)
    changed = rerun(batch_id, [first, second], activities={first: _EDITED}, overrides={second: override("a")})
    await ledger.open_run(changed)
    work = await claim(ledger, await lease_of(ledger, batch_id, 2), 9)
    stored = await items_of(ledger, batch_id)

    expect("what is sent", expected=[None, "a"], actual=[item.override_of for item in work])
    expect("what stands", expected=[None, override("a")], actual=[item.override for item in stored])


@rule_of(editing)
async def an_edit_and_an_override_at_once_both_hold(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _FAILED)
    (name,) = mentors(1)
    both = rerun(batch_id, [name], activities={name: _EDITED}, overrides={name: override("b")})
    await ledger.open_run(both)
    (item,) = await items_of(ledger, batch_id)

    expect("both", expected=(_EDITED, override("b")), actual=(item.activity, item.override))


@rule_of(editing)
async def an_edit_goes_with_its_batch(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _FAILED)
    (name,) = mentors(1)
    await ledger.open_run(rerun(batch_id, [name], activities={name: _EDITED}))
    await settle(ledger, batch_id, [_DONE], run=2)

    expect("it is deleted", expected=True, actual=await ledger.delete(batch_id))
    other = await settled_batch(ledger, _FAILED)
    expect("for good", expected=[ACTIVITY], actual=[item.activity for item in await items_of(ledger, other)])
