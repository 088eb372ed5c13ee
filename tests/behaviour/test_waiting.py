"""
Waiting holds nothing: no worker, no call's place, and in `serve` no slot and no lease.
"""

import math

import anyio
import attrs
import pytest

from proxy_orchestration import (
    BulkSettings,
    BulkStatus,
    ItemState,
    RegistrationUnavailable,
    RetryPolicy,
    SubmissionMode,
)
from proxy_orchestration.registration.execution import look_ahead
from proxy_orchestration.testing import (
    BulkRegistrationService,
    fail,
    hang,
    lose_reply,
    slow,
    succeed,
    unavailable,
)

PATIENT = RetryPolicy(max_attempts=3, initial=0.0, jitter=0.0)


class _Times:
    """
    Notes by the clock when each call began.
    """

    def __init__(self, scene, script):
        self.scene, self.script = scene, script
        self.of: dict[str, list[float]] = {}

    def __call__(self, registration, attempt):
        self.of.setdefault(registration.mentor_id, []).append(self.scene.clock.monotonic())
        return self.script(registration, attempt)


def _refuse(scene, names, retry_after, **settings):
    """
    Refuse the first calls for these; return when calls began.
    """
    scene.settings = BulkSettings(retry=PATIENT, **settings)
    refused = set(names)
    scene.service.script = _Times(
        scene,
        lambda registration, attempt: (
            unavailable(retry_after) if attempt == 1 and registration.mentor_id in refused else succeed()
        ),
    )
    return scene.service.script.of


async def test_those_who_wait_keep_no_worker_from_the_others(scene):
    """
    Five of a hundred are told to wait, as many as there are workers.
    """
    names = [f"mentor-{number}" for number in range(5)]
    times = _refuse(scene, names, 3.0)

    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(100), actor=scene.actor)
    )

    assert BulkStatus.SUCCESS is result.status
    assert {(0.0, 3.0)} == {tuple(times[name]) for name in names}
    assert 1 == max(len(found) for name, found in times.items() if name not in names)
    assert 3.0 > max(found[0] for found in times.values())


async def test_those_who_wait_take_no_place_in_the_window(scene):
    """
    More wait than may be claimed and not durable: what waits is durable.
    """
    times = _refuse(
        scene, [f"mentor-{n}" for n in range(30)], 50.0, max_concurrency=1, max_undurable=2, lease_ttl=1000.0
    )

    await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(40), actor=scene.actor)
    )

    assert 50.0 > max(found[0] for found in times.values())


async def test_one_tenants_outage_starves_nobody_in_serve(scene):
    """
    More batches wait than serve drives at once, and one that comes later is settled meanwhile.
    """
    orchestrator = scene.orchestrator()
    scene.settings = BulkSettings(retry=PATIENT)
    scene.service.script = lambda registration, _: (
        unavailable(20.0) if registration.mentor_id.startswith("far") else succeed()
    )
    for number in range(60):
        request = scene.request([f"far-{number}"])
        await orchestrator.submit_bulk_registration(request, actor=scene.actor, drive=False)
    healthy = await orchestrator.submit_bulk_registration(scene.request(3), actor=scene.actor, drive=False)

    result = await scene.while_time_passes(lambda: scene.serve_to_the_end_of(healthy.batch_id))

    assert BulkStatus.SUCCESS is result.status
    assert scene.clock.monotonic() < 20.0


async def test_serve_gives_up_the_lease_of_a_batch_that_waits(scene):
    """
    Anybody may drive it meanwhile; it is shown as due only when it is.
    """
    times = _refuse(scene, ["mentor-0"], 20.0)
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor, drive=False)
    async with anyio.create_task_group() as crew:
        await crew.start(lambda task_status: scene.orchestrator().serve(task_status=task_status))
        await scene.quiet()
        waiting = await scene.repository.find_drivable(limit=9)
        due = await scene.repository.find_drivable(limit=9, due_only=True)
        crew.cancel_scope.cancel()
    result = await scene.while_time_passes(lambda: scene.serve_to_the_end_of(accepted.batch_id))

    assert [(0.0, 20.0)] == [(run.lease_remaining, run.due_in) for run in waiting]
    assert [] == list(due)
    assert BulkStatus.SUCCESS is result.status
    assert times["mentor-0"][0] + 20.0 <= times["mentor-0"][1] <= 21.0


async def test_serve_keeps_the_lease_of_a_batch_that_waits_for_less_than_a_poll(scene):
    """
    Giving up and taking up again costs two transactions.
    """
    _refuse(scene, ["mentor-0"], 0.25)
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(2), actor=scene.actor, drive=False
    )
    await scene.while_time_passes(lambda: scene.serve_to_the_end_of(accepted.batch_id))
    runs = await scene.repository.find_drivable(limit=9)

    assert [] == list(runs)
    assert scene.clock.monotonic() < 1.0


async def _left_while_it_waits(scene, script, *, mentors=3):
    """
    Leave a batch whose items wait, and return its id.
    """
    scene.service.script = script
    scene.settings = BulkSettings(retry=RetryPolicy(initial=1000.0, max_delay=1000.0, jitter=0.0))
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(
        scene.request(mentors), actor=scene.actor, drive=False
    )

    async def drive():
        async with orchestrator.drive_batch(accepted.batch_id) as run:
            async for _ in run:
                pass

    await scene.interrupt(drive)
    return accepted.batch_id


async def test_what_was_refused_left_and_cancelled_is_not_unknown(scene):
    """
    A refusal is definite, whoever comes to end the batch.
    """
    batch_id = await _left_while_it_waits(scene, lambda *_: unavailable())
    await scene.while_time_passes(lambda: scene.orchestrator().cancel_batch(batch_id, actor=scene.actor))
    result = await scene.orchestrator().get_bulk_submission_status(batch_id, actor=scene.actor)

    assert ["unavailable"] * 3 == [outcome.failure.code for outcome in result.outcomes]
    assert 3 == len(scene.service.calls)


async def test_what_was_in_doubt_when_it_was_left_still_is(scene):
    """
    The doubt is stored with the rest.
    """
    batch_id = await _left_while_it_waits(scene, lambda *_: lose_reply())
    await scene.while_time_passes(lambda: scene.orchestrator().cancel_batch(batch_id, actor=scene.actor))
    result = await scene.orchestrator().get_bulk_submission_status(batch_id, actor=scene.actor)

    assert {ItemState.UNKNOWN: 3} == dict(result.counts)


async def test_attempts_count_across_drivers(scene):
    """
    Left after each, an item gets no more than it would in one go; nobody who takes it up waits less.
    """
    batch_id = await _left_while_it_waits(scene, lambda *_: unavailable(), mentors=1)
    for _ in range(5):
        scene.clock.advance(700.0)

        async def drive():
            async with scene.orchestrator().drive_batch(batch_id) as run:
                async for _ in run:
                    pass

        await scene.interrupt(drive)
    result = await scene.orchestrator().get_bulk_submission_status(batch_id, actor=scene.actor)

    assert ["unavailable"] == [outcome.failure.code for outcome in result.failed]
    assert (3, 3) == (len(scene.service.calls), result.outcomes[0].attempts)


async def test_a_cancel_makes_what_waits_due(scene):
    """
    Serve gave its lease up for an hour; a cancel in another process ends it at the next poll.
    """
    _refuse(scene, ["mentor-0"], 3000.0)
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor, drive=False)

    async def cancel_while_it_waits():
        async with anyio.create_task_group() as crew:
            await crew.start(lambda task_status: scene.orchestrator().serve(task_status=task_status))
            await scene.quiet()
            await orchestrator.cancel_batch(accepted.batch_id, actor=scene.actor)
            crew.cancel_scope.cancel()

    await scene.while_time_passes(cancel_while_it_waits)
    result = await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)

    assert {ItemState.FAILED: 1, ItemState.SUCCEEDED: 1} == dict(result.counts)
    assert scene.clock.monotonic() < 100.0


@pytest.mark.parametrize("serve", [False, True], ids=["submit", "serve"])
async def test_the_time_budget_goes_on_while_all_wait(scene, serve):
    """
    It counts from the first call, waiting included, be the lease held or given up.
    """
    _refuse(scene, ["mentor-0"], 3000.0, time_budget=60.0)
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor, drive=False)

    async def drive():
        if serve:
            return await scene.serve_to_the_end_of(accepted.batch_id)
        async with orchestrator.drive_batch(accepted.batch_id) as run:
            async for _ in run:
                pass
        return run.result

    result = await scene.while_time_passes(drive)

    assert ["unavailable"] == [outcome.failure.code for outcome in result.failed]
    assert 60.0 <= scene.clock.monotonic() <= 62.0


async def test_a_service_may_ask_for_so_long_and_no_longer(scene):
    """
    One asked for thirty years.
    """
    times = _refuse(scene, ["mentor-0"], 1e9, max_retry_after=120.0)

    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(2), actor=scene.actor)
    )

    assert BulkStatus.SUCCESS is result.status
    assert [0.0, 120.0] == times["mentor-0"]


async def test_unavailable_for_everyone_makes_all_wait(scene):
    """
    No other item of the run is called before that, and none is in doubt for it.
    """
    scene.settings = BulkSettings(retry=PATIENT, max_concurrency=1)
    down = fail(RegistrationUnavailable(30.0, everyone=True))
    scene.service.script = _Times(
        scene,
        lambda registration, attempt: (
            down if registration.mentor_id == "mentor-1" and attempt == 1 else succeed()
        ),
    )

    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(40), actor=scene.actor)
    )

    times = scene.service.script.of
    assert BulkStatus.SUCCESS is result.status
    assert ([0.0], [0.0, 30.0]) == (times["mentor-0"], times["mentor-1"])
    assert 30.0 == min(found[-1] for name, found in times.items() if name != "mentor-0")
    assert 41 == len(scene.service.calls)


async def test_who_waits_with_everyone_and_was_never_called_can_be_cancelled(scene):
    """
    Waiting is not having begun.
    """
    scene.settings = BulkSettings(retry=PATIENT, max_concurrency=1)
    scene.service.script = lambda *_: fail(RegistrationUnavailable(3000.0, everyone=True))
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(9), actor=scene.actor, drive=False)

    async def cancel_while_all_wait():
        async with anyio.create_task_group() as crew:
            await crew.start(lambda task_status: scene.orchestrator().serve(task_status=task_status))
            await scene.quiet()
            await orchestrator.cancel_batch(accepted.batch_id, actor=scene.actor)
            crew.cancel_scope.cancel()

    await scene.while_time_passes(cancel_while_all_wait)
    result = await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)

    assert {ItemState.FAILED: 1, ItemState.CANCELLED: 8} == dict(result.counts)


async def test_calls_begin_at_a_pace_over_all_batches(scene):
    """
    Two batches share what an orchestrator may call in a second.
    """
    scene.settings = BulkSettings(calls_per_second=4.0)
    times = []

    def note(*_):
        times.append(scene.clock.monotonic())
        return slow(1.0)

    scene.service.script = note
    orchestrator = scene.orchestrator()

    async def submit_two():
        async with anyio.create_task_group() as crew:
            for name in ("a", "b"):
                request = scene.request([f"{name}-{number}" for number in range(4)])
                crew.start_soon(
                    lambda one=request: orchestrator.submit_bulk_registration(one, actor=scene.actor)
                )

    await scene.while_time_passes(submit_two)

    assert [pytest.approx(0.25 * number) for number in range(8)] == times


async def test_a_look_up_that_fails_is_followed_by_the_call_though_the_lease_was_given_up(lookup_scene):
    """
    It is stored that the call is next: otherwise each driver would look up, fail, and leave.
    """
    scene = lookup_scene
    scene.settings = BulkSettings(retry=RetryPolicy(initial=10.0, jitter=0.0))
    scene.service.script = lambda _, attempt: lose_reply() if attempt == 1 else succeed()
    scene.service.lookup_script = lambda *_: fail(PermissionError())
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(1), actor=scene.actor, drive=False
    )
    result = await scene.while_time_passes(lambda: scene.serve_to_the_end_of(accepted.batch_id))

    assert BulkStatus.SUCCESS is result.status
    assert (2, 1) == (len(scene.service.calls), len(scene.service.lookups))


async def test_unavailable_for_everyone_makes_chunks_wait_too(scene_with):
    """
    One chunk was told so, and the other chunks of the run are not sent before.
    """
    scene = scene_with(BulkRegistrationService())
    scene.settings = BulkSettings(retry=PATIENT, max_per_call=2, max_concurrency=1)
    times = []

    def refuse_first(_rows, call):
        times.append(scene.clock.monotonic())
        return fail(RegistrationUnavailable(30.0, everyone=True)) if call == 1 else succeed()

    scene.service.chunk_script = refuse_first
    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(8), actor=scene.actor)
    )

    assert BulkStatus.SUCCESS is result.status
    assert (0.0, 30.0) == (times[0], min(times[1:]))


async def test_an_all_or_nothing_batch_waits_and_is_left_as_a_whole(scene_with):
    """
    Refused for now and left while it waits, it goes on with all that was known, without a doubt.
    """
    scene = scene_with(BulkRegistrationService())
    scene.settings = BulkSettings(retry=RetryPolicy(initial=100.0, max_delay=100.0, jitter=0.0))
    scene.service.chunk_script = lambda _, call: unavailable() if call == 1 else succeed()
    request = attrs.evolve(scene.request(3), mode=SubmissionMode.ATOMIC)
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(request, actor=scene.actor, drive=False)
    await scene.interrupt(orchestrator.resume_interrupted)
    result = await scene.while_time_passes(lambda: scene.serve_to_the_end_of(accepted.batch_id))

    assert BulkStatus.SUCCESS is result.status
    assert [3, 3] == [len(call) for call in scene.service.bulk_calls]
    assert {2} == {outcome.attempts for outcome in result.outcomes}


async def test_an_all_or_nothing_batch_that_waits_for_a_place_is_left_without_doubt(scene_with):
    """
    Another batch has the only place; nothing was called, so a cancel says so.
    """
    scene = scene_with(BulkRegistrationService())
    scene.settings = BulkSettings(max_calls_in_flight=1)
    scene.service.script = lambda *_: hang()
    scene.service.chunk_script = lambda *_: hang()
    orchestrator = scene.orchestrator()
    first = attrs.evolve(scene.request(["a", "b"]), mode=SubmissionMode.ATOMIC)
    second = attrs.evolve(scene.request(["c", "d"]), mode=SubmissionMode.ATOMIC)
    ids = [
        (await orchestrator.submit_bulk_registration(one, actor=scene.actor, drive=False)).batch_id
        for one in (first, second)
    ]
    await scene.interrupt(orchestrator.resume_interrupted)
    for batch_id in ids:
        await scene.while_time_passes(lambda one=batch_id: orchestrator.cancel_batch(one, actor=scene.actor))
    counts = [
        dict((await orchestrator.get_bulk_submission_status(one, actor=scene.actor)).counts) for one in ids
    ]

    assert {ItemState.UNKNOWN: 2} in counts
    assert {ItemState.CANCELLED: 2} in counts


async def test_who_is_taken_up_again_was_neither_taken_over_nor_in_doubt(lookup_scene):
    """
    Nobody is looked up, nobody is called alone, and the attempts go on as in one process.
    """
    scene = lookup_scene
    times = _refuse(scene, [], 0.0)
    scene.service.script = _Times(scene, lambda *_: unavailable(20.0))
    times = scene.service.script.of
    commits, commit = [], scene.repository.commit

    async def noting(lease, one, /):
        commits.append(one)
        return await commit(lease, one)

    scene.repository.commit = noting
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(2), actor=scene.actor, drive=False
    )

    result = await scene.while_time_passes(lambda: scene.serve_to_the_end_of(accepted.batch_id))

    assert [("unavailable", 3)] * 2 == [(one.failure.code, one.attempts) for one in result.failed]
    assert [] == scene.service.lookups
    assert {None} == {one.alone for one in commits}
    assert all([0.0, 20.0, 40.0] == [second // 20 * 20 for second in found] for found in times.values())


async def _streamed(scene, batch_id):
    async with scene.orchestrator().stream_bulk_registration(
        scene.request(3, "key"), actor=scene.actor
    ) as run:
        async for _ in run:
            pass
    assert batch_id == run.result.batch_id


async def _driven(scene, batch_id):
    async with scene.orchestrator().drive_batch(batch_id) as run:
        async for _ in run:
            pass


async def _submitted(scene, _batch_id):
    await scene.orchestrator().submit_bulk_registration(scene.request(3, "key"), actor=scene.actor)


async def _resumed(scene, _batch_id):
    await scene.orchestrator().resume_interrupted()


@pytest.mark.parametrize("verb", [_submitted, _streamed, _driven, _resumed], ids=lambda verb: verb.__name__)
async def test_the_other_verbs_keep_the_lease_of_a_batch_that_waits_and_settle_it(scene, verb):
    """
    Nobody else drives it for an hour; meanwhile other batches have its place among the calls.
    """
    times = _refuse(scene, ["mentor-1"], 1000.0, max_calls_in_flight=1, max_concurrency=1)
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(
        scene.request(3, "key"), actor=scene.actor, drive=False
    )
    leases = []

    async def look():
        await scene.clock.sleep(500.0)
        leases.extend(await scene.repository.find_drivable(limit=9))

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(verb, scene, accepted.batch_id)
            crew.start_soon(look)

    await scene.while_time_passes(both)
    result = await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)

    assert BulkStatus.SUCCESS is result.status
    assert [True] == [run.lease_remaining > 0 for run in leases]
    assert ([0.0, 1000.0], [0.0]) == (times["mentor-1"], times["mentor-2"])


async def test_who_waits_keeps_no_place_from_another_batch_of_the_orchestrator(scene):
    """
    There is one, and the other batch is done at once.
    """
    times = _refuse(scene, ["mentor-0"], 1000.0, max_calls_in_flight=1)
    orchestrator = scene.orchestrator()
    ended = {}

    async def submit(names):
        await orchestrator.submit_bulk_registration(scene.request(names), actor=scene.actor)
        ended[names[0]] = scene.clock.monotonic()

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(submit, ["mentor-0"])
            await scene.quiet()
            crew.start_soon(submit, ["other-0", "other-1"])

    await scene.while_time_passes(both)

    assert ended["other-0"] < 10.0
    assert [0.0, 1000.0] == times["mentor-0"]


async def test_look_ups_count_as_calls_of_the_pace(lookup_scene):
    """
    Four calls and four look-ups at two a second.
    """
    scene = lookup_scene
    scene.settings = BulkSettings(calls_per_second=2.0, retry=PATIENT)
    scene.service.script = lambda _, attempt: lose_reply() if attempt == 1 else succeed()
    times = []

    def noting(*_):
        times.append(scene.clock.monotonic())
        return succeed()

    scene.service.lookup_script = noting
    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(4), actor=scene.actor)
    )

    assert BulkStatus.SUCCESS is result.status
    assert 4 == len(set(times))
    assert 3.5 == scene.clock.monotonic()


async def test_a_cancel_does_not_wait_for_the_pace(scene):
    """
    Whoever waits for a turn was not called, and is cancelled.
    """
    scene.settings = BulkSettings(calls_per_second=0.001, max_concurrency=4)
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(9), actor=scene.actor, drive=False)

    async def cancelled():
        async with anyio.create_task_group() as crew:
            crew.start_soon(orchestrator.resume_interrupted)
            await scene.quiet()
            await orchestrator.cancel_batch(accepted.batch_id, actor=scene.actor)
        return await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)

    result = await scene.while_time_passes(cancelled)

    assert {ItemState.SUCCEEDED: 1, ItemState.CANCELLED: 8} == dict(result.counts)
    assert scene.clock.monotonic() < 10.0


async def test_everyone_waits_also_after_the_lease_was_given_up(scene):
    """
    Serve takes the run up when all of it is due, and nobody of it is called before.
    """
    scene.settings = BulkSettings(retry=PATIENT, max_concurrency=1)
    down = fail(RegistrationUnavailable(30.0, everyone=True))
    scene.service.script = _Times(
        scene, lambda one, attempt: down if (one.mentor_id, attempt) == ("mentor-1", 1) else succeed()
    )
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(40), actor=scene.actor, drive=False
    )

    result = await scene.while_time_passes(lambda: scene.serve_to_the_end_of(accepted.batch_id))

    times = scene.service.script.of
    assert BulkStatus.SUCCESS is result.status
    assert 30.0 <= min(found[-1] for name, found in times.items() if name != "mentor-0") < 31.0
    assert 41 == len(scene.service.calls)


@pytest.fixture
def far_ahead(monkeypatch):
    """
    Let calls run as far ahead of commits as where a service answers at once.
    """
    monkeypatch.setattr(look_ahead.Speed, "likely_calls", lambda _self: math.inf)


@pytest.mark.usefixtures("far_ahead")
@pytest.mark.parametrize("bulk", [False, True], ids=["one by one", "many"])
async def test_who_might_have_been_called_already_waits_with_everyone(scene, scene_with, bulk):
    """
    Many are allowed to be called; none is, and each can still be cancelled.
    """
    if bulk:
        scene = scene_with(BulkRegistrationService())
    scene.settings = BulkSettings(retry=PATIENT, max_concurrency=1, max_per_call=2, max_undurable=300)
    times = []

    def refuse_first(*_):
        times.append(scene.clock.monotonic())
        return fail(RegistrationUnavailable(30.0, everyone=True)) if len(times) == 1 else succeed()

    if bulk:
        scene.service.chunk_script = refuse_first
    else:
        scene.service.script = refuse_first
    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(200), actor=scene.actor)
    )

    assert BulkStatus.SUCCESS is result.status
    assert (0.0, 30.0) == (times[0], min(times[1:]))
