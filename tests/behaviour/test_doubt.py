import asyncio

import pytest

from proxy_orchestration import (
    BulkSettings,
    BulkStatus,
    ItemState,
    OutcomeUnknownError,
    RegistrationReceipt,
    RetryPolicy,
)
from proxy_orchestration.testing import (
    duplicate,
    fail,
    hang,
    lose_reply,
    not_seen,
    reject,
    slow,
    stubborn,
    succeed,
    unavailable,
)

ONCE = RetryPolicy(max_attempts=1)


def submit(scene, mentors=1):
    """
    Submit while time passes.
    """
    return scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(mentors), actor=scene.actor)
    )


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), OutcomeUnknownError()])
async def test_a_lost_reply_is_repeated_under_the_same_key(scene, error):
    """
    Without a look-up the call is repeated; the service answers with the one record.
    """
    scene.service.script = lambda _, attempt: lose_reply(error) if attempt == 1 else succeed()

    result = await submit(scene)

    assert BulkStatus.SUCCESS is result.status
    assert 2 == result.outcomes[0].attempts
    assert 1 == len({call.idempotency_key for call in scene.service.calls})
    assert 1 == len(scene.service.records)


async def test_a_lost_reply_is_looked_up_and_not_repeated(lookup_scene):
    """
    A look-up that sees the record settles the doubt without a second call.
    """
    lookup_scene.service.script = lambda *_: lose_reply()

    result = await submit(lookup_scene)

    assert BulkStatus.SUCCESS is result.status
    assert (1, 1) == (len(lookup_scene.service.calls), len(lookup_scene.service.lookups))


async def test_not_seen_is_no_proof_and_the_call_is_repeated(lookup_scene):
    """
    `None` from a look-up leads to another call under the same key.
    """
    lookup_scene.service.script = lambda _, attempt: lose_reply() if attempt == 1 else succeed()
    lookup_scene.service.lookup_script = lambda *_: not_seen()

    result = await submit(lookup_scene)

    assert BulkStatus.SUCCESS is result.status
    assert 1 == len({call.idempotency_key for call in lookup_scene.service.calls})
    assert 1 == len(lookup_scene.service.records)


@pytest.mark.parametrize("trouble", [fail(RuntimeError()), reject(), unavailable(), fail(TimeoutError())])
async def test_a_failing_look_up_leaves_the_doubt(lookup_scene, trouble):
    """
    No error of a look-up is an answer to the call.
    """
    lookup_scene.service.script = lambda *_: lose_reply()
    lookup_scene.service.lookup_script = lambda *_: trouble

    result = await submit(lookup_scene)

    assert ItemState.UNKNOWN is result.outcomes[0].state
    assert "outcome_unknown" == result.outcomes[0].failure.code


async def test_doubt_that_no_attempt_clears_ends_unknown(scene):
    """
    UNKNOWN is stored when attempts run out; it counts as failed and can be retried.
    """
    scene.service.script = lambda *_: lose_reply()

    result = await submit(scene)

    assert (ItemState.UNKNOWN, 3) == (result.outcomes[0].state, result.outcomes[0].attempts)
    assert BulkStatus.TOTAL_FAILURE is result.status
    assert result.failed == result.outcomes
    assert result.outcomes[0].failure.retryable


async def test_a_lost_reply_to_the_last_call_is_looked_up(lookup_scene):
    """
    No call is left, but a question is: the record is there.
    """
    lookup_scene.service.script = lambda _, attempt: unavailable() if attempt < 3 else lose_reply()

    result = await submit(lookup_scene)

    assert BulkStatus.SUCCESS is result.status
    assert (3, 1) == (len(lookup_scene.service.calls), len(lookup_scene.service.lookups))


async def test_a_last_call_that_ran_out_of_time_is_looked_up(lookup_scene):
    """
    Cut off by the time limit, it may have been executed all the same.
    """
    lookup_scene.settings = BulkSettings(retry=ONCE)
    lookup_scene.service.script = lambda *_: hang(written=True)

    result = await submit(lookup_scene)

    assert ItemState.SUCCEEDED is result.outcomes[0].state
    assert (1, 1) == (len(lookup_scene.service.calls), len(lookup_scene.service.lookups))


@pytest.mark.parametrize("trouble", [not_seen(), unavailable(), fail(RuntimeError()), hang()])
async def test_a_last_look_up_that_sees_nothing_leaves_the_doubt(lookup_scene, trouble):
    """
    It is asked once, and what it does not see may be there.
    """
    lookup_scene.settings = BulkSettings(retry=ONCE)
    lookup_scene.service.script = lambda *_: lose_reply()
    lookup_scene.service.lookup_script = lambda *_: trouble

    result = await submit(lookup_scene)

    assert (ItemState.UNKNOWN, 1) == (result.outcomes[0].state, result.outcomes[0].attempts)
    assert 1 == len(lookup_scene.service.lookups)


@pytest.mark.parametrize("then", [unavailable(), fail(KeyError())])
async def test_a_key_in_doubt_ends_neither_unavailable_nor_unexpected(scene, then):
    """
    Only a definite answer to that very key clears the doubt.
    """
    scene.service.script = lambda _, attempt: lose_reply() if attempt == 1 else then

    result = await submit(scene)

    assert ItemState.UNKNOWN is result.outcomes[0].state


async def test_a_definite_answer_to_the_key_in_doubt_settles_it(scene):
    """
    A refusal of the repeated call says that the first one wrote nothing.
    """
    scene.service.script = lambda _, attempt: fail(TimeoutError()) if attempt == 1 else reject("no", "No.")

    result = await submit(scene)

    assert (ItemState.FAILED, "no") == (result.outcomes[0].state, result.outcomes[0].failure.code)


async def test_a_call_that_hangs_is_cut_and_in_doubt(lookup_scene):
    """
    Past `call_timeout` the call is cancelled and looked up.
    """
    lookup_scene.settings = BulkSettings(call_timeout=5.0)
    lookup_scene.service.script = lambda *_: hang(written=True)

    result = await submit(lookup_scene)

    assert BulkStatus.SUCCESS is result.status
    assert 0 == lookup_scene.service.in_flight
    assert 5.0 <= lookup_scene.clock.monotonic() < 10.0


async def test_a_hanging_service_ends_unknown_and_stops_nobody_else(scene):
    """
    One mentor hangs for ever; the others are done at once.
    """
    scene.settings = BulkSettings(call_timeout=5.0, max_concurrency=2)
    scene.service.script = lambda r, _: hang() if r.mentor_id == "mentor-0" else succeed()

    result = await submit(scene, 6)

    assert ItemState.UNKNOWN is result.outcomes[0].state
    assert 5 == len(result.succeeded)


async def test_an_answer_after_cancellation_still_counts(scene):
    """
    A service that ignores being cut and answers late is believed.
    """
    scene.settings = BulkSettings(call_timeout=1.0)
    scene.service.script = lambda *_: stubborn(slow(3.0))

    result = await submit(scene, 2)

    assert BulkStatus.SUCCESS is result.status
    assert 2 == len(scene.service.calls)


@pytest.mark.parametrize(
    "garbage",
    [None, "activity-1", RegistrationReceipt(registration_id="somebody-else", activity_id="activity-1")],
)
async def test_an_answer_that_is_no_receipt_of_this_registration_is_doubt(scene, garbage):
    """
    A wrong answer is never guessed right.
    """
    scene.settings = BulkSettings(retry=ONCE)

    class Confused:
        async def register(self, _registration, /):
            return garbage

    scene.service = Confused()

    result = await scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)

    assert ItemState.UNKNOWN is result.outcomes[0].state


async def test_an_unexpected_error_keeps_the_key_and_is_looked_up_first_on_a_retry(lookup_scene):
    """
    A driver's own exception may hide a lost reply: the retry finds the record.
    """
    lookup_scene.service.script = lambda *_: lose_reply(RuntimeError("driver error"))
    orchestrator = lookup_scene.orchestrator()
    first = await orchestrator.submit_bulk_registration(lookup_scene.request(1), actor=lookup_scene.actor)
    assert ("unexpected", []) == (first.outcomes[0].failure.code, lookup_scene.service.lookups)

    second = await orchestrator.retry_failed_items(first.batch_id, actor=lookup_scene.actor)

    assert BulkStatus.SUCCESS is second.status
    assert 1 == len(lookup_scene.service.calls)


async def test_an_unexpected_error_keeps_the_key_without_a_look_up_too(scene):
    """
    The retry repeats the call under the same key; one record stands.
    """
    scene.service.script = lambda _, attempt: lose_reply(RuntimeError()) if attempt == 1 else succeed()
    orchestrator = scene.orchestrator()
    first = await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor)

    second = await orchestrator.retry_failed_items(first.batch_id, actor=scene.actor)

    assert BulkStatus.SUCCESS is second.status
    assert 1 == len({call.idempotency_key for call in scene.service.calls})
    assert 1 == len(scene.service.records)


async def test_doubt_outlives_the_run_it_arose_in(scene):
    """
    UNKNOWN in run 1 and refused for now in run 2 is still UNKNOWN, under the same key.
    """
    scene.service.script = lambda _, attempt: lose_reply() if attempt <= 3 else unavailable()
    orchestrator = scene.orchestrator()
    first = await submit(scene)

    second = await scene.while_time_passes(
        lambda: orchestrator.retry_failed_items(first.batch_id, actor=scene.actor)
    )

    assert ItemState.UNKNOWN is second.outcomes[0].state
    assert 1 == len({call.idempotency_key for call in scene.service.calls})


async def test_a_definite_failure_gets_a_new_key(scene):
    """
    A service that replays stored failures is asked under a fresh key.
    """
    scene.service.script = lambda _, attempt: reject() if attempt == 1 else succeed()
    orchestrator = scene.orchestrator()
    first = await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor)

    await orchestrator.retry_failed_items(first.batch_id, actor=scene.actor)

    assert 2 == len({call.idempotency_key for call in scene.service.calls})
    assert 1 == len({call.registration_id for call in scene.service.calls})


async def test_a_transient_refusal_is_repeated_after_what_the_service_asked_for(scene):
    """
    `retry_after` is honoured, and the same key is used.
    """
    scene.service.script = lambda _, attempt: unavailable(7.0) if attempt == 1 else succeed()

    result = await submit(scene)

    assert BulkStatus.SUCCESS is result.status
    assert scene.clock.monotonic() >= 7.0
    assert 1 == len({call.idempotency_key for call in scene.service.calls})


async def test_refusals_that_never_end_fail_as_unavailable(scene):
    """
    Definitely not executed, and retryable.
    """
    scene.service.script = lambda *_: unavailable()

    result = await submit(scene)

    failure = result.outcomes[0].failure
    assert (ItemState.FAILED, "unavailable", True) == (
        result.outcomes[0].state,
        failure.code,
        failure.retryable,
    )
    assert 3 == result.outcomes[0].attempts


async def test_a_duplicate_after_doubt_is_a_definite_answer(scene):
    """
    By the service's law its own record would have been found first.
    """
    scene.service.script = lambda _, n: fail(TimeoutError()) if n == 1 else duplicate("activity-7")

    result = await submit(scene)

    assert ItemState.NEEDS_REVIEW is result.outcomes[0].state


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio lets nobody make its cancellation
async def test_a_service_that_cancels_itself_leaves_doubt_and_the_batch_alive(scene):
    """
    A stray cancellation is not the host's: it is an answer that never came.
    """
    scene.settings = BulkSettings(retry=ONCE)

    class SelfCancelling:
        async def register(self, _registration, /):
            raise asyncio.CancelledError

    scene.service = SelfCancelling()

    result = await scene.orchestrator().submit_bulk_registration(scene.request(2), actor=scene.actor)

    assert {ItemState.UNKNOWN} == {outcome.state for outcome in result.outcomes}
