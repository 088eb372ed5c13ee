"""
One look tells all drivers of a process what others cancelled or paused.
"""

import anyio
import attrs
import pytest

from proxy_orchestration import BulkStatus
from proxy_orchestration.registration.ports import SupportsGettingMany
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing.scripted_replies import Reply

_RUNS = 6


def _hang(_registration, _attempt):
    return Reply(answers=False)


@attrs.define(eq=False, slots=False)
class _Looked(MemoryActivityRepository, SupportsGettingMany):
    """
    A store that counts what it is asked.
    """

    looks: list[list[str]] = attrs.field(factory=list)
    error: Exception | None = None

    async def get(self, batch_id, /):
        self.looks.append([batch_id])
        return await self._answer(batch_id)

    async def get_many(self, batch_ids, /):
        self.looks.append([*batch_ids])
        found = {batch_id: await self._answer(batch_id) for batch_id in batch_ids}
        return {batch_id: record for batch_id, record in found.items() if record is not None}

    async def _answer(self, batch_id):
        if self.error is not None:
            raise self.error
        return await super().get(batch_id)


@pytest.fixture
def looked(scene):
    """
    A scene in which every call hangs.
    """
    scene.repository = _Looked(scene.clock)
    return scene


async def _driven(scene, crew, results):
    """
    Start batches that hang in their calls, half a look apart; return their ids.
    """
    orchestrator, ids = scene.orchestrator(), []

    async def submit():
        results.append(await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor))

    for _ in range(_RUNS):
        crew.start_soon(submit)
        await scene.quiet()
        scene.clock.advance(0.01)
        await scene.quiet()
    ids = [batch.batch_id for batch in (await orchestrator.list_batches(actor=scene.actor)).batches]
    scene.repository.looks.clear()
    return ids


async def _pass(scene, seconds):
    """
    Let time pass in small steps.
    """
    for _ in range(round(seconds / 0.1)):
        scene.clock.advance(0.1)
        await scene.quiet()


async def test_drivers_that_have_nothing_to_write_share_one_look(looked):
    """
    Two looks in one second, not one for each of six drivers.
    """
    looked.service.script = _hang
    async with anyio.create_task_group() as crew:
        ids = await _driven(looked, crew, [])
        await _pass(looked, 1.2)
        looks = [sorted(look) for look in looked.repository.looks]
        crew.cancel_scope.cancel()

    assert 2 == len(looks)
    assert [sorted(ids)] * 2 == looks


async def test_each_driver_hears_of_its_own_batch_alone(looked):
    """
    Another process cancels one of them.
    """
    looked.service.script = _hang
    results = []
    async with anyio.create_task_group() as crew:
        ids = await _driven(looked, crew, results)
        await looked.repository.cancel_run(ids[2], reason=None, wished_at=looked.clock.now())
        await _pass(looked, looked.settings.poll_interval + looked.settings.cancel_grace + 0.2)
        crew.cancel_scope.cancel()

    assert [ids[2]] == [result.batch_id for result in results]


async def test_what_a_look_raises_ends_the_drivers(looked):
    """
    An error that is not the store's own is one of the code behind it, and is not passed over.
    """
    looked.service.script = _hang
    with pytest.RaisesGroup(*[pytest.RaisesExc(ZeroDivisionError)] * _RUNS):
        async with anyio.create_task_group() as crew:
            await _driven(looked, crew, [])
            looked.repository.error = ZeroDivisionError()
            await _pass(looked, 1.2)


async def test_nobody_looks_once_the_last_driver_has_left(looked):
    """
    And the next driver is looked after again.
    """
    orchestrator = looked.orchestrator()
    result = await orchestrator.submit_bulk_registration(looked.request(2), actor=looked.actor)
    looked.repository.looks.clear()
    await _pass(looked, 2)
    assert [] == looked.repository.looks
    assert 0 == looked.clock.sleepers

    looked.service.script = _hang
    async with anyio.create_task_group() as crew:
        await _driven(looked, crew, [])
        await _pass(looked, 0.6)
        assert 1 == len(looked.repository.looks)
        crew.cancel_scope.cancel()
    assert BulkStatus.SUCCESS is result.status


async def test_the_last_driver_waits_for_a_look_under_way(looked):
    """
    A store that is asked in a thread must not be asked any more when the event loop ends.
    """
    looked.service.script = _hang
    ended = []

    async def slow(batch_id, /):
        try:
            with anyio.CancelScope(shield=True):
                await looked.clock.sleep(3)
        finally:
            ended.append(batch_id)

    async with anyio.create_task_group() as crew:
        crew.start_soon(
            lambda: looked.orchestrator().submit_bulk_registration(looked.request(1), actor=looked.actor)
        )
        await looked.quiet()
        looked.repository.get = slow
        await _pass(looked, 0.6)
        crew.cancel_scope.cancel()
        crew.start_soon(_let_pass, looked)

    assert 1 == len(ended)


async def _let_pass(scene):
    with anyio.CancelScope(shield=True):
        await _pass(scene, 4)
