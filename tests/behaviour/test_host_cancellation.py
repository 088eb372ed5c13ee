"""
The host's own cancellation always comes out, at whatever step of the event loop it comes.
"""

from itertools import count

import pytest
from strikes import cancelled_at

from proxy_orchestration import BulkSettings
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.testing import ScriptedRegistrationService

pytestmark = pytest.mark.dateless

_UNTRACED = [pytest.param(by, marks=pytest.mark.untraced) for by in ("asyncio.timeout", "trio")]


def orchestrator(scene):
    """
    Return an orchestrator whose workers, driver and watcher are often between two steps.
    """
    scene.settings = BulkSettings(max_concurrency=2, max_undurable=1)
    return scene.orchestrator()


async def accept(scene):
    """
    Return the id of an accepted batch that nobody drives.
    """
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(4, "key"), actor=scene.actor, drive=False
    )
    return accepted.batch_id


async def drive(scene):
    """
    Drive a batch and look on.
    """
    batch_id = await accept(scene)
    async with orchestrator(scene).drive_batch(batch_id) as run:
        async for _ in run:
            pass


async def drive_if_free(scene):
    """
    Drive a batch by one call, as the job of an engine does.
    """
    await orchestrator(scene).drive_if_free(await accept(scene))


async def stream(scene):
    """
    Submit a batch and look on.
    """
    async with orchestrator(scene).stream_bulk_registration(
        scene.request(4, "key"), actor=scene.actor
    ) as run:
        async for _ in run:
            pass


async def submit(scene):
    """
    Submit a batch and wait for it.
    """
    await orchestrator(scene).submit_bulk_registration(scene.request(4, "key"), actor=scene.actor)


async def resume(scene):
    """
    Drive what is left.
    """
    await accept(scene)
    await orchestrator(scene).resume_interrupted()


async def serve(scene):
    """
    Drive what comes.
    """
    await accept(scene)
    await orchestrator(scene).serve()


async def cancel(scene):
    """
    Cancel a batch and wait for what is under way.
    """
    batch_id = await accept(scene)
    lease = await scene.repository.acquire(batch_id, 1, ttl=30.0)
    await scene.repository.commit(lease, Commit(claim=2, ttl=30.0))
    await scene.repository.release(lease)
    await orchestrator(scene).cancel_batch(batch_id, actor=scene.actor)


@pytest.mark.parametrize("by", ["Task.cancel", *_UNTRACED])
@pytest.mark.parametrize(
    "verb", [drive, drive_if_free, stream, submit, resume, serve, cancel], ids=lambda verb: verb.__name__
)
def test_a_cancelled_verb_never_returns_as_if_it_were_done(scene_with, verb, by):
    """
    A job that ends well with its batch half done would be nobody's any more.
    """
    swallowed = []
    for step in count():
        strike = cancelled_at(step, lambda: verb(scene_with(ScriptedRegistrationService())), by=by)
        if not strike.came:
            break
        if not strike.came_out:
            swallowed.append(step)

    assert [] == swallowed
    assert step > 50
