"""
A host is told that a run has settled: at least once, in whichever process settles it.
"""

import anyio
import attrs

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkStatus,
    RepositoryUnavailableError,
)
from proxy_orchestration.testing import FaultyActivityRepository, reject


@attrs.define(eq=False)
class Host:
    """
    A host that is told, and what it makes of it.
    """

    told: list = attrs.field(factory=list)
    fails: int = 0
    hangs: object = None

    async def on_run_settled(self, summary):
        """
        Take note, and perhaps fail or never come back.
        """
        self.told.append(summary)
        if self.fails:
            self.fails -= 1
            message = "the mail server said no to mentor-0"
            raise ConnectionError(message)
        if self.hangs is not None:
            await self.hangs.sleep(10_000)


def orchestrator_of(scene, host=None):
    """
    Return a new orchestrator of a process that has the hook, or has it not.
    """
    return BulkRegistrationOrchestrator(
        registration_service=scene.service,
        repository=scene.repository,
        audit_logger=scene.audit,
        clock=scene.clock,
        settings=scene.settings,
        on_run_settled=None if host is None else host.on_run_settled,
    )


async def accepted(scene):
    """
    Return the id of a batch that another process drives.
    """
    request = scene.request(2)
    result = await orchestrator_of(scene).submit_bulk_registration(request, actor=scene.actor, drive=False)
    return result.batch_id


async def test_who_settles_a_run_tells_of_it(scene):
    """
    Each run once, with the batch as it stood.
    """
    host = Host()
    scene.service.script = lambda *_: reject()
    batch_id = await accepted(scene)
    orchestrator = orchestrator_of(scene, host)

    await orchestrator.resume_interrupted()
    first = await orchestrator.get_batch_summary(batch_id, actor=scene.actor)
    await orchestrator.retry_failed_items(batch_id, actor=scene.actor)
    second = await orchestrator.get_batch_summary(batch_id, actor=scene.actor)

    assert [first, second] == host.told
    assert BulkStatus.TOTAL_FAILURE is first.status


async def test_a_process_without_the_hook_leaves_nothing_to_tell(scene):
    """
    A hook that is brought later is not told of everything that ever happened.
    """
    host = Host()
    await orchestrator_of(scene).submit_bulk_registration(scene.request(1), actor=scene.actor)

    await orchestrator_of(scene, host).resume_interrupted()

    assert [] == host.told


async def test_a_hook_that_fails_is_told_again(scene, caplog):
    """
    Its failure reaches neither the submitter nor the log as text.
    """
    host = Host(fails=1)
    orchestrator = orchestrator_of(scene, host)
    await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor)

    await scene.while_time_passes(orchestrator.resume_interrupted)
    await scene.while_time_passes(orchestrator.resume_interrupted)

    first, second = host.told
    assert first == second
    (record,) = [each for each in caplog.records if "on_run_settled" in each.getMessage()]
    assert "ConnectionError" == record.error
    assert "mail server" not in caplog.text


async def test_a_hook_that_hangs_has_its_time(scene):
    """
    Nobody waits for longer than `audit_timeout`.
    """
    host = Host(hangs=scene.clock)
    orchestrator = orchestrator_of(scene, host)

    result = await scene.while_time_passes(
        lambda: orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor)
    )

    assert BulkStatus.SUCCESS is result.status
    assert 1 == len(host.told)


async def test_a_process_that_ends_while_it_tells_loses_nothing(scene):
    """
    Its hold ends, and whoever resumes tells.
    """
    host = Host(hangs=scene.clock)
    first = orchestrator_of(scene, host)
    await scene.interrupt(lambda: first.submit_bulk_registration(scene.request(1), actor=scene.actor))
    host.hangs = None

    await scene.while_time_passes(orchestrator_of(scene, host).resume_interrupted)
    await scene.while_time_passes(orchestrator_of(scene, host).resume_interrupted)

    interrupted, again = host.told
    assert interrupted == again


async def test_a_store_that_fails_after_the_end_fails_nobody(scene, caplog):
    """
    The run is settled and stored; the next pass tells.
    """
    host = Host()
    store = scene.repository
    scene.repository = FaultyActivityRepository(store, before=_fail_to_claim)

    result = await orchestrator_of(scene, host).submit_bulk_registration(scene.request(1), actor=scene.actor)
    scene.repository = store
    await orchestrator_of(scene, host).resume_interrupted()

    assert BulkStatus.SUCCESS is result.status
    assert "settled runs for on_run_settled could not be read" in caplog.text
    assert [result.batch_id] == [summary.batch_id for summary in host.told]


def _fail_to_claim(point):
    if point.method == "claim_endings":
        reason = "The store is gone."
        raise RepositoryUnavailableError(reason, advice="Wait.")


async def test_serving_tells_what_others_left(scene):
    """
    A process that serves tells of runs that were settled and not told.
    """
    host = Host(fails=1)
    await orchestrator_of(scene, host).submit_bulk_registration(scene.request(1), actor=scene.actor)

    async def serve_until_told():
        async with anyio.create_task_group() as crew:
            await crew.start(lambda task_status: orchestrator_of(scene, host).serve(task_status=task_status))
            while len(host.told) == 1:
                await scene.clock.sleep(1)
            crew.cancel_scope.cancel()

    await scene.while_time_passes(serve_until_told)

    assert 2 == len(host.told)


async def test_a_hook_that_fails_late_is_told_by_the_next_pass(scene):
    """
    Its hold ran out meanwhile: one pass tells once, and does not go round for ever.
    """
    host = Host()

    class Late(Host):
        async def on_run_settled(self, summary):
            scene.clock.advance(60)
            await host.on_run_settled(summary)
            raise ConnectionError

    orchestrator = orchestrator_of(scene, Late())

    await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor)

    assert 1 == len(host.told)
