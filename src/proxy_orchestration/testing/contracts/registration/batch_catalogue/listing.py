"""
What listing, naming and removing batches promises.
"""

from __future__ import annotations

import attrs

from proxy_orchestration.access import Visibility
from proxy_orchestration.errors import BatchStateError
from proxy_orchestration.registration.batches import BatchFilter, BatchSummary, PurgedBatches
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.runs import RunSettled
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.testing.contracts.checks import UNKEEPABLE, Check, error_of, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    COORDINATOR,
    LEFT_OUT,
    OVER,
    accepted,
    batch_of,
    later,
    lease_of,
    log_of,
    mentors,
    record_of,
    rerun,
    result_of,
    settle,
    settled_batch,
)

listing: list[Check[BatchLedger]] = []

_WHOLE = Visibility(organization_id="org-1")
_DONE, _FAILED = ItemState.SUCCEEDED, ItemState.FAILED


async def _ids(
    ledger: BatchLedger,
    visibility: Visibility = _WHOLE,
    *,
    statuses: set[BulkStatus] | None = None,
) -> list[str]:
    page = await ledger.list_batches(visibility, page=1, limit=50, statuses=statuses)
    expect("the total is of all pages", expected=len(page.batches), actual=page.total)
    return [batch.batch_id for batch in page.batches]


@rule_of(listing)
async def batches_are_listed_newest_first_and_in_pages(ledger: BatchLedger) -> None:
    ids = [await accepted(ledger, batch_of(1, submitted_at=later(number))) for number in range(5)]
    newest_first = ids[::-1]

    for page, expected in ((1, newest_first[:2]), (2, newest_first[2:4]), (3, newest_first[4:]), (4, [])):
        found = await ledger.list_batches(_WHOLE, page=page, limit=2, statuses=None)
        expect(f"page {page}", expected=expected, actual=[batch.batch_id for batch in found.batches])
        expect("the page's header", expected=(page, 2, 5), actual=(found.page, found.limit, found.total))


@rule_of(listing)
async def only_visible_batches_are_listed(ledger: BatchLedger) -> None:
    mine = await accepted(ledger, batch_of(1, submitted_at=later(1)))
    colleague = attrs.evolve(COORDINATOR, user_id="coordinator-2")
    other = await accepted(ledger, batch_of(1, actor=colleague, submitted_at=later(2)))
    stranger = attrs.evolve(COORDINATOR, organization_id="org-2")
    foreign = await accepted(ledger, batch_of(1, actor=stranger, submitted_at=later(3)))
    own = Visibility(organization_id="org-1", coordinator_id="coordinator-1")

    expect("the whole organization", expected=[other, mine], actual=await _ids(ledger))
    expect("one coordinator's own", expected=[mine], actual=await _ids(ledger, own))
    expect(
        "another organization",
        expected=[foreign],
        actual=await _ids(ledger, Visibility(organization_id="org-2")),
    )
    expect(
        "an unknown organization", expected=[], actual=await _ids(ledger, Visibility(organization_id="org-3"))
    )


@rule_of(listing)
async def batches_are_listed_by_status(ledger: BatchLedger) -> None:
    by_status = {
        BulkStatus.SUCCESS: await settled_batch(ledger, _DONE),
        BulkStatus.PARTIAL_SUCCESS: await settled_batch(ledger, _DONE, _FAILED),
        BulkStatus.TOTAL_FAILURE: await settled_batch(ledger, _FAILED),
        BulkStatus.NEEDS_REVIEW: await settled_batch(ledger, ItemState.NEEDS_REVIEW),
        BulkStatus.CANCELLED: await settled_batch(ledger, ItemState.CANCELLED),
        BulkStatus.PENDING: await accepted(ledger, batch_of(1)),
        BulkStatus.RUNNING: await accepted(ledger, batch_of(1)),
        BulkStatus.CANCELLING: await accepted(ledger, batch_of(1)),
        BulkStatus.PAUSED: await accepted(ledger, batch_of(1)),
    }
    await lease_of(ledger, by_status[BulkStatus.PAUSED])
    await ledger.pause_run(by_status[BulkStatus.PAUSED], 1, paused_at=later(1))
    await lease_of(ledger, by_status[BulkStatus.RUNNING])
    await lease_of(ledger, by_status[BulkStatus.CANCELLING])
    await ledger.cancel_run(by_status[BulkStatus.CANCELLING], reason=None, wished_at=later(1))

    for status, batch_id in by_status.items():
        expect(f"{status.name} alone", expected=[batch_id], actual=await _ids(ledger, statuses={status}))
    both = {BulkStatus.SUCCESS, BulkStatus.PENDING}
    expect(
        "two at once", expected={by_status[s] for s in both}, actual=set(await _ids(ledger, statuses=both))
    )


@rule_of(listing)
async def batches_are_found_by_what_is_known_of_them(ledger: BatchLedger) -> None:
    other = attrs.evolve(COORDINATOR, user_id="coordinator-2")
    spring = await accepted(ledger, batch_of(1, label="Spring", submitted_at=later(1)))
    theirs = await accepted(ledger, batch_of(1, actor=other, submitted_at=later(2)))
    waiting = await settled_batch(ledger, _DONE, ItemState.NEEDS_REVIEW, submitted_at=later(3))
    reopened = await settled_batch(ledger, _FAILED, ItemState.NEEDS_REVIEW, submitted_at=later(4))
    await ledger.open_run(rerun(reopened, mentors(2)[:1]))

    for found_by, expected in (
        (BatchFilter(), [reopened, waiting, theirs, spring]),
        (BatchFilter(label="Spring"), [spring]),
        (BatchFilter(label="spring"), []),
        (BatchFilter(coordinator_id="coordinator-2"), [theirs]),
        (BatchFilter(submitted_from=later(2)), [reopened, waiting, theirs]),
        (BatchFilter(submitted_from=later(2), submitted_before=later(3)), [theirs]),
        (BatchFilter(needs_review=True), [waiting]),
        (BatchFilter(needs_review=False), [reopened, theirs, spring]),
        (BatchFilter(needs_review=True, coordinator_id="coordinator-2"), []),
    ):
        page = await ledger.list_batches(_WHOLE, page=1, limit=9, statuses=None, found_by=found_by)
        expect(f"by {found_by!r}", expected=expected, actual=[batch.batch_id for batch in page.batches])
        expect("the total is of what is found", expected=len(expected), actual=page.total)
    one = await ledger.list_batches(
        _WHOLE, page=1, limit=9, statuses={BulkStatus.PENDING}, found_by=BatchFilter(label="Spring")
    )
    expect("together with a status", expected=[spring], actual=[batch.batch_id for batch in one.batches])


@rule_of(listing)
async def a_cursor_goes_on_behind_its_page(ledger: BatchLedger) -> None:
    # Two of one moment, and a batch that is accepted while somebody turns pages.
    ids = [await accepted(ledger, batch_of(1, submitted_at=later(number // 2))) for number in range(5)]
    seen: list[str] = []
    cursor = None
    while len(seen) < len(ids):
        page = await ledger.list_batches(
            _WHOLE, page=1, limit=2, statuses=None, found_by=BatchFilter(cursor=cursor)
        )
        seen += [batch.batch_id for batch in page.batches]
        cursor = page.next_cursor
        await accepted(ledger, batch_of(1, submitted_at=later(60)))

    expect("each once, newest first", expected=ids[::-1], actual=seen)
    expect("and then no more", expected=None, actual=cursor)


@rule_of(listing)
async def batches_of_several_statuses_are_in_one_order(ledger: BatchLedger) -> None:
    kinds: list[tuple[ItemState, ...]] = [(_DONE,), (_FAILED,), (_DONE, ItemState.NEEDS_REVIEW)]
    ids = [
        await settled_batch(ledger, *kinds[number % 3], submitted_at=later(number // 2))
        for number in range(6)
    ]
    ids.append(await accepted(ledger, batch_of(1, submitted_at=later(1))))
    wanted = {BulkStatus.SUCCESS, BulkStatus.PARTIAL_SUCCESS, BulkStatus.PENDING}
    in_order = [ids[number] for number in (5, 6, 3, 2, 0)]
    own = Visibility(organization_id="org-1", coordinator_id="coordinator-1")
    seen: list[str] = []
    cursor = None
    for visibility in (_WHOLE, own):
        first = await ledger.list_batches(visibility, page=1, limit=2, statuses=wanted)
        second = await ledger.list_batches(visibility, page=2, limit=2, statuses=wanted)
        pages = (*first.batches, *second.batches)
        expect("two pages", expected=in_order[:4], actual=[batch.batch_id for batch in pages])
        expect("of so many", expected=(5, 5), actual=(first.total, second.total))
    while cursor is not None or not seen:
        page = await ledger.list_batches(
            _WHOLE, page=1, limit=2, statuses=wanted, found_by=BatchFilter(cursor=cursor)
        )
        seen += [batch.batch_id for batch in page.batches]
        cursor = page.next_cursor

    expect("by their cursors", expected=in_order, actual=seen)


@rule_of(listing)
async def a_batch_is_found_by_how_its_last_run_ended(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _FAILED, ItemState.NEEDS_REVIEW)
    found = {"before": (BulkStatus.TOTAL_FAILURE, True), "after": (BulkStatus.SUCCESS, False)}
    for when, (status, waits) in found.items():
        if when == "after":
            for run, place in ((2, 0), (3, 1)):
                await ledger.open_run(rerun(batch_id, mentors(2)[place : place + 1], expected_run=run - 1))
                await settle(ledger, batch_id, [_DONE], run=run)
        for needs_review in (True, False):
            page = await ledger.list_batches(
                _WHOLE,
                page=1,
                limit=9,
                statuses={status},
                found_by=BatchFilter(needs_review=needs_review),
            )
            expected = [batch_id] if needs_review is waits else []
            expect(
                f"{when}: waits {needs_review}",
                expected=expected,
                actual=[one.batch_id for one in page.batches],
            )


@rule_of(listing)
async def a_retried_batch_is_listed_as_open(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _FAILED)
    await ledger.open_run(rerun(batch_id, mentors(1)))

    expect(
        "it is PENDING again", expected=[batch_id], actual=await _ids(ledger, statuses={BulkStatus.PENDING})
    )
    expect("and no failure", expected=[], actual=await _ids(ledger, statuses={BulkStatus.TOTAL_FAILURE}))


@rule_of(listing)
async def a_listed_batch_is_the_result_without_outcomes(ledger: BatchLedger) -> None:
    await settled_batch(ledger, _DONE, _FAILED, label="Spring", at=later(30))
    await accepted(ledger, batch_of(2))
    page = await ledger.list_batches(_WHOLE, page=1, limit=9, statuses=None)

    for summary in page.batches:
        result = await result_of(ledger, summary.batch_id)
        for field in attrs.fields(BatchSummary):
            expect(
                f"a summary's {field.name}",
                expected=getattr(result, field.name),
                actual=getattr(summary, field.name),
            )


@rule_of(listing)
async def a_label_that_no_batch_can_have_finds_none(ledger: BatchLedger) -> None:
    # Not even what has the empty text as its label.
    empty = await accepted(ledger, batch_of(1, label=""))
    for label, found in (("", [empty]), *((odd, []) for odd in UNKEEPABLE)):
        page = await ledger.list_batches(
            _WHOLE, page=1, limit=9, statuses=None, found_by=BatchFilter(label=label)
        )
        expect(f"by {label!a}", expected=found, actual=[one.batch_id for one in page.batches])


@rule_of(listing)
async def a_label_can_be_changed_and_removed(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1, label="First"))

    for label in ("Second «ø»", None):
        expect("the batch exists", expected=True, actual=await ledger.relabel(batch_id, label))
        expect("the header has the label", expected=label, actual=(await record_of(ledger, batch_id)).label)
        expect("the result has it", expected=label, actual=(await result_of(ledger, batch_id)).label)
    expect("an unknown batch has none", expected=False, actual=await ledger.relabel("no-such-batch", "x"))


@rule_of(listing)
async def a_deleted_batch_is_gone(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, _DONE)
    kept = await settled_batch(ledger, _DONE)

    expect("it existed", expected=True, actual=await ledger.delete(batch_id))
    expect("its header is gone", expected=None, actual=await ledger.get(batch_id))
    expect("its result is gone", expected=None, actual=await ledger.read_result(batch_id))
    expect("its log is gone", expected=[], actual=await log_of(ledger, batch_id))
    expect("it is not listed", expected=[kept], actual=await _ids(ledger))
    expect("nothing is left to drive", expected=RunSettled(), actual=await ledger.acquire(batch_id, 1, ttl=9))
    expect("it existed once", expected=False, actual=await ledger.delete(batch_id))


@rule_of(listing)
async def a_batch_that_is_not_settled_cannot_be_deleted(ledger: BatchLedger) -> None:
    # Its driver would go on calling for a batch that is not there.
    pending = await accepted(ledger, batch_of(1))
    driven = await accepted(ledger, batch_of(1))
    await lease_of(ledger, driven)
    retried = await settled_batch(ledger, _FAILED)
    await ledger.open_run(rerun(retried, mentors(1)))

    for batch_id in (pending, driven, retried):
        before = await result_of(ledger, batch_id)
        error = await error_of(BatchStateError, "only settled batches are deleted", ledger.delete(batch_id))
        expect("the error names the batch", expected=batch_id, actual=error.batch_id)
        expect("nothing changed", expected=before, actual=await result_of(ledger, batch_id))


@rule_of(listing)
async def deleting_leaves_the_audit_event(ledger: BatchLedger) -> None:
    # It may not have been delivered yet.
    batch_id = await settled_batch(ledger, _DONE, hold=OVER)
    await ledger.delete(batch_id)
    events = await ledger.claim_audit_events(limit=9, hold=9)

    expect("it can still be delivered", expected=[batch_id], actual=[event.batch_id for event in events])


@rule_of(listing)
async def a_purge_takes_what_settled_before_its_moment(ledger: BatchLedger) -> None:
    old = await settled_batch(ledger, _DONE, at=later(9), submitted_at=later(0))
    exact = await settled_batch(ledger, _DONE, at=later(10), submitted_at=later(1))
    recent = await settled_batch(ledger, _DONE, at=later(11), submitted_at=later(2))
    waiting = await accepted(ledger, batch_of(1, submitted_at=later(3)))
    retried = await settled_batch(ledger, _FAILED, at=later(8), submitted_at=later(4))
    await ledger.open_run(rerun(retried, mentors(1)))

    purged = [await ledger.purge(settled_before=later(10)) for _ in range(2)]
    expect("one, once", expected=[PurgedBatches(deleted=1), PurgedBatches()], actual=purged)
    expect("the others stay", expected=[retried, waiting, recent, exact], actual=await _ids(ledger))
    expect("the old one is gone", expected=None, actual=await ledger.get(old))


@rule_of(listing)
async def a_purge_leaves_what_waits_for_a_decision(ledger: BatchLedger) -> None:
    waits = await settled_batch(ledger, _DONE, ItemState.NEEDS_REVIEW)
    decided = await settled_batch(ledger, _DONE, ItemState.NEEDS_REVIEW, submitted_at=later(1))
    await ledger.open_run(rerun(decided, ["mentor-1"], verdicts={"mentor-1": LEFT_OUT}))
    await settle(ledger, decided, [], run=2)
    left = await ledger.purge(settled_before=later(9))

    expect("it stays", expected=PurgedBatches(deleted=1, left_for_review=1), actual=left)
    expect("and no other", expected=[waits], actual=await _ids(ledger))
    gone = await ledger.purge(settled_before=later(9), with_open_reviews=True)
    expect("unless it is said", expected=PurgedBatches(deleted=1), actual=gone)
    expect("then none stays", expected=[], actual=await _ids(ledger))
