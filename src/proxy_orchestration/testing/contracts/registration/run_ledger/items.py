"""
What a ledger promises about the items that it returns for a further run.
"""

from __future__ import annotations

import attrs

from proxy_orchestration.registration.ledger import StoredItem
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.requests import RegistrationEntry
from proxy_orchestration.registration.states import OUTCOME_STATES, ItemState
from proxy_orchestration.testing.contracts.checks import Check, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    CONFLICTING,
    LEFT_OUT,
    OVER,
    REFUSED,
    accepted,
    batch_of,
    claim,
    ended,
    items_of,
    later,
    lease_of,
    mentors,
    override,
    rerun,
    settle,
    settled_batch,
    store,
)

items: list[Check[BatchLedger]] = []

_DONE, _FAILED, _UNKNOWN = ItemState.SUCCEEDED, ItemState.FAILED, ItemState.UNKNOWN
_REVIEW = ItemState.NEEDS_REVIEW
_OTHER = attrs.evolve(ACTIVITY, activity_type="call", notes="«ø»", details={"a": [1]})


@rule_of(items)
async def an_unknown_batch_has_no_items(ledger: BatchLedger) -> None:
    expect("none", expected=[], actual=await items_of(ledger, "no-such-batch"))
    gone = await settled_batch(ledger, _DONE)
    await ledger.delete(gone)
    expect("nor has a deleted one", expected=[], actual=await items_of(ledger, gone))


@rule_of(items)
async def every_field_of_an_item_comes_back(ledger: BatchLedger) -> None:
    entries = (RegistrationEntry("mentor-ø", _OTHER), RegistrationEntry("mentor-1", ACTIVITY))
    decision = override("activity-1", by="coordinator-2", seconds=12.5)
    batch_id = await accepted(
        ledger,
        batch_of(2, entries=entries, overrides={"mentor-1": decision}, verdicts={"mentor-ø": CONFLICTING}),
    )
    await settle(ledger, batch_id, [_UNKNOWN])
    expected = [
        StoredItem(
            mentor_id="mentor-ø",
            activity=_OTHER,
            state=_REVIEW,
            in_doubt=False,
            code=CONFLICTING.failure.code,
            conflicting_activity_id="activity-in-the-way",
        ),
        StoredItem(
            mentor_id="mentor-1",
            activity=ACTIVITY,
            state=_UNKNOWN,
            in_doubt=True,
            code="unknown",
            override=decision,
        ),
    ]

    expect("in request order", expected=expected, actual=await items_of(ledger, batch_id))


@rule_of(items)
async def an_item_has_the_state_and_code_of_its_outcome(ledger: BatchLedger) -> None:
    states = sorted(OUTCOME_STATES, key=lambda state: state.value)
    batch_id = await accepted(ledger, batch_of(len(states)))
    lease = await lease_of(ledger, batch_id)
    outcomes = [ended(w, s) for w, s in zip(await claim(ledger, lease, len(states)), states, strict=True)]
    await store(ledger, lease, *reversed(outcomes))
    found = await items_of(ledger, batch_id)

    expect("in request order", expected=list(mentors(len(states))), actual=[item.mentor_id for item in found])
    expect(
        "state, code and conflicting record",
        expected=[(o.state, o.failure and o.failure.code, o.conflicting_activity_id) for o in outcomes],
        actual=[(item.state, item.code, item.conflicting_activity_id) for item in found],
    )


@rule_of(items)
async def an_open_item_is_running_once_claimed(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(4, verdicts={mentors(4)[0]: REFUSED}))
    lease = await lease_of(ledger, batch_id)
    work = await claim(ledger, lease, 2)
    await store(ledger, lease, ended(work[1]))

    expect(
        "claimed is RUNNING, the rest PENDING",
        expected=[_FAILED, ItemState.RUNNING, _DONE, ItemState.PENDING],
        actual=[item.state for item in await items_of(ledger, batch_id)],
    )


@rule_of(items)
async def an_item_taken_up_is_open_again(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _REVIEW, _UNKNOWN, _DONE, _REVIEW)
    first, second, _, fourth = mentors(4)
    await ledger.open_run(rerun(batch_id, [first, second, fourth], verdicts={fourth: LEFT_OUT}))
    await claim(ledger, await lease_of(ledger, batch_id, 2), 1)
    expected = [
        (ItemState.RUNNING, False, None, None),
        (ItemState.PENDING, True, None, None),
        (_DONE, False, None, None),
        (ItemState.SKIPPED, False, LEFT_OUT.failure.code, "activity-in-the-way"),
    ]

    expect(
        "without the code of the run before, and in doubt as its key is",
        expected=expected,
        actual=[
            (item.state, item.in_doubt, item.code, item.conflicting_activity_id)
            for item in await items_of(ledger, batch_id)
        ],
    )


@rule_of(items)
async def doubt_of_an_item_follows_its_newest_outcome(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _UNKNOWN, _UNKNOWN, _FAILED)
    await ledger.open_run(rerun(batch_id, mentors(3)))
    lease = await lease_of(ledger, batch_id, 2)
    work = await claim(ledger, lease, 3)
    doubts = (False, True, True)
    await store(ledger, lease, *(ended(w, _FAILED, in_doubt=d) for w, d in zip(work, doubts, strict=True)))
    await ledger.settle(lease, settled_at=later(70), audit_hold=OVER)

    expect("doubt", expected=list(doubts), actual=[i.in_doubt for i in await items_of(ledger, batch_id)])


@rule_of(items)
async def an_override_is_the_newest_that_there_was(ledger: BatchLedger) -> None:
    # A retry carries on what a person decided in an earlier run; decision 22.
    first, second, third = mentors(3)
    in_run_1 = {first: override("a-1"), second: override(None, by="coordinator-2")}
    in_run_2 = {first: override("a-2", seconds=65), third: override("a-3", seconds=65)}
    batch_id = await accepted(ledger, batch_of(3, overrides=in_run_1))
    expect(
        "of run 1, open or not",
        expected=[in_run_1[first], in_run_1[second], None],
        actual=[item.override for item in await items_of(ledger, batch_id)],
    )
    await settle(ledger, batch_id, [_FAILED] * 3)
    await ledger.open_run(rerun(batch_id, mentors(3), overrides=in_run_2))
    newest = [in_run_2[first], in_run_1[second], in_run_2[third]]
    expect("of run 2", expected=newest, actual=[item.override for item in await items_of(ledger, batch_id)])
    await settle(ledger, batch_id, [_FAILED] * 3, run=2)
    await ledger.open_run(rerun(batch_id, mentors(3), expected_run=2))

    expect(
        "a run without one forgets none",
        expected=newest,
        actual=[item.override for item in await items_of(ledger, batch_id)],
    )
