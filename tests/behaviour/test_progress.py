import anyio
import pytest

from proxy_orchestration import BatchNotFoundError, BatchStateError, BulkSettings, BulkStatus
from proxy_orchestration.testing import hang, reject, slow, succeed


async def test_one_update_per_mentor_in_settle_order(scene):
    """
    Gapless sequences, a growing number of settled ones, and the total.
    """
    async with scene.orchestrator().stream_bulk_registration(scene.request(20), actor=scene.actor) as run:
        updates = [update async for update in run]

    assert list(range(1, 21)) == [update.sequence for update in updates]
    assert list(range(1, 21)) == [update.settled for update in updates]
    assert {20} == {update.total for update in updates}
    assert 20 == len({update.outcome.mentor_id for update in updates})
    assert BulkStatus.SUCCESS is run.result.status
    assert 1 == len(scene.audit.events)


async def test_updates_arrive_while_work_is_running(scene):
    """
    The first outcome is seen although the second call hangs.
    """
    scene.settings = BulkSettings(max_concurrency=1)
    scene.service.script = lambda r, _: hang() if r.mentor_id == "mentor-1" else succeed()

    async with scene.orchestrator().stream_bulk_registration(scene.request(2), actor=scene.actor) as run:
        first = await anext(run)

    assert ("mentor-0", 1, 2) == (first.outcome.mentor_id, first.settled, first.total)


async def test_the_result_is_there_only_after_the_block(scene):
    """
    Asking earlier gets a clear error.
    """
    async with scene.orchestrator().stream_bulk_registration(scene.request(2), actor=scene.actor) as run:
        with pytest.raises(BatchStateError, match="async with"):
            _ = run.result


async def test_a_slow_watcher_slows_nobody(scene):
    """
    The batch is settled before the watcher has read its second update.
    """
    orchestrator = scene.orchestrator()
    async with orchestrator.stream_bulk_registration(scene.request(50), actor=scene.actor) as run:
        await anext(run)
        await scene.quiet()
        await scene.quiet()
        assert 50 == len(scene.service.records)
        rest = [update async for update in run]

    assert 49 == len(rest)


async def test_a_watcher_of_another_process_sees_everything_by_polling(scene):
    """
    No hint reaches it; the log does.
    """
    driving, watching = scene.orchestrator(), scene.orchestrator()
    scene.service.script = lambda *_: slow(1.0)
    accepted = await driving.submit_bulk_registration(scene.request(12), actor=scene.actor, drive=False)
    seen = []

    async def watch():
        async with watching.watch_batch(accepted.batch_id, actor=scene.actor) as run:
            seen.extend([update async for update in run])

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(watch)
            crew.start_soon(driving.resume_interrupted)

    await scene.while_time_passes(both)

    assert list(range(1, 13)) == [update.sequence for update in seen]


async def test_a_watcher_goes_on_where_it_left(scene):
    """
    `after` is the last sequence it saw.
    """
    done = await scene.orchestrator().submit_bulk_registration(scene.request(5), actor=scene.actor)

    async with scene.orchestrator().watch_batch(done.batch_id, actor=scene.actor, after=3) as run:
        updates = [update async for update in run]

    assert [4, 5] == [update.sequence for update in updates]


async def test_a_watch_ends_with_the_run_it_was_opened_in(scene):
    """
    A retry opened meanwhile belongs to the next watcher.
    """
    scene.service.script = lambda r, n: reject() if r.mentor_id == "mentor-0" and n == 1 else succeed()
    orchestrator = scene.orchestrator()
    first = await orchestrator.submit_bulk_registration(scene.request(3), actor=scene.actor)
    async with orchestrator.watch_batch(first.batch_id, actor=scene.actor) as run:
        await orchestrator.retry_failed_items(first.batch_id, actor=scene.actor)
        updates = [update async for update in run]

    assert [1, 1, 1] == [update.run for update in updates]
    async with orchestrator.watch_batch(first.batch_id, actor=scene.actor, after=3) as run:
        assert [(2, 4, 3)] == [(u.run, u.sequence, u.settled) async for u in run]


async def test_a_watch_ends_when_its_batch_is_deleted(scene):
    """
    Nothing more will come; the result is gone with the batch.
    """
    orchestrator = scene.orchestrator()
    done = await orchestrator.submit_bulk_registration(scene.request(3), actor=scene.actor)

    async with orchestrator.watch_batch(done.batch_id, actor=scene.actor) as run:
        await orchestrator.delete_batch(done.batch_id, actor=scene.actor)
        updates = [update async for update in run]

    assert [] == updates
    with pytest.raises(BatchNotFoundError):
        _ = run.result


async def test_a_batch_that_is_not_there_cannot_be_watched(scene):
    """
    The same error as for one that the actor may not know of.
    """
    with pytest.raises(BatchNotFoundError):
        async with scene.orchestrator().watch_batch("nowhere", actor=scene.actor):
            pytest.fail("watched a batch that does not exist")


async def test_a_watcher_that_leaves_stops_nothing(scene):
    """
    Watching drives nothing, so leaving stops nothing.
    """
    scene.service.script = lambda *_: slow(1.0)
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(3), actor=scene.actor, drive=False)

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(orchestrator.resume_interrupted)
            async with orchestrator.watch_batch(accepted.batch_id, actor=scene.actor) as run:
                await anext(run)

    await scene.while_time_passes(both)

    assert 3 == len(scene.service.records)


async def test_an_error_in_the_block_leaves_as_itself_and_frees_the_batch(scene):
    """
    No exception group around the host's own error.
    """
    scene.service.script = lambda *_: slow(1.0)

    async def fail_inside():
        async with scene.orchestrator().stream_bulk_registration(scene.request(3), actor=scene.actor):
            await scene.quiet()
            raise KeyError(scene.actor.user_id)

    with pytest.raises(KeyError, match="coord-1"):
        await fail_inside()

    found = await scene.repository.find_drivable(limit=1)
    assert [0.0] == [drivable.lease_remaining for drivable in found]


async def test_a_watcher_that_leaves_reads_nothing_more(scene):
    """
    The batch's outcomes are many; who goes away before the end did not ask for them.
    """
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(3), actor=scene.actor, drive=False)

    async def untouched(*_args, **_kwargs):
        raise AssertionError

    async with orchestrator.watch_batch(accepted.batch_id, actor=scene.actor) as run:
        scene.repository.read_result = untouched

    with pytest.raises(BatchStateError, match="left before the run was settled"):
        _ = run.result
