from datetime import UTC, datetime

import pytest

from proxy_orchestration import (
    Actor,
    BatchNotFoundError,
    BatchStateError,
    BulkStatus,
    CoordinatorAccess,
    IdempotencyKeyReusedError,
    NotAuthorizedError,
    PurgedBatches,
    RepositoryUnavailableError,
    Role,
)

pytestmark = pytest.mark.dateless

MENTOR = Actor(user_id="mentor-9", roles={Role.PEER_MENTOR}, organization_id="oslo")
SERVICE = Actor(user_id="cron", roles={Role.SERVICE}, organization_id="oslo")
ADMIN = Actor(user_id="admin-1", roles={Role.CHAPTER_ADMIN}, organization_id="oslo")
COLLEAGUE = Actor(user_id="coord-2", roles={Role.COORDINATOR}, organization_id="oslo")
STRANGER = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="bergen")


async def watch(orchestrator, batch_id, actor):
    """
    Watch as a verb like the others.
    """
    async with orchestrator.watch_batch(batch_id, actor=actor):
        pass


async def stream(orchestrator, scene, actor):
    """
    Stream as a verb like the others.
    """
    async with orchestrator.stream_bulk_registration(scene.request(1), actor=actor):
        pass


VERBS = {
    "get_bulk_submission_status": lambda o, b, a: o.get_bulk_submission_status(b, actor=a),
    "get_batch_summary": lambda o, b, a: o.get_batch_summary(b, actor=a),
    "read_items": lambda o, b, a: o.read_items(b, actor=a),
    "retry_failed_items": lambda o, b, a: o.retry_failed_items(b, actor=a),
    "cancel_batch": lambda o, b, a: o.cancel_batch(b, actor=a),
    "pause_batch": lambda o, b, a: o.pause_batch(b, actor=a),
    "resume_batch": lambda o, b, a: o.resume_batch(b, actor=a),
    "watch_batch": watch,
    "relabel_batch": lambda o, b, a: o.relabel_batch(b, "x", actor=a),
    "delete_batch": lambda o, b, a: o.delete_batch(b, actor=a),
}


async def pending(scene):
    """
    Return a pending batch of the scene's coordinator.
    """
    return await scene.orchestrator().submit_bulk_registration(
        scene.request(2, "key"), actor=scene.actor, drive=False
    )


@pytest.mark.parametrize("actor", [MENTOR, SERVICE], ids=["mentor", "service"])
@pytest.mark.parametrize("verb", VERBS)
async def test_every_verb_refuses_who_has_no_part_in_it(scene, verb, actor):
    """
    Each verb checks by itself, and touches nothing.
    """
    batch = await pending(scene)

    with pytest.raises(NotAuthorizedError):
        await VERBS[verb](scene.orchestrator(), batch.batch_id, actor)

    assert batch == await scene.orchestrator().get_bulk_submission_status(batch.batch_id, actor=scene.actor)


@pytest.mark.parametrize("actor", [MENTOR, SERVICE, ADMIN], ids=["mentor", "service", "admin"])
async def test_only_coordinators_submit(scene, actor):
    """
    No call, no batch, streamed or not.
    """
    orchestrator = scene.orchestrator()

    with pytest.raises(NotAuthorizedError, match="submit"):
        await orchestrator.submit_bulk_registration(scene.request(1), actor=actor)
    with pytest.raises(NotAuthorizedError):
        await stream(orchestrator, scene, actor)

    assert [] == scene.service.calls


async def test_who_is_refused_is_told_whom_to_ask_and_never_to_ask_themselves(scene):
    """
    A coordinator, unless the person is one whom the host's own policy refuses.
    """

    class Nobody(CoordinatorAccess):
        def allows(self, _actor, _action, /):
            return False

    with pytest.raises(NotAuthorizedError, match="ask a coordinator"):
        await scene.orchestrator().submit_bulk_registration(scene.request(1), actor=ADMIN)
    scene.access = Nobody()
    with pytest.raises(NotAuthorizedError, match="ask someone whose role allows it"):
        await scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)


async def test_mentors_list_nothing(scene):
    """
    Not even an empty page.
    """
    with pytest.raises(NotAuthorizedError):
        await scene.orchestrator().list_batches(actor=MENTOR)


@pytest.mark.parametrize("actor", [COLLEAGUE, STRANGER], ids=["colleague", "other organization"])
@pytest.mark.parametrize("verb", VERBS)
async def test_somebody_elses_batch_does_not_exist(scene, verb, actor):
    """
    Existence is not leaked.
    """
    batch = await pending(scene)

    with pytest.raises(BatchNotFoundError):
        await VERBS[verb](scene.orchestrator(), batch.batch_id, actor)


async def test_a_chapter_admin_reads_and_cancels_in_the_organization(scene):
    """
    And does nothing else.
    """
    batch = await pending(scene)
    orchestrator = scene.orchestrator()

    assert batch == await orchestrator.get_bulk_submission_status(batch.batch_id, actor=ADMIN)
    assert 1 == (await orchestrator.list_batches(actor=ADMIN)).total
    with pytest.raises(NotAuthorizedError, match="delete"):
        await orchestrator.delete_batch(batch.batch_id, actor=ADMIN)
    report = await orchestrator.cancel_batch(batch.batch_id, actor=ADMIN)
    assert 2 == report.never_started


async def test_two_coordinators_keys_do_not_meet(scene):
    """
    A key belongs to its coordinator and organization.
    """
    results = [
        await scene.orchestrator().submit_bulk_registration(scene.request(1, "key"), actor=actor)
        for actor in (scene.actor, COLLEAGUE, STRANGER)
    ]

    assert 3 == len({result.batch_id for result in results})


async def test_the_coordinator_herself_is_refused_and_the_rest_goes_ahead(scene):
    """
    Self-attribution fails that item, is never sent, and can not be retried into success.
    """
    orchestrator = scene.orchestrator()
    result = await orchestrator.submit_bulk_registration(
        scene.request(["a", "coord-1", "b"]), actor=scene.actor
    )

    assert [("coord-1", "self_attribution", False)] == [
        (o.mentor_id, o.failure.code, o.failure.retryable) for o in result.failed
    ]
    again = await orchestrator.retry_failed_items(result.batch_id, actor=scene.actor)
    assert (2, BulkStatus.PARTIAL_SUCCESS) == (again.run, again.status)
    assert 2 == len(scene.service.calls)


async def test_mentors_out_of_scope_fail_and_are_never_sent(scene):
    """
    The policy names them; everybody else is registered.
    """

    class Scoped(CoordinatorAccess):
        async def out_of_scope(self, actor, mentor_ids, /):
            return [mentor_id for mentor_id in mentor_ids if mentor_id == "mentor-1"]

    scene.access = Scoped()

    result = await scene.orchestrator().submit_bulk_registration(scene.request(3), actor=scene.actor)

    assert [("mentor-1", "out_of_scope")] == [(o.mentor_id, o.failure.code) for o in result.failed]
    assert 2 == len(scene.service.calls)


async def test_a_scope_query_that_fails_is_an_error(scene):
    """
    Read as neither denied nor allowed; nothing is stored.
    """

    class Broken(CoordinatorAccess):
        async def out_of_scope(self, actor, mentor_ids, /):
            reason = "No answer."
            raise RepositoryUnavailableError(reason, advice="Try again.")

    scene.access = Broken()

    with pytest.raises(RepositoryUnavailableError):
        await scene.orchestrator().submit_bulk_registration(scene.request(3), actor=scene.actor)

    assert 0 == (await scene.orchestrator().list_batches(actor=scene.actor)).total


async def test_a_deleted_batch_leaves_its_key_as_a_tombstone(scene):
    """
    The key never runs again.
    """
    orchestrator = scene.orchestrator()
    done = await orchestrator.submit_bulk_registration(scene.request(2, "key"), actor=scene.actor)
    await orchestrator.delete_batch(done.batch_id, actor=scene.actor)

    with pytest.raises(IdempotencyKeyReusedError) as caught:
        await orchestrator.submit_bulk_registration(scene.request(2, "key"), actor=scene.actor)

    assert (done.batch_id, True) == (caught.value.batch_id, caught.value.deleted)
    assert 2 == len(scene.service.calls)


async def test_a_batch_that_is_not_settled_cannot_be_deleted(scene):
    """
    Cancel it first.
    """
    batch = await pending(scene)

    with pytest.raises(BatchStateError):
        await scene.orchestrator().delete_batch(batch.batch_id, actor=scene.actor)


async def test_relabelling_changes_the_label_only(scene):
    """
    And refuses one that is too long.
    """
    batch = await pending(scene)
    orchestrator = scene.orchestrator()

    relabelled = await orchestrator.relabel_batch(batch.batch_id, "Spring visits", actor=scene.actor)

    assert ("Spring visits", batch.outcomes) == (relabelled.label, relabelled.outcomes)
    with pytest.raises(ValueError, match="200"):
        await orchestrator.relabel_batch(batch.batch_id, "x" * 201, actor=scene.actor)


async def test_purging_deletes_what_settled_before(scene):
    """
    Retention: notes are personal data. A naive moment is refused.
    """
    orchestrator = scene.orchestrator()
    old = await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor)
    scene.clock.advance(3600)
    moment = scene.clock.now()
    new = await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor)

    assert PurgedBatches(deleted=1) == await orchestrator.purge(settled_before=moment)

    with pytest.raises(BatchNotFoundError):
        await orchestrator.get_bulk_submission_status(old.batch_id, actor=scene.actor)
    assert new == await orchestrator.get_bulk_submission_status(new.batch_id, actor=scene.actor)
    with pytest.raises(ValueError, match="aware"):
        await orchestrator.purge(settled_before=datetime(2026, 1, 1))  # noqa: DTZ001 - naive on purpose
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(("page", "limit"), [(0, 20), (1, 0), (1, 101)])
async def test_pages_out_of_range_are_refused(scene, page, limit):
    """
    The error tells the range.
    """
    with pytest.raises(ValueError, match="100"):
        await scene.orchestrator().list_batches(actor=scene.actor, page=page, limit=limit)


async def test_lists_are_newest_first_and_filtered_by_status(scene):
    """
    A page tells how many there are in all.
    """
    orchestrator = scene.orchestrator()
    ids = []
    for number in range(3):
        scene.clock.advance(60)
        done = await orchestrator.submit_bulk_registration(scene.request(1, f"k{number}"), actor=scene.actor)
        ids.append(done.batch_id)
    waiting = await pending(scene)

    page = await orchestrator.list_batches(actor=scene.actor, page=1, limit=2, statuses=[BulkStatus.SUCCESS])

    assert ([ids[2], ids[1]], 3) == ([batch.batch_id for batch in page.batches], page.total)
    assert [waiting.batch_id] == [
        batch.batch_id
        for batch in (
            await orchestrator.list_batches(actor=scene.actor, statuses=[BulkStatus.PENDING])
        ).batches
    ]
