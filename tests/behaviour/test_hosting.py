"""
What a job of an engine is told: each call ends by itself, and says where the run stands.
"""

import anyio
import attrs
import pytest

from proxy_orchestration import (
    AtomicModeError,
    BulkStatus,
    DriveEnding,
    DriveReport,
    InvalidInputError,
    RepositoryUnavailableError,
    RetryPolicy,
    StandardRegistrationService,
    SubmissionMode,
    WaitingRun,
    WrongServiceError,
)
from proxy_orchestration.registration.runs import Lease
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import hang, reject, succeed, unavailable


async def accepted(scene, mentors=3, **orchestrator):
    """
    Return the id of a batch that nobody drives.
    """
    host = attrs.evolve(scene.orchestrator(), **orchestrator)
    result = await host.submit_bulk_registration(scene.request(mentors), actor=scene.actor, drive=False)
    return result.batch_id


def report(batch_id, ending, *, run=1, **rest):
    """
    Return what a job is told.
    """
    return DriveReport(batch_id=batch_id, run=run, ending=ending, **rest)


class NoOutcomes(MemoryActivityRepository):
    """
    A store that is not asked for outcomes or progress.
    """

    async def read_result(self, batch_id, /):
        """
        Fail.
        """
        raise AssertionError(batch_id)

    async def read_updates(self, batch_id, /, *, after, limit):
        """
        Fail.
        """
        raise AssertionError(batch_id)


@pytest.mark.parametrize("run", [None, 1])
async def test_a_free_run_is_driven_to_its_end_and_no_outcome_is_read(scene, run):
    """
    Called again, it calls no service again, and says the same.
    """
    scene.repository = NoOutcomes(scene.clock)
    scene.service.script = lambda call, _: reject() if call.mentor_id == "mentor-1" else succeed()
    batch_id, host = await accepted(scene), scene.orchestrator()

    first = await host.drive_if_free(batch_id, run=run)
    second = await host.drive_if_free(batch_id, run=run)

    settled = report(batch_id, DriveEnding.SETTLED, status=BulkStatus.PARTIAL_SUCCESS)
    assert [settled, settled] == [first, second]
    assert 3 == len(scene.service.calls)
    assert 1 == len(scene.audit.events)
    assert {
        "batch_id": batch_id,
        "run": 1,
        "ending": "settled",
        "status": "partial_success",
        "retry_after": None,
    } == first.to_dict()


async def test_progress_is_published_as_by_any_driver(scene):
    """
    Whoever watches in the same process sees it, although no time passes.
    """
    batch_id, host = await accepted(scene), scene.orchestrator()
    async with anyio.create_task_group() as crew, host.watch_batch(batch_id, actor=scene.actor) as run:
        crew.start_soon(host.drive_if_free, batch_id)
        seen = [update.settled async for update in run]

    assert [1, 2, 3] == seen


async def test_of_two_jobs_for_one_run_one_drives_and_the_other_is_told_for_how_long(scene):
    """
    A held lease is no exception: an engine comes back when it may be over.
    """
    gate = anyio.Event()
    scene.service.script = lambda *_: hang() if not gate.is_set() else succeed()
    batch_id = await accepted(scene)
    async with anyio.create_task_group() as crew:
        crew.start_soon(scene.orchestrator().drive_if_free, batch_id)
        await scene.quiet()

        held = await scene.orchestrator().drive_if_free(batch_id, run=1)
        waiting = await scene.orchestrator().waiting_runs(limit=10)
        crew.cancel_scope.cancel()

    assert report(batch_id, DriveEnding.HELD, retry_after=30.0) == held
    assert () == waiting


async def test_a_job_that_is_cancelled_leaves_its_batch_to_the_next_at_once(scene):
    """
    The engine's worker stops: the cancellation leaves, and no lease has to be waited for.
    """
    gate, returned = anyio.Event(), []
    scene.service.script = lambda *_: hang() if not gate.is_set() else succeed()
    batch_id = await accepted(scene)

    async def job():
        returned.append(await scene.orchestrator().drive_if_free(batch_id))

    await scene.interrupt(job)
    gate.set()

    assert [] == returned
    assert (WaitingRun(batch_id=batch_id, run=1),) == await scene.orchestrator().waiting_runs(limit=10)
    assert DriveEnding.SETTLED is (await scene.orchestrator().drive_if_free(batch_id)).ending


async def test_a_run_of_which_nothing_is_due_is_given_up_and_says_when(scene):
    """
    A job that waited for a service's minute would hold one of the engine's places.
    """
    scene.settings = attrs.evolve(scene.settings, retry=RetryPolicy(jitter=0.0))
    scene.service.script = lambda _, attempt: unavailable(retry_after=20.0) if attempt == 1 else succeed()
    batch_id, host = await accepted(scene, mentors=1), scene.orchestrator()

    first = await host.drive_if_free(batch_id)
    waiting = await host.waiting_runs(limit=10)
    scene.clock.advance(20.0)

    assert report(batch_id, DriveEnding.WAITING, retry_after=20.0) == first
    assert () == waiting
    assert (WaitingRun(batch_id=batch_id, run=1),) == await host.waiting_runs(limit=10)
    assert DriveEnding.SETTLED is (await host.drive_if_free(batch_id)).ending


async def test_a_paused_run_is_left_alone_until_it_is_resumed(scene):
    """
    One that is paused while a job drives it ends that job, too.
    """
    scene.settings = attrs.evolve(scene.settings, pause_after_failures=1)
    scene.service.script = lambda call, _: reject() if call.mentor_id == "mentor-0" else succeed()
    batch_id, host = await accepted(scene, mentors=30), scene.orchestrator()

    seen = [await host.drive_if_free(batch_id), await host.drive_if_free(batch_id)]
    waiting = await host.waiting_runs(limit=10)
    await host.resume_batch(batch_id, actor=scene.actor)
    seen.append(await host.drive_if_free(batch_id))

    paused = report(batch_id, DriveEnding.PAUSED)
    assert [paused, paused] == seen[:2]
    assert DriveEnding.SETTLED is seen[2].ending
    assert () == waiting


async def test_a_run_that_another_driver_took_over_is_lost(scene):
    """
    The job ends, and comes back once that driver's lease would be over if it died.
    """
    batch_id, host, told = await accepted(scene), scene.orchestrator(), []
    scene.service.script = lambda *_: hang()

    async def job():
        told.append(await host.drive_if_free(batch_id))

    async def take_over():
        async with anyio.create_task_group() as crew:
            crew.start_soon(job)
            await scene.quiet()
            taken = await scene.repository.acquire(batch_id, 1, ttl=30.0, take_over=True)
            assert isinstance(taken, Lease)

    await scene.while_time_passes(take_over)

    assert [report(batch_id, DriveEnding.LOST, retry_after=30.0)] == told


async def test_a_wake_up_for_what_is_over_is_gone_and_drives_nothing(scene):
    """
    A run that is no longer current, a batch that was deleted, one that never was.
    """
    scene.service.script = lambda _, attempt: reject() if attempt == 1 else succeed()
    host, actor = scene.orchestrator(), scene.actor
    first = await host.submit_bulk_registration(scene.request(1), actor=actor)
    await host.retry_failed_items(first.batch_id, actor=actor, drive=False)
    deleted = await host.submit_bulk_registration(scene.request(1, key="other"), actor=actor)
    await host.delete_batch(deleted.batch_id, actor=actor)

    assert report(first.batch_id, DriveEnding.GONE, run=2) == await host.drive_if_free(first.batch_id, run=1)
    assert report(first.batch_id, DriveEnding.GONE, run=2) == await host.drive_if_free(first.batch_id, run=3)
    for batch_id in (deleted.batch_id, "nowhere"):
        for run in (None, 1):
            gone = await host.drive_if_free(batch_id, run=run)
            assert report(batch_id, DriveEnding.GONE, run=None) == gone
    assert 2 == len(scene.service.calls)


async def test_a_batch_of_another_service_is_refused_and_does_not_wait_here(scene):
    """
    Its own service's workers find it; these do not call theirs for it.
    """
    batch_id = await accepted(scene, service_name="visits")
    other = attrs.evolve(scene.orchestrator(), service_name="calls")
    own = attrs.evolve(scene.orchestrator(), service_name="visits")

    with pytest.raises(WrongServiceError):
        await other.drive_if_free(batch_id, run=1)

    assert () == await other.waiting_runs(limit=10)
    assert DriveEnding.GONE is (await own.drive_if_free(batch_id, run=2)).ending
    assert DriveEnding.SETTLED is (await own.drive_if_free(batch_id, run=1)).ending


async def test_a_run_that_this_service_cannot_do_waits_here_no_more_once_that_was_seen(scene):
    """
    It waits for another process; the others are found as ever, however few are asked for.
    """
    standard = StandardRegistrationService(repository=scene.repository, clock=scene.clock)
    able = attrs.evolve(scene.orchestrator(), registration_service=standard)
    whole = [
        await able.submit_bulk_registration(
            attrs.evolve(scene.request(2, key=f"{number}"), mode=SubmissionMode.ATOMIC),
            actor=scene.actor,
            drive=False,
        )
        for number in range(2)
    ]
    other = await accepted(scene, mentors=1)
    host = scene.orchestrator()

    for each in whole:
        with pytest.raises(AtomicModeError):
            await host.drive_if_free(each.batch_id)
    left = await host.waiting_runs(limit=1)
    elsewhere = await able.waiting_runs(limit=10)
    settled = await able.drive_if_free(whole[0].batch_id)

    assert [other] == [run.batch_id for run in left]
    assert [*(each.batch_id for each in whole), other] == [run.batch_id for run in elsewhere]
    assert DriveEnding.SETTLED is settled.ending
    assert [other] == [run.batch_id for run in await host.waiting_runs(limit=10)]
    assert {(whole[1].batch_id, 1)} == host._coordinator.beyond_us


async def test_waiting_runs_are_those_that_nobody_drives_the_oldest_first(scene):
    """
    A dead driver's run is one of them as soon as its lease is over.
    """
    host = scene.orchestrator()
    held, first, second = [await accepted(scene, mentors=1) for _ in range(3)]
    await scene.repository.acquire(held, 1, ttl=30.0)

    now = await host.waiting_runs(limit=10)
    scene.clock.advance(31.0)

    assert [first, second] == [run.batch_id for run in now]
    assert [held, first] == [run.batch_id for run in await host.waiting_runs(limit=2)]


@pytest.mark.parametrize("limit", [0, 1001, "10", True])
async def test_a_limit_that_means_nothing_is_refused(scene, limit):
    """
    Before the store is asked.
    """
    with pytest.raises(InvalidInputError, match="limit"):
        await scene.orchestrator().waiting_runs(limit=limit)


async def test_audit_events_that_were_refused_are_delivered_later(scene):
    """
    An engine's host has no `serve` that would do it, and hears how many went.
    """
    scene.audit.script = lambda event, attempt: unavailable() if attempt <= 2 else succeed()
    told, failing = [], [True]

    async def on_run_settled(summary):
        if failing:
            failing.clear()
            raise ConnectionError
        told.append(summary.batch_id)

    host = attrs.evolve(scene.orchestrator(), on_run_settled=on_run_settled)
    batch_id = await accepted(scene)
    await host.drive_if_free(batch_id)

    counts = [await host.deliver_audit()]
    for _ in range(3):
        scene.clock.advance(10.0)
        counts.append(await host.deliver_audit())

    assert [0, 0, 1, 0] == counts
    assert [batch_id] == [event.batch_id for event in scene.audit.events]
    assert [batch_id] == told


async def test_a_store_that_fails_is_an_error_for_the_engine_to_repeat(scene):
    """
    Nothing is reported that was not seen.
    """

    class Down(MemoryActivityRepository):
        async def acquire(self, batch_id, run, /, *, ttl, take_over=False):
            reason = "The database is down."
            raise RepositoryUnavailableError(reason, advice="Start it.")

    scene.repository = Down(scene.clock)
    batch_id = await accepted(scene)

    with pytest.raises(RepositoryUnavailableError):
        await scene.orchestrator().drive_if_free(batch_id)
