"""
An orchestrator that has a service_name calls nothing for a batch that was accepted under another one.
"""

import anyio
import attrs
import pytest

from proxy_orchestration import (
    BulkStatus,
    ConflictDecision,
    ItemState,
    WrongServiceError,
)
from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration.testing import LookupRegistrationService, hang, reject, succeed

KEY = "key"


def named(scene, name):
    """
    Return a new orchestrator of that service, as another process would make it.
    """
    return attrs.evolve(scene.orchestrator(), service_name=name)


async def accepted_by(scene, name, *, mentors=3, key=KEY):
    """
    Return the id of a batch that this service accepted and nobody drove.
    """
    submitted = await named(scene, name).submit_bulk_registration(
        scene.request(mentors, key), actor=scene.actor, drive=False
    )
    return submitted.batch_id


async def failed_with(scene, name):
    """
    Return the id of a settled batch of this service in which everybody failed.
    """
    scene.service.script = lambda *_: reject("no", "Not today.")
    submitted = await named(scene, name).submit_bulk_registration(scene.request(2, KEY), actor=scene.actor)
    scene.service.calls.clear()
    scene.service.script = lambda *_: succeed()
    return submitted.batch_id


@pytest.fixture(params=["memory", "sqlite"])
async def scene(request, scene, tmp_path):
    """
    Return a scene over each store.
    """
    if request.param == "memory":
        yield scene
        return
    pytest.importorskip("sqlalchemy")
    from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: PLC0415 - an extra

    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'a.db'}") as scene.repository:
        yield scene


async def submit(orchestrator, _batch_id, scene):
    """
    Repeat the request, which drives the batch that it is.
    """
    await orchestrator.submit_bulk_registration(scene.request(3, KEY), actor=scene.actor)


async def stream(orchestrator, _batch_id, scene):
    """
    Repeat the request, and look on.
    """
    async with orchestrator.stream_bulk_registration(scene.request(3, KEY), actor=scene.actor):
        pass


async def drive(orchestrator, batch_id, _scene):
    """
    Drive it here and now.
    """
    async with orchestrator.drive_batch(batch_id):
        pass


async def resume(orchestrator, batch_id, scene):
    """
    Let it go on.
    """
    await orchestrator.resume_batch(batch_id, actor=scene.actor)


async def retry(orchestrator, batch_id, scene):
    """
    Open a run over what failed.
    """
    await orchestrator.retry_failed_items(batch_id, actor=scene.actor, drive=False)


async def review(orchestrator, batch_id, scene):
    """
    Decide about a mentor.
    """
    decisions = {"mentor-0": ConflictDecision.SKIP}
    await orchestrator.resolve_conflicts(batch_id, decisions, actor=scene.actor, drive=False)


@pytest.mark.parametrize(
    "verb", [submit, stream, drive, resume, retry, review], ids=lambda verb: verb.__name__
)
async def test_every_verb_that_would_call_says_whose_it_is(scene, verb):
    """
    Both names and what to do; nothing is called, and nothing changes.
    """
    batch_id = await accepted_by(scene, "theirs")
    before = await scene.repository.get(batch_id)

    with pytest.raises(WrongServiceError, match=r"'theirs'.*'ours'.*service_name is 'theirs'") as caught:
        await verb(named(scene, "ours"), batch_id, scene)

    error = caught.value
    assert (batch_id, "theirs", "ours") == (error.batch_id, error.accepted_by, error.service_name)
    assert "wrong_service" == error.error_code
    assert [] == scene.service.calls
    assert before == await scene.repository.get(batch_id)


async def test_a_settled_batch_is_retried_by_its_own_service_alone(scene):
    """
    The refusal comes before anything of the run is opened; its own service goes on as before.
    """
    batch_id = await failed_with(scene, "theirs")

    with pytest.raises(WrongServiceError):
        await named(scene, "ours").retry_failed_items(batch_id, actor=scene.actor)
    assert [] == scene.service.calls
    result = await named(scene, "theirs").retry_failed_items(batch_id, actor=scene.actor, expected_run=1)

    assert BulkStatus.SUCCESS is result.status


async def test_a_request_that_is_settled_or_not_to_be_driven_is_returned_as_it_is(scene):
    """
    Whoever repeats it: to read is no call.
    """
    batch_id = await accepted_by(scene, "theirs")
    joined = await accepted_by(scene, "ours")
    await named(scene, "theirs").resume_interrupted()
    calls = len(scene.service.calls)
    repeated = await named(scene, "ours").submit_bulk_registration(scene.request(3, KEY), actor=scene.actor)

    assert batch_id == joined == repeated.batch_id
    assert BulkStatus.SUCCESS is repeated.status
    assert 3 == calls == len(scene.service.calls)


async def test_recovery_passes_over_what_others_accepted(scene):
    """
    It drives its own and those without a name, and its health knows of no others that wait.
    """
    theirs = await accepted_by(scene, "theirs", key="a")
    nameless = await accepted_by(scene, None, key="b")
    own = await accepted_by(scene, "ours", key="c")
    ours = named(scene, "ours")

    driven = await ours.resume_interrupted()

    assert {nameless, own} == set(driven)
    assert BulkStatus.PENDING is (await ours.get_batch_summary(theirs, actor=scene.actor)).status
    assert (await ours.check_health()).oldest_undriven is None
    assert {nameless, own} == {call.batch_id for call in scene.service.calls}


async def test_who_has_no_name_drives_everything(scene):
    """
    As before there were names.
    """
    theirs = await accepted_by(scene, "theirs", key="a")

    assert [theirs] == list(await named(scene, None).resume_interrupted())


async def in_doubt(scene, name):
    """
    Return the id of a batch of this service whose only call was cut by the end of its process.
    """
    scene.service = LookupRegistrationService(clock=scene.clock)
    called = anyio.Event()

    def script(*_):
        called.set()
        return hang(written=True)

    scene.service.script = script
    batch_id = await accepted_by(scene, name, mentors=2)
    async with open_task_group() as crew:
        crew.start_soon(named(scene, name).resume_interrupted)
        await called.wait()
        crew.cancel_scope.cancel()
    scene.service.script = lambda *_: succeed()
    return batch_id


async def test_a_cancel_by_another_service_asks_that_service_nothing(scene):
    """
    The wish is stored and the grace waited for; the batch's own service looks up what is in doubt.
    """
    batch_id = await in_doubt(scene, "theirs")
    calls = len(scene.service.calls)
    ours = named(scene, "ours")

    report = await scene.while_time_passes(lambda: ours.cancel_batch(batch_id, actor=scene.actor))

    assert 2 == report.in_doubt + report.never_started
    assert [] == scene.service.lookups
    assert BulkStatus.CANCELLING is (await ours.get_batch_summary(batch_id, actor=scene.actor)).status

    await named(scene, "theirs").resume_interrupted()
    result = await ours.get_bulk_submission_status(batch_id, actor=scene.actor)

    assert scene.service.lookups
    assert calls == len(scene.service.calls)
    assert {ItemState.SUCCEEDED} == {one.state for one in result.outcomes} - {ItemState.CANCELLED}


@pytest.mark.parametrize("scene", ["memory"], indirect=True)
async def test_a_cancel_by_another_service_reports_when_the_own_one_has_settled_it(scene):
    """
    It need not wait for the whole grace.
    """
    batch_id = await in_doubt(scene, "theirs")
    ours, theirs = named(scene, "ours"), named(scene, "theirs")
    reports = []

    async def both():
        async with open_task_group() as crew:
            await crew.start(lambda task_status: theirs.serve(task_status=task_status))
            reports.append(await ours.cancel_batch(batch_id, actor=scene.actor))
            crew.cancel_scope.cancel()

    await scene.while_time_passes(both)

    (report,) = reports
    assert (await ours.get_batch_summary(batch_id, actor=scene.actor)).settled_at is not None
    assert (0, 2) == (report.in_doubt, report.never_started + report.finished)


async def test_whoever_has_access_may_pause_what_others_accepted(scene):
    """
    To stop calls nobody; the service that accepted it lets it go on.
    """
    batch_id = await accepted_by(scene, "theirs")

    paused = await named(scene, "ours").pause_batch(batch_id, actor=scene.actor)
    await named(scene, "theirs").resume_batch(batch_id, actor=scene.actor)

    assert paused.paused_at is not None
    assert [batch_id] == list(await named(scene, "theirs").resume_interrupted())
