"""
What a ledger promises about several activities of one mentor in a batch, by item key.
"""

from __future__ import annotations

from datetime import timedelta

import attrs

from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.requests import RegistrationEntry
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.testing.contracts.checks import Check, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    CONFLICTING,
    LONG,
    OVER,
    REFUSED,
    accepted,
    batch_of,
    claim,
    ended,
    items_of,
    lease_of,
    log_of,
    override,
    rerun,
    result_of,
    settle,
    store,
)

item_keys: list[Check[BatchLedger]] = []

_DONE, _FAILED = ItemState.SUCCEEDED, ItemState.FAILED
_LATER = attrs.evolve(ACTIVITY, activity_date=ACTIVITY.activity_date + timedelta(days=1))
_ENTRIES = (
    RegistrationEntry("mentor-1", ACTIVITY),
    RegistrationEntry("mentor-1", _LATER, "mentor-1 «tirsdag»"),
    RegistrationEntry("mentor-2", ACTIVITY, "a-2"),
)
_NAMES = [("mentor-1", "mentor-1"), ("mentor-1", "mentor-1 «tirsdag»"), ("mentor-2", "a-2")]
_KEYS = [key for _, key in _NAMES]


@rule_of(item_keys)
async def each_item_is_told_by_mentor_and_key(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(3, entries=_ENTRIES))
    lease = await lease_of(ledger, batch_id, ttl=OVER)
    work = await claim(ledger, lease, 2, ttl=OVER)
    again = await lease_of(ledger, batch_id, ttl=LONG)
    await store(ledger, again, ended(work[1], _DONE), ended(work[0], _FAILED))
    stored = await items_of(ledger, batch_id)
    result, log = await result_of(ledger, batch_id), await log_of(ledger, batch_id)

    for what, found in (
        ("claimed", [(item.mentor_id, item.item_key) for item in work]),
        ("of a dead driver", [(item.mentor_id, item.item_key) for item in again.begun]),
        ("in the log", [(one.outcome.mentor_id, one.outcome.item_key) for one in reversed(log)]),
    ):
        expect(f"what is {what}", expected=_NAMES[:2], actual=found)
    expect(
        "in the result", expected=_NAMES, actual=[(one.mentor_id, one.item_key) for one in result.outcomes]
    )
    expect("for a further run", expected=_NAMES, actual=[(item.mentor_id, item.item_key) for item in stored])
    expect(
        "with its activity", expected=[ACTIVITY, _LATER, ACTIVITY], actual=[one.activity for one in stored]
    )


@rule_of(item_keys)
async def a_further_run_takes_up_items_by_their_keys(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(3, entries=_ENTRIES))
    await settle(ledger, batch_id, [_FAILED, _FAILED, _FAILED])
    await ledger.open_run(rerun(batch_id, _KEYS[1:]))
    work = await claim(ledger, await lease_of(ledger, batch_id, 2), 9)

    expect("those named", expected=_NAMES[1:], actual=[(item.mentor_id, item.item_key) for item in work])
    states = [outcome.state for outcome in (await result_of(ledger, batch_id)).outcomes]
    expect("the mentor's other one stays", expected=_FAILED, actual=states[0])


@rule_of(item_keys)
async def verdicts_and_overrides_are_by_key(ledger: BatchLedger) -> None:
    first = batch_of(
        3,
        entries=_ENTRIES,
        verdicts={_KEYS[0]: REFUSED, _KEYS[2]: CONFLICTING},
        overrides={_KEYS[1]: override("activity-1")},
    )
    batch_id = await accepted(ledger, first)
    events = [await settle(ledger, batch_id, [_FAILED])]
    overridden = {_KEYS[2]: override("activity-2")}
    await ledger.open_run(rerun(batch_id, _KEYS[1:], verdicts={_KEYS[1]: REFUSED}, overrides=overridden))
    events.append(await settle(ledger, batch_id, [_DONE], run=2))

    expect(
        "who is overridden, by mentor and key",
        expected=[[_NAMES[1]], [_NAMES[2]]],
        actual=[[(one.mentor_id, one.item_key) for one in event.overrides] for event in events],
    )
    states = [outcome.state for outcome in (await result_of(ledger, batch_id)).outcomes]
    expect("who is judged", expected=[_FAILED, _FAILED, _DONE], actual=states)


@rule_of(item_keys)
async def what_a_cancel_reaches_keeps_its_key(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(3, entries=_ENTRIES))
    await claim(ledger, await lease_of(ledger, batch_id), 1)
    await ledger.cancel_run(batch_id, reason=None, wished_at=batch_of(1).submitted_at)
    log = await log_of(ledger, batch_id)

    expect(
        "the cancelled ones",
        expected=_NAMES[1:],
        actual=[(one.outcome.mentor_id, one.outcome.item_key) for one in log],
    )
