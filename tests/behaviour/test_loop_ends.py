"""
A call that was left behind keeps no event loop from ending, whatever it makes of that.
"""

import asyncio
import contextlib
import threading

import anyio
import pytest
from anyio.lowlevel import checkpoint

from proxy_orchestration import BulkSettings, ItemState, RegistrationReceipt, RetryPolicy
from proxy_orchestration.registration.execution import service_calls

pytestmark = pytest.mark.dateless

_AT_MOST = 60.0


class Stuck:
    """
    A service whose calls do not end, each in a way of its own.
    """

    def __init__(self, how):
        self.how = how
        self.clock = None
        self.ended_by = []
        self.calls = 0
        self.release = threading.Event()

    async def register(self, registration, /):
        """
        Register, and never end.
        """
        self.calls += 1
        try:
            await getattr(self, self.how)()
        except BaseException as error:
            self.ended_by.append(type(error).__name__)
            raise
        return RegistrationReceipt(registration_id=registration.registration_id, activity_id="activity-1")

    async def shielded(self):
        """
        Wait where no cancellation comes.
        """
        with anyio.CancelScope(shield=True):
            await anyio.sleep_forever()

    async def in_its_own_group(self):
        """
        Have a task of its own wait so.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.shielded)

    async def swallowing_cancellations(self):
        """
        Take cancellations for nothing.
        """
        while True:
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                await self.shielded()

    async def swallowing_everything(self):
        """
        Take whatever comes for nothing.
        """
        while True:
            with contextlib.suppress(BaseException):
                await self.shielded()

    async def in_a_thread(self):
        """
        Wait for a thread.
        """
        await anyio.to_thread.run_sync(self.release.wait)


class StuckWithMany(Stuck):
    """
    The same for many at once.
    """

    async def register_many(self, registrations, /, *, atomic):
        """
        Register them, and never end.
        """
        assert not atomic
        return [await self.register(registration) for registration in registrations]


def run_to_its_end(backend, work):
    """
    Run an event loop in a thread of its own; return what it raised, once it has ended.
    """
    raised = []

    def run():
        try:
            anyio.run(work, backend=backend)
        except BaseException as error:  # noqa: BLE001 - told below
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_AT_MOST)
    assert not thread.is_alive(), "the event loop does not end"
    return raised


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("how", "ends"),
    [
        ("shielded", True),
        ("in_its_own_group", True),
        ("swallowing_cancellations", True),
        ("swallowing_everything", False),
        ("in_a_thread", True),
    ],
)
def test_a_call_left_behind_keeps_no_loop_from_ending(scene_with, backend, how, ends):
    """
    It is cancelled, then closed where it waits, and dropped in the end.
    """
    service = Stuck(how)
    scene = scene_with(service)
    scene.settings = BulkSettings(call_timeout=5.0, retry=RetryPolicy(max_attempts=1))
    results = []

    async def work():
        submit = scene.orchestrator().submit_bulk_registration
        results.append(await scene.while_time_passes(lambda: submit(scene.request(2), actor=scene.actor)))

    try:
        raised = run_to_its_end(backend, work)
    finally:
        service.release.set()

    assert [] == raised
    assert {ItemState.UNKNOWN} == {outcome.state for outcome in results[0].outcomes}
    assert (2 if ends else 0) == len(service.ended_by)


async def under_way(scene):
    """
    Return an orchestrator once a batch is accepted; it is served next.
    """
    orchestrator = scene.orchestrator()
    await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor, drive=False)
    return orchestrator


@pytest.fixture
def impatient(monkeypatch):
    """
    Let calls go by the event loop's own time at once: the clocks of these tests stand still.
    """
    monkeypatch.setattr(service_calls, "_LET_GO_AT_LAST", 0.01)


@pytest.mark.usefixtures("impatient")
def test_a_loop_that_ends_while_somebody_serves_waits_for_no_call(scene_with):
    """
    The runner of asyncio cancels all at once: whoever serves, and the call that takes it for nothing.
    """
    service = Stuck("swallowing_cancellations")
    scene = scene_with(service)
    serving = []

    async def work():
        serving.append(asyncio.create_task((await under_way(scene)).serve()))
        while service.calls < 2:
            await checkpoint()

    assert [] == run_to_its_end("asyncio", work)
    assert serving[0].cancelled()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("bulk", [False, True], ids=["one by one", "many"])
def test_who_leaves_is_not_held_by_a_clock_that_nobody_moves(scene_with, backend, bulk):
    """
    As in a host's test whose double ignores that it is cancelled.
    """
    service = StuckWithMany("shielded") if bulk else Stuck("shielded")
    scene = scene_with(service)

    async def work():
        orchestrator = await under_way(scene)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orchestrator.serve)
            while service.calls < 1:
                await checkpoint()
            tasks.cancel_scope.cancel()

    assert [] == run_to_its_end(backend, work)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_service_that_waits_for_another_loop_is_told_so(scene_with, backend):
    """
    What the event loop itself throws into a call is the service's error, and ends nothing else.
    """

    class Foreign:
        clock = None

        async def register(self, registration, /):
            await _yield_something()

    scene = scene_with(Foreign())
    results = []

    async def work():
        submit = scene.orchestrator().submit_bulk_registration
        results.append(await submit(scene.request(2), actor=scene.actor))

    assert [] == run_to_its_end(backend, work)
    assert {"unexpected"} == {outcome.failure.code for outcome in results[0].outcomes}


class _Something:
    def __await__(self):
        yield "something"


async def _yield_something():
    await _Something()
