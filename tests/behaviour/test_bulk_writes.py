"""
A service that writes many at once gets a page per call; whatever goes wrong, each mentor ends as alone.
"""

import asyncio
import math

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint

from proxy_orchestration import (
    BulkSettings,
    BulkStatus,
    ConflictPolicy,
    ItemState,
    OutcomeUnknownError,
    RegistrationReceipt,
    RetryPolicy,
)
from proxy_orchestration._concurrency import Notifier
from proxy_orchestration.ports import RegistrationFailure
from proxy_orchestration.registration.execution.attempts import StopReason
from proxy_orchestration.registration.execution.cancel_watch import CancelWatch
from proxy_orchestration.registration.execution.run_context import RunContext
from proxy_orchestration.registration.execution.run_driver import RunDriver
from proxy_orchestration.registration.reasons import UNEXPECTED
from proxy_orchestration.testing import (
    BulkLookupRegistrationService,
    BulkRegistrationService,
    duplicate,
    fail,
    hang,
    lose_reply,
    reject,
    slow,
    succeed,
    unavailable,
)

THREE = RetryPolicy(max_attempts=3)


@pytest.fixture(params=[BulkRegistrationService, BulkLookupRegistrationService], ids=["blind", "look-up"])
def bulk(request, scene_with):
    """
    Return a scene whose service writes many at once, without and with a look-up.
    """
    return scene_with(request.param())


@pytest.fixture
def blind(scene_with):
    """
    Return a scene whose service writes many at once and knows no look-up.
    """
    return scene_with(BulkRegistrationService())


@pytest.fixture
def seeing(scene_with):
    """
    Return a scene whose service writes many at once and can be asked what is written.
    """
    return scene_with(BulkLookupRegistrationService())


def submit(scene, mentors=50, **rest):
    """
    Submit while time passes.
    """
    request = attrs.evolve(scene.request(mentors), **rest)
    return scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)
    )


def refuse(*names, with_reply=None):
    """
    Return a row script that refuses these mentors.
    """
    return lambda registration, _: (
        (with_reply or reject("no_agreement")) if registration.mentor_id in names else succeed()
    )


async def test_fifty_mentors_are_one_call(bulk):
    """
    One claimed page, one round trip, one record each.
    """
    result = await submit(bulk)

    assert BulkStatus.SUCCESS is result.status
    assert [50] == [len(call) for call in bulk.service.bulk_calls]
    assert [] == bulk.service.calls
    assert 50 == len(bulk.service.records)
    assert {1} == {outcome.attempts for outcome in result.outcomes}


async def test_pages_hold_what_a_call_may_hold(bulk):
    """
    `max_per_call` is the service's own limit; every mentor is asked once.
    """
    bulk.settings = BulkSettings(max_per_call=20)

    result = await submit(bulk, 130)

    assert BulkStatus.SUCCESS is result.status
    assert max(len(call) for call in bulk.service.bulk_calls) == 20
    assert 130 == sum(len(call) for call in bulk.service.bulk_calls)


async def test_no_more_is_claimed_than_may_be_undurable(bulk):
    """
    A page is at most what may be in doubt after a kill.
    """
    bulk.settings = BulkSettings(max_undurable=30)

    await submit(bulk, 100)

    assert max(len(call) for call in bulk.service.bulk_calls) <= 30


async def test_progress_is_one_update_per_mentor(bulk):
    """
    A page settles fifty mentors, and fifty updates tell so.
    """
    updates = []

    async def stream():
        async with bulk.orchestrator().stream_bulk_registration(bulk.request(50), actor=bulk.actor) as run:
            updates.extend([update async for update in run])

    await bulk.while_time_passes(stream)

    assert list(range(1, 51)) == [update.sequence for update in updates]
    assert 50 == len({update.outcome.mentor_id for update in updates})


async def test_rows_that_are_refused_in_the_answer_fail_alone(bulk):
    """
    Each row has its own answer; no further call is made.
    """
    bulk.service.script = refuse("mentor-3", "mentor-7")

    result = await submit(bulk, 10)

    assert ["mentor-3", "mentor-7"] == [outcome.mentor_id for outcome in result.failed]
    assert {"no_agreement"} == {outcome.failure.code for outcome in result.failed}
    assert 1 == len(bulk.service.bulk_calls)


@pytest.mark.parametrize(
    ("policy", "state"),
    [(ConflictPolicy.REVIEW, ItemState.NEEDS_REVIEW), (ConflictPolicy.SKIP, ItemState.SKIPPED)],
)
async def test_a_duplicate_among_many_waits_or_is_skipped(bulk, policy, state):
    """
    What the policy says of conflicts holds for one that only the call finds.
    """
    bulk.service.script = refuse("mentor-3", with_reply=duplicate("activity-9"))

    result = await submit(bulk, 10, on_conflict=policy)

    assert {state: 1, ItemState.SUCCEEDED: 9} == dict(result.counts)
    assert "activity-9" == result.outcomes[3].conflicting_activity_id


@pytest.mark.parametrize("size", [2, 3, 16, 50, 64, 200])
async def test_one_bad_row_is_found_by_halving(bulk, size):
    """
    A page that is refused as a whole costs at most 2·log2(n) + 1 further calls, and one mentor.
    """
    bad = f"mentor-{size // 3}"
    bulk.service.chunk_script = lambda registrations, _: (
        fail(ValueError("row 17 of table secret"))
        if any(registration.mentor_id == bad for registration in registrations)
        else succeed()
    )
    bulk.service.script = refuse(bad, with_reply=reject("bad_row"))

    result = await submit(bulk, size)

    assert [bad] == [outcome.mentor_id for outcome in result.failed]
    assert "bad_row" == result.failed[0].failure.code
    further = len(bulk.service.bulk_calls) - 1 + len(bulk.service.calls)
    assert further <= 2 * math.ceil(math.log2(size)) + 1
    assert size - 1 == len(bulk.service.records)


async def test_a_row_that_only_an_exception_tells_of_fails_as_unexpected(bulk):
    """
    Alone, the row is registered by itself, and its error is what it always was.
    """
    bulk.service.script = refuse("mentor-1", with_reply=fail(ValueError("secret")))

    result = await submit(bulk, 4)

    assert ("unexpected", UNEXPECTED.message) == (
        result.outcomes[1].failure.code,
        result.outcomes[1].failure.message,
    )
    assert 3 == len(result.succeeded)


@pytest.mark.parametrize("error", [reject("closed"), duplicate("activity-1")])
async def test_a_definite_refusal_of_the_call_is_halved_too(bulk, error):
    """
    Nothing was written, for some row of it; each row gets its own answer.
    """
    bulk.service.chunk_script = lambda registrations, _: error

    result = await submit(bulk, 4)

    assert BulkStatus.SUCCESS is result.status
    assert 4 == len(bulk.service.calls)


async def test_a_page_that_is_not_executed_is_repeated_whole(bulk):
    """
    The same rows under the same keys, after what the service asked for.
    """
    bulk.service.chunk_script = lambda _, call: unavailable(60.0) if call == 1 else succeed()
    began = bulk.clock.monotonic()

    result = await submit(bulk, 20)

    assert BulkStatus.SUCCESS is result.status
    first, second = bulk.service.bulk_calls
    assert [row.idempotency_key for row in first] == [row.idempotency_key for row in second]
    assert {2} == {outcome.attempts for outcome in result.outcomes}
    assert 60.0 == bulk.clock.monotonic() - began


async def test_a_page_that_is_never_executed_fails_as_unavailable(bulk):
    """
    Attempts run out; nothing was written, and a retry is worth it.
    """
    bulk.settings = BulkSettings(retry=THREE)
    bulk.service.chunk_script = lambda *_: unavailable()

    result = await submit(bulk, 5)

    assert BulkStatus.TOTAL_FAILURE is result.status
    assert {"unavailable"} == {outcome.failure.code for outcome in result.failed}
    assert 3 == len(bulk.service.bulk_calls)


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), OutcomeUnknownError()])
async def test_a_lost_reply_is_repeated_under_the_same_keys(blind, error):
    """
    Without a look-up the page is repeated, and the service answers with the records that stand.
    """
    blind.service.chunk_script = lambda _, call: lose_reply(error) if call == 1 else succeed()

    result = await submit(blind, 20)

    assert BulkStatus.SUCCESS is result.status
    assert 20 == len(blind.service.records)
    assert 1 == len({tuple(row.idempotency_key for row in call) for call in blind.service.bulk_calls})


async def test_a_lost_reply_is_looked_up_row_by_row(seeing):
    """
    With a look-up nothing is repeated.
    """
    seeing.service.chunk_script = lambda *_: lose_reply()

    result = await submit(seeing, 20)

    assert BulkStatus.SUCCESS is result.status
    assert (1, 20, []) == (
        len(seeing.service.bulk_calls),
        len(seeing.service.lookups),
        seeing.service.calls,
    )


async def test_doubt_that_stays_ends_unknown(blind):
    """
    Attempts run out; UNKNOWN says so, and a retry goes on under the same keys.
    """
    blind.service.chunk_script = lambda _, call: lose_reply() if call <= 3 else succeed()
    blind.settings = BulkSettings(retry=THREE)

    result = await submit(blind, 5)
    assert {ItemState.UNKNOWN: 5} == dict(result.counts)

    retried = await blind.while_time_passes(
        lambda: blind.orchestrator().retry_failed_items(result.batch_id, actor=blind.actor)
    )

    assert BulkStatus.SUCCESS is retried.status
    assert 5 == len(blind.service.records)
    assert 1 == len({tuple(row.idempotency_key for row in call) for call in blind.service.bulk_calls})


GARBLED = {
    "too few": lambda answers, _: answers[:-1],
    "too many": lambda answers, _: [*answers, answers[0]],
    "in another order": lambda answers, _: answers[::-1],
    "nothing": lambda answers, _: None,
    "other things": lambda answers, _: ["fine"] * len(answers),
    "another registration": lambda answers, _: [
        *answers[:-1],
        RegistrationReceipt(registration_id="batch-x:mentor-x", activity_id="activity-x"),
    ],
    "a failure of another registration": lambda answers, _: [
        *answers[:-1],
        RegistrationFailure(registration_id="batch-x:mentor-x", code="no", message="No."),
    ],
}


@pytest.mark.parametrize("garble", GARBLED.values(), ids=GARBLED)
async def test_an_answer_that_does_not_fit_is_no_answer(bulk, garble):
    """
    Every row of the call is in doubt, and found out; nothing is guessed from the answer.
    """
    bulk.service.garble = lambda answers, call: garble(answers, call) if call == 1 else answers

    result = await submit(bulk, 6)

    assert BulkStatus.SUCCESS is result.status
    records = {name: record.activity_id for name, record in bulk.service.records.items()}
    assert records == {f"{result.batch_id}:{o.mentor_id}": o.activity_id for o in result.outcomes}
    assert 6 == len(records)


async def test_a_call_that_takes_too_long_is_cut_and_found_out(bulk):
    """
    The page was written although nobody heard of it.
    """
    bulk.service.chunk_script = lambda _, call: hang(written=True) if call == 1 else succeed()

    result = await submit(bulk, 10)

    assert BulkStatus.SUCCESS is result.status
    assert 10 == len(bulk.service.records)


async def test_what_a_dead_driver_began_is_found_out_first(bulk):
    """
    Killed while a page was in flight: the next driver doubles nothing.
    """
    orchestrator = bulk.orchestrator()
    bulk.service.chunk_script = lambda _, call: hang(written=True) if call == 1 else succeed()
    await bulk.interrupt(
        lambda: orchestrator.submit_bulk_registration(bulk.request(10, "key"), actor=bulk.actor)
    )

    result = await bulk.while_time_passes(
        lambda: bulk.orchestrator().submit_bulk_registration(bulk.request(10, "key"), actor=bulk.actor)
    )

    assert BulkStatus.SUCCESS is result.status
    assert 10 == len(bulk.service.records)
    assert {1} == {int(key.rsplit(":", 1)[1]) + 1 for call in bulk.service.bulk_calls for key in _keys(call)}


def _keys(call):
    return [registration.idempotency_key for registration in call]


async def cancel_in_flight(scene, mentors=10):
    """
    Cancel while a page is in flight, and return the report and the result.
    """
    orchestrator = scene.orchestrator()
    reports = []

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(
                lambda: orchestrator.submit_bulk_registration(scene.request(mentors), actor=scene.actor)
            )
            await scene.quiet()
            page = await orchestrator.list_batches(actor=scene.actor)
            batch_id = page.batches[0].batch_id
            reports.append(await orchestrator.cancel_batch(batch_id, actor=scene.actor))
        return await orchestrator.get_bulk_submission_status(batch_id, actor=scene.actor)

    result = await scene.while_time_passes(both)
    return reports[0], result


async def test_a_cancel_lets_the_page_in_flight_finish(bulk):
    """
    What was called ends as it ends; what was not is cancelled.
    """
    bulk.settings = BulkSettings(max_undurable=4, max_per_call=4, max_concurrency=1)
    bulk.service.chunk_script = lambda *_: slow(3.0)

    report, result = await cancel_in_flight(bulk)

    assert (6, 4, 0) == (report.never_started, report.finished, report.in_doubt)
    assert {ItemState.SUCCEEDED: 4, ItemState.CANCELLED: 6} == dict(result.counts)


async def test_pages_that_wait_for_a_worker_are_cancelled_and_not_called(bulk):
    """
    They were claimed, but no call began: provably CANCELLED.
    """
    bulk.settings = BulkSettings(max_per_call=2, max_concurrency=1)
    bulk.service.chunk_script = lambda *_: slow(3.0)

    report, _ = await cancel_in_flight(bulk)

    assert (8, 2, 0) == (report.never_started, report.finished, report.in_doubt)
    assert 1 == len(bulk.service.bulk_calls)


async def test_pages_that_wait_for_a_place_among_the_calls_are_cancelled_too(bulk):
    """
    All workers but one wait for the limit over all batches; the cut ends their waits.
    """
    bulk.settings = BulkSettings(max_per_call=2, max_concurrency=5, max_calls_in_flight=1)
    bulk.service.chunk_script = lambda *_: slow(3.0)

    report, _ = await cancel_in_flight(bulk)

    assert (8, 2, 0) == (report.never_started, report.finished, report.in_doubt)
    assert 1 == len(bulk.service.bulk_calls)


async def test_a_page_past_the_grace_is_cut_and_unknown(blind):
    """
    Nobody knows; UNKNOWN says so.
    """
    blind.settings = BulkSettings(cancel_grace=1.0)
    blind.service.chunk_script = lambda *_: hang(written=True)

    _, result = await cancel_in_flight(blind)

    assert {ItemState.UNKNOWN: 10} == dict(result.counts)


async def test_a_page_past_the_grace_is_looked_up_once(seeing):
    """
    With a look-up the truth is found even then.
    """
    seeing.settings = BulkSettings(cancel_grace=1.0)
    seeing.service.chunk_script = lambda *_: hang(written=True)

    _, result = await cancel_in_flight(seeing)

    assert {ItemState.SUCCEEDED: 10} == dict(result.counts)
    assert 10 == len(seeing.service.lookups)


async def test_a_cancel_ends_the_backoff_of_a_page(bulk):
    """
    It was called and refused for now: FAILED as unavailable, and at once.
    """
    bulk.service.chunk_script = lambda *_: unavailable(1000.0)

    _, result = await cancel_in_flight(bulk)

    assert {"unavailable"} == {outcome.failure.code for outcome in result.outcomes}
    assert bulk.clock.monotonic() < 1000.0


async def test_a_service_that_answers_its_own_cut_late_is_believed(blind):
    """
    A definite answer counts, also one that comes as the call is cut.
    """
    blind.settings = BulkSettings(cancel_grace=1.0)

    async def register_many(registrations, /, *, atomic):
        try:
            await anyio.sleep_forever()
        finally:
            blind.service.bulk_calls.append(tuple(registrations))

    blind.service.register_many = register_many
    _, result = await cancel_in_flight(blind, 3)

    assert {ItemState.UNKNOWN: 3} == dict(result.counts)


async def test_one_mentor_is_registered_alone(bulk):
    """
    A page of one is no page.
    """
    result = await submit(bulk, 1)

    assert BulkStatus.SUCCESS is result.status
    assert ([], 1) == (bulk.service.bulk_calls, len(bulk.service.calls))


async def test_a_service_that_makes_an_error_of_its_cut_is_still_cut(blind):
    """
    What it says after that is no answer; the page is in doubt.
    """
    blind.settings = BulkSettings(cancel_grace=1.0)

    async def register_many(_registrations, /, *, atomic):
        try:
            await anyio.sleep_forever()
        except BaseException as error:
            raise ValueError from error

    blind.service.register_many = register_many
    _, result = await cancel_in_flight(blind, 3)

    assert {ItemState.UNKNOWN: 3} == dict(result.counts)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio wakes tasks in an order of its own choice
async def test_a_place_among_the_calls_that_comes_with_the_cut_is_not_used(blind):
    """
    The other page's call ends in the very turn in which the cancel is heard: no call begins after it.
    """
    blind.settings = BulkSettings(max_concurrency=2, max_calls_in_flight=1, max_per_call=2, cancel_grace=1.0)
    gate = anyio.Event()
    blind.service.chunk_script = lambda *_: slow(gate)
    accepted = await blind.orchestrator().submit_bulk_registration(
        blind.request(4), actor=blind.actor, drive=False
    )
    limiter = anyio.CapacityLimiter(1)
    context = RunContext(
        lease=await blind.repository.acquire(accepted.batch_id, 1, ttl=30.0),
        service=blind.service,
        clock=blind.clock,
        settings=blind.settings,
        limiter=limiter,
    )
    watch = CancelWatch(
        ledger=blind.repository, clock=context.clock, poll_interval=context.settings.poll_interval
    )
    driver = RunDriver(context=context, ledger=blind.repository, progress=Notifier(), cancel_watch=watch)

    async with anyio.create_task_group() as crew:
        crew.start_soon(driver.drive)
        await blind.quiet()
        await blind.repository.cancel_run(accepted.batch_id, reason=None, wished_at=blind.clock.now())
        gate.set()
        while limiter.statistics().tasks_waiting:
            await checkpoint()
        driver._stop_for(StopReason.CANCEL_REQUESTED)

    assert 1 == len(blind.service.bulk_calls)
    result = await blind.repository.read_result(accepted.batch_id)
    assert {ItemState.SUCCEEDED: 2, ItemState.CANCELLED: 2} == dict(result.counts)


@pytest.mark.parametrize(
    "reply", [hang(), attrs.evolve(slow(25.0, unavailable(3600.0)), stubborn=True)], ids=["cut", "stubborn"]
)
async def test_after_a_stop_nobody_waits_for_another_attempt(blind, reply):
    """
    The grace is over, and so is the run, whatever the service asked for.
    """
    blind.settings = BulkSettings(
        cancel_grace=10.0, call_timeout=1000.0, lease_ttl=3000.0, retry=RetryPolicy(initial=300.0, jitter=0.0)
    )
    blind.service.chunk_script = lambda *_: reply

    _, result = await cancel_in_flight(blind, 3)

    assert result.settled_at is not None
    assert blind.clock.monotonic() < 60.0


async def test_pages_and_single_calls_share_the_cap(bulk):
    """
    Rows of refused pages are called alone while other pages are in flight.
    """
    bulk.settings = BulkSettings(max_concurrency=2, max_per_call=2)
    bulk.service.script = lambda *_: slow(1.0)
    bulk.service.chunk_script = lambda _, call: fail(ValueError()) if call <= 3 else slow(1.0)

    result = await submit(bulk, 14)

    assert BulkStatus.SUCCESS is result.status
    assert 2 == bulk.service.most_in_flight


async def test_a_page_that_was_refused_and_stopped_keeps_its_keys(blind):
    """
    The error said nothing definite: it may hide a lost reply, and is told as what it was.
    """
    blind.service.chunk_script = lambda _, call: fail(ValueError()) if call == 1 else unavailable(1000.0)

    _, result = await cancel_in_flight(blind, 4)

    assert {"unexpected"} == {outcome.failure.code for outcome in result.outcomes}


async def test_a_group_of_errors_leaves_the_page_in_doubt(blind):
    """
    Among them may be a lost reply.
    """
    blind.service.chunk_script = lambda _, call: (
        lose_reply(ExceptionGroup("both", [TimeoutError(), ValueError()])) if call == 1 else succeed()
    )

    result = await submit(blind, 4)

    assert BulkStatus.SUCCESS is result.status
    assert [4, 4] == [len(call) for call in blind.service.bulk_calls]


async def test_leaving_early_stores_everything_that_had_finished(blind):
    """
    Also more than one commit's worth.
    """
    blind.settings = BulkSettings(max_undurable=1200, max_per_call=1200)
    commit, gate = blind.repository.commit, anyio.Event()

    async def slow_commit(lease, write, /):
        if write.outcomes and not gate.is_set():
            gate.set()
            await checkpoint()
        return await commit(lease, write)

    blind.repository.commit = slow_commit
    async with anyio.create_task_group() as crew:
        crew.start_soon(
            lambda: blind.orchestrator().submit_bulk_registration(blind.request(1200), actor=blind.actor)
        )
        await gate.wait()
        crew.cancel_scope.cancel()

    (batch,) = (await blind.orchestrator().list_batches(actor=blind.actor)).batches
    assert {ItemState.SUCCEEDED: 1200} == dict(batch.counts)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio lets nobody make its cancellation
async def test_a_cancellation_that_the_service_made_up_is_a_lost_reply(blind):
    """
    Nobody cancelled the driver; the page is repeated under its keys.
    """
    register_many, calls = blind.service.register_many, []

    async def cancels(registrations, /, *, atomic):
        calls.append(registrations)
        if len(calls) == 1:
            raise asyncio.CancelledError
        return await register_many(registrations, atomic=atomic)

    blind.service.register_many = cancels

    result = await submit(blind, 3)

    assert BulkStatus.SUCCESS is result.status
    assert 2 == len(calls)
