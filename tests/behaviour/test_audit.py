import anyio
import pytest

from proxy_orchestration import BulkStatus, LoggingAuditLogger, RepositoryUnavailableError
from proxy_orchestration.testing import (
    FaultyActivityRepository,
    RecordingAuditLogger,
    fail,
    hang,
    reject,
    slow,
    succeed,
)


async def submit(scene, mentors=4):
    """
    Submit while time passes.
    """
    return await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(mentors), actor=scene.actor)
    )


async def test_one_event_per_run_with_counts_and_no_personal_data(scene):
    """
    Told once, after everything settled, whatever the mix.
    """
    scene.service.script = lambda r, n: reject() if r.mentor_id == "mentor-1" and n == 1 else succeed()
    result = await submit(scene)
    await scene.orchestrator().retry_failed_items(result.batch_id, actor=scene.actor)

    first, second = scene.audit.deliveries

    assert (result.batch_id, 1, "partial_success", 4) == (
        first.batch_id,
        first.run,
        first.status,
        first.total,
    )
    assert {"succeeded": 3, "failed": 1} == dict(first.counts)
    assert (2, "success", {"succeeded": 4}) == (second.run, second.status, dict(second.counts))
    assert ("coord-1", "coord-1", "oslo") == (first.coordinator_id, first.actor_id, first.organization_id)
    assert first.event_id != second.event_id


@pytest.mark.parametrize("trouble", [fail(RuntimeError("boom")), hang(), slow(99.0)])
async def test_a_failing_logger_never_reaches_the_caller(scene, caplog, trouble):
    """
    The failure is logged by its type; the batch is settled all the same.
    """
    scene.audit.script = lambda *_: trouble

    result = await submit(scene)

    assert BulkStatus.SUCCESS is result.status
    assert "did not take event" in caplog.text
    assert "boom" not in caplog.text


async def test_an_event_that_was_not_taken_is_delivered_again_with_its_id(scene):
    """
    By `resume_interrupted`, once its hold is over; a taken one never again.
    """
    scene.audit.script = lambda _, attempt: fail(RuntimeError()) if attempt == 1 else succeed()
    await submit(scene)

    await scene.while_time_passes(scene.orchestrator().resume_interrupted)
    await scene.while_time_passes(scene.orchestrator().resume_interrupted)

    assert 2 == len(scene.audit.deliveries)
    assert 1 == len({event.event_id for event in scene.audit.deliveries})


async def test_a_logger_that_keeps_refusing_does_not_hold_up_resuming(scene):
    """
    Each pass tries each event once.
    """
    scene.audit.script = lambda *_: fail(RuntimeError())
    await submit(scene)
    scene.clock.advance(100)

    await scene.while_time_passes(scene.orchestrator().resume_interrupted)

    assert 2 == len(scene.audit.deliveries)


async def test_serve_delivers_what_a_crash_left_behind(scene):
    """
    The process died between settling and telling; another one tells.
    """
    sound = scene.repository
    lost = RepositoryUnavailableError("Cut.", advice="Resume.")
    settles = []

    def after(point):
        if point.method == "settle":
            settles.append(point)
            raise lost

    scene.repository = FaultyActivityRepository(sound, after=after)
    with pytest.raises(RepositoryUnavailableError):
        await scene.orchestrator().submit_bulk_registration(scene.request(2), actor=scene.actor)
    assert ([], 1) == (scene.audit.deliveries, len(settles))
    scene.repository = sound
    told = anyio.Event()

    def script(*_):
        told.set()
        return succeed()

    scene.audit.script = script

    async def story():
        async with anyio.create_task_group() as crew:
            await crew.start(lambda task_status: scene.orchestrator().serve(task_status=task_status))
            await told.wait()
            await scene.quiet()
            crew.cancel_scope.cancel()

    await scene.while_time_passes(story)

    assert 1 == len(scene.audit.events)


async def test_serve_goes_on_when_delivering_fails(scene, caplog):
    """
    A store that fails while events are claimed is logged, and tried again.
    """
    cut = iter([RepositoryUnavailableError("Cut.", advice="Wait.")])
    claims = []

    def before(point):
        if point.method == "claim_audit_events":
            claims.append(point)
            for error in cut:
                raise error

    scene.repository = FaultyActivityRepository(scene.repository, before=before)

    async def story():
        async with anyio.create_task_group() as crew:
            await crew.start(lambda task_status: scene.orchestrator().serve(task_status=task_status))
            while len(claims) < 2:
                await scene.clock.sleep(0.1)
            crew.cancel_scope.cancel()

    await scene.while_time_passes(story)

    assert "audit events could not be delivered" in caplog.text


async def test_the_default_logger_writes_ids_and_counts(scene, caplog):
    """
    Structured `extra` fields, and a line that people can read.
    """
    scene.audit = LoggingAuditLogger()
    orchestrator = scene.orchestrator()
    caplog.set_level("INFO")

    result = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor)

    record = next(r for r in caplog.records if r.name == "proxy_orchestration.audit")
    assert (result.batch_id, "success", {"succeeded": 2}) == (record.batch_id, record.status, record.counts)


async def test_deliveries_of_two_runs_do_not_mix(scene):
    """
    The recording logger keeps what it took.
    """
    assert isinstance(scene.audit, RecordingAuditLogger)
    await submit(scene)
    await submit(scene)

    assert scene.audit.deliveries == scene.audit.events
    assert 2 == len({event.batch_id for event in scene.audit.events})
