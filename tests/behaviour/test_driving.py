import contextlib

import anyio
import pytest

from proxy_orchestration import (
    BatchLeasedError,
    BatchNotFoundError,
    BatchStateError,
    BulkSettings,
    BulkStatus,
    ItemState,
    RepositoryUnavailableError,
    RetryPolicy,
)
from proxy_orchestration.errors import LeaseLostError
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import (
    FaultyActivityRepository,
    fail_at,
    hang,
    lose_reply,
    slow,
    succeed,
    unavailable,
)


async def accept(scene, mentors=6):
    """
    Return the id of an accepted batch that nobody drives.
    """
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(mentors), actor=scene.actor, drive=False
    )
    return accepted.batch_id


async def dead_driver(scene, batch_id, *, claimed, ttl=30.0):
    """
    Leave the batch as a driver leaves it that is killed after claiming so many.
    """
    lease = await scene.repository.acquire(batch_id, 1, ttl=ttl)
    await scene.repository.commit(lease, Commit(claim=claimed, ttl=ttl))
    return lease


async def status(scene, batch_id):
    """
    Return the batch's status.
    """
    return await scene.orchestrator().get_bulk_submission_status(batch_id, actor=scene.actor)


async def test_two_drivers_at_once_are_refused(scene):
    """
    The second one is told how long the lease lasts.
    """
    batch_id = await accept(scene)
    await dead_driver(scene, batch_id, claimed=1)

    with pytest.raises(BatchLeasedError) as caught:
        async with scene.orchestrator().drive_batch(batch_id):
            pytest.fail("drove a batch that somebody else drives")

    assert 30.0 == caught.value.retry_after


async def test_driving_an_unknown_batch_says_so(scene):
    """
    The host's own verb knows no actor, and still no such batch.
    """
    with pytest.raises(BatchNotFoundError):
        async with scene.orchestrator().drive_batch("nowhere"):
            pytest.fail("drove a batch that does not exist")


async def test_driving_a_settled_batch_yields_nothing_and_has_the_result(scene):
    """
    Nothing is left to do; the result is there all the same.
    """
    done = await scene.orchestrator().submit_bulk_registration(scene.request(3), actor=scene.actor)

    async with scene.orchestrator().drive_batch(done.batch_id) as run:
        updates = [update async for update in run]

    assert ([], done) == (updates, run.result)


async def test_drive_batch_shows_the_whole_run(scene):
    """
    One update per item, though refused ones were settled at acceptance.
    """
    batch_id = await accept(scene, ["a", "coord-1", "b"])

    async with scene.orchestrator().drive_batch(batch_id) as run:
        updates = [update async for update in run]

    assert "coord-1" == updates[0].outcome.mentor_id
    assert {"coord-1", "a", "b"} == {update.outcome.mentor_id for update in updates}
    assert BulkStatus.PARTIAL_SUCCESS is run.result.status


async def test_leaving_early_stops_driving_and_frees_the_batch(scene):
    """
    The lease is released at once; what had finished is stored; another driver goes on.
    """
    scene.settings = BulkSettings(max_concurrency=1, max_undurable=1)
    batch_id = await accept(scene)

    async with scene.orchestrator().drive_batch(batch_id) as run:
        first = await anext(run)

    assert BulkStatus.RUNNING is (await status(scene, batch_id)).status
    found = await scene.repository.find_drivable(limit=9)
    assert [0.0] == [drivable.lease_remaining for drivable in found]
    assert [batch_id] == list(await scene.orchestrator().resume_interrupted())
    final = await status(scene, batch_id)
    assert BulkStatus.SUCCESS is final.status
    assert first.outcome in final.outcomes
    assert 6 == len(scene.service.records)


@pytest.mark.parametrize("way_out", ["end", "error"])
async def test_a_block_that_is_left_with_work_undone_has_no_result_and_says_so(scene, caplog, way_out):
    """
    Neither a job nor its log can take it for done.
    """
    scene.settings = BulkSettings(max_concurrency=1, max_undurable=1)
    batch_id = await accept(scene)

    with contextlib.suppress(ZeroDivisionError):
        async with scene.orchestrator().drive_batch(batch_id) as run:
            await anext(run)
            if way_out == "error":
                raise ZeroDivisionError

    with pytest.raises(BatchStateError, match="Drive the batch again"):
        _ = run.result
    assert f"run 1 of batch {batch_id} was left before it was settled" in caplog.text
    assert len(scene.service.calls) < 6


async def test_a_block_that_is_left_after_the_last_update_is_done(scene, caplog):
    """
    Whoever counts need not wait for the end of the iteration.
    """
    batch_id = await accept(scene)

    async with scene.orchestrator().drive_batch(batch_id) as run:
        async for update in run:
            if update.settled == update.total:
                break

    assert BulkStatus.SUCCESS is run.result.status
    assert "left before" not in caplog.text


async def test_a_watcher_may_leave_whenever_it_likes(scene, caplog):
    """
    It drives nothing, so nothing is left undone.
    """
    batch_id = await accept(scene)

    async with scene.orchestrator().watch_batch(batch_id, actor=scene.actor) as run:
        pass

    with pytest.raises(BatchStateError, match="read its status"):
        _ = run.result
    seen = await scene.orchestrator().get_bulk_submission_status(batch_id, actor=scene.actor)
    assert BulkStatus.PENDING is seen.status
    assert "" == caplog.text


async def test_who_drives_a_batch_is_told_that_another_took_it_over(scene):
    """
    A job that only looked on has not done its work.
    """
    batch_id = await accept(scene)

    class Overtaken(MemoryActivityRepository):
        async def commit(self, lease, commit, /):
            if commit.outcomes:
                await self.release(lease)
                await self.acquire(lease.batch_id, lease.run, ttl=30.0)
            return await super().commit(lease, commit)

    scene.repository.__class__ = Overtaken

    async def drive():
        async with scene.orchestrator().drive_batch(batch_id) as run:
            async for _ in run:
                pass

    with pytest.raises(LeaseLostError) as caught:
        await drive()

    assert (batch_id, 1) == (caught.value.batch_id, caught.value.run)


async def test_cancelling_the_host_task_stores_what_had_finished(scene):
    """
    Shutdown is no cancel: one finished, one was in flight, four were never begun.
    """
    scene.settings = BulkSettings(max_concurrency=1, max_undurable=5)
    scene.service.script = lambda r, _: slow(9.0) if r.mentor_id == "mentor-1" else succeed()
    batch_id = await accept(scene)

    await scene.interrupt(scene.orchestrator().resume_interrupted)

    between = await status(scene, batch_id)
    assert BulkStatus.RUNNING is between.status
    assert {ItemState.SUCCEEDED: 1, ItemState.RUNNING: 5} == dict(between.counts)
    scene.service.script = lambda *_: succeed()
    await scene.orchestrator().resume_interrupted()
    assert BulkStatus.SUCCESS is (await status(scene, batch_id)).status
    assert 6 == len(scene.service.records)


async def test_what_a_dead_driver_began_is_looked_up_first(lookup_scene):
    """
    A take-over treats every claimed item without an outcome as in doubt.
    """
    batch_id = await accept(lookup_scene)
    await dead_driver(lookup_scene, batch_id, claimed=4)

    await lookup_scene.while_time_passes(lookup_scene.orchestrator().resume_interrupted)

    looked_up = [f"{batch_id}:mentor-{number}" for number in range(4)]
    assert looked_up == sorted(lookup_scene.service.lookups)
    assert BulkStatus.SUCCESS is (await status(lookup_scene, batch_id)).status


async def test_resuming_waits_for_a_dead_drivers_lease(scene, caplog):
    """
    Not longer than the lease, and it says so.
    """
    batch_id = await accept(scene)
    await dead_driver(scene, batch_id, claimed=1, ttl=12.0)

    driven = await scene.while_time_passes(scene.orchestrator().resume_interrupted)

    assert [batch_id] == list(driven)
    assert 12.0 <= scene.clock.monotonic() < 13.0
    assert "waiting 12.0 s" in caplog.text


async def test_resuming_leaves_a_batch_whose_driver_lives(scene):
    """
    The lease was renewed meanwhile: hands off.
    """
    batch_id = await accept(scene)
    lease = await dead_driver(scene, batch_id, claimed=1, ttl=5.0)
    driven = []

    async def resume():
        driven.extend(await scene.orchestrator().resume_interrupted())

    async with anyio.create_task_group() as crew:
        crew.start_soon(resume)
        await scene.quiet()
        scene.clock.advance(0.4)
        await scene.repository.commit(lease, Commit(ttl=5.0))
        scene.clock.advance(0.2)

    assert [] == driven
    assert BulkStatus.RUNNING is (await status(scene, batch_id)).status


async def test_resuming_stops_waiting_when_the_run_settles(scene):
    """
    The other driver got to the end: nothing is left to do here.
    """
    await accept(scene)
    other = scene.orchestrator()
    scene.service.script = lambda *_: slow(2.0)
    driven = []

    async def resume():
        driven.extend(await scene.orchestrator().resume_interrupted())

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(other.resume_interrupted)
            await scene.quiet()
            crew.start_soon(resume)

    await scene.while_time_passes(both)

    assert [] == driven
    assert 6 == len(scene.service.calls)


async def test_a_stale_driver_writes_nothing_and_stops(scene):
    """
    It was paused beyond its lease; another one took over and finished.
    """
    scene.settings = BulkSettings(max_concurrency=1, max_undurable=1, lease_ttl=30.0)
    gate = anyio.Event()
    scene.service.script = lambda *_: slow(gate)
    batch_id = await accept(scene)
    paused = scene.orchestrator()

    async with anyio.create_task_group() as crew:
        crew.start_soon(paused.resume_interrupted)
        await scene.quiet()
        run = scene.repository
        lease = None
        scene.clock._elapsed += 31.0
        lease = await run.acquire(batch_id, 1, ttl=30.0)
        gate.set()
        await scene.quiet()
        calls_of_the_stale = len(scene.service.calls)
        await run.release(lease)

    between = await status(scene, batch_id)
    assert {ItemState.RUNNING: 2, ItemState.PENDING: 4} == dict(between.counts)
    assert calls_of_the_stale <= 2
    scene.service.script = lambda *_: succeed()
    await scene.orchestrator().resume_interrupted()
    assert BulkStatus.SUCCESS is (await status(scene, batch_id)).status
    assert 6 == len(scene.service.records)


async def test_a_long_call_keeps_its_lease_by_heartbeat(scene):
    """
    A call longer than the lease does not lose the batch.
    """
    scene.settings = BulkSettings(lease_ttl=6.0, call_timeout=60.0, max_concurrency=1)
    scene.service.script = lambda *_: slow(40.0)

    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)
    )

    assert BulkStatus.SUCCESS is result.status
    assert 1 == len(scene.service.calls)


@pytest.mark.parametrize("write", range(1, 6))
async def test_a_failing_store_loses_nothing_acknowledged(scene, write):
    """
    Whichever write fails, the error says what to do, and resuming ends with one record each.
    """
    scene.settings = BulkSettings(max_concurrency=2, max_undurable=2)
    sound = scene.repository
    gone = RepositoryUnavailableError("The disk is full.", advice="Free space and resume.")
    scene.repository = FaultyActivityRepository(sound, before=fail_at(write, gone))
    with pytest.raises(RepositoryUnavailableError, match="Free space"):
        await scene.orchestrator().submit_bulk_registration(scene.request(6, "key"), actor=scene.actor)
    scene.repository = sound

    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(6, "key"), actor=scene.actor)
    )

    assert BulkStatus.SUCCESS is result.status
    assert 6 == len(scene.service.records)


async def test_a_store_that_never_answers_is_reported_within_the_lease(scene):
    """
    A write that records the truth is shielded, but not for ever.
    """
    scene.settings = BulkSettings(lease_ttl=6.0)
    batch_id = await accept(scene)

    async def never(*_args, **_kwargs):
        await anyio.sleep_forever()

    scene.repository.commit = never

    with pytest.raises(RepositoryUnavailableError, match="did not answer"):
        await scene.while_time_passes(scene.orchestrator().resume_interrupted)

    assert 6.0 <= scene.clock.monotonic() <= 12.0
    assert BulkStatus.RUNNING is (await status(scene, batch_id)).status


async def test_past_the_time_budget_nothing_new_begins(scene):
    """
    Two were in flight and are in doubt; four were never begun and may be retried.
    """
    scene.settings = BulkSettings(max_concurrency=2, time_budget=5.0)
    scene.service.script = lambda *_: hang()

    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(6), actor=scene.actor)
    )

    assert {ItemState.UNKNOWN: 2, ItemState.FAILED: 4} == dict(result.counts)
    late = [outcome.failure for outcome in result.outcomes if outcome.state is ItemState.FAILED]
    assert {("time_budget_exceeded", True)} == {(failure.code, failure.retryable) for failure in late}
    assert 2 == len(scene.service.calls)


async def test_the_time_budget_counts_driving_only(scene):
    """
    Time between two drivers is free; time driven before is not.
    """
    scene.settings = BulkSettings(max_concurrency=1, max_undurable=1, time_budget=10.0, lease_ttl=9.0)
    scene.service.script = lambda *_: hang()
    batch_id = await accept(scene, 3)

    async with anyio.create_task_group() as crew:
        crew.start_soon(scene.orchestrator().resume_interrupted)
        await scene.quiet()
        for _ in range(9):
            scene.clock.advance(1.0)
            await scene.quiet()
        crew.cancel_scope.cancel()
    scene.clock.advance(1000.0)
    started = scene.clock.monotonic()
    await scene.while_time_passes(scene.orchestrator().resume_interrupted)

    assert scene.clock.monotonic() - started <= 7.0
    result = await status(scene, batch_id)
    assert "time_budget_exceeded" in {outcome.failure.code for outcome in result.failed}


async def test_a_budget_spent_before_begins_nothing(scene):
    """
    The next driver settles what is left without a call.
    """
    scene.settings = BulkSettings(time_budget=10.0)
    batch_id = await accept(scene, 4)
    lease = await scene.repository.acquire(batch_id, 1, ttl=0.0)
    await scene.repository.commit(lease, Commit(claim=1, driven_for=10.0, ttl=0.0))

    await scene.orchestrator().resume_interrupted()

    assert {ItemState.UNKNOWN: 1, ItemState.FAILED: 3} == dict((await status(scene, batch_id)).counts)
    assert [] == scene.service.calls


async def test_a_backoff_ends_with_the_time_budget(scene):
    """
    An item between two attempts fails as unavailable when the budget is spent.
    """
    scene.settings = BulkSettings(time_budget=5.0, retry=RetryPolicy(initial=100.0, max_delay=100.0))
    scene.service.script = lambda *_: unavailable()

    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(2), actor=scene.actor)
    )

    assert ["unavailable", "unavailable"] == [outcome.failure.code for outcome in result.failed]
    assert 5.0 == scene.clock.monotonic()


async def test_serve_drives_what_is_accepted_anywhere(scene):
    """
    Accepted by one orchestrator, driven by another that serves.
    """
    scene.service.script = lambda _, attempt: lose_reply() if attempt == 1 else succeed()
    serving = scene.orchestrator()

    async def story():
        async with anyio.create_task_group() as crew:
            await crew.start(lambda task_status: serving.serve(task_status=task_status))
            first = await accept(scene, 3)
            async with serving.watch_batch(first, actor=scene.actor) as run:
                updates = [update async for update in run]
            crew.cancel_scope.cancel()
        return updates, run.result

    updates, result = await scene.while_time_passes(story)

    assert [1, 2, 3] == [update.sequence for update in updates]
    assert BulkStatus.SUCCESS is result.status


async def test_serve_survives_a_store_that_fails_for_a_while(scene, caplog):
    """
    It says so, and goes on when the store is back.
    """
    batch_id = await accept(scene, 3)
    sound = scene.repository
    gone = RepositoryUnavailableError("The disk is full.", advice="Free space.")
    looked = 0

    class Forgetful(FaultyActivityRepository):
        async def find_drivable(self, *, limit, due_only=False):
            nonlocal looked
            looked += 1
            if looked == 2:
                raise gone
            return await sound.find_drivable(limit=limit, due_only=due_only)

    scene.repository = Forgetful(sound, before=fail_at(2, gone))

    result = await scene.while_time_passes(lambda: scene.serve_to_the_end_of(batch_id))

    assert BulkStatus.SUCCESS is result.status
    assert "Free space." in caplog.text


async def test_a_store_that_fails_while_leaving_does_not_hide_why(scene, caplog):
    """
    The first error is the host's; what fails after it is logged.
    """
    scene.settings = BulkSettings(max_concurrency=1, max_undurable=1)
    gone = RepositoryUnavailableError("The file was deleted.", advice="Put it back.")

    def after(point):
        if point.number > 2:
            raise gone if point.number == 3 else BatchStateError("batch", "twice.")

    scene.repository = FaultyActivityRepository(scene.repository, after=after)

    with pytest.raises(RepositoryUnavailableError, match="deleted"):
        await scene.orchestrator().submit_bulk_registration(scene.request(6), actor=scene.actor)

    assert "could not be released" in caplog.text


async def test_a_host_takes_over_from_a_driver_that_hangs(scene, caplog):
    """
    Nobody waits for the lease; what the driver before still wants to write changes nothing.
    """
    scene.settings = BulkSettings(lease_ttl=3600.0)
    batch_id = await accept(scene)
    stale = await dead_driver(scene, batch_id, claimed=2, ttl=3600.0)
    host = scene.orchestrator()

    await host.take_over(batch_id)

    assert [batch_id] == list(await host.resume_interrupted())
    assert 0.0 == scene.clock.monotonic()
    assert f"the lease on run 1 of batch {batch_id} was broken at the request of its host" in caplog.text
    assert BulkStatus.SUCCESS is (await status(scene, batch_id)).status
    with pytest.raises(LeaseLostError):
        await scene.repository.commit(stale, Commit(ttl=30.0))


async def test_a_living_driver_stops_when_its_batch_is_taken_over(scene):
    """
    Its next write finds the fence raised; who serves drives on.
    """
    scene.settings = BulkSettings(max_concurrency=1, max_undurable=1, lease_ttl=3600.0)
    hanging = anyio.Event()
    scene.service.script = lambda *_: slow(hanging)
    batch_id = await accept(scene)
    host = scene.orchestrator()
    lost = []

    async def drive():
        try:
            async with scene.orchestrator().drive_batch(batch_id) as run:
                async for _ in run:
                    pass
        except LeaseLostError as error:
            lost.append(error.batch_id)

    async with anyio.create_task_group() as crew:
        crew.start_soon(drive)
        await scene.quiet()
        await host.take_over(batch_id)
        hanging.set()
        await scene.quiet()
        assert [batch_id] == lost
        assert [batch_id] == list(await host.resume_interrupted())


async def test_a_settled_batch_cannot_be_taken_over(scene, caplog):
    """
    Nobody drives it; one that does not exist is not found.
    """
    done = await scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)

    await scene.orchestrator().take_over(done.batch_id)
    with pytest.raises(BatchNotFoundError):
        await scene.orchestrator().take_over("nowhere")

    assert "broken" not in caplog.text


async def test_a_lease_from_a_later_clock_is_over(scene):
    """
    The store's clock was set back by an hour since.
    """
    batch_id = await accept(scene)
    scene.clock.advance(3600.0)
    await dead_driver(scene, batch_id, claimed=2)
    scene.clock._elapsed -= 3600.0

    assert [batch_id] == list(await scene.orchestrator().resume_interrupted())
    assert 0.0 == scene.clock.monotonic()
