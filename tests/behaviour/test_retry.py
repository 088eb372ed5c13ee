import pytest

from proxy_orchestration import (
    Actor,
    BatchStateError,
    BulkStatus,
    CoordinatorAccess,
    DuplicateSelectionError,
    EmptySelectionError,
    ItemState,
    Role,
    StaleRunError,
    UnknownMentorError,
)
from proxy_orchestration.testing import lose_reply, reject, slow, succeed


async def two_failed(scene, mentors=5):
    """
    Return a settled batch in which mentors 1 and 3 failed.
    """
    scene.service.script = lambda registration, attempt: (
        reject() if registration.mentor_id in {"mentor-1", "mentor-3"} and attempt == 1 else succeed()
    )
    return await scene.orchestrator().submit_bulk_registration(scene.request(mentors), actor=scene.actor)


async def test_a_retry_touches_the_failed_only(scene):
    """
    Successes keep their record, their sequence and their time.
    """
    first = await two_failed(scene)
    scene.clock.advance(60)

    second = await scene.orchestrator().retry_failed_items(first.batch_id, actor=scene.actor)

    assert BulkStatus.SUCCESS is second.status
    assert (2, first.batch_id) == (second.run, second.batch_id)
    assert set(first.succeeded) < set(second.succeeded)
    assert 7 == len(scene.service.calls)


async def test_a_retry_that_fails_again_keeps_the_newest_reason(scene):
    """
    The outcome shows the last run's failure.
    """
    scene.service.script = lambda _, attempt: reject("again", f"Attempt {attempt}.")
    orchestrator = scene.orchestrator()
    first = await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor)

    second = await orchestrator.retry_failed_items(first.batch_id, actor=scene.actor)

    assert "Attempt 2." == second.outcomes[0].failure.message


async def test_a_retry_may_name_mentors(scene):
    """
    Only the named one is taken up.
    """
    first = await two_failed(scene)

    second = await scene.orchestrator().retry_failed_items(
        first.batch_id, actor=scene.actor, mentor_ids=["mentor-3"]
    )

    assert {"mentor-1"} == {outcome.mentor_id for outcome in second.failed}


async def test_a_redelivered_retry_retries_once(scene):
    """
    With `expected_run` the second delivery is refused and touches nothing.
    """
    first = await two_failed(scene)
    orchestrator = scene.orchestrator()
    await orchestrator.retry_failed_items(first.batch_id, actor=scene.actor, expected_run=1)

    with pytest.raises(StaleRunError) as caught:
        await orchestrator.retry_failed_items(first.batch_id, actor=scene.actor, expected_run=1)

    assert (1, 2) == (caught.value.expected_run, caught.value.current_run)
    assert 7 == len(scene.service.calls)


@pytest.mark.parametrize(
    ("mentor_ids", "error"),
    [
        ([], EmptySelectionError),
        (["mentor-1", "mentor-1"], DuplicateSelectionError),
        (["nobody"], UnknownMentorError),
        (["mentor-0"], BatchStateError),
    ],
)
async def test_a_retry_of_the_wrong_mentors_is_refused(scene, mentor_ids, error):
    """
    Nothing is opened, and the succeeded one stays as it is.
    """
    first = await two_failed(scene)
    orchestrator = scene.orchestrator()

    with pytest.raises(error):
        await orchestrator.retry_failed_items(first.batch_id, actor=scene.actor, mentor_ids=mentor_ids)

    status = await orchestrator.get_bulk_submission_status(first.batch_id, actor=scene.actor)
    assert first == status


async def test_nothing_failed_nothing_to_retry(scene):
    """
    The error says so.
    """
    orchestrator = scene.orchestrator()
    done = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor)

    with pytest.raises(BatchStateError, match="no failed item"):
        await orchestrator.retry_failed_items(done.batch_id, actor=scene.actor)


async def test_an_unsettled_batch_is_not_retried(scene):
    """
    Wait for its end first.
    """
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor, drive=False)

    with pytest.raises(BatchStateError, match="not settled"):
        await orchestrator.retry_failed_items(accepted.batch_id, actor=scene.actor)


async def test_cancelled_mentors_are_retried_only_when_named(scene):
    """
    A plain retry leaves what a person cancelled; naming it takes it up under its unused key.
    """
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor, drive=False)
    await orchestrator.cancel_batch(accepted.batch_id, actor=scene.actor)
    with pytest.raises(BatchStateError):
        await orchestrator.retry_failed_items(accepted.batch_id, actor=scene.actor)

    result = await orchestrator.retry_failed_items(
        accepted.batch_id, actor=scene.actor, mentor_ids=["mentor-0"]
    )

    assert [ItemState.SUCCEEDED, ItemState.CANCELLED] == [outcome.state for outcome in result.outcomes]
    assert [f"{accepted.batch_id}:mentor-0:0"] == [call.idempotency_key for call in scene.service.calls]


async def test_scope_is_decided_again_on_a_retry(scene):
    """
    A mentor who left the coordinator's scope since is not called again.
    """

    class Shrinking(CoordinatorAccess):
        gone = frozenset()

        async def out_of_scope(self, actor, mentor_ids, /):
            return self.gone

    scene.access = Shrinking()
    first = await two_failed(scene)
    Shrinking.gone = frozenset({"mentor-3", "somebody-else"})

    second = await scene.orchestrator().retry_failed_items(first.batch_id, actor=scene.actor)

    assert [("mentor-3", "out_of_scope")] == [(o.mentor_id, o.failure.code) for o in second.failed]
    assert 6 == len(scene.service.calls)


async def test_a_retry_registers_with_the_roles_held_now(scene):
    """
    The run belongs to the actor who opened it.
    """
    first = await two_failed(scene)
    promoted = Actor(
        user_id=scene.actor.user_id, roles={Role.COORDINATOR, Role.CHAPTER_ADMIN}, organization_id="oslo"
    )

    await scene.orchestrator().retry_failed_items(first.batch_id, actor=promoted)

    assert {scene.actor} == {call.registered_by for call in scene.service.calls[:5]}
    assert {promoted} == {call.registered_by for call in scene.service.calls[5:]}


async def test_a_retry_interrupted_in_the_middle_is_resumed_as_that_run(scene):
    """
    Same batch, same run, no item twice.
    """
    first = await two_failed(scene)
    scene.service.script = lambda *_: slow(5.0)
    await scene.interrupt(lambda: scene.orchestrator().retry_failed_items(first.batch_id, actor=scene.actor))
    scene.service.script = lambda *_: succeed()

    assert [first.batch_id] == list(await scene.orchestrator().resume_interrupted())

    result = await scene.orchestrator().get_bulk_submission_status(first.batch_id, actor=scene.actor)
    assert (BulkStatus.SUCCESS, 2) == (result.status, result.run)
    assert 5 == len(scene.service.records)


async def test_a_mentor_in_doubt_who_left_the_scope_stays_unknown(scene):
    """
    Refusing cannot tell what became of the earlier call; the key keeps its doubt.
    """

    class Closing(CoordinatorAccess):
        closed = False

        async def out_of_scope(self, actor, mentor_ids, /):
            return mentor_ids if self.closed else ()

    scene.access = Closing()
    scene.service.script = lambda *_: lose_reply(RuntimeError())
    orchestrator = scene.orchestrator()
    first = await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor)
    scene.access.closed = True

    second = await orchestrator.retry_failed_items(first.batch_id, actor=scene.actor)

    assert (ItemState.UNKNOWN, "out_of_scope") == (
        second.outcomes[0].state,
        second.outcomes[0].failure.code,
    )
    scene.access.closed = False
    third = await scene.while_time_passes(
        lambda: orchestrator.retry_failed_items(first.batch_id, actor=scene.actor)
    )
    assert (3, 4) == (third.run, len(scene.service.calls))
    assert 1 == len({call.idempotency_key for call in scene.service.calls})
