import anyio
import pytest

from proxy_orchestration import (
    BatchStateError,
    BulkSettings,
    BulkStatus,
    CancelReport,
    ItemState,
    RetryPolicy,
)
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.testing import hang, lose_reply, not_seen, slow, succeed, unavailable


async def cancel_in_flight(scene, mentors=10, *, settings=None, script=None):
    """
    Submit, cancel as soon as the first calls hang, and return the report and the result.
    """
    scene.settings = settings or BulkSettings(max_concurrency=2, cancel_grace=10.0, max_undurable=2)
    scene.service.script = script or (lambda *_: slow(3.0))
    orchestrator = scene.orchestrator()
    reports = []

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(
                lambda: orchestrator.submit_bulk_registration(
                    scene.request(mentors, "key"), actor=scene.actor
                )
            )
            await scene.quiet()
            page = await orchestrator.list_batches(actor=scene.actor)
            batch_id = page.batches[0].batch_id
            reports.append(await orchestrator.cancel_batch(batch_id, actor=scene.actor, reason="wrong day"))
        return await orchestrator.get_bulk_submission_status(batch_id, actor=scene.actor)

    result = await scene.while_time_passes(both)
    return reports[0], result


async def test_calls_in_flight_finish_and_the_rest_never_starts(scene):
    """
    Two calls end within the grace and keep their outcome; eight were provably never begun.
    """
    report, result = await cancel_in_flight(scene)

    assert CancelReport(never_started=8, finished=2, in_doubt=0, already_settled=0) == report
    assert BulkStatus.CANCELLED is result.status
    assert {ItemState.SUCCEEDED: 2, ItemState.CANCELLED: 8} == dict(result.counts)
    assert 2 == len(scene.service.calls)
    assert {"cancelled"} == {o.failure.code for o in result.outcomes if o.state is ItemState.CANCELLED}


async def test_calls_past_the_grace_are_cut_and_unknown(scene):
    """
    Without a look-up nobody knows; UNKNOWN says so, CANCELLED would lie.
    """
    report, result = await cancel_in_flight(scene, script=lambda *_: hang(written=True))

    assert 8 == report.never_started
    assert 2 == report.in_doubt + report.finished
    assert {ItemState.UNKNOWN: 2, ItemState.CANCELLED: 8} == dict(result.counts)


async def test_calls_past_the_grace_are_looked_up_and_not_repeated(lookup_scene):
    """
    The look-up finds the records; no call is made again.
    """
    _, result = await cancel_in_flight(lookup_scene, script=lambda *_: hang(written=True))

    assert {ItemState.SUCCEEDED: 2, ItemState.CANCELLED: 8} == dict(result.counts)
    assert 2 == len(lookup_scene.service.calls)


async def test_an_item_between_two_attempts_is_not_called_cancelled(scene):
    """
    It was begun and refused: it fails as unavailable, and its backoff ends at once.
    """
    settings = BulkSettings(
        max_concurrency=2, max_undurable=2, retry=RetryPolicy(initial=1000.0, max_delay=1000.0)
    )

    def refuse_two(*_):
        return unavailable() if len(scene.service.calls) <= 2 else slow(3.0)

    _, result = await cancel_in_flight(scene, settings=settings, script=refuse_two)

    assert {ItemState.FAILED: 2, ItemState.SUCCEEDED: 2, ItemState.CANCELLED: 6} == dict(result.counts)
    assert {"unavailable"} == {outcome.failure.code for outcome in result.failed}
    assert scene.clock.monotonic() < 100


async def test_an_item_in_doubt_between_two_attempts_ends_unknown(scene):
    """
    Doubt belongs to the key; a cancel does not clear it.
    """
    settings = BulkSettings(
        max_concurrency=2, max_undurable=2, retry=RetryPolicy(initial=1000.0, max_delay=1000.0)
    )

    def lose_two(*_):
        return lose_reply() if len(scene.service.calls) <= 2 else slow(3.0)

    _, result = await cancel_in_flight(scene, settings=settings, script=lose_two)

    assert {ItemState.UNKNOWN: 2, ItemState.SUCCEEDED: 2, ItemState.CANCELLED: 6} == dict(result.counts)
    assert 4 == len(scene.service.calls)


async def test_a_pending_batch_is_cancelled_whole_and_settled(scene):
    """
    Nobody drove it; cancel settles it and tells the audit logger.
    """
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(4), actor=scene.actor, drive=False)

    report = await orchestrator.cancel_batch(accepted.batch_id, actor=scene.actor)

    assert CancelReport(never_started=4, finished=0, in_doubt=0, already_settled=0) == report
    status = await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)
    assert BulkStatus.CANCELLED is status.status
    assert ["cancelled"] == [event.status for event in scene.audit.events]


async def test_a_cancel_of_a_settled_batch_is_refused(scene):
    """
    There is nothing left to stop.
    """
    orchestrator = scene.orchestrator()
    done = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor)

    with pytest.raises(BatchStateError):
        await orchestrator.cancel_batch(done.batch_id, actor=scene.actor)


async def test_a_second_cancel_reports_anew_and_changes_nothing(scene):
    """
    A redelivered cancel is harmless.
    """
    first, result = await cancel_in_flight(scene)

    second = await scene.orchestrator().cancel_batch(result.batch_id, actor=scene.actor)

    assert first == second
    assert 1 == len(scene.audit.events)


async def test_a_retried_run_counts_what_was_settled_before(scene):
    """
    The report's four numbers sum to the whole batch, not to the run.
    """
    orchestrator = scene.orchestrator()
    scene.settings = BulkSettings(retry=RetryPolicy(max_attempts=1))
    orchestrator = scene.orchestrator()
    scene.service.script = lambda r, _: unavailable() if r.mentor_id < "mentor-3" else succeed()
    first = await orchestrator.submit_bulk_registration(scene.request(8), actor=scene.actor)
    await orchestrator.retry_failed_items(first.batch_id, actor=scene.actor, drive=False)

    report = await orchestrator.cancel_batch(first.batch_id, actor=scene.actor)

    assert CancelReport(never_started=3, finished=0, in_doubt=0, already_settled=5) == report


async def test_a_driver_elsewhere_notices_the_wish_while_its_calls_hang(scene):
    """
    Another process wished it: the driver looks for the wish every poll interval.
    """
    scene.settings = BulkSettings(max_concurrency=2, cancel_grace=1.0, max_undurable=2, poll_interval=0.5)
    scene.service.script = lambda *_: hang()
    driving, wishing = scene.orchestrator(), scene.orchestrator()
    accepted = await driving.submit_bulk_registration(scene.request(6), actor=scene.actor, drive=False)

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(driving.resume_interrupted)
            await scene.quiet()
            await wishing.cancel_batch(accepted.batch_id, actor=scene.actor)

    await scene.while_time_passes(both)

    status = await driving.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)
    assert {ItemState.UNKNOWN: 2, ItemState.CANCELLED: 4} == dict(status.counts)
    assert scene.clock.monotonic() < 3


async def test_doubt_from_an_earlier_run_is_looked_up_and_never_cancelled(lookup_scene):
    """
    Unclaimed, but its key is in doubt: the cancel finds the record instead.
    """
    scene = lookup_scene
    scene.settings = BulkSettings(retry=RetryPolicy(max_attempts=1))
    scene.service.script = lambda *_: lose_reply(RuntimeError())
    orchestrator = scene.orchestrator()
    first = await orchestrator.submit_bulk_registration(scene.request(3), actor=scene.actor)
    await orchestrator.retry_failed_items(first.batch_id, actor=scene.actor, drive=False)

    report = await orchestrator.cancel_batch(first.batch_id, actor=scene.actor)

    assert CancelReport(never_started=0, finished=3, in_doubt=0, already_settled=0) == report
    status = await orchestrator.get_bulk_submission_status(first.batch_id, actor=scene.actor)
    assert BulkStatus.SUCCESS is status.status
    assert 3 == len(scene.service.calls)


async def test_a_cancelling_batch_whose_driver_died_is_finished_by_another(scene):
    """
    What the dead driver had claimed is in doubt, not cancelled.
    """
    scene.settings = BulkSettings(max_concurrency=1, max_undurable=1, cancel_grace=60.0)
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(5), actor=scene.actor, drive=False
    )
    dead = await scene.repository.acquire(accepted.batch_id, 1, ttl=30.0)

    await scene.repository.commit(dead, Commit(claim=2, ttl=30.0))

    report = await scene.while_time_passes(
        lambda: scene.orchestrator().cancel_batch(accepted.batch_id, actor=scene.actor)
    )

    assert CancelReport(never_started=3, finished=0, in_doubt=2, already_settled=0) == report
    assert 0 == len(scene.service.calls)
    assert scene.clock.monotonic() >= 30.0


async def test_a_last_look_up_that_sees_nothing_leaves_the_item_unknown(lookup_scene):
    """
    "Not seen" is no proof, and after a cancel nothing is repeated.
    """
    lookup_scene.service.lookup_script = lambda *_: not_seen()

    _, result = await cancel_in_flight(lookup_scene, script=lambda *_: hang())

    assert {ItemState.UNKNOWN: 2, ItemState.CANCELLED: 8} == dict(result.counts)
    assert (2, 2) == (len(lookup_scene.service.calls), len(lookup_scene.service.lookups))


async def test_a_cancel_elsewhere_is_seen_by_the_next_commit(scene):
    """
    Though nobody polls for it: a commit tells of it by itself.
    """
    scene.settings = BulkSettings(max_concurrency=1, max_undurable=4, poll_interval=1000.0, lease_ttl=9000.0)
    scene.service.script = lambda *_: slow(3.0)
    driving = scene.orchestrator()
    accepted = await driving.submit_bulk_registration(scene.request(4), actor=scene.actor, drive=False)

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(driving.resume_interrupted)
            await scene.quiet()
            await scene.repository.cancel_run(accepted.batch_id, reason=None, wished_at=scene.clock.now())

    await scene.while_time_passes(both)

    status = await driving.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)
    assert {ItemState.SUCCEEDED: 1, ItemState.CANCELLED: 3} == dict(status.counts)
    assert 3.0 == scene.clock.monotonic()


async def test_a_cancel_after_the_time_budget_changes_nothing_more(lookup_scene):
    """
    The calls were cut by then, and their look-ups go on.
    """
    scene = lookup_scene
    scene.settings = BulkSettings(time_budget=5.0, cancel_grace=0.0, call_timeout=100.0)
    scene.service.script = lambda *_: hang(written=True)
    scene.service.lookup_script = lambda *_: slow(20.0)
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor, drive=False)

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(orchestrator.resume_interrupted)
            await scene.clock.sleep(10.0)
            await orchestrator.cancel_batch(accepted.batch_id, actor=scene.actor)

    await scene.while_time_passes(both)

    status = await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)
    assert {ItemState.SUCCEEDED: 2} == dict(status.counts)
    assert 25.0 == scene.clock.monotonic()
