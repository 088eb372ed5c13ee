"""
What a driver that leaves in order tells of items that were under way: what is true, and no more.
"""

import anyio
import attrs
import pytest

from proxy_orchestration import (
    BulkSettings,
    BulkStatus,
    ItemState,
    RepositoryUnavailableError,
    RetryPolicy,
    SubmissionMode,
)
from proxy_orchestration.testing import (
    BulkLookupRegistrationService,
    BulkRegistrationService,
    LookupRegistrationService,
    fail,
    hang,
    lose_reply,
    not_seen,
    slow,
    succeed,
)

AT_ONCE = RetryPolicy(max_attempts=2, initial=0.0, jitter=0.0)


async def left_in_the_middle(scene, *, mode=SubmissionMode.INDEPENDENT, mentors=2):
    """
    Drive until nothing moves but time, leave, and let another process finish; return the result.
    """
    accepted = await scene.orchestrator().submit_bulk_registration(
        attrs.evolve(scene.request(mentors), mode=mode), actor=scene.actor, drive=False
    )

    async def leaving():
        async with anyio.create_task_group() as crew:
            crew.start_soon(scene.orchestrator().resume_interrupted)
            await scene.quiet()
            crew.cancel_scope.cancel()

    await scene.while_time_passes(leaving)
    return accepted.batch_id


async def finished(scene, batch_id):
    """
    Let another process finish, and return the result.
    """
    orchestrator = scene.orchestrator()
    await scene.while_time_passes(orchestrator.resume_interrupted)
    return await orchestrator.get_bulk_submission_status(batch_id, actor=scene.actor)


async def test_who_was_looked_up_was_not_called_once_more(lookup_scene):
    """
    A look-up is no call, and the call before it stays the only one.
    """
    lookup_scene.settings = BulkSettings(retry=AT_ONCE)
    lookup_scene.service.script = lambda *_: lose_reply()
    lookup_scene.service.lookup_script = lambda *_: slow(9.0)
    batch_id = await left_in_the_middle(lookup_scene)
    lookup_scene.service.lookup_script = lambda *_: succeed()

    result = await finished(lookup_scene, batch_id)

    assert [1, 1] == [outcome.attempts for outcome in result.outcomes]
    assert 2 == len(lookup_scene.service.calls)
    assert BulkStatus.SUCCESS is result.status


async def test_who_was_called_was_called(lookup_scene):
    """
    It may have been executed, so it is looked up, and its call counts.
    """
    lookup_scene.settings = BulkSettings(retry=AT_ONCE)
    lookup_scene.service.script = lambda *_: hang(written=True)
    batch_id = await left_in_the_middle(lookup_scene)

    result = await finished(lookup_scene, batch_id)

    assert [1, 1] == [outcome.attempts for outcome in result.outcomes]
    assert 2 == len(lookup_scene.service.lookups)


@pytest.mark.parametrize("seen", [True, False])
async def test_a_last_look_up_that_is_interrupted_is_asked_again_and_nothing_else(scene_with, seen):
    """
    The attempts are used up: no call follows, in whatever process.
    """
    scene = scene_with(LookupRegistrationService())
    scene.settings = BulkSettings(retry=RetryPolicy(max_attempts=1))
    scene.service.script = lambda *_: lose_reply()
    scene.service.lookup_script = lambda *_: slow(9.0)
    batch_id = await left_in_the_middle(scene)
    scene.service.lookup_script = lambda *_: succeed() if seen else not_seen()

    result = await finished(scene, batch_id)

    end = ItemState.SUCCEEDED if seen else ItemState.UNKNOWN
    assert [(end, 1), (end, 1)] == [(outcome.state, outcome.attempts) for outcome in result.outcomes]
    assert 2 == len(scene.service.calls)


@pytest.mark.parametrize("seen", [True, False])
async def test_an_all_or_nothing_batch_is_asked_about_again_and_not_called(scene_with, seen):
    """
    As single items: its attempts are used up, and its look-up was no call.
    """
    scene = scene_with(BulkLookupRegistrationService())
    scene.settings = BulkSettings(retry=RetryPolicy(max_attempts=1))
    scene.service.chunk_script = lambda *_: lose_reply()
    scene.service.lookup_script = lambda *_: slow(9.0)
    batch_id = await left_in_the_middle(scene, mode=SubmissionMode.ATOMIC)
    scene.service.lookup_script = lambda *_: succeed() if seen else not_seen()

    result = await finished(scene, batch_id)

    end = ItemState.SUCCEEDED if seen else ItemState.UNKNOWN
    assert [(end, 1), (end, 1)] == [(outcome.state, outcome.attempts) for outcome in result.outcomes]
    assert 1 == len(scene.service.bulk_calls)


@pytest.mark.parametrize("mode", SubmissionMode)
async def test_calls_for_many_that_were_under_way_count_once(scene_with, mode):
    """
    Every row was called once by the one that left, and once by the next.
    """
    scene = scene_with(BulkRegistrationService())
    scene.service.chunk_script = lambda _, n: hang(written=True) if n == 1 else succeed()
    batch_id = await left_in_the_middle(scene, mode=mode)

    result = await finished(scene, batch_id)

    assert [2, 2] == [outcome.attempts for outcome in result.outcomes]
    assert BulkStatus.SUCCESS is result.status


async def test_why_an_item_is_in_doubt_outlives_its_driver(scene):
    """
    Every call was answered, and each time by nonsense: nobody is told that no answer came.
    """
    scene.settings = BulkSettings(
        retry=RetryPolicy(max_attempts=2, initial=100.0, max_delay=100.0, jitter=0.0)
    )

    class Nonsense:
        clock = None

        async def register(self, _registration, /):
            return "registered"

    scene.service = Nonsense()
    batch_id = await left_in_the_middle(scene)
    scene.settings = BulkSettings(retry=RetryPolicy(max_attempts=1))

    result = await finished(scene, batch_id)

    assert {"bad_answer"} == {outcome.failure.code for outcome in result.outcomes}
    assert {ItemState.UNKNOWN} == {outcome.state for outcome in result.outcomes}


async def test_rows_that_were_refused_among_others_for_no_reason_are_told_so_by_the_next_driver(scene_with):
    """
    They keep their keys, and are FAILED as they would have been, not UNKNOWN.
    """
    scene = scene_with(BulkRegistrationService())
    scene.settings = BulkSettings(retry=RetryPolicy(initial=1.0, jitter=0.0))
    scene.service.chunk_script = lambda *_: fail(ValueError())
    batch_id = await left_in_the_middle(scene)
    orchestrator = scene.orchestrator()
    await scene.while_time_passes(lambda: orchestrator.cancel_batch(batch_id, actor=scene.actor))

    result = await orchestrator.get_bulk_submission_status(batch_id, actor=scene.actor)

    assert ["unexpected"] * 2 == [outcome.failure.code for outcome in result.failed]
    assert {ItemState.FAILED} == {outcome.state for outcome in result.outcomes}


async def test_a_stop_looks_up_and_an_interrupted_look_up_is_no_call(scene_with):
    """
    Also where a cancel asked for the look-up of a whole.
    """
    scene = scene_with(BulkLookupRegistrationService())
    scene.settings = BulkSettings(cancel_grace=1.0, retry=AT_ONCE)
    scene.service.chunk_script = lambda *_: hang(written=True)
    scene.service.lookup_script = lambda *_: slow(9.0)
    orchestrator = scene.orchestrator()
    request = attrs.evolve(scene.request(2), mode=SubmissionMode.ATOMIC)
    accepted = await orchestrator.submit_bulk_registration(request, actor=scene.actor, drive=False)

    async def cancelled_and_left():
        async with anyio.create_task_group() as crew:
            crew.start_soon(orchestrator.resume_interrupted)
            await scene.quiet()
            await orchestrator.cancel_batch(accepted.batch_id, actor=scene.actor)
            await scene.clock.sleep(2.0)
            assert scene.service.lookups
            crew.cancel_scope.cancel()

    await scene.while_time_passes(cancelled_and_left)
    scene.service.lookup_script = lambda *_: succeed()
    result = await finished(scene, accepted.batch_id)

    assert [1, 1] == [outcome.attempts for outcome in result.outcomes]
    assert 1 == len(scene.service.bulk_calls)


async def test_nobody_waits_for_the_lease_of_who_could_not_settle(scene):
    """
    All outcomes were stored, and only the run's end was not; the next driver ends it at once.
    """
    settle = scene.repository.settle
    scene.repository.settle = refuse_to_settle
    with pytest.raises(RepositoryUnavailableError):
        await scene.orchestrator().submit_bulk_registration(scene.request(2), actor=scene.actor)
    scene.repository.settle = settle
    (left,) = await scene.repository.find_drivable(limit=1)

    assert 0 >= left.lease_remaining
    assert BulkStatus.SUCCESS is (await finished(scene, left.batch_id)).status
    assert 2 == len(scene.service.calls)


async def refuse_to_settle(*_, **__):
    """
    Fail, as a store does for a moment.
    """
    reason = "The store is away."
    raise RepositoryUnavailableError(reason, advice="Try again.")
