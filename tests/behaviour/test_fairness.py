"""
Batches take turns: a large one does not make a small one wait for its end.
"""

import math
from collections.abc import Callable

import anyio
import pytest

from proxy_orchestration import (
    BulkSettings,
    BulkStatus,
    ItemState,
    RegistrationReceipt,
    RepositoryUnavailableError,
)
from proxy_orchestration.registration.execution import look_ahead
from proxy_orchestration.registration.execution.recovery import Backoff
from proxy_orchestration.testing import ScriptedRegistrationService, succeed

pytestmark = pytest.mark.dateless

LARGE, SMALL = 10_000, 10
HEAD_START = 500


class Counting(ScriptedRegistrationService):
    """
    Tells when the large batch has its head start, and what it was asked in which order.
    """

    def __init__(self) -> None:
        super().__init__(script=self._count)
        self.order: list[str] = []
        self.under_way = anyio.Event()

    def _count(self, registration, _attempt):
        self.order.append("small" if registration.mentor_id.startswith("small") else "large")
        if len(self.order) == HEAD_START:
            self.under_way.set()
        return succeed()


def _small() -> list[str]:
    return [f"small-{number}" for number in range(SMALL)]


async def _driven_beside(scene, drive_small: Callable, drive_large: Callable) -> list[str]:
    """
    Return whom the service was asked for between the small batch's first call and its last.
    """
    async with anyio.create_task_group() as crew:
        crew.start_soon(drive_large)
        await scene.service.under_way.wait()
        await drive_small()
        asked = list(scene.service.order)
        crew.cancel_scope.cancel()
    assert len(asked) < LARGE
    first, last = asked.index("small"), len(asked) - asked[::-1].index("small")
    return asked[first:last]


@pytest.mark.parametrize("calls_in_flight", [1, 5, 50])
async def test_a_batch_of_ten_passes_one_of_ten_thousand_that_came_before(scene, calls_in_flight):
    """
    Calls are given in turn: the small batch has at least one in four while it runs.
    """
    scene.service = Counting()
    scene.settings = BulkSettings(max_concurrency=5, max_calls_in_flight=calls_in_flight)
    orchestrator = scene.orchestrator()

    async def submit(request):
        result = await orchestrator.submit_bulk_registration(request, actor=scene.actor)
        assert BulkStatus.SUCCESS is result.status

    asked = await _driven_beside(
        scene, lambda: submit(scene.request(_small())), lambda: submit(scene.request(LARGE))
    )

    assert SMALL == asked.count("small")
    assert asked.count("large") <= 3 * SMALL


@pytest.mark.parametrize("calls_in_flight", [1, 5])
async def test_a_server_starts_a_small_batch_beside_a_large_one(scene, calls_in_flight):
    """
    Though the calls in flight are fewer than the batches: runs share them.
    """
    scene.service = Counting()
    scene.settings = BulkSettings(max_concurrency=5, max_calls_in_flight=calls_in_flight)
    serving = scene.orchestrator()

    async def accept(mentors, key):
        request = scene.request(mentors, key=key)
        accepted = await serving.submit_bulk_registration(request, actor=scene.actor, drive=False)
        return accepted.batch_id

    async def see_the_small_one_through():
        async with serving.watch_batch(await accept(_small(), "small"), actor=scene.actor) as run:
            async for _ in run:
                pass
        assert BulkStatus.SUCCESS is run.result.status

    for number in range(calls_in_flight):
        await accept(LARGE, f"large {number}")

    asked = await _driven_beside(scene, see_the_small_one_through, serving.serve)

    assert SMALL == asked.count("small")
    assert asked.count("large") <= 3 * SMALL * calls_in_flight


class Unreadable:
    """
    A store in which some batches cannot be taken up.
    """

    def __init__(self, sound, broken):
        self._sound = sound
        self._broken = broken

    def __getattr__(self, name):
        return getattr(self._sound, name)

    async def acquire(self, batch_id, run, /, *, ttl):
        """
        Take the lease, unless the run cannot be read.
        """
        if batch_id in self._broken:
            msg = "a role of tomorrow"
            raise ValueError(msg)
        return await self._sound.acquire(batch_id, run, ttl=ttl)

    async def give_back(self, lease, /):
        """
        Give up the lease.
        """
        await self._sound.give_back(lease)

    async def take_free_runs(self, *, except_for, **rest):
        """
        Take leases, unless one of the runs cannot be read.
        """
        if self._broken - {*except_for}:
            msg = "a role of tomorrow"
            raise ValueError(msg)
        return await self._sound.take_free_runs(except_for=except_for, **rest)


async def test_batches_that_always_go_wrong_keep_no_other_waiting(scene, caplog):
    """
    As many as a server drives at once, and all of them older.
    """
    broken: set[str] = set()
    scene.repository = Unreadable(scene.repository, broken)
    serving = scene.orchestrator()

    async def accept(key):
        accepted = await serving.submit_bulk_registration(
            scene.request(1, key=key), actor=scene.actor, drive=False
        )
        return accepted.batch_id

    async def story():
        broken.update([await accept(f"broken {number}") for number in range(60)])
        sound = await accept("sound")
        return await scene.serve_to_the_end_of(sound)

    result = await scene.while_time_passes(story)

    assert BulkStatus.SUCCESS is result.status
    assert all(f"stopped driving batch {each}: ValueError" in caplog.text for each in broken)
    assert "waiting runs could not be acquired together: ValueError" in caplog.text


async def test_a_batch_that_cannot_be_read_stops_no_other_at_start_up(scene):
    """
    The others are driven to their end; then it is told.
    """
    broken: set[str] = set()
    scene.repository = Unreadable(scene.repository, broken)
    orchestrator = scene.orchestrator()

    async def story():
        batches = []
        for number in range(3):
            request = scene.request(2, key=f"batch {number}")
            accepted = await orchestrator.submit_bulk_registration(request, actor=scene.actor, drive=False)
            batches.append(accepted.batch_id)
        broken.add(batches[0])
        with pytest.raises(RepositoryUnavailableError, match="ValueError"):
            await orchestrator.resume_interrupted()
        return [
            await orchestrator.get_bulk_submission_status(each, actor=scene.actor) for each in batches[1:]
        ]

    results = await scene.while_time_passes(story)

    assert [BulkStatus.SUCCESS] * 2 == [result.status for result in results]


def test_who_goes_wrong_again_and_again_is_left_alone_for_longer():
    """
    Up to half a minute; what went right since, or was not postponed for long, is forgotten.
    """
    backoff, run, other = Backoff(), ("batch", 1), ("batch", 2)
    ends = []
    for _ in range(30):
        backoff.postpone(run, now=100.0, pause=0.5)
        ends.append(next(end for end in range(1, 1000) if not backoff.postponed(100.0 + end / 2)))

    assert [1, 2, 4, 8] == ends[:4]
    assert {60} == set(ends[10:])
    assert 31 == backoff.postpone(run, now=100.0, pause=0.5)
    assert 1 == backoff.postpone(other, now=100.0, pause=0.5)
    backoff.forget(other)
    assert {run} == backoff.postponed(100.0)
    assert set() == backoff.postponed(1000.0)
    assert 0 == len(backoff)


async def test_a_service_that_never_yields_lets_the_writer_in(scene, monkeypatch):
    """
    Though many may be called before the next commit, it is written what has an outcome by then.
    """

    class Instant:
        clock = None

        async def register(self, registration, /):
            return RegistrationReceipt(registration_id=registration.registration_id, activity_id="activity-1")

    monkeypatch.setattr(look_ahead.Speed, "likely_calls", lambda _self: math.inf)
    scene.settings, scene.service = BulkSettings(max_concurrency=1, max_undurable=400), Instant()
    sizes, commit = [], scene.repository.commit

    async def noting(lease, one, /):
        sizes.append(len(one.outcomes))
        return await commit(lease, one)

    scene.repository.commit = noting
    result = await scene.orchestrator().submit_bulk_registration(scene.request(400), actor=scene.actor)

    assert {ItemState.SUCCEEDED: 400} == dict(result.counts)
    assert len([size for size in sizes if size]) > 1
