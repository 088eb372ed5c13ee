"""
That the logger took an event is noted by few writes, and by all that were taken.
"""

from itertools import chain

import anyio
import attrs

from proxy_orchestration import BulkStatus
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.registration.ports import SupportsMarkingMany
from proxy_orchestration.storage.memory import MemoryActivityRepository


@attrs.define(eq=False, slots=False)
class _Marking(MemoryActivityRepository, SupportsMarkingMany):
    """
    A store whose first mark is held until the test lets it go.
    """

    marks: list[list[str]] = attrs.field(factory=list)
    error: Exception | None = None
    goes_on: anyio.Event = attrs.field(factory=anyio.Event)

    async def mark_audited(self, event_id, /):
        await self._mark([event_id])

    async def mark_all_audited(self, event_ids, /):
        await self._mark([*event_ids])

    async def _mark(self, event_ids):
        self.marks.append(event_ids)
        if len(self.marks) == 1:
            await self.goes_on.wait()
        if self.error is not None:
            raise self.error
        for event_id in event_ids:
            await super().mark_audited(event_id)


async def _submit_many(scene, results, count):
    orchestrator = scene.orchestrator()

    async def submit():
        request = scene.request(1)
        results.append(await orchestrator.submit_bulk_registration(request, actor=scene.actor))

    async with anyio.create_task_group() as crew:
        crew.start_soon(submit)
        await scene.quiet()
        for _ in range(count - 1):
            crew.start_soon(submit)
        await scene.quiet()
        while_held = len(results)
        scene.repository.goes_on.set()
    return while_held


async def test_whoever_waits_for_its_turn_takes_along_what_others_were_told(scene):
    """
    Two of ten wait for the store: one that marks, and the next; the others have their results.
    """
    scene.repository, results = _Marking(scene.clock), []

    while_held = await _submit_many(scene, results, 10)

    assert (8, 10) == (while_held, len(results))
    assert [1, 9] == [len(marked) for marked in scene.repository.marks]
    assert sorted(event.event_id for event in scene.audit.events) == sorted(chain(*scene.repository.marks))
    assert await scene.repository.audit_wait() is None


async def test_each_event_that_cannot_be_noted_is_told_of(scene, caplog):
    """
    All of them will be delivered again, by whoever finds their holds over.
    """
    scene.repository, results = _Marking(scene.clock), []
    scene.repository.error = RepositoryUnavailableError("Cut.", advice="Wait.")

    await _submit_many(scene, results, 3)

    untaken = [record.event_id for record in caplog.records if "delivered again" in record.getMessage()]
    assert sorted(event.event_id for event in scene.audit.events) == sorted(untaken)
    assert {BulkStatus.SUCCESS} == {result.status for result in results}
    scene.repository.error = None
    scene.clock.advance(60)
    await scene.orchestrator().resume_interrupted()
    assert await scene.repository.audit_wait() is None


async def test_a_store_that_never_answers_is_waited_for_no_longer_than_the_lease(scene, caplog):
    """
    Those whose turn never came are told of as well, and the next event is noted again.
    """
    scene.repository, results = _Marking(scene.clock), []
    orchestrator = scene.orchestrator()

    async def submit():
        request = scene.request(1)
        results.append(await orchestrator.submit_bulk_registration(request, actor=scene.actor))

    async with anyio.create_task_group() as crew:
        crew.start_soon(submit)
        await scene.quiet()
        for _ in range(3):
            crew.start_soon(submit)
        await scene.quiet()
        scene.clock.advance(scene.settings.lease_ttl)
        await scene.quiet()
        assert 4 == len(results)
    untaken = [record.event_id for record in caplog.records if "delivered again" in record.getMessage()]
    assert sorted(event.event_id for event in scene.audit.events) == sorted(untaken)

    await submit()
    assert [scene.audit.events[-1].event_id] == scene.repository.marks[-1]


async def test_whoever_is_cancelled_as_the_logger_answers_notes_it_all_the_same(scene):
    """
    Nobody tells the logger twice.
    """
    scene.repository = _Marking(scene.clock)
    scene.repository.goes_on.set()

    class _Cancelling:
        async def log_bulk_submission(self, event, /):
            crew.cancel_scope.cancel()

    scene.audit = _Cancelling()
    async with anyio.create_task_group() as crew:
        await scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)

    assert crew.cancel_scope.cancelled_caught
    assert 1 == len(scene.repository.marks)
    assert await scene.repository.audit_wait() is None
