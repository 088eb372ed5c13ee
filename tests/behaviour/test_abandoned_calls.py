"""
A call that takes its cancellation for nothing is left behind: it holds up no item, no run and no batch.
"""

import contextvars
import logging

import anyio
import attrs
import pytest

from proxy_orchestration import (
    BulkSettings,
    BulkStatus,
    CallsAbandonedError,
    ItemState,
    RegistrationReceipt,
    RetryPolicy,
)
from proxy_orchestration.testing import (
    BulkLookupRegistrationService,
    BulkRegistrationService,
    hang,
    slow,
    stubborn,
    succeed,
    unavailable,
)

pytestmark = pytest.mark.dateless

ONCE = RetryPolicy(max_attempts=1)
HOST = contextvars.ContextVar("host", default="nobody")


def submit(scene, mentors=1, orchestrator=None, **rest):
    """
    Submit while time passes.
    """
    request = attrs.evolve(scene.request(mentors), **rest)
    orchestrator = orchestrator or scene.orchestrator()
    return scene.while_time_passes(lambda: orchestrator.submit_bulk_registration(request, actor=scene.actor))


def stuck(gate, *names, then=None):
    """
    Return a script in which the first call of these mentors ends with the gate, whatever happens.
    """
    return lambda one, attempt: (
        stubborn(slow(gate, then)) if one.mentor_id in names and attempt == 1 else succeed()
    )


async def test_a_call_that_ignores_its_cut_is_left_behind_and_the_run_settles(scene):
    """
    A second call under the same key is allowed meanwhile, and the late answer changes nothing.
    """
    gate = anyio.Event()
    scene.settings = BulkSettings(call_timeout=5.0, max_concurrency=1)
    scene.service.script = stuck(gate, "mentor-0")

    result = await submit(scene, 3)

    assert BulkStatus.SUCCESS is result.status
    assert 1 == scene.service.in_flight
    assert 4 == len(scene.service.calls)
    assert 1 == len({one.idempotency_key for one in scene.service.calls if one.mentor_id == "mentor-0"})
    gate.set()
    await scene.quiet()
    assert 0 == scene.service.in_flight
    assert result == await scene.repository.read_result(result.batch_id)


async def test_left_without_attempts_the_item_is_in_doubt(scene):
    """
    Nobody knows what the call did.
    """
    gate = anyio.Event()
    scene.settings = BulkSettings(call_timeout=5.0, retry=ONCE)
    scene.service.script = stuck(gate, "mentor-0", then=unavailable())

    result = await submit(scene, 2)

    assert [ItemState.UNKNOWN, ItemState.SUCCEEDED] == [outcome.state for outcome in result.outcomes]
    assert scene.clock.monotonic() < 15.0
    gate.set()
    await scene.quiet()


async def test_what_a_call_ends_with_late_is_logged_by_type_and_goes_nowhere(scene, caplog):
    """
    An answer, or an exception of any class.
    """
    gate = anyio.Event()
    scene.settings = BulkSettings(call_timeout=5.0, retry=ONCE)
    scene.service.script = lambda one, _: stubborn(
        slow(gate, succeed() if one.mentor_id == "mentor-0" else attrs.evolve(hang(), error=KeyError("x")))
    )

    await submit(scene, 2)
    gate.set()
    await scene.quiet()

    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "an abandoned call ended with an answer" in text
    assert "an abandoned call ended with KeyError" in text


async def test_it_keeps_its_place_among_the_calls_until_it_ends(scene):
    """
    Two places, one of them kept: calls go one by one, until the late one ends.
    """
    gate = anyio.Event()
    scene.settings = BulkSettings(call_timeout=5.0, max_calls_in_flight=2, max_concurrency=5, retry=ONCE)
    scene.service.script = stuck(gate, "mentor-0")
    orchestrator = scene.orchestrator()
    await submit(scene, 1, orchestrator)
    scene.service.script = lambda *_: slow(1.0)
    scene.service.most_in_flight = 0

    await submit(scene, 4, orchestrator)
    assert 2 == scene.service.most_in_flight
    gate.set()
    await scene.quiet()
    await submit(scene, 4, orchestrator)

    assert 2 == scene.service.most_in_flight
    assert 0 == scene.service.in_flight


async def test_at_the_limit_no_further_call_begins_and_the_batch_stays_resumable(scene, caplog):
    """
    One ERROR; another process goes on; when the calls end, this one does too.
    """
    gate = anyio.Event()
    scene.settings = BulkSettings(call_timeout=5.0, max_abandoned=2, max_concurrency=2)
    scene.service.script = lambda *_: stubborn(slow(gate))
    orchestrator = scene.orchestrator()

    with pytest.raises(CallsAbandonedError) as caught:
        await submit(scene, 4, orchestrator)

    assert 2 == caught.value.count
    errors = [
        each for each in caplog.records if each.levelno == logging.ERROR and "have not ended" in each.msg
    ]
    assert [2] == [each.calls for each in errors]
    assert 2 == len(scene.service.calls)
    scene.service.script = lambda *_: succeed()
    with pytest.raises(CallsAbandonedError):
        await submit(scene, 1, orchestrator)
    (waiting, first) = (await orchestrator.list_batches(actor=scene.actor)).batches
    await scene.while_time_passes(scene.orchestrator().resume_interrupted)
    done = await orchestrator.get_bulk_submission_status(first.batch_id, actor=scene.actor)
    assert BulkStatus.SUCCESS is done.status
    gate.set()
    await scene.quiet()
    assert BulkStatus.SUCCESS is (await submit(scene, 2, orchestrator)).status
    assert waiting.total == 1


@pytest.mark.parametrize("mode", ["independent", "atomic"])
async def test_a_call_for_many_is_left_behind_too(scene_with, mode):
    """
    Its rows are in doubt and repeated under their keys.
    """
    gate = anyio.Event()
    scene = scene_with(BulkRegistrationService())
    scene.settings = BulkSettings(call_timeout=5.0, max_concurrency=1, max_abandoned=2)
    scene.service.chunk_script = lambda _, call: stubborn(slow(gate)) if call == 1 else succeed()
    orchestrator = scene.orchestrator()

    result = await submit(scene, 4, orchestrator, mode=mode)

    assert BulkStatus.SUCCESS is result.status
    assert (2, 1) == (len(scene.service.bulk_calls), scene.service.in_flight)
    gate.set()
    await scene.quiet()
    assert 0 == scene.service.in_flight
    assert 0 == orchestrator._coordinator._limiter.borrowed_tokens


async def test_a_call_for_many_that_obeys_late_is_still_heard(scene_with):
    """
    Within the few seconds that it has: a definite answer counts.
    """
    scene = scene_with(BulkRegistrationService())
    scene.settings = BulkSettings(call_timeout=5.0)
    scene.service.chunk_script = lambda *_: stubborn(slow(7.0))

    result = await submit(scene, 4)

    assert BulkStatus.SUCCESS is result.status
    assert 1 == len(scene.service.bulk_calls)


async def test_calls_for_many_stop_at_the_limit(scene_with):
    """
    As calls for one do.
    """
    gate = anyio.Event()
    scene = scene_with(BulkRegistrationService())
    scene.settings = BulkSettings(call_timeout=5.0, max_abandoned=1)
    scene.service.chunk_script = lambda *_: stubborn(slow(gate))

    with pytest.raises(CallsAbandonedError):
        await submit(scene, 4)
    gate.set()
    await scene.quiet()

    assert 1 == len(scene.service.bulk_calls)


@pytest.mark.parametrize(
    ("mode", "mentors", "end"), [("independent", 1, ItemState.SUCCEEDED), ("atomic", 2, ItemState.UNKNOWN)]
)
async def test_a_look_up_that_ignores_its_cut_is_left_behind(scene_with, mode, mentors, end):
    """
    It said nothing, so the call is repeated; a whole ends in doubt.
    """
    gate = anyio.Event()
    scene = scene_with(BulkLookupRegistrationService())
    scene.settings = BulkSettings(call_timeout=5.0)
    scene.service.lookup_script = lambda *_: stubborn(slow(gate))
    scene.service.script = lambda _, n: hang(written=True) if n == 1 else succeed()
    scene.service.chunk_script = lambda *_: hang(written=True)

    result = await submit(scene, mentors, mode=mode)

    assert {end} == {outcome.state for outcome in result.outcomes}
    gate.set()
    await scene.quiet()
    assert 0 == scene.service.in_flight


async def test_a_cancel_does_not_wait_for_a_call_that_ignores_it(scene):
    """
    The grace, and a few seconds more.
    """
    gate = anyio.Event()
    scene.settings = BulkSettings(cancel_grace=2.0, call_timeout=1000.0, lease_ttl=3000.0)
    scene.service.script = lambda *_: stubborn(slow(gate))
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor, drive=False)

    async def cancelled():
        async with anyio.create_task_group() as crew:
            crew.start_soon(orchestrator.resume_interrupted)
            await scene.quiet()
            await orchestrator.cancel_batch(accepted.batch_id, actor=scene.actor)
        return await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)

    result = await scene.while_time_passes(cancelled)

    assert (BulkStatus.TOTAL_FAILURE, ItemState.UNKNOWN) == (result.status, result.outcomes[0].state)
    assert scene.clock.monotonic() < 15.0
    gate.set()
    await scene.quiet()


async def test_a_host_that_leaves_is_not_held_by_a_call_that_ignores_it(scene):
    """
    What is under way is in doubt, the lease is released, and another driver goes on at once.
    """
    gate = anyio.Event()
    scene.service.script = stuck(gate, "mentor-0")
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor, drive=False)

    async def leaving():
        async with anyio.create_task_group() as crew:
            crew.start_soon(orchestrator.resume_interrupted)
            await scene.quiet()
            crew.cancel_scope.cancel()

    await scene.while_time_passes(leaving)
    assert scene.clock.monotonic() < 10.0
    await scene.while_time_passes(scene.orchestrator().resume_interrupted)

    result = await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)
    assert BulkStatus.SUCCESS is result.status
    gate.set()
    await scene.quiet()
    assert 0 == scene.service.in_flight


async def test_a_late_refusal_within_the_last_seconds_is_heard_and_repeated(scene):
    """
    The cut came first, and ends no other question.
    """
    scene.settings = BulkSettings(call_timeout=5.0, retry=RetryPolicy(initial=0.0, jitter=0.0))
    scene.service.script = lambda _, n: stubborn(slow(7.0, unavailable())) if n == 1 else succeed()

    result = await submit(scene)

    assert (BulkStatus.SUCCESS, 2) == (result.status, result.outcomes[0].attempts)
    assert 7.0 == scene.clock.monotonic()


async def test_a_second_cut_within_the_last_seconds_changes_nothing(scene):
    """
    The grace of a cancel ends while a call that is late has its last seconds; it is not left behind for that.
    """
    scene.settings = BulkSettings(call_timeout=5.0, cancel_grace=1.0)
    scene.service.script = lambda *_: stubborn(slow(9.0))
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor, drive=False)

    async def cancelled():
        async with anyio.create_task_group() as crew:
            crew.start_soon(orchestrator.resume_interrupted)
            await scene.clock.sleep(6.0)
            await orchestrator.cancel_batch(accepted.batch_id, actor=scene.actor)
        return await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)

    result = await scene.while_time_passes(cancelled)

    assert ItemState.SUCCEEDED is result.outcomes[0].state
    assert (9.0, 0) == (scene.clock.monotonic(), orchestrator.health().abandoned_calls)


async def test_more_calls_than_the_limit_may_be_left_behind_at_once(scene):
    """
    Calls begin again once there are fewer than that.
    """
    gates = [anyio.Event(), anyio.Event()]
    scene.settings = BulkSettings(call_timeout=5.0, max_abandoned=1, max_concurrency=2)
    scene.service.script = lambda one, _: stubborn(slow(gates[int(one.mentor_id[-1])]))
    orchestrator = scene.orchestrator()
    with pytest.raises(CallsAbandonedError):
        await submit(scene, 2, orchestrator)
    scene.service.script = lambda *_: succeed()

    gates[0].set()
    await scene.quiet()
    with pytest.raises(CallsAbandonedError):
        await submit(scene, 2, orchestrator)
    gates[1].set()
    await scene.quiet()

    assert BulkStatus.SUCCESS is (await submit(scene, 2, orchestrator)).status


async def test_health_counts_what_was_left_behind_and_says_that_calls_are_stopped(scene):
    """
    For how long, and no longer than that.
    """
    first, second = anyio.Event(), anyio.Event()
    scene.settings = BulkSettings(call_timeout=5.0, max_abandoned=2, max_concurrency=1, retry=ONCE)
    scene.service.script = lambda one, _: stubborn(slow(first if one.mentor_id == "mentor-0" else second))
    orchestrator = scene.orchestrator()
    told = [orchestrator.health()]
    await submit(scene, 1, orchestrator)
    told.append(orchestrator.health())

    with pytest.raises(CallsAbandonedError):
        await submit(scene, ["mentor-1", "mentor-2"], orchestrator)
    scene.clock.advance(60.0)
    told.append(orchestrator.health())
    first.set()
    await scene.quiet()
    told.append(await orchestrator.check_health())
    second.set()
    await scene.quiet()
    told.append(orchestrator.health())

    assert [0, 1, 2, 1, 0] == [each.abandoned_calls for each in told]
    assert [None, None, 60.0, None, None] == [each.calls_stopped_for for each in told]


async def test_context_variables_reach_the_service(scene):
    """
    Its tasks are the event loop's, and its context is the host's.
    """
    seen = []

    class Curious:
        async def register(self, registration, /):
            seen.append(HOST.get())
            return RegistrationReceipt(registration_id=registration.registration_id, activity_id="activity-1")

    scene.service = Curious()
    HOST.set("somebody")

    await scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)

    assert ["somebody"] == seen


async def test_a_call_that_swallows_every_cancellation_is_left_alone(scene):
    """
    It is not cancelled again at each turn of the loop.
    """
    cancellations, gate = [], anyio.Event()

    class Swallowing:
        async def register(self, registration, /):
            while not gate.is_set():
                try:
                    await gate.wait()
                except anyio.get_cancelled_exc_class():
                    cancellations.append(registration)
                    with anyio.CancelScope(shield=True):
                        await scene.clock.sleep(1.0)
            return RegistrationReceipt(registration_id=registration.registration_id, activity_id="activity-1")

    scene.settings = BulkSettings(call_timeout=5.0, retry=ONCE)
    scene.service = Swallowing()

    result = await submit(scene)
    assert ItemState.UNKNOWN is result.outcomes[0].state
    before = len(cancellations)
    with anyio.CancelScope():
        for _ in range(5):
            scene.clock.advance(10.0)
            await scene.quiet()

    assert before <= 8
    assert len(cancellations) <= before + 1
    gate.set()
    await scene.quiet()


async def test_a_call_that_ends_within_its_last_seconds_ends_with_the_host(scene):
    """
    The host leaves when it does, and nothing is left behind.
    """
    scene.service.script = lambda *_: stubborn(slow(3.0))
    orchestrator = scene.orchestrator()
    await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor, drive=False)

    async def leaving():
        async with anyio.create_task_group() as crew:
            crew.start_soon(orchestrator.resume_interrupted)
            await scene.quiet()
            crew.cancel_scope.cancel()

    await scene.while_time_passes(leaving)

    assert (0, 0) == (scene.service.in_flight, orchestrator._coordinator._abandoned.count)
