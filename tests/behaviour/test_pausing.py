import math
from contextlib import asynccontextmanager

import anyio
import pytest

from proxy_orchestration import (
    BatchStateError,
    BulkRegistrationRequest,
    BulkSettings,
    BulkStatus,
    ItemState,
    RetryPolicy,
    SubmissionMode,
)
from proxy_orchestration.registration.execution import look_ahead
from proxy_orchestration.testing import (
    BulkRegistrationService,
    hang,
    lose_reply,
    reject,
    slow,
    succeed,
    unavailable,
)

_TWO = BulkSettings(max_concurrency=2, max_undurable=2)


async def status(scene, batch_id):
    """
    Return the batch's result now.
    """
    return await scene.orchestrator().get_bulk_submission_status(batch_id, actor=scene.actor)


async def paused_in_flight(scene, mentors=10, *, other=False):
    """
    Submit and pause as soon as the first calls hang; return what the pause and the submission said.
    """
    orchestrator = scene.orchestrator()
    said = []

    async def submit():
        said.append(
            await orchestrator.submit_bulk_registration(scene.request(mentors, "key"), actor=scene.actor)
        )

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(submit)
            await scene.quiet()
            (batch,) = (await orchestrator.list_batches(actor=scene.actor)).batches
            verbs = scene.orchestrator() if other else orchestrator
            said.append(await verbs.pause_batch(batch.batch_id, actor=scene.actor))

    await scene.while_time_passes(both)
    return said


async def resumed_to_the_end(scene, batch_id):
    """
    Resume the batch, drive it by a recovery, and return its result.
    """
    orchestrator = scene.orchestrator()
    await orchestrator.resume_batch(batch_id, actor=scene.actor)
    assert (batch_id,) == tuple(await scene.while_time_passes(orchestrator.resume_interrupted))
    return await status(scene, batch_id)


@pytest.mark.parametrize("other", [False, True], ids=["this process", "another process"])
async def test_calls_in_flight_end_and_nothing_else_begins(scene, other):
    """
    The submission returns the batch as it stands; the rest is called once it goes on, each once.
    """
    scene.settings = _TWO
    scene.service.script = lambda *_: slow(3.0)

    paused, submitted = await paused_in_flight(scene, other=other)

    assert BulkStatus.PAUSED is paused.status is submitted.status
    assert (paused.paused_by, paused.pause_code) == (scene.actor.user_id, None)
    assert submitted.settled_at is None
    assert 2 == len(scene.service.calls) == len(submitted.succeeded)
    assert [] == list(await scene.repository.find_drivable(limit=9))
    assert () == tuple(await scene.orchestrator().resume_interrupted())
    assert 2 == len(scene.service.calls)

    result = await resumed_to_the_end(scene, paused.batch_id)

    assert BulkStatus.SUCCESS is result.status
    assert 10 == len(scene.service.calls) == len(scene.service.records)
    assert result.paused_at is None


async def test_a_batch_that_nobody_drove_waits(scene):
    """
    It stays PENDING, says that it is paused, and no submission or recovery drives it.
    """
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(
        scene.request(2, "key"), actor=scene.actor, drive=False
    )

    paused = await orchestrator.pause_batch(accepted.batch_id, actor=scene.actor)
    again = await orchestrator.submit_bulk_registration(scene.request(2, "key"), actor=scene.actor)

    assert (BulkStatus.PENDING, True) == (again.status, again.paused_at == paused.paused_at)
    assert [] == scene.service.calls
    assert BulkStatus.SUCCESS is (await resumed_to_the_end(scene, accepted.batch_id)).status


async def test_a_paused_batch_is_listed_by_its_status(scene):
    """
    PAUSED comes after CANCELLING and before RUNNING.
    """
    scene.settings = _TWO
    scene.service.script = lambda *_: slow(3.0)
    paused, _ = await paused_in_flight(scene)

    found = await scene.orchestrator().list_batches(actor=scene.actor, statuses=[BulkStatus.PAUSED])
    running = await scene.orchestrator().list_batches(actor=scene.actor, statuses=[BulkStatus.RUNNING])

    assert [paused.batch_id] == [batch.batch_id for batch in found.batches]
    assert 0 == running.total


async def test_a_paused_batch_is_cancelled(scene):
    """
    The cancel makes it due, settles it, and calls nobody.
    """
    scene.settings = _TWO
    scene.service.script = lambda *_: slow(3.0)
    paused, _ = await paused_in_flight(scene)
    orchestrator = scene.orchestrator()

    report = await orchestrator.cancel_batch(paused.batch_id, actor=scene.actor)

    assert (8, 2) == (report.never_started, report.already_settled)
    assert BulkStatus.CANCELLED is (await status(scene, paused.batch_id)).status
    assert 2 == len(scene.service.calls)
    for verb in (orchestrator.pause_batch, orchestrator.resume_batch):
        with pytest.raises(BatchStateError):
            await verb(paused.batch_id, actor=scene.actor)


async def test_a_cancel_reaches_calls_that_a_pause_waits_for(scene):
    """
    Who pauses and then cancels waits no longer than the grace.
    """
    scene.settings = BulkSettings(max_concurrency=2, max_undurable=2, cancel_grace=5.0, call_timeout=500.0)
    scene.service.script = lambda *_: hang()
    orchestrator = scene.orchestrator()

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(
                lambda: orchestrator.submit_bulk_registration(scene.request(4), actor=scene.actor)
            )
            await scene.quiet()
            (batch,) = (await orchestrator.list_batches(actor=scene.actor)).batches
            await orchestrator.pause_batch(batch.batch_id, actor=scene.actor)
            await scene.quiet()
            await orchestrator.cancel_batch(batch.batch_id, actor=scene.actor)
        return await status(scene, batch.batch_id)

    result = await scene.while_time_passes(both)

    assert {ItemState.UNKNOWN: 2, ItemState.CANCELLED: 2} == dict(result.counts)
    assert scene.clock.monotonic() < 100


async def test_a_settled_batch_is_neither_paused_nor_resumed(scene):
    """
    Its retry is untouched.
    """
    scene.service.script = lambda *_: reject("refused", "No.")
    orchestrator = scene.orchestrator()
    done = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor)

    for verb in (orchestrator.pause_batch, orchestrator.resume_batch):
        with pytest.raises(BatchStateError):
            await verb(done.batch_id, actor=scene.actor)

    scene.service.script = lambda *_: succeed()
    retried = await orchestrator.retry_failed_items(done.batch_id, actor=scene.actor)
    assert BulkStatus.SUCCESS is retried.status


async def test_items_between_two_attempts_keep_what_they_know(scene):
    """
    Doubt and attempts outlive the pause, and the time in it costs neither budget nor attempts.
    """
    scene.settings = BulkSettings(
        max_concurrency=2,
        max_undurable=2,
        time_budget=100.0,
        retry=RetryPolicy(initial=20.0, max_delay=20.0, jitter=0.0),
    )
    scene.service.script = lambda _, call: lose_reply() if call == 1 else succeed()
    paused, submitted = await paused_in_flight(scene, 2)
    assert BulkStatus.PAUSED is submitted.status
    scene.clock.advance(10_000.0)

    result = await resumed_to_the_end(scene, paused.batch_id)

    assert BulkStatus.SUCCESS is result.status
    assert {2} == {outcome.attempts for outcome in result.outcomes}


async def test_a_driven_block_ends_with_the_pause_and_a_paused_batch_is_not_driven(scene):
    """
    The result is there, and says PAUSED; a second block is refused when it is entered.
    """
    scene.settings = _TWO
    scene.service.script = lambda *_: slow(3.0)
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(6), actor=scene.actor, drive=False)
    seen = []

    async def drive():
        async with orchestrator.drive_batch(accepted.batch_id) as run:
            async for update in run:
                seen.append(update)
                await orchestrator.pause_batch(accepted.batch_id, actor=scene.actor)
        return run.result

    result = await scene.while_time_passes(drive)

    assert BulkStatus.PAUSED is result.status
    assert len(scene.service.calls) == len(seen) < 6
    with pytest.raises(BatchStateError, match="paused"):
        async with orchestrator.drive_batch(accepted.batch_id):
            pass


async def test_a_watcher_waits_through_a_pause(scene):
    """
    A pause is no end: who looks on sees what follows, whoever drives it.
    """
    scene.settings = _TWO
    scene.service.script = lambda *_: slow(3.0)
    paused, _ = await paused_in_flight(scene, 4)
    seen = []

    async def watch():
        async with scene.orchestrator().watch_batch(paused.batch_id, actor=scene.actor) as run:
            seen.extend([update.sequence async for update in run])

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(watch)
            await scene.clock.sleep(60.0)
            assert [] == seen
            orchestrator = scene.orchestrator()
            await orchestrator.resume_batch(paused.batch_id, actor=scene.actor)
            await orchestrator.resume_interrupted()

    await scene.while_time_passes(both)

    assert [1, 2, 3, 4] == seen


async def test_serve_passes_over_a_paused_batch_and_takes_up_a_resumed_one(scene):
    """
    The one after it is driven; a resume in this process is heard at once.
    """
    orchestrator = scene.orchestrator()
    first = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor, drive=False)
    await orchestrator.pause_batch(first.batch_id, actor=scene.actor)
    second = await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor, drive=False)

    async with anyio.create_task_group() as crew:
        await crew.start(lambda task_status: orchestrator.serve(task_status=task_status))
        await scene.quiet()
        assert BulkStatus.SUCCESS is (await status(scene, second.batch_id)).status
        assert BulkStatus.PENDING is (await status(scene, first.batch_id)).status
        await orchestrator.resume_batch(first.batch_id, actor=scene.actor)
        await scene.quiet()
        assert BulkStatus.SUCCESS is (await status(scene, first.batch_id)).status
        crew.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("mode", "first", "sizes"),
    [
        (SubmissionMode.INDEPENDENT, slow(3.0), [2, 2, 2]),
        (SubmissionMode.ATOMIC, unavailable(), [6, 6]),
    ],
    ids=["independent", "all or nothing"],
)
async def test_calls_for_many_are_paused_too(scene_with, mode, first, sizes):
    """
    One call is made before the pause; what it left is called in as many pieces as without one.
    """
    scene = scene_with(BulkRegistrationService())
    scene.settings = BulkSettings(max_concurrency=1, max_per_call=2, max_undurable=6)
    orchestrator = scene.orchestrator()
    mentors = [f"mentor-{number}" for number in range(6)]
    request = BulkRegistrationRequest.for_mentors(mentors, scene.activity, mode=mode)
    accepted = await orchestrator.submit_bulk_registration(request, actor=scene.actor, drive=False)
    calls = []

    def noted(many, _call):
        calls.append(len(many))
        return first if len(calls) == 1 else succeed()

    scene.service.chunk_script = noted

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(orchestrator.resume_interrupted)
            await scene.quiet()
            await orchestrator.pause_batch(accepted.batch_id, actor=scene.actor)

    await scene.while_time_passes(both)
    assert sizes[:1] == calls
    assert BulkStatus.PAUSED is (await status(scene, accepted.batch_id)).status

    result = await resumed_to_the_end(scene, accepted.batch_id)

    assert BulkStatus.SUCCESS is result.status
    assert sizes == calls


async def test_what_is_queued_for_workers_waits_too(scene, monkeypatch):
    """
    A service that was fast has many queued when it gets slow; a pause leaves them for later.
    """
    monkeypatch.setattr(look_ahead.Speed, "likely_calls", lambda _self: math.inf)
    scene.settings = BulkSettings(max_concurrency=1, max_undurable=8)
    began = []

    def noted(registration, _call):
        began.append(registration.mentor_id)
        return slow(3.0) if len(began) == 3 else succeed()

    scene.service.script = noted
    paused, submitted = await paused_in_flight(scene)

    assert BulkStatus.PAUSED is submitted.status
    assert 3 == len(began) == len(submitted.succeeded)
    assert BulkStatus.SUCCESS is (await resumed_to_the_end(scene, paused.batch_id)).status
    assert 10 == len(set(began)) == len(began)


@asynccontextmanager
async def _over(scene, store, tmp_path):
    if store == "memory":
        yield
        return
    pytest.importorskip("sqlalchemy")
    from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: PLC0415 - an extra

    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'pauses.sqlite'}") as repository:
        scene.repository = repository
        yield


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_a_run_pauses_itself_when_its_last_calls_failed_alike(scene, store, tmp_path):
    """
    Three calls in a row find the service down: the others are not called, and nobody has failed.
    """
    # Nothing waits, so that no clock has to move while a database works in real time.
    scene.settings = BulkSettings(
        max_concurrency=1,
        max_undurable=1,
        pause_after_failures=3,
        retry=RetryPolicy(max_attempts=5, initial=0.0, jitter=0.0),
    )
    scene.service.script = lambda *_: unavailable()
    async with _over(scene, store, tmp_path):
        orchestrator = scene.orchestrator()

        paused = await orchestrator.submit_bulk_registration(scene.request(9), actor=scene.actor)

        assert BulkStatus.PAUSED is paused.status
        assert (None, "unavailable") == (paused.paused_by, paused.pause_code)
        assert 3 == len(scene.service.calls)
        assert not paused.failed

        scene.service.script = lambda *_: succeed()
        await orchestrator.resume_batch(paused.batch_id, actor=scene.actor)
        assert (paused.batch_id,) == tuple(await orchestrator.resume_interrupted())
        assert BulkStatus.SUCCESS is (await status(scene, paused.batch_id)).status


@pytest.mark.parametrize(
    ("replies", "code"),
    [
        ([reject("closed", "No."), reject("closed", "No.")], "closed"),
        ([reject("closed", "No."), reject("other", "No.")], None),
        ([reject("closed", "No."), succeed(), reject("closed", "No.")], None),
        ([lose_reply(), lose_reply()], "outcome_unknown"),
    ],
    ids=["alike", "two reasons", "one in between", "lost"],
)
async def test_only_the_last_calls_count_and_only_one_reason(scene, replies, code):
    """
    A call that was answered as it should be, or failed otherwise, ends the row.
    """
    scene.settings = BulkSettings(
        max_concurrency=1,
        max_undurable=1,
        pause_after_failures=2,
        retry=RetryPolicy(max_attempts=1),
    )
    scene.service.script = lambda *_: (
        replies[len(scene.service.calls) - 1] if len(scene.service.calls) <= len(replies) else succeed()
    )

    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(5), actor=scene.actor)
    )

    assert code == result.pause_code
    assert (code is not None) == (result.status is BulkStatus.PAUSED)


async def test_failures_far_apart_pause_nothing(scene):
    """
    They lie further from each other than the window is long.
    """
    scene.settings = BulkSettings(
        max_concurrency=1, max_undurable=1, pause_after_failures=2, pause_window=5.0
    )
    scene.service.script = lambda *_: slow(10.0, then=reject("closed", "No."))

    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(3), actor=scene.actor)
    )

    assert BulkStatus.TOTAL_FAILURE is result.status
