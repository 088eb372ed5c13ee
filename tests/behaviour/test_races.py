import anyio
import pytest

from proxy_orchestration import (
    BatchNotFoundError,
    BulkSettings,
    BulkStatus,
    ItemState,
    RegistrationReceipt,
    RepositoryUnavailableError,
)
from proxy_orchestration._concurrency import Hints, open_crew
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FaultyActivityRepository, hang


async def nothing(*_args, **_kwargs):
    """
    Answer as a store does whose batch was deleted a moment ago.
    """


async def test_a_batch_deleted_while_its_submission_is_redelivered_is_not_found(scene):
    """
    Between finding the key and reading the batch somebody deleted it.
    """
    orchestrator = scene.orchestrator()
    await orchestrator.submit_bulk_registration(scene.request(1, "key"), actor=scene.actor)
    scene.repository.get = nothing

    with pytest.raises(BatchNotFoundError):
        await orchestrator.submit_bulk_registration(scene.request(1, "key"), actor=scene.actor)


@pytest.mark.parametrize("verb", ["get_bulk_submission_status", "retry_failed_items"])
async def test_a_batch_deleted_between_two_reads_is_not_found(scene, verb):
    """
    The header was there and the outcomes are gone.
    """
    orchestrator = scene.orchestrator()
    done = await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor)
    scene.repository.read_result = nothing

    with pytest.raises(BatchNotFoundError):
        await getattr(orchestrator, verb)(done.batch_id, actor=scene.actor)


async def test_a_service_that_never_yields_does_not_keep_outcomes_from_being_stored(scene):
    """
    The workers let the writer in, and the first outcomes are durable before the last call.
    """
    calls = []
    stored_before = []

    class Hasty:
        async def register(self, registration, /):
            calls.append(registration)
            stored_before.append(scene.repository.stored)
            return RegistrationReceipt(registration_id=registration.registration_id, activity_id="a")

    class Counting(MemoryActivityRepository):
        stored = 0

        async def commit(self, lease, commit, /):
            committed = await super().commit(lease, commit)
            Counting.stored += len(commit.outcomes)
            return committed

    scene.service = Hasty()
    scene.repository = Counting(scene.clock)
    scene.settings = BulkSettings(max_concurrency=1, max_undurable=400)

    result = await scene.orchestrator().submit_bulk_registration(scene.request(300), actor=scene.actor)

    assert BulkStatus.SUCCESS is result.status
    assert 0 < stored_before[-1] < 300


async def test_an_item_that_waits_for_a_place_among_the_calls_is_cancelled(scene):
    """
    It was taken by a worker and never called.
    """
    scene.settings = BulkSettings(max_concurrency=2, max_calls_in_flight=1, cancel_grace=1.0)
    scene.service.script = lambda *_: hang()
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor, drive=False)

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(orchestrator.resume_interrupted)
            await scene.quiet()
            await orchestrator.cancel_batch(accepted.batch_id, actor=scene.actor)

    await scene.while_time_passes(both)

    status = await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)
    assert {ItemState.UNKNOWN: 1, ItemState.CANCELLED: 1} == dict(status.counts)
    assert 1 == len(scene.service.calls)


async def test_serving_passes_over_a_run_that_somebody_else_has_just_taken(scene):
    """
    It looked free and was not any more.
    """
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(2), actor=scene.actor, drive=False
    )
    sound = scene.repository

    class Stale(MemoryActivityRepository):
        async def find_drivable(self, *, limit):
            found = await sound.find_drivable(limit=limit)
            if found:
                await sound.acquire(accepted.batch_id, 1, ttl=30.0)
            return found

        async def acquire(self, batch_id, run, /, *, ttl):
            return await sound.acquire(batch_id, run, ttl=ttl)

    scene.repository = Stale(scene.clock)

    async with anyio.create_task_group() as crew:
        await crew.start(lambda task_status: scene.orchestrator().serve(task_status=task_status))
        await scene.quiet()
        crew.cancel_scope.cancel()

    assert [] == scene.service.calls


async def test_a_pass_over_hanging_deliveries_tries_each_event_once(scene):
    """
    By the time the last one is tried, the first one's hold is over; it is left for the next pass.
    """
    orchestrator = scene.orchestrator()
    scene.audit.script = lambda *_: hang()

    async def submit_three():
        for number in range(3):
            await orchestrator.submit_bulk_registration(scene.request(1, f"k{number}"), actor=scene.actor)

    await scene.while_time_passes(submit_three)
    scene.clock.advance(100)

    await scene.while_time_passes(orchestrator.resume_interrupted)

    assert 6 == len(scene.audit.deliveries)


async def test_resuming_passes_over_a_run_that_has_just_settled(scene):
    """
    It was open when it was found, and is not any more.
    """
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(2), actor=scene.actor, drive=False
    )
    found = await scene.repository.find_drivable(limit=9)
    await scene.orchestrator().resume_interrupted()

    async def stale(*, limit):
        return found

    scene.repository.find_drivable = stale

    assert () == await scene.orchestrator().resume_interrupted()
    assert 2 == len(scene.service.calls)
    assert accepted.batch_id == found[0].batch_id


async def test_a_store_that_fails_two_batches_at_once_is_one_error(scene):
    """
    The host catches the error it knows, not a group of them.
    """
    for number in range(2):
        await scene.orchestrator().submit_bulk_registration(
            scene.request(2, f"k{number}"), actor=scene.actor, drive=False
        )
    gone = RepositoryUnavailableError("The disk is full.", advice="Free space.")

    def before(point):
        if point.method == "commit":
            raise gone

    scene.repository = FaultyActivityRepository(scene.repository, before=before)

    with pytest.raises(RepositoryUnavailableError, match="full"):
        await scene.orchestrator().resume_interrupted()


async def test_failures_of_different_kinds_stay_a_group():
    """
    None of them may hide another.
    """

    async def fail(error):
        raise error

    async def fail_twice():
        async with open_crew() as crew:
            crew.start_soon(fail, KeyError("a"))
            crew.start_soon(fail, ValueError("b"))

    with pytest.raises(BaseExceptionGroup) as caught:
        await fail_twice()

    assert {KeyError, ValueError} == {type(error) for error in caught.value.exceptions}


async def test_the_last_page_and_the_end_may_come_in_one_wait(scene):
    """
    The watcher does not wait for a poll to learn that the run has settled.
    """
    with Hints().listen("batch") as listener:
        listener.hear("the last page")
        listener.hear()
        assert await listener.wait(scene.clock, 1.0)
        assert ["the last page"] == list(listener.take_news())
        assert listener.take_bare_hint()
        assert not listener.take_bare_hint()

    async with scene.orchestrator().stream_bulk_registration(scene.request(1), actor=scene.actor) as run:
        updates = [update async for update in run]

    assert 1 == len(updates)
    assert 0.0 == scene.clock.monotonic()
