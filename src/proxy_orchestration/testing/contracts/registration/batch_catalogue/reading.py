"""
What reading a batch promises: its result, and its log.
"""

from __future__ import annotations

from itertools import combinations

import attrs

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.registration.batches import BatchSummary, BulkProgressUpdate
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.ledger import RunPurpose
from proxy_orchestration.registration.ports import BatchLedger, SupportsGettingMany
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.states import OUTCOME_STATES, BulkStatus, ItemState, settled_status
from proxy_orchestration.testing.contracts.checks import Check, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    COORDINATOR,
    LONG,
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
    rerun,
    result_of,
    settle,
    settled_batch,
    states_of,
    store,
)

reading: list[Check[BatchLedger]] = []

_DONE, _FAILED = ItemState.SUCCEEDED, ItemState.FAILED
_COLLEAGUE = attrs.evolve(COORDINATOR, user_id="coordinator-2")


@rule_of(reading)
async def many_headers_are_read_at_once(ledger: BatchLedger) -> None:
    # An ability that not every ledger has.
    if isinstance(ledger, SupportsGettingMany):
        ids = [await accepted(ledger, batch_of(count)) for count in (1, 2)]
        expected = {batch_id: await ledger.get(batch_id) for batch_id in ids}

        expect(
            "as one by one", expected=expected, actual=dict(await ledger.get_many([*ids, "no-such-batch"]))
        )
        expect("none of none", expected={}, actual=dict(await ledger.get_many([])))


@rule_of(reading)
async def an_item_is_running_once_claimed(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(4))
    lease = await lease_of(ledger, batch_id)
    _, second, _ = await claim(ledger, lease, 3)
    await store(ledger, lease, ended(second))
    result = await result_of(ledger, batch_id)

    expect(
        "claimed is RUNNING, settled has its outcome, the rest is PENDING",
        expected=[ItemState.RUNNING, ItemState.SUCCEEDED, ItemState.RUNNING, ItemState.PENDING],
        actual=[outcome.state for outcome in result.outcomes],
    )
    expect(
        "counts are of the same moment",
        expected={ItemState.RUNNING: 2, ItemState.SUCCEEDED: 1, ItemState.PENDING: 1},
        actual=dict(result.counts),
    )
    expect("a driven run is RUNNING", expected=BulkStatus.RUNNING, actual=result.status)
    open_item = result.outcomes[0]
    expect(
        "an open item has no outcome yet",
        expected=(mentors(4)[0], None, None, 0, None, None),
        actual=(
            open_item.mentor_id,
            open_item.activity_id,
            open_item.failure,
            open_item.attempts,
            open_item.sequence,
            open_item.settled_at,
        ),
    )


@rule_of(reading)
async def every_field_of_an_outcome_comes_back(ledger: BatchLedger) -> None:
    states = sorted(OUTCOME_STATES, key=lambda state: state.value)
    batch_id = await accepted(ledger, batch_of(len(states)))
    lease = await lease_of(ledger, batch_id)
    work = await claim(ledger, lease, len(states))
    handed_over = [ended(item, state, attempts=item.item) for item, state in zip(work, states, strict=True)]
    await store(ledger, lease, *reversed(handed_over))
    result = await result_of(ledger, batch_id)

    for given, found in zip(handed_over, result.outcomes, strict=True):
        expect(
            f"a {given.state.name} outcome is as handed over",
            expected=(
                given.work.mentor_id,
                given.state,
                given.activity_id,
                given.failure,
                given.conflicting_activity_id,
                given.attempts,
                len(states) - given.work.item,
                given.settled_at,
            ),
            actual=(
                found.mentor_id,
                found.state,
                found.activity_id,
                found.failure,
                found.conflicting_activity_id,
                found.attempts,
                found.sequence,
                found.settled_at,
            ),
        )


@rule_of(reading)
async def a_settled_batch_has_the_status_of_its_items(ledger: BatchLedger) -> None:
    for states in combinations(sorted(OUTCOME_STATES, key=lambda state: state.value), 2):
        result = await result_of(ledger, await settled_batch(ledger, *states, at=later(30)))

        expect(f"the counts of {states}", expected=dict.fromkeys(states, 1), actual=dict(result.counts))
        expect(f"the status of {states}", expected=settled_status(result.counts), actual=result.status)
        expect("the moment it settled", expected=later(30), actual=result.settled_at)


@rule_of(reading)
async def a_wish_to_cancel_shows_until_the_run_settles(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(2))
    lease = await lease_of(ledger, batch_id)
    (work,) = await claim(ledger, lease, 1)
    await ledger.cancel_run(batch_id, reason=None, wished_at=later(1))

    expect(
        "it is CANCELLING", expected=BulkStatus.CANCELLING, actual=(await result_of(ledger, batch_id)).status
    )
    await store(ledger, lease, ended(work))
    await ledger.settle(lease, settled_at=later(2), audit_hold=0)
    expect(
        "it is CANCELLED", expected=BulkStatus.CANCELLED, actual=(await result_of(ledger, batch_id)).status
    )


@rule_of(reading)
async def a_result_shows_each_item_newest_outcome(ledger: BatchLedger) -> None:
    # Earlier ones stay in the log: that is how an item came to its state.
    batch_id = await settled_batch(ledger, _DONE, _FAILED, _FAILED)
    first, second, _ = mentors(3)
    await ledger.open_run(rerun(batch_id, [second]))

    expect(
        "an item taken up is open again",
        expected=[_DONE, ItemState.PENDING, _FAILED],
        actual=await states_of(ledger, batch_id),
    )
    expect(
        "nobody drove run 2", expected=BulkStatus.PENDING, actual=(await result_of(ledger, batch_id)).status
    )
    await settle(ledger, batch_id, [_DONE], run=2, at=later(90))
    result = await result_of(ledger, batch_id)
    expect(
        "the newest outcome of each item counts",
        expected=[(first, 1), (second, 4), (mentors(3)[2], 3)],
        actual=[(outcome.mentor_id, outcome.sequence) for outcome in result.outcomes],
    )
    expect(
        "so do the counts, the run and its end",
        expected=({_DONE: 2, _FAILED: 1}, 2, BulkStatus.PARTIAL_SUCCESS, later(90)),
        actual=(dict(result.counts), result.run, result.status, result.settled_at),
    )


@rule_of(reading)
async def a_summary_is_the_result_without_outcomes(ledger: BatchLedger) -> None:
    # Whoever polls reads it instead, at every stage of a batch.
    batch_id = await accepted(ledger, batch_of(4, label="Spring"))
    await _summarized(ledger, batch_id)
    lease = await lease_of(ledger, batch_id)
    first, second, _ = await claim(ledger, lease, 3)
    await store(ledger, lease, ended(second, _FAILED))
    await _summarized(ledger, batch_id)
    await ledger.cancel_run(batch_id, reason="Too late.", wished_at=later(1), cancelled_by="admin-1")
    await _summarized(ledger, batch_id)
    await store(ledger, lease, ended(first))
    await _summarized(ledger, batch_id)
    twice = await settled_batch(ledger, _DONE, _FAILED, _FAILED)
    await ledger.open_run(rerun(twice, mentors(3)[1:2]))
    await _summarized(ledger, twice)
    await settle(ledger, twice, [_FAILED], run=2)
    await _summarized(ledger, twice)
    expect("an unknown batch has none", expected=None, actual=await ledger.read_summary("no-such-batch"))


async def _summarized(ledger: BatchLedger, batch_id: str) -> None:
    summary, result = await ledger.read_summary(batch_id), await result_of(ledger, batch_id)
    for field in attrs.fields(BatchSummary):
        expect(
            f"a summary's {field.name}",
            expected=getattr(result, field.name),
            actual=getattr(summary, field.name),
        )


@rule_of(reading)
async def a_batch_tells_how_it_was_submitted_and_who_acted(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(
        ledger, _FAILED, mode=SubmissionMode.ATOMIC, on_conflict=ConflictPolicy.SKIP
    )
    result = await result_of(ledger, batch_id)

    expect(
        "organization, mode, policy and who opened the run",
        expected=("org-1", SubmissionMode.ATOMIC, ConflictPolicy.SKIP, "coordinator-1"),
        actual=(result.organization_id, result.mode, result.on_conflict, result.opened_by),
    )
    expect("nobody did more", expected=(None, None, None, None), actual=_people_of(result))
    await ledger.open_run(rerun(batch_id, mentors(1), actor=_COLLEAGUE))
    retried = await result_of(ledger, batch_id)
    expect("who opened the run", expected="coordinator-2", actual=retried.opened_by)
    expect("who retried", expected=("coordinator-2", None, None, None), actual=_people_of(retried))
    await ledger.cancel_run(batch_id, reason="Not now.", wished_at=later(70), cancelled_by="admin-1")
    await ledger.cancel_run(batch_id, reason="Again.", wished_at=later(71), cancelled_by="admin-2")
    event = await settle(ledger, batch_id, [], run=2)
    expect(
        "who cancelled first, and why",
        expected=("coordinator-2", None, "admin-1", "Not now."),
        actual=_people_of(await result_of(ledger, batch_id)),
    )
    expect(
        "the run's event says so",
        expected=("coordinator-2", None, "admin-1", "Not now."),
        actual=_people_of(event),
    )
    await ledger.open_run(
        rerun(batch_id, mentors(1), expected_run=2, purpose=RunPurpose.REVIEW, actor=COORDINATOR)
    )
    event = await settle(ledger, batch_id, [_DONE], run=3, hold=OVER)
    expect(
        "who acted before stays with the batch",
        expected=("coordinator-2", "coordinator-1", "admin-1", "Not now."),
        actual=_people_of(await result_of(ledger, batch_id)),
    )
    expect("and not in the event", expected=(None, "coordinator-1", None, None), actual=_people_of(event))
    claimed = await ledger.claim_audit_events(limit=9, hold=LONG)
    expect(
        "an event comes back as it was",
        expected=[event],
        actual=[one for one in claimed if one.run == event.run],
    )


def _people_of(told: BatchSummary | AuditEvent) -> tuple[str | None, ...]:
    return told.retried_by, told.decided_by, told.cancelled_by, told.cancel_reason


@rule_of(reading)
async def items_are_read_in_pages_with_their_activities(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(5))
    lease = await lease_of(ledger, batch_id)
    first, second, third = await claim(ledger, lease, 3)
    await store(ledger, lease, ended(third, _FAILED), ended(first))
    outcomes = (await result_of(ledger, batch_id)).outcomes

    for after in range(6):
        page = await ledger.read_item_page(batch_id, states=None, after=after, limit=2)
        expect(
            f"two items after {after}",
            expected=[
                (place, ACTIVITY, outcomes[place - 1]) for place in range(after + 1, min(after + 3, 6))
            ],
            actual=[(item.place, item.activity, item.outcome) for item in page.items],
        )
        expect("where to go on", expected={0: 2, 1: 3, 2: 4}.get(after), actual=page.next_after)
    open_items = await ledger.read_item_page(
        batch_id, states={ItemState.RUNNING, ItemState.PENDING}, after=1, limit=2
    )
    expect(
        "items in these states only",
        expected=([2, 4], 4, second.mentor_id),
        actual=(
            [item.place for item in open_items.items],
            open_items.next_after,
            open_items.items[0].outcome.mentor_id,
        ),
    )
    nobody = await ledger.read_item_page("no-such-batch", states=None, after=0, limit=9)
    expect("an unknown batch has no items", expected=((), None), actual=(nobody.items, nobody.next_after))


@rule_of(reading)
async def an_item_has_the_history_of_its_runs(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(
        ledger, _DONE, _FAILED, _FAILED, verdicts={mentors(4)[3]: REFUSED}, entries=batch_of(4).entries
    )
    second, third = mentors(4)[1:3]
    await ledger.open_run(rerun(batch_id, [second, third]))
    await settle(ledger, batch_id, [_FAILED, _DONE], run=2)
    await ledger.open_run(rerun(batch_id, [second], expected_run=2))
    log = await log_of(ledger, batch_id)
    page = await ledger.read_item_page(batch_id, states=None, after=0, limit=9)

    for item in page.items:
        expect(
            "every outcome of the item by its run, the oldest first",
            expected=[(u.run, u.outcome) for u in log if u.outcome.mentor_id == item.outcome.mentor_id],
            actual=[(attempt.run, attempt.outcome) for attempt in item.history],
        )
    expect(
        "where each stands now",
        expected=[_DONE, ItemState.PENDING, _DONE, _FAILED],
        actual=[item.outcome.state for item in page.items],
    )


@rule_of(reading)
async def an_update_tells_how_an_item_settled(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _DONE, _FAILED)
    outcomes = (await result_of(ledger, batch_id)).outcomes
    expected = [
        BulkProgressUpdate(batch_id=batch_id, run=1, sequence=place, outcome=outcome, settled=place, total=2)
        for place, outcome in enumerate(outcomes, start=1)
    ]

    expect(
        "the log is the outcomes, in their order", expected=expected, actual=await log_of(ledger, batch_id)
    )


@rule_of(reading)
async def a_log_is_read_by_cursor(ledger: BatchLedger) -> None:
    # A watcher goes on where it left, in another process too; decision 57.
    batch_id = await settled_batch(ledger, *[_DONE] * 5)
    log = await log_of(ledger, batch_id)

    for after in range(7):
        for limit in (1, 2, 5, 9):
            page = await ledger.read_updates(batch_id, after=after, limit=limit)
            expect(
                f"at most {limit} entries after {after}",
                expected=log[after : after + limit],
                actual=list(page),
            )


@rule_of(reading)
async def sequences_and_settled_numbers_go_on_across_runs(ledger: BatchLedger) -> None:
    # A cursor of run 1 is good for the runs after it.
    batch_id = await settled_batch(ledger, _FAILED, _DONE, _FAILED)
    first, _, third = mentors(3)
    await ledger.open_run(rerun(batch_id, [first, third]))
    await settle(ledger, batch_id, [_FAILED, _DONE], run=2)
    await ledger.open_run(rerun(batch_id, [first], expected_run=2))
    await settle(ledger, batch_id, [_DONE], run=3)
    log = await log_of(ledger, batch_id)

    expect(
        "run, sequence, mentor and settled items of the whole batch",
        expected=[
            (1, 1, first, 1),
            (1, 2, mentors(3)[1], 2),
            (1, 3, third, 3),
            (2, 4, first, 2),
            (2, 5, third, 3),
            (3, 6, first, 3),
        ],
        actual=[(u.run, u.sequence, u.outcome.mentor_id, u.settled) for u in log],
    )
    for after in range(6):
        page = await ledger.read_updates(batch_id, after=after, limit=2)
        expect(f"a page after {after} crosses runs", expected=log[after : after + 2], actual=list(page))
