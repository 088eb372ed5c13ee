"""
Many who watch one batch in one process cost the store as much as one does.
"""

from collections import Counter
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest

from proxy_orchestration import BulkSettings, RepositoryUnavailableError
from proxy_orchestration.registration import shared_looks
from proxy_orchestration.testing import slow

GONE = RepositoryUnavailableError("The disk is full.", advice="Free space.")


class Counted:
    """
    A store that counts what a watcher asks it, and may be told to fail or to hang.
    """

    def __init__(self, sound):
        self._sound = sound
        self.asked = Counter()
        self.before = None

    def __getattr__(self, name):
        return getattr(self._sound, name)

    async def _ask(self, name, *args, **kwargs):
        self.asked[name] += 1
        if self.before is not None:
            await self.before()
        return await getattr(self._sound, name)(*args, **kwargs)

    async def get(self, batch_id, /):
        """
        Return the batch's header.
        """
        return await self._ask("get", batch_id)

    async def read_updates(self, batch_id, /, *, after, limit):
        """
        Return a page of the log.
        """
        return await self._ask("read_updates", batch_id, after=after, limit=limit)


class Stage:
    """
    A batch, who drives it in one process, and who watches it in another one.
    """

    def __init__(self, scene, mentors):
        self.scene = scene
        self.sound = scene.repository
        self.mentors = mentors
        self.driving = scene.orchestrator()
        self.store = scene.repository = Counted(scene.repository)
        self.watching = scene.orchestrator()
        self.seen = {}
        self.told = {}
        self.tasks = {}
        self.failed = []
        self.ended = []

    async def accept(self):
        """
        Have the batch accepted.
        """
        request = self.scene.request(self.mentors)
        accepted = await self.driving.submit_bulk_registration(request, actor=self.scene.actor, drive=False)
        self.batch_id = accepted.batch_id

    async def watch(self, name, *, after=0, orchestrator=None, scope=None):
        """
        Note each update that a watcher sees, and how it ends.
        """
        self.seen[name], self.told[name] = [], []
        self.tasks[anyio.get_current_task().id] = name
        watching = orchestrator or self.watching
        try:
            with scope or anyio.CancelScope():
                async with watching.watch_batch(self.batch_id, actor=self.scene.actor, after=after) as run:
                    async for update in run:
                        self.seen[name].append(update.sequence)
                        self.told[name].append(update)
                self.ended.append(name)
        except RepositoryUnavailableError:
            self.failed.append(name)

    async def pass_time(self, seconds, step=0.5):
        """
        Let that much time pass, and everything happen that happens meanwhile.
        """
        for _ in range(round(seconds / step)):
            await self.quiet()
            self.scene.clock.advance(step)
        await self.quiet()

    async def quiet(self):
        """
        Let everything run; the clock wakes who sleeps one after the other.
        """
        for _ in range(1 + len(self.seen) // 20):
            await self.scene.quiet()


@asynccontextmanager
async def staged(scene, mentors=4):
    """
    Set the stage, and end all that was started on it.
    """
    stage = Stage(scene, mentors)
    await stage.accept()
    async with anyio.create_task_group() as crew:
        yield stage, crew
        crew.cancel_scope.cancel()


async def test_two_hundred_watchers_ask_once_in_each_interval(scene):
    """
    However far apart they came; and twice when there is something to see.
    """
    scene.service.script = lambda *_: slow(2.0)
    scene.settings = BulkSettings(max_concurrency=1)
    async with staged(scene) as (stage, crew):
        for number in range(200):
            crew.start_soon(stage.watch, number)
            if number % 40 == 0:
                await stage.pass_time(0.1, step=0.1)
        await stage.pass_time(1.0)
        stage.store.asked.clear()
        await stage.pass_time(10.0)
        idle = dict(stage.store.asked)
        crew.start_soon(stage.driving.resume_interrupted)
        await stage.pass_time(15.0)

    assert {"get": 20} == idle
    assert [[1, 2, 3, 4]] * 200 == list(stage.seen.values())
    assert 200 == len(stage.ended)
    assert stage.store.asked["get"] <= 20 + 30
    assert 4 == stage.store.asked["read_updates"]


async def test_a_watcher_beside_the_driver_reads_no_update(scene):
    """
    They are handed over; what is asked meanwhile is whether a call that lasts has been cancelled elsewhere.
    """
    scene.service.script = lambda *_: slow(2.0)
    async with staged(scene, 12) as (stage, crew):
        for number in range(20):
            crew.start_soon(stage.watch, number)
        await stage.pass_time(0.5)
        stage.store.asked.clear()
        crew.start_soon(stage.watching.resume_interrupted)
        await stage.pass_time(8.0)

    assert [list(range(1, 13))] * 20 == list(stage.seen.values())
    assert 20 == len(stage.ended)
    assert 0 == stage.store.asked["read_updates"]


async def test_all_who_watch_beside_the_driver_are_told_by_one_object(scene):
    """
    What is written down for their streams is written once.
    """
    async with staged(scene, 12) as (stage, crew):
        for number in range(5):
            crew.start_soon(stage.watch, number)
        await stage.pass_time(0.5)
        crew.start_soon(stage.watching.resume_interrupted)
        await stage.pass_time(1.0)

    first, *others = stage.told.values()
    assert list(range(1, 13)) == [update.sequence for update in first]
    assert all(one is other for told in others for one, other in zip(first, told, strict=True))


def test_the_newest_updates_are_kept_for_others_and_no_more(scene, monkeypatch):
    """
    However long the batch is.
    """
    monkeypatch.setattr(shared_looks, "_MOST_TOLD", 3)
    looks = shared_looks.BatchLooks(batch_id="batch-1", ledger=scene.repository, clock=scene.clock)
    made = []

    def told(sequence):
        return looks.told(1, sequence, lambda: made.append(sequence) or object())

    first = {sequence: told(sequence) for sequence in range(1, 6)}

    assert all(told(sequence) is first[sequence] for sequence in (3, 4, 5))
    assert told(1) is not first[1]
    assert [1, 2, 3, 4, 5, 1] == made


async def test_another_one_looks_when_the_one_who_looks_leaves(scene):
    """
    In the middle of a read that never ends.
    """
    scopes = [anyio.CancelScope() for _ in range(3)]
    async with staged(scene) as (stage, crew):
        for number, scope in enumerate(scopes):
            crew.start_soon(partial(stage.watch, number, scope=scope))
        await stage.pass_time(1.0)
        hanging = []

        async def hang():
            hanging.append(stage.tasks[anyio.get_current_task().id])
            stage.store.before = None
            await anyio.sleep_forever()

        stage.store.before = hang
        await stage.driving.resume_interrupted()
        await stage.pass_time(1.0)
        stuck = {name: [*seen] for name, seen in stage.seen.items()}
        scopes[hanging[0]].cancel()
        await stage.scene.quiet()

    assert {0: [], 1: [], 2: []} == stuck
    assert 1 == len(hanging)
    assert hanging == [number for number, scope in enumerate(scopes) if scope.cancelled_caught]
    assert all(
        [1, 2, 3, 4] == stage.seen[number]
        for number, scope in enumerate(scopes)
        if not scope.cancelled_caught
    )


async def test_each_watcher_gets_an_error_of_its_own(scene):
    """
    An outage ends every stream, whoever looked.
    """
    async with staged(scene) as (stage, crew):
        for number in range(3):
            crew.start_soon(stage.watch, number)
        await stage.pass_time(1.0)

        async def fail():
            raise GONE

        stage.store.before = fail
        await stage.pass_time(0.5)

    assert [0, 1, 2] == sorted(stage.failed)


async def test_an_error_of_one_look_is_one_watchers(scene):
    """
    The next one looks, and goes on.
    """
    async with staged(scene) as (stage, crew):
        for number in range(3):
            crew.start_soon(stage.watch, number)
        await stage.pass_time(1.0)

        async def fail():
            stage.store.before = None
            raise GONE

        stage.store.before = fail
        await stage.pass_time(0.5)
        await stage.driving.resume_interrupted()
        await stage.pass_time(1.0)

    assert 1 == len(stage.failed)
    assert 2 == len(stage.ended)


@pytest.mark.parametrize("page", [500, 3])
async def test_watchers_at_different_places_see_all_that_follows_theirs(scene, monkeypatch, page):
    """
    A page that goes as far as one needs serves another one, and no other page does.
    """
    monkeypatch.setattr(shared_looks, "_PAGE", page)
    async with staged(scene, 10) as (stage, crew):
        await stage.driving.resume_interrupted()
        for number, after in enumerate((0, 9, 4, 0, 7, 10)):
            crew.start_soon(partial(stage.watch, (after, number), after=after))
        await stage.pass_time(2.0)

    assert 6 == len(stage.ended)
    for (after, _), seen in stage.seen.items():
        assert list(range(after + 1, 11)) == seen


async def test_who_comes_late_is_not_told_what_was_before(scene):
    """
    A look that began earlier does not know what happened since.
    """
    async with staged(scene) as (stage, crew):
        crew.start_soon(stage.watch, "early")
        await stage.pass_time(1.0)
        await stage.driving.resume_interrupted()
        crew.start_soon(stage.watch, "late")
        await stage.scene.quiet()
        late = (stage.seen["late"], list(stage.ended))
        await stage.pass_time(0.5)

    assert ([1, 2, 3, 4], ["late"]) == late
    assert [1, 2, 3, 4] == stage.seen["early"]


async def test_a_watched_batch_that_is_purged_ends_every_stream(scene):
    """
    And nothing is kept of who watched it.
    """
    async with staged(scene) as (stage, crew):
        await stage.driving.cancel_batch(stage.batch_id, actor=scene.actor)
        await stage.driving.resume_interrupted()
        crew.start_soon(stage.watch, "one")
        crew.start_soon(stage.watch, "two")
        await stage.scene.quiet()
        await stage.driving.delete_batch(stage.batch_id, actor=scene.actor)
        await stage.pass_time(1.0)
        known = dict(stage.watching._queries._looks._watched)

    assert ["one", "two"] == sorted(stage.ended)
    assert {} == known
