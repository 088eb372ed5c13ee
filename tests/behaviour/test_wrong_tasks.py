"""
A block that drives belongs to the task that entered it; others are told so, and break nothing.
"""

import gc
import logging
from datetime import UTC, date, datetime

import anyio
import pytest
from anyio.lowlevel import checkpoint

from proxy_orchestration import (
    BulkSettings,
    BulkStatus,
    ItemState,
    NotificationOrchestrator,
    PeerMentorCertificate,
    RecordState,
    RepositoryUnavailableError,
    WrongTaskError,
)
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.testing import FaultyActivityRepository, fail_at, hang, succeed

VERBS = ["drive_batch", "stream_bulk_registration"]


@pytest.fixture
def slow_scene(scene):
    """
    Return a scene whose service answers for the first two mentors, and then not for a long time.
    """
    scene.settings = BulkSettings(max_concurrency=1, max_undurable=1)
    scene.service.script = lambda registration, call: (
        hang() if registration.mentor_id == "mentor-2" and call == 1 else succeed()
    )
    return scene


async def block_of(scene, verb):
    """
    Return the verb's block, over an accepted batch where it needs one.
    """
    orchestrator = scene.orchestrator()
    if verb == "stream_bulk_registration":
        return orchestrator.stream_bulk_registration(scene.request(4), actor=scene.actor)
    accepted = await orchestrator.submit_bulk_registration(scene.request(4), actor=scene.actor, drive=False)
    return orchestrator.drive_batch(accepted.batch_id)


async def streamed(block):
    """
    Yield who settled, as the body of a response does.
    """
    async with block as run:
        async for update in run:
            yield update.outcome.mentor_id


async def read_all(parts):
    """
    Read to the end, each part in a task of its own.
    """
    while await in_a_task(anext, parts, None) is not None:
        pass


async def in_a_task(work, *arguments):
    """
    Do something in a task of its own; return or raise what came of it.
    """
    ends = []

    async def do():
        try:
            ends.append((await work(*arguments), None))
        except Exception as error:  # noqa: BLE001 - raised below
            ends.append((None, error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(do)
    value, error = ends[0]
    if error is not None:
        raise error
    return value


async def the_batch(scene):
    """
    Return the only batch, which nobody holds.
    """
    (found,) = await scene.repository.find_drivable(limit=9)
    assert 0.0 == found.lease_remaining
    return found.batch_id


async def ends_well(scene):
    """
    Tell whether the batch can be driven to its end, with one record for each mentor.
    """
    batch_id = await the_batch(scene)
    await scene.orchestrator().resume_interrupted()
    result = await scene.orchestrator().get_bulk_submission_status(batch_id, actor=scene.actor)
    return result.status is BulkStatus.SUCCESS and 4 == len({each.activity_id for each in result.outcomes})


@pytest.mark.parametrize("verb", VERBS)
async def test_a_block_that_another_task_leaves_says_what_to_use(slow_scene, verb, caplog):
    """
    Nothing is driven any more, the lease is given up, and whoever drives the batch next ends it.
    """
    block = await block_of(slow_scene, verb)
    run = await in_a_task(block.__aenter__)
    await slow_scene.quiet()

    with pytest.raises(WrongTaskError, match=rf"{verb}.* serve.* watch_batch") as caught:
        await in_a_task(block.__aexit__, None, None, None)

    assert (run.batch_id, verb) == (caught.value.batch_id, caught.value.verb)
    assert [logging.ERROR] == [each.levelno for each in caplog.records if "a task other than" in each.message]
    assert await ends_well(slow_scene)


@pytest.mark.parametrize("verb", VERBS)
async def test_a_stream_whose_tasks_come_and_go_is_told_at_once(slow_scene, verb):
    """
    As when each part of a response is awaited in a task of its own.
    """
    parts = streamed(await block_of(slow_scene, verb))

    assert "mentor-0" == await in_a_task(anext, parts)
    await slow_scene.quiet()
    with pytest.raises(WrongTaskError, match="watch_batch"):
        await in_a_task(read_all, parts)
    assert await ends_well(slow_scene)


@pytest.mark.filterwarnings("ignore:.*garbage collected before it had been exhausted:ResourceWarning")
@pytest.mark.parametrize("verb", VERBS)
async def test_a_response_that_nobody_reads_to_its_end_frees_the_batch(slow_scene, verb, caplog):
    """
    Its generator is closed by the event loop, in a task of that, where no error is seen: the log says it.
    """
    parts = streamed(await block_of(slow_scene, verb))
    await in_a_task(anext, parts)
    await slow_scene.quiet()  # so that the call is under way that never answers
    del parts
    gc.collect()
    await slow_scene.quiet()

    assert ["ERROR"] == [each.levelname for each in caplog.records if "a task other than" in each.message]
    assert await ends_well(slow_scene)


@pytest.mark.parametrize("verb", VERBS)
async def test_a_cancellation_in_the_wrong_task_comes_out(slow_scene, verb):
    """
    As it does in the right one.
    """
    block = await block_of(slow_scene, verb)
    run = await in_a_task(block.__aenter__)

    async def leave():
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await checkpoint()
            except BaseException as error:
                await block.__aexit__(type(error), error, error.__traceback__)
                raise
        return scope.cancelled_caught

    assert await in_a_task(leave)
    await slow_scene.quiet()
    assert run.batch_id == await the_batch(slow_scene)


@pytest.mark.parametrize("verb", VERBS)
async def test_a_child_of_the_block_s_task_may_read(scene, verb):
    """
    The task that entered the block is still there, and leaves it.
    """
    seen = []

    async def read(run):
        seen.extend([update.outcome.mentor_id async for update in run])

    async with await block_of(scene, verb) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(read, run)

    assert 4 == len(seen)
    assert {ItemState.SUCCEEDED: 4} == run.result.counts


async def test_whoever_only_watches_may_come_and_go(scene):
    """
    The message sends people there.
    """
    done = await scene.orchestrator().submit_bulk_registration(scene.request(4), actor=scene.actor)
    parts = streamed(scene.orchestrator().watch_batch(done.batch_id, actor=scene.actor))

    assert 4 == len({await in_a_task(anext, parts) for _ in range(4)})
    assert "end" == await in_a_task(anext, parts, "end")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("iterates", [True, False])
async def test_what_ends_the_driver_leaves_the_block(scene, verb, iterates):
    """
    Be the run iterated or not.
    """
    gone = RepositoryUnavailableError("The disk is gone.", advice="Mount it.")

    def fail_when_driven(point):
        if point.method == "commit":
            raise gone

    scene.repository = FaultyActivityRepository(scene.repository, before=fail_when_driven)
    block = await block_of(scene, verb)

    async def look_on():
        async with block as run:
            await scene.quiet()
            if iterates:
                await anext(run, None)

    with pytest.raises(RepositoryUnavailableError, match="Mount") as caught:
        await scene.while_time_passes(look_on)

    assert gone is caught.value


async def test_an_error_of_the_block_leaves_before_the_driver_s(scene):
    """
    It is the host's own.
    """
    scene.repository = FaultyActivityRepository(
        scene.repository,
        before=fail_at(2, RepositoryUnavailableError("The disk is gone.", advice="Mount it.")),
    )
    block = await block_of(scene, "drive_batch")

    async def look_on():
        async with block:
            await scene.quiet()
            raise LookupError

    with pytest.raises(LookupError):
        await scene.while_time_passes(look_on)


async def test_a_certificate_run_s_stream_may_come_and_go():
    """
    It holds no task either.
    """
    orchestrator = NotificationOrchestrator(repository=MemoryNotificationRepository(), recipients=None)
    certificate = PeerMentorCertificate(
        certificate_id="certificate-1",
        mentor_id="mentor-1",
        certificate_type="first_aid",
        expires=date(2026, 1, 9),
    )
    block = orchestrator.stream([certificate], as_of=datetime(2026, 1, 2, tzinfo=UTC), allow_future=True)
    outcomes = await in_a_task(block.__aenter__)

    assert RecordState.CREATED is (await in_a_task(anext, outcomes)).state
    await in_a_task(block.__aexit__, None, None, None)
