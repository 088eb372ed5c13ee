"""
What accepting a batch promises.
"""

from __future__ import annotations

import attrs

from proxy_orchestration.access import Actor, Role, Visibility
from proxy_orchestration.errors import IdempotencyKeyReusedError, RecordRefusedError
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.requests import RegistrationEntry
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.testing.contracts.checks import (
    UNKEEPABLE,
    Check,
    at_once,
    error_of,
    expect,
    rule_of,
)
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    COORDINATOR,
    NOON,
    REFUSAL,
    REFUSED,
    accepted,
    batch_of,
    claim,
    later,
    lease_of,
    log_of,
    mentors,
    record_of,
    result_of,
    settled_batch,
)

accepting: list[Check[BatchLedger]] = []

_LONGEST = 200
_LONG_CHARACTER = "\N{MATHEMATICAL BOLD CAPITAL A}"


@rule_of(accepting)
async def an_accepted_batch_keeps_the_name_of_its_service(ledger: BatchLedger) -> None:
    named = await record_of(ledger, await accepted(ledger, batch_of(1, service_name="bøker")))
    nameless = await record_of(ledger, await accepted(ledger, batch_of(1)))

    expect("a batch keeps the name of its service", expected="bøker", actual=named.service_name)
    expect("a batch without a name has none", expected=None, actual=nameless.service_name)


@rule_of(accepting)
async def each_lease_has_the_trace_context_of_its_batch(ledger: BatchLedger) -> None:
    # It is how a run in another process joins the trace of whoever submitted.
    traced = await accepted(ledger, batch_of(1, trace_context="00-0af7-b7ad-01 a=b"))
    untraced = await accepted(ledger, batch_of(1))
    lease, other = await lease_of(ledger, traced), await lease_of(ledger, untraced)

    expect("a lease has it", expected="00-0af7-b7ad-01 a=b", actual=lease.trace_context)
    expect("without one there is none", expected=None, actual=other.trace_context)


@rule_of(accepting)
async def an_accepted_batch_has_the_header_it_was_given(ledger: BatchLedger) -> None:
    answer = await ledger.accept(batch_of(3, label="Spring «øvelse»"))
    expected = BatchRecord(
        batch_id=answer.batch_id,
        organization_id="org-1",
        coordinator_id="coordinator-1",
        label="Spring «øvelse»",
        total=3,
        submitted_at=NOON,
        run=1,
        run_items=3,
        base=0,
        tail=0,
        driven=False,
        cancel_wished_at=None,
        settled_at=None,
    )

    expect("a first acceptance creates", expected=True, actual=answer.created)
    expect("the header is as accepted", expected=expected, actual=await ledger.get(answer.batch_id))


@rule_of(accepting)
async def an_accepted_batch_is_pending_in_request_order(ledger: BatchLedger) -> None:
    result = await result_of(ledger, await accepted(ledger, batch_of(4, label="Spring")))

    expect(
        "outcomes are in request order",
        expected=mentors(4),
        actual=tuple(o.mentor_id for o in result.outcomes),
    )
    expect("no item has begun", expected={ItemState.PENDING}, actual={o.state for o in result.outcomes})
    expect("counts are by state", expected={ItemState.PENDING: 4}, actual=dict(result.counts))
    expect("nobody drove it", expected=BulkStatus.PENDING, actual=result.status)
    expect(
        "the summary is as accepted",
        expected=(1, 4, "Spring", "coordinator-1", NOON, None),
        actual=(
            result.run,
            result.total,
            result.label,
            result.coordinator_id,
            result.submitted_at,
            result.settled_at,
        ),
    )


@rule_of(accepting)
async def an_unknown_batch_has_nothing(ledger: BatchLedger) -> None:
    expect("no header", expected=None, actual=await ledger.get("no-such-batch"))
    expect("no result", expected=None, actual=await ledger.read_result("no-such-batch"))
    expect("no entries", expected=[], actual=await log_of(ledger, "no-such-batch"))


@rule_of(accepting)
async def every_field_of_an_activity_comes_back(ledger: BatchLedger) -> None:
    activity = ProxyActivity(
        activity_type="visit",
        activity_date=ACTIVITY.activity_date,
        duration_minutes=1,
        notes="Two lines,\n«one» of them with 'quotes' — and 日本語",
        details={"nested": {"list": [1, 2.5, None, True]}, "empty": {}},
    )
    entries = (RegistrationEntry("mentor-ø", activity), RegistrationEntry("mentor'; --", ACTIVITY))
    batch_id = await accepted(ledger, batch_of(2, entries=entries))
    claimed = await claim(ledger, await lease_of(ledger, batch_id), 2)

    expect(
        "claimed items are the request's",
        expected=[(0, "mentor-ø", activity), (1, "mentor'; --", ACTIVITY)],
        actual=[(work.item, work.mentor_id, work.activity) for work in claimed],
    )


@rule_of(accepting)
async def batches_without_a_key_are_never_joined(ledger: BatchLedger) -> None:
    first, second = await ledger.accept(batch_of(1)), await ledger.accept(batch_of(1))

    expect("both are created", expected=(True, True), actual=(first.created, second.created))
    expect("they are two", expected=True, actual=first.batch_id != second.batch_id)


@rule_of(accepting)
async def a_redelivered_request_is_the_batch_it_became(ledger: BatchLedger) -> None:
    # People correct a label, and it registers nothing: it is no part of what is compared; decision 3.
    batch = batch_of(2, idempotency_key="key-1", label="First")
    first = await ledger.accept(batch)
    again = await ledger.accept(attrs.evolve(batch, label="Second", submitted_at=later(60)))

    expect(
        "the same key and content is one batch",
        expected=(first.batch_id, False),
        actual=(again.batch_id, again.created),
    )
    record = await record_of(ledger, first.batch_id)
    expect("it stays as it was", expected=("First", NOON), actual=(record.label, record.submitted_at))


@rule_of(accepting)
async def a_redelivered_request_joins_its_settled_batch(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, ItemState.SUCCEEDED, idempotency_key="key-1")
    again = await ledger.accept(batch_of(1, idempotency_key="key-1"))

    expect("the settled batch answers", expected=(batch_id, False), actual=(again.batch_id, again.created))


@rule_of(accepting)
async def a_key_with_other_content_is_refused(ledger: BatchLedger) -> None:
    first = await ledger.accept(batch_of(2, idempotency_key="key-1"))
    error = await error_of(
        IdempotencyKeyReusedError,
        "a key stands for one content",
        ledger.accept(batch_of(3, idempotency_key="key-1")),
    )

    expect(
        "the error names the batch", expected=(first.batch_id, False), actual=(error.batch_id, error.deleted)
    )
    expect("the batch stays", expected=2, actual=(await record_of(ledger, first.batch_id)).total)


@rule_of(accepting)
async def a_key_belongs_to_coordinator_and_organization(ledger: BatchLedger) -> None:
    # The last owner has the two ids swapped, which a key joined from both would mix up.
    owners = [
        COORDINATOR,
        attrs.evolve(COORDINATOR, user_id="coordinator-2"),
        attrs.evolve(COORDINATOR, organization_id="org-2"),
        Actor(user_id="org-1", roles={Role.COORDINATOR}, organization_id="coordinator-1"),
    ]
    answers = [await ledger.accept(batch_of(1, actor=owner, idempotency_key="key-1")) for owner in owners]

    expect("each owner's key is another", expected=4, actual=len({answer.batch_id for answer in answers}))


@rule_of(accepting)
async def a_deleted_batch_keeps_its_key(ledger: BatchLedger) -> None:
    # A request that is delivered again after the deletion would register everybody anew.
    batch_id = await settled_batch(ledger, ItemState.SUCCEEDED, idempotency_key="key-1")
    await ledger.delete(batch_id)

    for count in (1, 2):
        error = await error_of(
            IdempotencyKeyReusedError,
            "a deleted batch leaves a tombstone",
            ledger.accept(batch_of(count, idempotency_key="key-1")),
        )
        expect("the error says so", expected=(batch_id, True), actual=(error.batch_id, error.deleted))


@rule_of(accepting)
async def a_purged_batch_keeps_its_key(ledger: BatchLedger) -> None:
    batch_id = await settled_batch(ledger, ItemState.SUCCEEDED, idempotency_key="key-1")
    await ledger.purge(settled_before=later(1))
    error = await error_of(
        IdempotencyKeyReusedError,
        "a purged batch leaves a tombstone",
        ledger.accept(batch_of(1, idempotency_key="key-1")),
    )

    expect("the error says so", expected=(batch_id, True), actual=(error.batch_id, error.deleted))


@rule_of(accepting)
async def a_key_is_looked_up_as_it_would_be_accepted(ledger: BatchLedger) -> None:
    # Asked before every rule, so that what was accepted is returned as it is; decision 160.
    batch = batch_of(2, idempotency_key="key-1")
    other = attrs.evolve(COORDINATOR, user_id="coordinator-2")
    batch_id = await accepted(ledger, batch)

    async def found(key: str, fingerprint: str = batch.fingerprint, actor: Actor = COORDINATOR) -> str | None:
        return await ledger.find_by_key(actor, key, fingerprint)

    expect("the batch that it became", expected=batch_id, actual=await found("key-1"))
    expect("a new key has none", expected=None, actual=await found("key-2"))
    expect("another coordinator's key is another", expected=None, actual=await found("key-1", actor=other))
    for odd in UNKEEPABLE:
        expect("a key that cannot be kept has none", expected=None, actual=await found(odd))
    error = await error_of(
        IdempotencyKeyReusedError, "a key stands for one content", found("key-1", batch_of(3).fingerprint)
    )
    expect("the error names the batch", expected=(batch_id, False), actual=(error.batch_id, error.deleted))
    deleted = await settled_batch(ledger, ItemState.SUCCEEDED, idempotency_key="key-3")
    await ledger.delete(deleted)
    error = await error_of(
        IdempotencyKeyReusedError,
        "a deleted batch leaves a tombstone",
        found("key-3", batch_of(1).fingerprint),
    )
    expect("the error says so", expected=(deleted, True), actual=(error.batch_id, error.deleted))


@rule_of(accepting)
async def one_key_at_once_creates_one_batch(ledger: BatchLedger) -> None:
    # Calls that look first all find nothing; only a unique key decides.
    batch = batch_of(3, idempotency_key="key-1")
    answers = await at_once(*[lambda: ledger.accept(batch)] * 5)

    expect("one call creates", expected=1, actual=sum(answer.created for answer in answers))
    expect("all get its batch", expected=1, actual=len({answer.batch_id for answer in answers}))


@rule_of(accepting)
async def refused_items_enter_the_log_first(ledger: BatchLedger) -> None:
    # Without a work row no driver can ever claim them; decision 2.
    first, second, third, fourth = mentors(4)
    batch_id = await accepted(ledger, batch_of(4, verdicts={fourth: REFUSED, second: REFUSED}))
    outcomes = [update.outcome for update in await log_of(ledger, batch_id)]

    expect(
        "refused items are in request order, from sequence 1",
        expected=[(second, 1), (fourth, 2)],
        actual=[(outcome.mentor_id, outcome.sequence) for outcome in outcomes],
    )
    expect(
        "they failed before any call",
        expected={(ItemState.FAILED, REFUSAL, 0, NOON)},
        actual={(o.state, o.failure, o.attempts, o.settled_at) for o in outcomes},
    )
    record = await record_of(ledger, batch_id)
    expect(
        "they count as items of the run",
        expected=(4, 0, 2),
        actual=(record.run_items, record.base, record.tail),
    )
    claimed = await claim(ledger, await lease_of(ledger, batch_id), 2)
    expect("they are never claimed", expected=[first, third], actual=[work.mentor_id for work in claimed])


@rule_of(accepting)
async def a_batch_of_refused_items_still_has_a_run_to_settle(ledger: BatchLedger) -> None:
    # Its audit event is stored when the run settles, and there has to be one.
    batch_id = await accepted(ledger, batch_of(1, verdicts={mentors(1)[0]: REFUSED}))

    expect("it is not settled", expected=None, actual=(await record_of(ledger, batch_id)).settled_at)
    lease = await lease_of(ledger, batch_id)
    await ledger.settle(lease, settled_at=later(1), audit_hold=0)
    expect("it can be", expected=BulkStatus.TOTAL_FAILURE, actual=(await result_of(ledger, batch_id)).status)


@rule_of(accepting)
async def a_batch_has_the_id_it_was_given(ledger: BatchLedger) -> None:
    # The conflict check is asked under the id before anything is stored; decision 23.
    first, second = await ledger.new_batch_id(), await ledger.new_batch_id()
    expect("two ids differ", expected=True, actual=first != second)
    expect("asking for one stores nothing", expected=None, actual=await ledger.get(first))
    batch = batch_of(2, batch_id=second, idempotency_key="key-1")
    answer = await ledger.accept(batch)

    expect("it is used", expected=(second, True), actual=(answer.batch_id, answer.created))
    expect("and found", expected=second, actual=(await record_of(ledger, second)).batch_id)
    again = await ledger.accept(attrs.evolve(batch, batch_id=first))
    expect("its key answers", expected=(second, False), actual=(again.batch_id, again.created))
    expect("the other id is unused", expected=None, actual=await ledger.get(first))
    expect("ids go on", expected=False, actual=await ledger.new_batch_id() in {first, second})


@rule_of(accepting)
async def a_batch_with_a_text_that_cannot_be_kept_is_refused_whole(ledger: BatchLedger) -> None:
    for odd in UNKEEPABLE:
        for changes in ({"label": odd}, {"idempotency_key": odd}):
            call = ledger.accept(batch_of(2, **changes))
            await error_of(RecordRefusedError, f"{next(iter(changes))} {odd!r}", call)
    half = attrs.evolve(ACTIVITY, notes=UNKEEPABLE[1])
    entries = (RegistrationEntry("mentor-1", ACTIVITY), RegistrationEntry("mentor-2", half))
    await error_of(RecordRefusedError, "an activity", ledger.accept(batch_of(2, entries=entries)))
    page = await ledger.list_batches(Visibility(organization_id="org-1"), page=1, limit=9, statuses=None)

    expect("nothing of them is stored", expected=0, actual=page.total)


@rule_of(accepting)
async def a_label_that_cannot_be_kept_changes_nothing(ledger: BatchLedger) -> None:
    batch_id = await accepted(ledger, batch_of(1, label="Spring"))
    for odd in UNKEEPABLE:
        await error_of(RecordRefusedError, f"the label {odd!r}", ledger.relabel(batch_id, odd))

    expect("the old one stands", expected="Spring", actual=(await record_of(ledger, batch_id)).label)


@rule_of(accepting)
async def the_longest_ids_are_kept(ledger: BatchLedger) -> None:
    # Characters of four bytes each: an index of a database counts bytes.
    longest = _LONG_CHARACTER * _LONGEST
    actor = attrs.evolve(COORDINATOR, user_id=longest, organization_id=longest)
    entries = tuple(
        RegistrationEntry(f"{number}{_LONG_CHARACTER * (_LONGEST - 1)}", ACTIVITY) for number in range(2)
    )
    batch_id = await accepted(ledger, batch_of(2, actor=actor, entries=entries, idempotency_key=longest))
    result = await result_of(ledger, batch_id)

    expect(
        "every mentor is found",
        expected=[entry.mentor_id for entry in entries],
        actual=[outcome.mentor_id for outcome in result.outcomes],
    )
    expect("the coordinator too", expected=longest, actual=result.coordinator_id)


@rule_of(accepting)
async def a_new_id_leaves_room_for_a_mentors(ledger: BatchLedger) -> None:
    batch_id = await ledger.new_batch_id()

    expect("printable", expected=True, actual=batch_id.isprintable())
    expect("1 to 200 characters", expected=True, actual=0 < len(batch_id) <= _LONGEST)
