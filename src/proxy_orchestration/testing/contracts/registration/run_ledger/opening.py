"""
What a ledger promises about opening a further run.
"""

from __future__ import annotations

from proxy_orchestration.errors import BatchStateError, StaleRunError
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.testing.contracts.checks import Check, at_once, broken, error_of, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    OVER,
    REFUSAL,
    REFUSED,
    accepted,
    batch_of,
    claim,
    ended,
    later,
    lease_of,
    log_of,
    mentors,
    record_of,
    rerun,
    result_of,
    settle,
    settled_batch,
    store,
)

opening: list[Check[BatchLedger]] = []

_DONE, _FAILED, _UNKNOWN = ItemState.SUCCEEDED, ItemState.FAILED, ItemState.UNKNOWN


@rule_of(opening)
async def a_further_run_is_the_current_one(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _DONE, _FAILED, _FAILED)
    number = await ledger.open_run(rerun(batch_id, mentors(3)[1:]))
    record = await record_of(ledger, batch_id)

    expect("its number follows", expected=2, actual=number)
    expect(
        "its header",
        expected=(2, 2, 3, 3, False, None),
        actual=(record.run, record.run_items, record.base, record.tail, record.driven, record.settled_at),
    )
    expect("its batch", expected=3, actual=record.total)


@rule_of(opening)
async def a_further_run_takes_its_items_in_request_order(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, *[_FAILED] * 5)
    wanted = [mentors(5)[item] for item in (4, 0, 3)]
    await ledger.open_run(rerun(batch_id, wanted))
    claimed = await claim(ledger, await lease_of(ledger, batch_id, 2), 9)

    expect("and only these", expected=[0, 3, 4], actual=[work.item for work in claimed])


@rule_of(opening)
async def keys_follow_from_the_newest_outcome(ledger: BatchLedger) -> None:
    # A service that replays stored failures needs a new key, and one in doubt may have a record under the
    # old.
    batch_id = await accepted(ledger, batch_of(5))
    lease = await lease_of(ledger, batch_id)
    work = await claim(ledger, lease, 5)
    endings = (
        (_FAILED, False),
        (_UNKNOWN, True),
        (_FAILED, True),
        (ItemState.CANCELLED, False),
        (ItemState.NEEDS_REVIEW, False),
    )
    await store(ledger, lease, *(ended(w, s, in_doubt=d) for w, (s, d) in zip(work, endings, strict=True)))
    await ledger.settle(lease, settled_at=later(1), audit_hold=OVER)
    await ledger.open_run(rerun(batch_id, mentors(5)))
    claimed = await claim(ledger, await lease_of(ledger, batch_id, 2), 5)

    expect(
        "a definite refusal gets a new key, a key in doubt stays in doubt, an unused one stays",
        expected=[(1, False), (0, True), (0, True), (0, False), (1, False)],
        actual=[(item.epoch, item.in_doubt) for item in claimed],
    )


@rule_of(opening)
async def keys_follow_over_many_runs(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _FAILED, _UNKNOWN)
    keys = []
    for run, ending in (
        (2, (_FAILED, False)),
        (3, (_UNKNOWN, True)),
        (4, (_FAILED, False)),
        (5, (_DONE, False)),
    ):
        await ledger.open_run(rerun(batch_id, mentors(2), expected_run=run - 1))
        lease = await lease_of(ledger, batch_id, run)
        work = await claim(ledger, lease, 2)
        keys.append([(item.epoch, item.in_doubt) for item in work])
        await store(ledger, lease, *(ended(item, ending[0], in_doubt=ending[1]) for item in work))
        await ledger.settle(lease, settled_at=later(run), audit_hold=OVER)

    expect(
        "epochs count definite failures, and doubt ends only with an outcome",
        expected=[
            [(1, False), (0, True)],
            [(2, False), (1, False)],
            [(2, True), (1, True)],
            [(3, False), (2, False)],
        ],
        actual=keys,
    )


@rule_of(opening)
async def begun_items_of_a_further_run_keep_their_keys(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _FAILED, _UNKNOWN, _DONE)
    await ledger.open_run(rerun(batch_id, mentors(3)[:2]))
    work = await claim(ledger, await lease_of(ledger, batch_id, 2, ttl=OVER), 2, ttl=OVER)
    lease = await lease_of(ledger, batch_id, 2)

    expect("what was claimed is begun", expected=work, actual=tuple(lease.begun))


@rule_of(opening)
async def refused_items_of_a_further_run_fail_at_once(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _FAILED, _DONE, _FAILED, _FAILED)
    first, _, third, fourth = mentors(4)
    verdicts = {fourth: REFUSED, first: REFUSED}
    await ledger.open_run(rerun(batch_id, [first, third, fourth], verdicts=verdicts))
    log = (await log_of(ledger, batch_id))[4:]

    expect(
        "after the log so far, in request order, at the run's opening",
        expected=[(2, 5, first, later(60)), (2, 6, fourth, later(60))],
        actual=[(u.run, u.sequence, u.outcome.mentor_id, u.outcome.settled_at) for u in log],
    )
    expect(
        "FAILED with the reason, never sent",
        expected={(_FAILED, REFUSAL, 0)},
        actual={(u.outcome.state, u.outcome.failure, u.outcome.attempts) for u in log},
    )
    record = await record_of(ledger, batch_id)
    expect(
        "they are items of the run", expected=(3, 4, 6), actual=(record.run_items, record.base, record.tail)
    )
    claimed = await claim(ledger, await lease_of(ledger, batch_id, 2), 9)
    expect("they are never claimed", expected=[third], actual=[work.mentor_id for work in claimed])


@rule_of(opening)
async def doubt_outlives_a_refusal(ledger: BatchLedger) -> None:
    # A refusal of ours says nothing about what the earlier call did; decision 14.
    batch_id = await settled_batch(ledger, _UNKNOWN)
    await ledger.open_run(rerun(batch_id, mentors(1), verdicts={mentors(1)[0]: REFUSED}))
    await ledger.settle(await lease_of(ledger, batch_id, 2), settled_at=later(70), audit_hold=OVER)
    (update,) = await ledger.read_updates(batch_id, after=1, limit=9)
    await ledger.open_run(rerun(batch_id, mentors(1), expected_run=2))
    (work,) = await claim(ledger, await lease_of(ledger, batch_id, 3), 1)

    expect("doubt is not refused away", expected=ItemState.UNKNOWN, actual=update.outcome.state)
    expect("the key is as it was", expected=(0, True), actual=(work.epoch, work.in_doubt))


@rule_of(opening)
async def a_refused_item_was_never_sent_under_its_new_key(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _FAILED)
    await ledger.open_run(rerun(batch_id, mentors(1), verdicts={mentors(1)[0]: REFUSED}))
    await ledger.settle(await lease_of(ledger, batch_id, 2), settled_at=later(70), audit_hold=OVER)
    await ledger.open_run(rerun(batch_id, mentors(1), expected_run=2))
    (work,) = await claim(ledger, await lease_of(ledger, batch_id, 3), 1)

    expect("a definite failure raises the epoch", expected=(2, False), actual=(work.epoch, work.in_doubt))


@rule_of(opening)
async def a_stale_run_is_refused(ledger: BatchLedger) -> None:
    # A retry that is delivered twice retries once.
    batch_id = await settled_batch(ledger, _FAILED)
    await ledger.open_run(rerun(batch_id, mentors(1)))
    await settle(ledger, batch_id, [_FAILED], run=2)
    before = await result_of(ledger, batch_id)

    for expected_run in (1, 3):
        error = await error_of(
            StaleRunError,
            "another run is current",
            ledger.open_run(rerun(batch_id, mentors(1), expected_run=expected_run)),
        )
        expect(
            "the error names both",
            expected=(batch_id, expected_run, 2),
            actual=(error.batch_id, error.expected_run, error.current_run),
        )
    expect("nothing changed", expected=before, actual=await result_of(ledger, batch_id))


@rule_of(opening)
async def an_unsettled_run_is_not_followed(ledger: BatchLedger) -> None:
    # Its driver may be calling for these very items.
    batch_id = await accepted(ledger, batch_of(2))
    lease = await lease_of(ledger, batch_id)
    before = await result_of(ledger, batch_id)
    error = await error_of(
        BatchStateError, "the run is not settled", ledger.open_run(rerun(batch_id, mentors(1)))
    )

    if isinstance(error, StaleRunError):
        broken("the expected run is current, so it is not stale")
    expect("nothing changed", expected=before, actual=await result_of(ledger, batch_id))
    await ledger.commit(lease, Commit(ttl=LONG))


@rule_of(opening)
async def of_further_runs_at_once_one_opens(ledger: BatchLedger) -> None:
    # The batch is locked before its run is read, or both would find run 1; decision 45.
    batch_id = await settled_batch(ledger, _FAILED, _FAILED)

    async def attempt() -> int | None:
        try:
            return await ledger.open_run(rerun(batch_id, mentors(2)))
        except StaleRunError:
            return None

    answers = await at_once(*[attempt] * 4)

    expect(
        "run 2 once, stale for the rest",
        expected=[2, None, None, None],
        actual=sorted(answers, key=lambda a: a is None),
    )
    expect("with its items once", expected=2, actual=(await record_of(ledger, batch_id)).run_items)


@rule_of(opening)
async def a_missing_batch_has_no_further_run(ledger: BatchLedger) -> None:
    await error_of(BatchStateError, "there is no such batch", ledger.open_run(rerun("no-such-batch", ["m"])))
