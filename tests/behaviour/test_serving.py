"""
Serving never dies of one thing, says what is wrong once, and tells how it goes.
"""

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import UTC
from itertools import pairwise

import anyio
import pytest

from proxy_orchestration import (
    BulkRegistrationRequest,
    BulkSettings,
    BulkStatus,
    Health,
    RepositoryUnavailableError,
)
from proxy_orchestration._outages import Outage
from proxy_orchestration.registration.runs import Commit, LeaseHeld
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import slow

GONE = RepositoryUnavailableError("The disk is full.", advice="Free space.")


class Failing:
    """
    A store some of whose methods fail as long as they are told to.
    """

    def __init__(self, sound):
        self._sound = sound
        self.failing = {}

    def __getattr__(self, name):
        if name == "take_free_runs":
            raise AttributeError(name)
        return self._failing(name)

    def _failing(self, name):
        method = getattr(self._sound, name)

        async def call(*args, **kwargs):
            if name in self.failing:
                raise self.failing[name]
            return await method(*args, **kwargs)

        return call


class Taking(Failing):
    """
    One that hands out many runs at once, too.
    """

    async def give_back(self, lease, /):
        """
        Give up the lease.
        """
        await self._failing("give_back")(lease)

    async def take_free_runs(self, **wanted):
        """
        Take leases.
        """
        return await self._failing("take_free_runs")(**wanted)


async def accept(scene, mentors=2, key=None):
    """
    Return the id of an accepted batch that nobody drives.
    """
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(mentors, key), actor=scene.actor, drive=False
    )
    return accepted.batch_id


@asynccontextmanager
async def serving(scene):
    """
    Serve while the block runs, and yield who serves and a way to let time pass.
    """
    orchestrator = scene.orchestrator()

    async def pass_time(seconds):
        for _ in range(round(seconds / 0.5)):
            await scene.quiet()
            scene.clock.advance(0.5)
        await scene.quiet()

    async with anyio.create_task_group() as crew:
        await crew.start(lambda task_status: orchestrator.serve(task_status=task_status))
        yield orchestrator, pass_time
        crew.cancel_scope.cancel()


async def status(scene, batch_id):
    """
    Return the batch's status.
    """
    return (await scene.repository.read_result(batch_id)).status


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (Failing, "find_drivable"),
        (Failing, "acquire"),
        (Failing, "claim_audit_events"),
        (Failing, "audit_wait"),
        (Taking, "find_drivable"),
        (Taking, "take_free_runs"),
    ],
)
@pytest.mark.parametrize("error", [KeyError("a bug"), GONE, asyncio.CancelledError()], ids=repr)
async def test_no_error_of_the_store_ends_serving(scene, kind, method, error, caplog, anyio_backend):  # noqa: PLR0913, PLR0917 - fixtures
    """
    Neither one of ours, nor a bug, nor a cancellation that the store made up.
    """
    if isinstance(error, asyncio.CancelledError) and anyio_backend == "trio":
        error = ValueError("trio lets nobody make up a cancellation")
    scene.repository = store = kind(scene.repository)
    scene.settings = BulkSettings(audit_timeout=0.1)
    async with serving(scene) as (_, pass_time):
        store.failing[method] = error
        batch_id = await accept(scene)
        await pass_time(3)
        assert type(error).__name__ in caplog.text or str(error) in caplog.text
        store.failing.clear()
        await pass_time(12)

        assert BulkStatus.SUCCESS is await status(scene, batch_id)
        assert [batch_id] == [event.batch_id for event in scene.audit.events]


@pytest.mark.parametrize(("kind", "method"), [(Failing, "find_drivable"), (Taking, "take_free_runs")])
async def test_an_outage_is_said_once_then_now_and_then_then_that_it_is_over(scene, caplog, kind, method):
    """
    However many batches it stops, and however often they wake the one who looks.
    """
    scene.repository = store = kind(scene.repository)
    async with serving(scene) as (orchestrator, pass_time):
        store.failing[method] = GONE
        store.failing["claim_audit_events"] = GONE
        for _ in range(300):
            orchestrator._coordinator.work.notify("")
            await pass_time(0.5)
        said = [record.getMessage() for record in caplog.records]
        store.failing.clear()
        await pass_time(20)

    assert 2 == sum("waiting runs could not be read" in each for each in said)
    assert 2 == sum("audit events could not be delivered" in each for each in said)
    assert 4 == len(said)
    over = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert ["audit events are delivered again", "waiting runs are read again"] == sorted(
        record.getMessage().partition(" after")[0] for record in over
    )
    assert all(150 <= record.seconds <= 161 for record in over)


async def test_a_batch_that_goes_wrong_again_and_again_is_named_ever_more_rarely(scene, caplog):
    """
    The first, second, fourth, eighth time.
    """
    scene.repository = store = Failing(scene.repository)
    batch_id = await accept(scene)
    store.failing["acquire"] = KeyError("a bug")
    async with serving(scene) as (_, pass_time):
        await pass_time(120)

    assert 4 == caplog.text.count(f"stopped driving batch {batch_id}: KeyError")


def test_another_kind_of_failure_is_said_at_once():
    """
    And silence grows, up to an hour.
    """
    outage = Outage()

    assert [True, False, True, False] == [
        outage.note(error, now=1.0) for error in (GONE, GONE, KeyError(), KeyError())
    ]
    said = [now for now in range(0, 40_000, 10) if outage.note(KeyError(), now=now)]
    gaps = [after - before for before, after in pairwise(said)]
    assert 3600 == max(gaps)
    assert sorted(gaps) == gaps
    assert 40_000.0 == outage.end(now=40_001.0)
    assert outage.end(now=40_002.0) is None


async def test_waiting_for_a_lease_is_said_once_and_only_if_it_is_not_renewed(scene, caplog):
    """
    In a fleet most leases are those of living drivers.
    """
    dead, living = await accept(scene, key="dead"), await accept(scene, key="living")
    await scene.repository.acquire(dead, 1, ttl=30.0)
    lease = await scene.repository.acquire(living, 1, ttl=30.0)
    async with serving(scene) as (_, pass_time):
        for _ in range(2):
            await pass_time(10)
            await scene.repository.commit(lease, Commit(ttl=30.0))
        assert [dead] == [record.batch_id for record in caplog.records]
        assert "is held by a driver that may have died; waiting 15.0 s" in caplog.text
        await pass_time(12)

        assert BulkStatus.SUCCESS is await status(scene, dead)
        assert BulkStatus.RUNNING is await status(scene, living)


@pytest.mark.parametrize("kind", [Failing, Taking])
async def test_health_tells_what_serving_last_saw_and_how_old_that_is(scene, kind):
    """
    It asks nobody.
    """
    scene.service.script = lambda *_: slow(8.0)
    scene.repository = store = kind(scene.repository)
    idle = scene.orchestrator().health()
    batch_id = await accept(scene, 1)
    async with serving(scene) as (orchestrator, pass_time):
        await pass_time(1)
        well = orchestrator.health()
        store.failing["find_drivable"] = KeyError("a bug")
        await pass_time(4)
        ill = orchestrator.health()
        store.failing.clear()
    ended = orchestrator.health()

    assert idle == Health(
        serving=False,
        store_reachable=None,
        looked_at=None,
        age=None,
        oldest_undriven=None,
        oldest_undriven_age=None,
        driving=0,
    )
    assert (True, True, 1, None, None) == (
        well.serving,
        well.store_reachable,
        well.driving,
        well.oldest_undriven,
        well.error,
    )
    assert well.age <= 0.5
    assert (True, False, "KeyError", well.looked_at) == (
        ill.serving,
        ill.store_reachable,
        ill.error,
        ill.looked_at,
    )
    assert ill.age == well.age + 4.0
    assert (False, 0) == (ended.serving, ended.driving)
    assert BulkStatus.RUNNING is await status(scene, batch_id)


async def test_health_names_the_batch_that_waits_longest_and_how_long(scene):
    """
    Since it was submitted; a later run since it was first seen.
    """
    scene.clock.advance(100.0)
    first = await accept(scene, key="first")
    scene.clock.advance(20.0)
    await accept(scene, key="second")
    orchestrator = scene.orchestrator()

    health = await orchestrator.check_health()

    assert (first, 20.0, False) == (health.oldest_undriven, health.oldest_undriven_age, health.serving)
    assert (True, 0.0) == (health.store_reachable, health.age)
    assert health.looked_at == scene.clock.now().astimezone(UTC)
    await orchestrator.resume_interrupted()
    assert (await orchestrator.check_health()).oldest_undriven is None


async def test_the_run_of_a_retry_is_as_old_as_it_was_first_seen(scene):
    """
    Its batch may have been submitted a year ago.
    """
    scene.service.script = lambda *_: pytest.fail("nobody drives")
    batch_id = await accept(scene)
    orchestrator = scene.orchestrator()
    await orchestrator.cancel_batch(batch_id, actor=scene.actor)
    scene.clock.advance(1000.0)
    await orchestrator.retry_failed_items(batch_id, actor=scene.actor, mentor_ids=["mentor-0"], drive=False)
    await orchestrator.check_health()
    scene.clock.advance(7.0)

    health = await orchestrator.check_health()

    assert (batch_id, 7.0) == (health.oldest_undriven, health.oldest_undriven_age)


async def test_checking_health_raises_nothing_and_waits_for_no_hung_store(scene):
    """
    The type of the error is in the answer.
    """
    scene.repository = store = Failing(scene.repository)
    orchestrator = scene.orchestrator()
    store.failing["find_drivable"] = GONE
    gone = await orchestrator.check_health()

    async def hang(**_):
        await anyio.sleep_forever()

    scene.repository._sound.find_drivable = hang
    store.failing.clear()
    hung = await scene.while_time_passes(orchestrator.check_health)

    assert (False, "RepositoryUnavailableError", None) == (gone.store_reachable, gone.error, gone.looked_at)
    assert (False, "NoAnswerError", 5.0) == (hung.store_reachable, hung.error, scene.clock.monotonic())


async def test_a_cancelled_health_check_leaves_cancelled(scene):
    """
    It is no answer of the store's.
    """
    left = []

    async def hang(**_):
        await anyio.sleep_forever()

    scene.repository.find_drivable = hang

    async def check():
        left.append(await scene.orchestrator().check_health())

    await scene.interrupt(check)

    assert [] == left


async def test_a_run_that_somebody_else_takes_after_the_look_is_left_to_them(scene):
    """
    Where a store hands out one run after the other; the next look finds it again should they die.
    """

    class Beaten(MemoryActivityRepository):
        take_free_runs = None
        beaten = 0

        async def acquire(self, batch_id, run, /, *, ttl, take_over=False):
            if not self.beaten:
                Beaten.beaten = 1
                return LeaseHeld(fence=1, remaining=0.1)
            return await super().acquire(batch_id, run, ttl=ttl, take_over=take_over)

    scene.repository = Beaten(scene.clock)
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(2), actor=scene.actor, drive=False
    )

    result = await scene.while_time_passes(lambda: scene.serve_to_the_end_of(accepted.batch_id))

    assert BulkStatus.SUCCESS is result.status
    assert 1 == Beaten.beaten


async def test_runs_that_end_at_about_the_same_time_have_their_places_filled_by_one_write(scene):
    """
    Where many more wait: whoever serves gives the others a moment to end, too.
    """
    wanted = []

    class Noting(Taking):
        async def take_free_runs(self, **asked):
            wanted.append(asked["limit"])
            return await super().take_free_runs(**asked)

    ends_after = {"first": 0.7, "second": 0.72}
    scene.service.script = lambda one, _: slow(ends_after.get(one.mentor_id, 60.0))
    scene.repository = Noting(scene.repository)
    for name in ("first", "second", *(f"other-{number}" for number in range(53))):
        request = BulkRegistrationRequest.for_mentors([name], scene.activity)
        await scene.orchestrator().submit_bulk_registration(request, actor=scene.actor, drive=False)

    async with serving(scene):
        for seconds in (0.5, 0.2, 0.02, 0.03):
            await scene.quiet()
            scene.clock.advance(seconds)
        await scene.quiet()

    assert [50, 2] == wanted
