"""
What verdicts, overrides and modes promise: how items end unsent, and how others pass a conflict.
"""

from __future__ import annotations

from proxy_orchestration.audit import AuditedOverride
from proxy_orchestration.registration.batches import MentorOutcome
from proxy_orchestration.registration.conflicts import ConflictPolicy, Override
from proxy_orchestration.registration.ledger import Verdict
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.testing.contracts.checks import Check, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    CONFLICTING,
    LEFT_OUT,
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
    rerun,
    result_of,
    settle,
    settled_batch,
    states_of,
    store,
)

deciding: list[Check[BatchLedger]] = []

_DONE, _FAILED, _UNKNOWN = ItemState.SUCCEEDED, ItemState.FAILED, ItemState.UNKNOWN
_REVIEW, _SKIPPED = ItemState.NEEDS_REVIEW, ItemState.SKIPPED
_VERDICTS = (CONFLICTING, LEFT_OUT, REFUSED)


def _told(verdict: Verdict, mentor_id: str, sequence: int, *, seconds: float) -> MentorOutcome:
    return MentorOutcome(
        mentor_id=mentor_id,
        state=verdict.state,
        failure=verdict.failure,
        conflicting_activity_id=verdict.conflicting_activity_id,
        sequence=sequence,
        settled_at=later(seconds),
    )


def _audited(mentor_id: str, decision: Override) -> AuditedOverride:
    return AuditedOverride(
        mentor_id=mentor_id,
        activity_id=decision.activity_id,
        decided_by=decision.decided_by,
        decided_at=decision.decided_at,
    )


@rule_of(deciding)
async def a_verdict_is_an_outcome_at_acceptance(ledger: BatchLedger) -> None:
    first, *judged = mentors(4)
    verdicts = dict(zip(judged, _VERDICTS, strict=True))
    batch_id = await accepted(ledger, batch_of(4, verdicts=dict(reversed(verdicts.items()))))
    expected = [
        _told(verdict, mentor_id, number, seconds=0)
        for number, (mentor_id, verdict) in enumerate(verdicts.items(), start=1)
    ]

    expect(
        "every field, in request order",
        expected=expected,
        actual=[update.outcome for update in await log_of(ledger, batch_id)],
    )
    expect(
        "so does the result", expected=expected, actual=list((await result_of(ledger, batch_id)).outcomes)[1:]
    )
    claimed = await claim(ledger, await lease_of(ledger, batch_id), 9)
    expect("they are never claimed", expected=[first], actual=[work.mentor_id for work in claimed])


@rule_of(deciding)
async def a_batch_that_waits_for_decisions_settles(ledger: BatchLedger) -> None:
    # People take days to decide; a run that waits for them would hold its lease as long.
    batch_id = await accepted(ledger, batch_of(2, verdicts=dict.fromkeys(mentors(2), CONFLICTING)))
    event = await settle(ledger, batch_id, [], at=later(1))
    result = await result_of(ledger, batch_id)

    expect("it waits", expected=BulkStatus.NEEDS_REVIEW, actual=result.status)
    expect("all of it", expected={_REVIEW: 2}, actual=dict(result.counts))
    expect("its event says so", expected={"needs_review": 2}, actual=dict(event.counts))


@rule_of(deciding)
async def a_verdict_is_an_outcome_in_a_further_run(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _FAILED, _REVIEW, _FAILED, _REVIEW)
    first, *judged = mentors(4)
    verdicts = dict(zip(judged, _VERDICTS, strict=True))
    await ledger.open_run(rerun(batch_id, mentors(4), verdicts=verdicts))
    log = (await log_of(ledger, batch_id))[4:]

    expect(
        "every field, after the log so far",
        expected=[
            _told(verdict, mentor_id, number, seconds=60)
            for number, (mentor_id, verdict) in enumerate(verdicts.items(), start=5)
        ],
        actual=[update.outcome for update in log],
    )
    claimed = await claim(ledger, await lease_of(ledger, batch_id, 2), 9)
    expect("they are never claimed", expected=[first], actual=[work.mentor_id for work in claimed])


@rule_of(deciding)
async def doubt_is_never_decided_away(ledger: BatchLedger) -> None:
    # Only the service's answer to that key ends a doubt, or a person who looked; decisions 14, 24, 115.
    batch_id = await settled_batch(ledger, _UNKNOWN, _UNKNOWN, _UNKNOWN)
    verdicts = dict(zip(mentors(3), _VERDICTS, strict=True))
    await ledger.open_run(rerun(batch_id, mentors(3), verdicts=verdicts))
    outcomes = [update.outcome for update in (await log_of(ledger, batch_id))[3:]]
    expect(
        "each is UNKNOWN, or skipped, with the verdict's reason",
        expected=[
            (
                _SKIPPED if verdict.state is _SKIPPED else _UNKNOWN,
                verdict.failure,
                verdict.conflicting_activity_id,
            )
            for verdict in _VERDICTS
        ],
        actual=[(one.state, one.failure, one.conflicting_activity_id) for one in outcomes],
    )
    await settle(ledger, batch_id, [], run=2, at=later(70))
    await ledger.open_run(rerun(batch_id, mentors(3), expected_run=2))
    claimed = await claim(ledger, await lease_of(ledger, batch_id, 3), 3)

    expect("under its old key", expected=[(0, True)] * 3, actual=[(w.epoch, w.in_doubt) for w in claimed])


@rule_of(deciding)
async def a_reviewed_item_gets_a_new_key(ledger: BatchLedger) -> None:
    # A duplicate is a definite answer, which a service may replay under the old key.
    batch_id = await accepted(ledger, batch_of(3, verdicts={mentors(3)[0]: CONFLICTING}))
    lease = await lease_of(ledger, batch_id)
    work = await claim(ledger, lease, 2)
    await store(ledger, lease, ended(work[0], _REVIEW), ended(work[1], _REVIEW, in_doubt=True))
    await ledger.settle(lease, settled_at=later(1), audit_hold=OVER)
    await ledger.open_run(rerun(batch_id, mentors(3)))
    claimed = await claim(ledger, await lease_of(ledger, batch_id, 2), 3)

    expect(
        "sent or not, unless it is in doubt",
        expected=[(1, False), (1, False), (0, True)],
        actual=[(item.epoch, item.in_doubt) for item in claimed],
    )


@rule_of(deciding)
async def an_override_is_told_to_the_driver(ledger: BatchLedger) -> None:
    # Stored before the call, so that whoever takes over sends the same; decision 22.
    first, second, third, fourth = mentors(4)
    overrides = {fourth: override("activity-4"), second: override("activity-2"), third: override(None)}
    batch_id = await accepted(ledger, batch_of(4, overrides=overrides, verdicts={first: CONFLICTING}))
    work = await claim(ledger, await lease_of(ledger, batch_id, ttl=OVER), 2, ttl=OVER)
    lease = await lease_of(ledger, batch_id)

    expect("with its item", expected=["activity-2", None], actual=[item.override_of for item in work])
    expect("also after a take-over", expected=work, actual=tuple(lease.begun))
    (last,) = await claim(ledger, lease, 9)
    expect("and for what was left", expected="activity-4", actual=last.override_of)


@rule_of(deciding)
async def an_override_holds_for_its_run(ledger: BatchLedger) -> None:
    # A retry says anew what it carries on, since the record that was seen may have changed; decision 34.
    batch_id = await settled_batch(ledger, _FAILED, _REVIEW, _REVIEW)
    first, second, third = mentors(3)
    overrides = {third: override("activity-3"), second: override("activity-2")}
    await ledger.open_run(rerun(batch_id, mentors(3), overrides=overrides))
    work = await claim(ledger, await lease_of(ledger, batch_id, 2, ttl=OVER), 9, ttl=OVER)
    lease = await lease_of(ledger, batch_id, 2)

    expect(
        "with its item",
        expected=[None, "activity-2", "activity-3"],
        actual=[item.override_of for item in work],
    )
    expect("also after a take-over", expected=work, actual=tuple(lease.begun))
    await store(ledger, lease, *(ended(item, _FAILED) for item in work))
    await ledger.settle(lease, settled_at=later(70), audit_hold=OVER)
    await ledger.open_run(rerun(batch_id, [first, second], expected_run=2, overrides={first: override("x")}))
    claimed = await claim(ledger, await lease_of(ledger, batch_id, 3), 9)
    expect("and no longer", expected=["x", None], actual=[item.override_of for item in claimed])


@rule_of(deciding)
async def an_event_names_the_overrides_of_its_run(ledger: BatchLedger) -> None:
    first, second, third, fourth = mentors(4)
    decisions = {
        third: override("activity-3", by="coordinator-2", seconds=31.5),
        first: override(None, by="coordinator-3"),
        second: override("activity-2"),
    }
    batch_id = await accepted(ledger, batch_of(4, overrides=decisions, verdicts={second: REFUSED}))
    stored = await settle(ledger, batch_id, [_FAILED, _DONE, _FAILED], hold=OVER)

    expect(
        "every one that was to be sent, in request order, however it ended",
        expected=(_audited(first, decisions[first]), _audited(third, decisions[third])),
        actual=stored.overrides,
    )
    (claimed,) = await ledger.claim_audit_events(limit=9, hold=600)
    expect("so does the outbox", expected=stored, actual=claimed)
    later_ones = {fourth: override("activity-4"), first: override("activity-1", seconds=50)}
    await ledger.open_run(rerun(batch_id, [fourth, first], overrides=later_ones))
    event = await settle(ledger, batch_id, [_DONE, _DONE], run=2)
    expect(
        "a further run's event names its own",
        expected=(_audited(first, later_ones[first]), _audited(fourth, later_ones[fourth])),
        actual=event.overrides,
    )


@rule_of(deciding)
async def a_cancelled_override_is_named_all_the_same(ledger: BatchLedger) -> None:
    # Auditors ask who decided, not only what came of it.
    (mentor_id,) = mentors(1)
    batch_id = await accepted(ledger, batch_of(1, overrides={mentor_id: override("activity-1")}))
    await ledger.cancel_run(batch_id, reason=None, wished_at=later(5))
    event = await settle(ledger, batch_id, [], at=later(6))

    expect("it was told", expected=(_audited(mentor_id, override("activity-1")),), actual=event.overrides)


@rule_of(deciding)
async def mode_and_policy_are_told_for_ever(ledger: BatchLedger) -> None:
    # A retry of another process knows them from the store alone.
    for mode in SubmissionMode:
        for policy in ConflictPolicy:
            batch_id = await accepted(ledger, batch_of(1, mode=mode, on_conflict=policy))
            for run in (1, 2):
                lease = await lease_of(ledger, batch_id, run, ttl=OVER)
                expect(
                    f"the lease of run {run}", expected=(mode, policy), actual=(lease.mode, lease.on_conflict)
                )
                await settle(ledger, batch_id, [_FAILED], run=run)
                record = await record_of(ledger, batch_id)
                expect("the header", expected=(mode, policy), actual=(record.mode, record.on_conflict))
                await ledger.open_run(rerun(batch_id, mentors(1), expected_run=run))


@rule_of(deciding)
async def a_skipped_item_may_stay_beside_a_further_run(ledger: BatchLedger) -> None:
    first, second = mentors(2)
    batch_id = await accepted(ledger, batch_of(2, verdicts={first: LEFT_OUT, second: CONFLICTING}))
    await settle(ledger, batch_id, [])
    await ledger.open_run(rerun(batch_id, [second], overrides={second: override("activity-in-the-way")}))
    await settle(ledger, batch_id, [_DONE], run=2)

    expect("as it was", expected=[_SKIPPED, _DONE], actual=await states_of(ledger, batch_id))
    expect(
        "the batch is a success",
        expected=BulkStatus.SUCCESS,
        actual=(await result_of(ledger, batch_id)).status,
    )
