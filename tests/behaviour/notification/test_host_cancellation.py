"""
The host's own cancellation of a nightly job always comes out, at whatever step of the event loop it comes.
"""

from itertools import count

import pytest
from strikes import cancelled_at

from proxy_orchestration.notification.settings import DispatchSettings, NotificationSettings

pytestmark = pytest.mark.dateless

_UNTRACED = [pytest.param(by, marks=pytest.mark.untraced) for by in ("asyncio.timeout", "trio")]


def fresh(scene):
    """
    Return a scene in which nothing was told yet.
    """
    return type(scene)(
        settings=NotificationSettings(chunk_size=2), dispatching=DispatchSettings(batch_size=2)
    )


def certificates(scene):
    """
    Return certificates for more than one chunk.
    """
    return [scene.certificate(number) for number in range(3)]


async def run(scene):
    """
    Tell everybody.
    """
    await scene.orchestrator().run(certificates(scene))


async def stream(scene):
    """
    Tell everybody, and look on.
    """
    async with scene.orchestrator().stream(certificates(scene)) as outcomes:
        async for _ in outcomes:
            pass


async def drain(scene):
    """
    Send what is queued.
    """
    await run(scene)
    await scene.dispatcher().drain()


async def serve(scene):
    """
    Send what is queued, and what will be.
    """
    await run(scene)
    await scene.dispatcher().serve()


@pytest.mark.parametrize("by", ["Task.cancel", *_UNTRACED])
@pytest.mark.parametrize("verb", [run, stream, drain, serve], ids=lambda verb: verb.__name__)
def test_a_cancelled_job_never_returns_as_if_it_were_done(scene, verb, by):
    """
    A job that ends well with half of its certificates is not repeated before tomorrow.
    """
    swallowed = []
    for step in count():
        strike = cancelled_at(step, lambda: verb(fresh(scene)), by=by)
        if not strike.came:
            break
        if not strike.came_out:
            swallowed.append(step)

    assert [] == swallowed
    assert step > 20
