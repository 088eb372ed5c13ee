"""
An item whose call ends the process stops nobody but itself.

A process that dies is one whose store answers nothing any more: no write comes
through, not even the one that gives up the lease.
"""

import contextlib

import attrs
import pytest

from proxy_orchestration import (
    BatchStateError,
    BulkSettings,
    ItemState,
    RepositoryUnavailableError,
    SubmissionMode,
)
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import (
    BulkRegistrationService,
    FaultyActivityRepository,
    LookupRegistrationService,
    hang,
    not_seen,
    slow,
    succeed,
)

GONE = RepositoryUnavailableError("The process is gone.", advice="Start another one.")


@attrs.define(eq=False)
class Lives:
    """
    One process after the other over one store, each until it dies or has nothing left to do.
    """

    scene: object
    store: MemoryActivityRepository
    poison: frozenset[str]
    is_dead: bool = False
    called: list[str] = attrs.field(factory=list)

    def script(self, registration, _attempt):
        """
        Answer, or let the process die.
        """
        name = registration.mentor_id
        self.called.append(name)
        if name not in self.poison:
            return succeed()
        self.is_dead = True
        return hang()

    def _check_alive(self, _point):
        if self.is_dead:
            raise GONE

    async def live(self) -> None:
        """
        Resume everything, and wait until a lease that was not released is over.
        """
        self.is_dead = False
        self.scene.repository = FaultyActivityRepository(self.store, before=self._check_alive)
        with contextlib.suppress(RepositoryUnavailableError):
            await self.scene.while_time_passes(self.scene.orchestrator().resume_interrupted)
        self.is_dead = False
        self.scene.clock.advance(self.scene.settings.lease_ttl + 1)


async def _accept(scene, mentors):
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(mentors), actor=scene.actor, drive=False
    )
    return accepted.batch_id


async def _result_of(scene, batch_id):
    return await scene.orchestrator().get_bulk_submission_status(batch_id, actor=scene.actor)


def _lives_of(scene, *poison, **settings):
    scene.settings = BulkSettings(**settings)
    lives = Lives(scene, scene.repository, frozenset(poison))
    scene.service.script = lives.script
    return lives


@pytest.fixture(params=["plain", "look-up"])
def any_scene(request, scene, lookup_scene):
    """
    Return a scene with and without a look-up that sees nothing of a poisonous call.
    """
    return scene if request.param == "plain" else lookup_scene


async def test_a_poisonous_item_stops_nobody_else(any_scene):
    """
    Everybody else is settled within three restarts, and it is called no more than three times.
    """
    scene = any_scene
    lives = _lives_of(scene, "mentor-7")
    batches = [await _accept(scene, 20), await _accept(scene, [f"other-{number}" for number in range(20)])]
    for _ in range(4):
        await lives.live()
    results = [await _result_of(scene, batch_id) for batch_id in batches]

    assert [{ItemState.SUCCEEDED: 19, ItemState.UNKNOWN: 1}, {ItemState.SUCCEEDED: 20}] == [
        dict(result.counts) for result in results
    ]
    (lost,) = results[0].failed
    assert ("mentor-7", "driver_lost") == (lost.mentor_id, lost.failure.code)
    assert 3 == lives.called.count("mentor-7")
    assert 39 == len(set(lives.called) - {"mentor-7"})


async def test_suspects_come_last_and_alone(scene):
    """
    What was never called goes first; then one suspect after the other, each stored before it is called.
    """
    lives = _lives_of(scene, "mentor-1", max_concurrency=4)
    await _accept(scene, 30)
    await lives.live()
    suspects = set(lives.called)
    lives.poison = frozenset()
    lives.called.clear()
    alone = []

    def script(registration, attempt):
        run = next(iter(lives.store._unsettled.values())).run
        alone.append(run.alone)
        return lives.script(registration, attempt)

    scene.service.script = script
    await lives.live()

    healthy = len(lives.called) - sum(place is not None for place in alone)
    assert {None} == set(alone[:healthy])
    assert suspects <= set(lives.called[healthy:])
    assert [f"mentor-{place - 1}" for place in alone[healthy:]] == lives.called[healthy:]


async def test_leaving_in_order_is_no_death(scene):
    """
    Whoever is cancelled while a suspect is called gives up the lease, however often.
    """
    lives = _lives_of(scene, "mentor-0", max_concurrency=1)
    batch_id = await _accept(scene, 3)
    await lives.live()
    scene.repository = lives.store
    for _ in range(4):
        await scene.interrupt(scene.orchestrator().resume_interrupted)
    scene.service.script = lambda *_: succeed()
    await scene.while_time_passes(scene.orchestrator().resume_interrupted)

    assert {ItemState.SUCCEEDED: 3} == dict((await _result_of(scene, batch_id)).counts)


async def test_deaths_are_bounded_by_the_setting(scene):
    """
    One is enough where the host says so.
    """
    lives = _lives_of(scene, "mentor-0", max_takeovers=1)
    batch_id = await _accept(scene, 2)
    for _ in range(3):
        await lives.live()

    assert {ItemState.SUCCEEDED: 1, ItemState.UNKNOWN: 1} == dict((await _result_of(scene, batch_id)).counts)
    assert 2 == lives.called.count("mentor-0")


async def test_a_plain_retry_leaves_it_out_and_one_that_names_it_takes_it(scene):
    """
    Its key stays in doubt, so the retry writes no second record.
    """
    lives = _lives_of(scene, "mentor-0")
    batch_id = await _accept(scene, 2)
    for _ in range(4):
        await lives.live()
    scene.repository, lives.poison = lives.store, frozenset()
    with pytest.raises(BatchStateError, match="by name"):
        await scene.orchestrator().retry_failed_items(batch_id, actor=scene.actor)
    result = await scene.orchestrator().retry_failed_items(
        batch_id, actor=scene.actor, mentor_ids=["mentor-0"]
    )

    assert {ItemState.SUCCEEDED: 2} == dict(result.counts)
    keys = {call.idempotency_key for call in scene.service.calls if call.mentor_id == "mentor-0"}
    assert 1 == len(keys)


async def test_a_plain_retry_takes_the_others(scene):
    """
    One failed for another reason.
    """
    lives = _lives_of(scene, "mentor-0")
    names = ["mentor-0", "mentor-1", scene.actor.user_id]
    batch_id = await _accept(scene, names)
    for _ in range(4):
        await lives.live()
    scene.repository = lives.store
    result = await scene.orchestrator().retry_failed_items(batch_id, actor=scene.actor)
    codes = {outcome.mentor_id: outcome.failure.code for outcome in result.failed}

    assert {"mentor-0": "driver_lost", scene.actor.user_id: "self_attribution"} == codes
    assert 3 == lives.called.count("mentor-0")


async def test_a_cancel_after_a_death_doubts_only_what_may_have_been_called(any_scene):
    """
    The rest was claimed, and provably never called.
    """
    scene = any_scene
    if isinstance(scene.service, LookupRegistrationService):
        scene.service.lookup_script = lambda *_: not_seen()
    lives = _lives_of(scene, "mentor-3", max_concurrency=2)
    batch_id = await _accept(scene, 12)
    await lives.live()
    scene.repository = lives.store
    await scene.while_time_passes(lambda: scene.orchestrator().cancel_batch(batch_id, actor=scene.actor))
    result = await _result_of(scene, batch_id)
    states = {outcome.mentor_id: outcome.state for outcome in result.outcomes}
    doubted = [name for name, state in states.items() if state is ItemState.UNKNOWN]

    assert {"mentor-3"} <= set(doubted)
    assert len(doubted) <= 2
    assert ItemState.CANCELLED is states["mentor-11"]
    assert not {name for name, state in states.items() if state is ItemState.CANCELLED} & set(lives.called)


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("seconds", [0.0, 1.0], ids=["fast", "slow"])
async def test_a_cancel_after_a_death_doubts_no_more_than_were_under_way(scene, number, seconds):
    """
    Two at a time, whichever of the twelve was the last, and however fast the service is.
    """
    lives = _lives_of(scene, f"mentor-{number}", max_concurrency=2)
    scene.service.script = lambda one, attempt: (
        slow(seconds) if (reply := lives.script(one, attempt)) == succeed() else reply
    )
    batch_id = await _accept(scene, 12)
    await lives.live()
    scene.repository = lives.store
    await scene.while_time_passes(lambda: scene.orchestrator().cancel_batch(batch_id, actor=scene.actor))
    states = {one.mentor_id: one.state for one in (await _result_of(scene, batch_id)).outcomes}
    named = {state: {name for name, each in states.items() if each is state} for state in ItemState}

    assert f"mentor-{number}" in named[ItemState.UNKNOWN]
    assert len(named[ItemState.UNKNOWN]) <= 2
    assert not named[ItemState.CANCELLED] & set(lives.called)


async def test_a_chunk_with_a_poisonous_row_is_called_row_by_row(scene_with):
    """
    It killed its process as one of many; the others are registered alone.
    """
    scene = scene_with(BulkRegistrationService())
    lives = _lives_of(scene, "mentor-2")
    scene.service.chunk_script = lambda rows, _: _die_of(lives, rows)
    batch_id = await _accept(scene, 6)
    for _ in range(4):
        await lives.live()

    assert {ItemState.SUCCEEDED: 5, ItemState.UNKNOWN: 1} == dict((await _result_of(scene, batch_id)).counts)
    assert 1 == len(scene.service.bulk_calls)


async def test_an_all_or_nothing_batch_is_one_suspect(scene_with):
    """
    It has one fate: all of it is UNKNOWN, and nobody else waits for it.
    """
    scene = scene_with(BulkRegistrationService())
    lives = _lives_of(scene, "mentor-2")
    scene.service.chunk_script = lambda rows, _: _die_of(lives, rows)
    request = attrs.evolve(scene.request(4), mode=SubmissionMode.ATOMIC)
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(request, actor=scene.actor, drive=False)
    other = await _accept(scene, ["other"])
    for _ in range(4):
        await lives.live()
    result = await _result_of(scene, accepted.batch_id)

    assert {"driver_lost"} == {outcome.failure.code for outcome in result.outcomes}
    assert {ItemState.SUCCEEDED: 1} == dict((await _result_of(scene, other)).counts)
    assert 3 == sum(len(rows) == 4 for rows in scene.service.bulk_calls)


def _die_of(lives, rows):
    for row in rows:
        if lives.script(row, 1) != succeed():
            return hang()
    return succeed()


async def test_suspects_wait_for_the_healthy_work_of_other_runs_for_a_while(scene):
    """
    And no longer: where others never come to an end, they are called all the same.
    """
    lives = _lives_of(scene, "mentor-0", max_concurrency=1)
    batch_id = await _accept(scene, 2)
    await lives.live()
    lives.poison = frozenset()
    scene.repository = lives.store
    await _accept(scene, ["slow"])
    began = {}
    start = scene.clock.monotonic()

    def script(registration, _attempt):
        began[registration.mentor_id] = scene.clock.monotonic() - start
        return slow(25.0 if registration.mentor_id == "slow" else 0.0)

    scene.service.script = script
    await scene.while_time_passes(scene.orchestrator().resume_interrupted)

    assert {ItemState.SUCCEEDED: 2} == dict((await _result_of(scene, batch_id)).counts)
    assert 1.0 > began["slow"]
    assert 24.0 < began["mentor-0"]
