import asyncio

import anyio
import pytest
from anyio.lowlevel import checkpoint

from proxy_orchestration import (
    BatchNotFoundError,
    BulkSettings,
    BulkStatus,
    DuplicateActivityError,
    ItemState,
    OutcomeUnknownError,
    ProxyRegistration,
    RegistrationReceipt,
    RegistrationRejected,
    RegistrationUnavailable,
    RepositoryUnavailableError,
    RetryPolicy,
    StandardRegistrationService,
)
from proxy_orchestration._concurrency import Notifier, open_task_group
from proxy_orchestration.ports import LeaseLostError
from proxy_orchestration.registration.activities import registration_id_of
from proxy_orchestration.registration.execution.attempts import StopReason
from proxy_orchestration.registration.execution.cancel_watch import CancelWatch
from proxy_orchestration.registration.execution.run_context import RunContext
from proxy_orchestration.registration.execution.run_driver import RunDriver
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FaultyActivityRepository, hang, slow, stubborn, succeed, unavailable


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
    scene.repository.read_result = scene.repository.read_items = nothing

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
        async def find_drivable(self, *, limit, due_only=False):
            found = await sound.find_drivable(limit=limit, due_only=due_only)
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

    async def stale(*, limit, due_only=False):
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
        async with open_task_group() as crew:
            crew.start_soon(fail, KeyError("a"))
            crew.start_soon(fail, ValueError("b"))

    with pytest.raises(BaseExceptionGroup) as caught:
        await fail_twice()

    assert {KeyError, ValueError} == {type(error) for error in caught.value.exceptions}


async def test_the_last_page_and_the_end_may_come_in_one_wait(scene):
    """
    The watcher does not wait for a poll to learn that the run has settled.
    """
    with Notifier().subscribe("batch") as subscription:
        subscription.notify("the last page")
        subscription.notify()
        assert await subscription.wait(scene.clock, 1.0)
        assert ["the last page"] == list(subscription.take_news())
        assert subscription.take_wake_up()
        assert not subscription.take_wake_up()

    async with scene.orchestrator().stream_bulk_registration(scene.request(1), actor=scene.actor) as run:
        updates = [update async for update in run]

    assert 1 == len(updates)
    assert 0.0 == scene.clock.monotonic()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # its own way to cancel
async def test_a_native_cancel_during_a_commit_keeps_the_commit_and_frees_the_lease(scene):
    """
    Asyncio's own cancel heeds no shield; the write has a task of its own.
    """
    gate = anyio.Event()

    class Slow(MemoryActivityRepository):
        commits = 0

        async def commit(self, lease, commit, /):
            Slow.commits += 1
            if Slow.commits == 2:
                gate.set()
                for _ in range(20):
                    await checkpoint()
            return await super().commit(lease, commit)

    scene.repository = Slow(scene.clock)
    task = asyncio.ensure_future(
        scene.orchestrator().submit_bulk_registration(scene.request(6, "key"), actor=scene.actor)
    )
    await gate.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    found = await scene.repository.find_drivable(limit=1)
    assert all(run.lease_remaining == 0 for run in found)
    scene.service.calls.clear()
    result = await scene.orchestrator().submit_bulk_registration(scene.request(6, "key"), actor=scene.actor)
    assert BulkStatus.SUCCESS is result.status
    assert 6 == len(scene.service.records)


async def test_a_lease_that_arrives_for_a_cancelled_host_is_given_up(scene):
    """
    Nobody would drive it, and everybody would wait for it.
    """

    class Slow(MemoryActivityRepository):
        async def acquire(self, batch_id, run, /, *, ttl):
            for _ in range(20):
                await checkpoint()
            return await super().acquire(batch_id, run, ttl=ttl)

    scene.repository = Slow(scene.clock)
    async with anyio.create_task_group() as crew:
        crew.start_soon(
            lambda: scene.orchestrator().submit_bulk_registration(scene.request(2), actor=scene.actor)
        )
        for _ in range(15):
            await checkpoint()
        crew.cancel_scope.cancel()

    found = await scene.repository.find_drivable(limit=1)
    assert [0.0] == [run.lease_remaining for run in found]


async def test_a_host_cancelled_while_it_asks_for_a_held_lease_leaves_that_lease(scene):
    """
    It belongs to somebody else.
    """
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(1, "key"), actor=scene.actor, drive=False
    )
    await scene.repository.acquire(accepted.batch_id, 1, ttl=30.0)
    sound_acquire = scene.repository.acquire

    async def acquire(*args, **kwargs):
        for _ in range(20):
            await checkpoint()
        return await sound_acquire(*args, **kwargs)

    scene.repository.acquire = acquire
    async with anyio.create_task_group() as crew:
        crew.start_soon(
            lambda: scene.orchestrator().submit_bulk_registration(scene.request(1, "key"), actor=scene.actor)
        )
        for _ in range(15):
            await checkpoint()
        crew.cancel_scope.cancel()

    found = await scene.repository.find_drivable(limit=1)
    assert [30.0] == [run.lease_remaining for run in found]


async def test_a_host_cancelled_during_the_last_commit_settles_the_run(scene):
    """
    Everything is durable, so nothing is left to resume.
    """

    class Slow(MemoryActivityRepository):
        last = None

        async def commit(self, lease, commit, /):
            if commit.outcomes and Slow.last is None:
                Slow.last = commit
                crew.cancel_scope.cancel()
                await checkpoint()
            return await super().commit(lease, commit)

    scene.repository = Slow(scene.clock)
    async with anyio.create_task_group() as crew:
        crew.start_soon(
            lambda: scene.orchestrator().submit_bulk_registration(scene.request(1, "key"), actor=scene.actor)
        )

    assert [] == list(await scene.repository.find_drivable(limit=1))
    page = await scene.orchestrator().list_batches(actor=scene.actor)
    assert [BulkStatus.SUCCESS] == [batch.status for batch in page.batches]


async def test_of_several_errors_of_ours_the_lost_lease_leaves():
    """
    It tells the driver to stop; the others follow from it.
    """

    async def fail(error):
        raise error

    async def fail_twice():
        async with open_task_group() as crew:
            crew.start_soon(fail, RepositoryUnavailableError("Cut.", advice="Wait."))
            crew.start_soon(fail, LeaseLostError("batch", 1))

    with pytest.raises(LeaseLostError):
        await fail_twice()


async def test_a_store_that_never_answers_an_acquisition_is_reported(scene):
    """
    Not waited for longer than a lease would last.
    """

    class Silent(MemoryActivityRepository):
        async def acquire(self, *_args, **_kwargs):
            await anyio.sleep_forever()

    scene.repository = Silent(scene.clock)

    with pytest.raises(RepositoryUnavailableError, match="in time"):
        await scene.while_time_passes(
            lambda: scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)
        )


async def test_a_slow_answer_does_not_make_a_dead_lease_look_renewed(scene):
    """
    The remaining time counts from when it was asked for.
    """
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(2), actor=scene.actor, drive=False
    )
    await scene.repository.acquire(accepted.batch_id, 1, ttl=5.0)

    sound_acquire = scene.repository.acquire

    async def acquire(*args, **kwargs):
        answer = await sound_acquire(*args, **kwargs)
        await scene.clock.sleep(0.3)
        return answer

    scene.repository.acquire = acquire

    driven = await scene.while_time_passes(scene.orchestrator().resume_interrupted)

    assert [accepted.batch_id] == list(driven)


@pytest.mark.parametrize("shutdown", [True, False], ids=["shutdown", "timeout"])
async def test_a_cut_call_is_in_doubt_whatever_the_service_makes_of_the_cut(scene, shutdown):
    """
    It turns the cancellation into an error of its own; that is no answer.
    """
    scene.settings = BulkSettings(call_timeout=5.0, retry=RetryPolicy(max_attempts=1))

    class Converting:
        async def register(self, registration, /):
            try:
                await anyio.sleep_forever()
            except BaseException:  # noqa: BLE001 - as a careless service does
                raise ValueError(registration.mentor_id) from None

    scene.service = Converting()
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor, drive=False)
    if shutdown:
        await scene.interrupt(orchestrator.resume_interrupted)
        expected = {ItemState.RUNNING: 2}
    else:
        await scene.while_time_passes(orchestrator.resume_interrupted)
        expected = {ItemState.UNKNOWN: 2}

    status = await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)
    assert expected == dict(status.counts)


async def test_a_group_from_a_services_own_tasks_is_one_items_outcome(scene):
    """
    A child of the service fails while it is cut: doubt for that item, and no more.
    """
    scene.settings = BulkSettings(call_timeout=5.0, retry=RetryPolicy(max_attempts=1), max_concurrency=1)

    class Grouping:
        async def register(self, registration, /):
            if registration.mentor_id != "mentor-0":
                return RegistrationReceipt(registration_id=registration.registration_id, activity_id="a")
            async with anyio.create_task_group() as crew:
                crew.start_soon(self.fail_at_the_end)
                await anyio.sleep_forever()
            return None

        async def fail_at_the_end(self):
            try:
                await anyio.sleep_forever()
            finally:
                raise ValueError(self)

    scene.service = Grouping()

    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(3), actor=scene.actor)
    )

    assert [ItemState.UNKNOWN, ItemState.SUCCEEDED, ItemState.SUCCEEDED] == [
        outcome.state for outcome in result.outcomes
    ]


async def test_a_late_cut_does_not_end_the_wait_that_a_service_asked_for(scene):
    """
    The call ignored its cut and answered: come back in a minute.
    """
    scene.settings = BulkSettings(call_timeout=1.0)
    scene.service.script = lambda _, n: stubborn(slow(2.0, unavailable(60.0))) if n == 1 else succeed()

    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)
    )

    assert BulkStatus.SUCCESS is result.status
    assert scene.clock.monotonic() >= 62.0


async def test_what_was_begun_is_looked_up_although_the_budget_is_spent(lookup_scene):
    """
    The end of the grace cuts calls, not the look-ups that settle doubt.
    """
    scene = lookup_scene
    scene.settings = BulkSettings(time_budget=5.0)
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(4), actor=scene.actor, drive=False
    )
    lease = await scene.repository.acquire(accepted.batch_id, 1, ttl=0)
    committed = await scene.repository.commit(lease, Commit(claim=4, driven_for=9.0, ttl=0))
    for work in committed.claimed:
        key = registration_id_of(accepted.batch_id, work.mentor_id)
        await scene.service.register(
            ProxyRegistration(
                registration_id=key,
                idempotency_key=f"{key}:0",
                batch_id=accepted.batch_id,
                mentor_id=work.mentor_id,
                activity=work.activity,
                registered_by=scene.actor,
            )
        )
    scene.service.lookup_script = lambda *_: slow(0.5)

    await scene.while_time_passes(scene.orchestrator().resume_interrupted)

    status = await scene.orchestrator().get_bulk_submission_status(accepted.batch_id, actor=scene.actor)
    assert BulkStatus.SUCCESS is status.status
    assert 4 == len(scene.service.calls)


async def test_one_bad_batch_does_not_stop_the_others_from_being_resumed(scene):
    """
    The error is raised after the pass.
    """
    ids = [
        (
            await scene.orchestrator().submit_bulk_registration(
                scene.request(2, f"k{number}"), actor=scene.actor, drive=False
            )
        ).batch_id
        for number in range(3)
    ]
    sound_commit = scene.repository.commit

    async def commit(lease, write, /):
        if lease.batch_id == ids[1]:
            reason = "This batch is cursed."
            raise RepositoryUnavailableError(reason, advice="Lift the curse.")
        return await sound_commit(lease, write)

    scene.repository.commit = commit
    orchestrator = scene.orchestrator()

    with pytest.raises(RepositoryUnavailableError, match="cursed"):
        await orchestrator.resume_interrupted()

    states = [
        (await orchestrator.get_bulk_submission_status(batch_id, actor=scene.actor)).status
        for batch_id in ids
    ]
    assert [BulkStatus.SUCCESS, BulkStatus.RUNNING, BulkStatus.SUCCESS] == states


async def test_a_wish_that_cannot_be_read_once_is_looked_for_again(scene, caplog):
    """
    One failing read does not end a drive.
    """
    scene.service.script = lambda *_: slow(5.0)
    sound_get = scene.repository.get
    reads = 0

    async def get(batch_id, /):
        nonlocal reads
        reads += 1
        if reads == 1:
            reason = "Cut."
            raise RepositoryUnavailableError(reason, advice="Wait.")
        return await sound_get(batch_id)

    scene.repository.get = get

    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)
    )

    assert BulkStatus.SUCCESS is result.status
    assert "could not be checked whether batch" in caplog.text


async def test_a_taken_event_that_cannot_be_marked_is_delivered_again(scene, caplog):
    """
    The submitter has the result all the same.
    """

    class Forgetful(MemoryActivityRepository):
        async def mark_audited(self, event_id, /):
            reason = "Cut."
            raise RepositoryUnavailableError(reason, advice="Wait.")

    scene.repository = Forgetful(scene.clock)

    result = await scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)

    assert BulkStatus.SUCCESS is result.status
    assert "will be delivered again" in caplog.text


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio lets nobody make its cancellation
async def test_a_logger_that_cancels_itself_never_reaches_the_caller(scene, caplog):
    """
    Whatever it raises is logged.
    """

    class Wild:
        async def log_bulk_submission(self, event, /):
            raise asyncio.CancelledError

    scene.audit = Wild()

    result = await scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)

    assert BulkStatus.SUCCESS is result.status
    assert "CancelledError" in caplog.text


async def test_what_a_logger_makes_of_its_cut_never_reaches_the_caller(scene, caplog):
    """
    It turns the end of its time into an error of its own.
    """

    class Complaining:
        async def log_bulk_submission(self, event, /):
            try:
                await anyio.sleep_forever()
            except BaseException:  # noqa: BLE001 - as a careless logger does
                raise ValueError(event.batch_id) from None

    scene.audit = Complaining()

    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)
    )

    assert BulkStatus.SUCCESS is result.status
    assert "no answer in time" in caplog.text


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # its own way to cancel
async def test_a_native_cancel_while_the_logger_is_told_is_the_hosts(scene):
    """
    It is no failure of the logger; the event is delivered again.
    """
    scene.audit.script = lambda *_: hang()
    task = asyncio.ensure_future(
        scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)
    )
    await scene.clock.wait_for_sleepers()
    while not scene.audit.deliveries:
        await checkpoint()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_batch_deleted_at_the_same_time_is_not_found(scene):
    """
    Of two who delete, one is told that it is gone.
    """
    orchestrator = scene.orchestrator()
    done = await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor)
    scene.repository.delete = nothing

    with pytest.raises(BatchNotFoundError):
        await orchestrator.delete_batch(done.batch_id, actor=scene.actor)


@pytest.mark.parametrize(
    ("asked", "kept"), [("5", None), (-1, None), (float("nan"), None), (float("inf"), None), (7, 7)]
)
def test_a_retry_after_that_is_no_time_counts_as_none(asked, kept):
    """
    A service's sloppy answer must not end a batch.
    """
    assert kept == RegistrationUnavailable(asked).retry_after


def test_what_a_refusal_says_can_be_stored():
    """
    Text that UTF-8 cannot say, or that is no text, is made plain.
    """
    refusal = RegistrationRejected("no\x00", ValueError("\ud800 lone"))

    assert ("no", "? lone") == (refusal.code, refusal.message)
    assert "7" == DuplicateActivityError(7).existing_activity_id


@pytest.mark.parametrize(
    ("method", "mentor", "expected"),
    [
        ("find_activities", "coord-1", RegistrationUnavailable),
        ("add_activities", "mentor-1", OutcomeUnknownError),
    ],
)
async def test_the_standard_service_tells_how_a_failing_store_left_the_call(scene, method, mentor, expected):
    """
    Not executed when it could not look for the record of one that it would refuse, else not known.
    """

    async def fail(*_args, **_kwargs):
        reason = "Cut."
        raise RepositoryUnavailableError(reason, advice="Wait.")

    setattr(scene.repository, method, fail)
    service = StandardRegistrationService(repository=scene.repository, clock=scene.clock)
    key = registration_id_of("batch", mentor)
    registration = ProxyRegistration(
        registration_id=key,
        idempotency_key=f"{key}:0",
        batch_id="batch",
        mentor_id=mentor,
        activity=scene.activity,
        registered_by=scene.actor,
    )

    with pytest.raises(expected):
        await service.register(registration)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio shuffles who runs first
async def test_a_place_among_the_calls_that_comes_with_the_cut_is_not_used(scene):
    """
    The other call ends in the very turn in which the cancel is heard: no call begins after it.
    """
    scene.settings = BulkSettings(max_concurrency=2, max_calls_in_flight=1, cancel_grace=1.0)
    gate = anyio.Event()
    scene.service.script = lambda *_: slow(gate)
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(2), actor=scene.actor, drive=False
    )
    limiter = anyio.CapacityLimiter(1)
    context = RunContext(
        lease=await scene.repository.acquire(accepted.batch_id, 1, ttl=30.0),
        service=scene.service,
        clock=scene.clock,
        settings=scene.settings,
        limiter=limiter,
    )
    watch = CancelWatch(
        ledger=scene.repository, clock=context.clock, poll_interval=context.settings.poll_interval
    )
    driver = RunDriver(context=context, ledger=scene.repository, progress=Notifier(), cancel_watch=watch)

    async with anyio.create_task_group() as crew:
        crew.start_soon(driver.drive)
        await scene.quiet()
        await scene.repository.cancel_run(accepted.batch_id, reason=None, wished_at=scene.clock.now())
        gate.set()
        while limiter.statistics().tasks_waiting:
            await checkpoint()
        driver._stop_for(StopReason.CANCEL_REQUESTED)

    assert 1 == len(scene.service.calls)
    result = await scene.repository.read_result(accepted.batch_id)
    assert {ItemState.SUCCEEDED: 1, ItemState.CANCELLED: 1} == dict(result.counts)


async def test_a_submission_whose_lease_was_taken_over_sees_the_batch_through(scene):
    """
    Another driver took the run and gave it back; the submitter drives it to the end.
    """

    class Overtaken(MemoryActivityRepository):
        overtaken = False

        async def commit(self, lease, commit, /):
            if commit.outcomes and not Overtaken.overtaken:
                Overtaken.overtaken = True
                await super().release(lease)
                other = await super().acquire(lease.batch_id, lease.run, ttl=30.0)
                await super().release(other)
            return await super().commit(lease, commit)

    scene.repository = Overtaken(scene.clock)

    result = await scene.orchestrator().submit_bulk_registration(scene.request(4), actor=scene.actor)

    assert BulkStatus.SUCCESS is result.status
    assert 4 == len(scene.service.records)
