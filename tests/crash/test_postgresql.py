"""
Processes that die on a PostgreSQL server, which lives on: nothing is lost and nothing is doubled.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from waits import LONGEST_WAIT

pytestmark = [
    pytest.mark.crash,
    pytest.mark.postgresql,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
]

_KILLED = -signal.SIGKILL
_STOPPED = -signal.SIGSTOP
_WORKERS = ("worker-1", "worker-2")
_NIGHTS = ("night-1", "night-2")
_KILLS = 20

_POINTS = [
    ("before accept_and_begin", 1),
    ("after accept_and_begin", 1),
    ("call begins", 1),
    ("before add_activities", 2),
    ("after add_activities", 2),
    ("call ends", 4),
    ("before commit", 1),
    ("after commit", 1),
    ("before finish", 1),
    ("after finish", 1),
    ("audit begins", 1),
    ("audit ends", 1),
    ("before mark_audited", 1),
    ("after mark_audited", 1),
]


@pytest.fixture
def scene(scene_of: Any, postgresql_url: Any, tmp_path: Path) -> Any:
    """
    An empty database on the tests' server, and processes that use this test's event loop.
    """
    return scene_of(url=postgresql_url.render_as_string(hide_password=False))


async def test_a_kill_at_any_write_point_loses_nothing_and_doubles_nothing(scene: Any) -> None:
    """
    Resumed, each mentor has one record and one outcome, and the run its audit event.
    """
    keys = [f"{name}, {nth}" for name, nth in _POINTS]
    statuses = scene.run(
        scene.order(key, strike={"name": name, "nth": nth})
        for key, (name, nth) in zip(keys, _POINTS, strict=True)
    )
    assert [_KILLED] * len(_POINTS) == statuses
    await _resume_and_check(scene, keys)


async def test_a_kill_at_a_random_moment_loses_nothing(scene: Any) -> None:
    """
    Killed between any two statements of any transaction, and again while it resumes.
    """
    assert [0] == scene.run([scene.order("rehearsal", statements=True)])
    moments = len(scene.trace("rehearsal"))
    draw = random.Random("postgresql")  # noqa: S311 - has to be repeatable, not secret
    strikes = [draw.randint(1, moments) for _ in range(_KILLS)]
    keys = [f"kill {index}, moment {number}" for index, number in enumerate(strikes)]
    statuses = scene.run(
        scene.order(key, strike={"number": number}, statements=True)
        for key, number in zip(keys, strikes, strict=True)
    )
    assert {_KILLED, 0} >= set(statuses)
    strike = {"number": draw.randint(1, 500)}
    resumer = scene.order("resumer", verb="resume", strike=strike, statements=True)
    assert scene.run([resumer])[0] in {_KILLED, 0}
    await _resume_and_check(scene, keys, deaths=2)


async def _resume_and_check(scene: Any, keys: list[str], *, deaths: int = 1) -> None:
    async with scene.survivor() as orchestrator:
        for key in keys:
            await scene.check_doubt(orchestrator, key, deaths=deaths)
        await orchestrator.resume_interrupted()
        for key in keys:
            result = await scene.submit(orchestrator, key)

            await scene.check_end(orchestrator, result)
            assert len(scene.deliveries(result.batch_id)) <= 3, key


@pytest.mark.parametrize("verb", ["resume", "serve"])
async def test_two_processes_share_one_database_and_call_nothing_twice(scene: Any, verb: str) -> None:
    """
    Whoever takes a run's lease drives it alone: each mentor is called once, by one of them.
    """
    async with scene.survivor() as orchestrator:
        accepted = [await scene.submit(orchestrator, key, drive=False) for key in _NIGHTS]
    batches = [batch.batch_id for batch in accepted]
    statuses = scene.run(scene.order(key, verb=verb, batches=batches) for key in _WORKERS)
    assert [0, 0] == statuses

    calls = Counter(line for key in _WORKERS for line in scene.trace(key) if line.startswith("call begins"))
    called = (*scene.victim.ACCEPTED, scene.victim.REFUSED[1])
    assert {f"call begins {mentor_id}": len(_NIGHTS) for mentor_id in called} == calls
    async with scene.survivor() as orchestrator:
        for key in _NIGHTS:
            result = await scene.submit(orchestrator, key)

            await scene.check_end(orchestrator, result)
            assert 1 == len(scene.deliveries(result.batch_id))


async def test_a_process_that_slept_beyond_its_lease_changes_nothing(scene: Any) -> None:
    """
    Stopped, overtaken and continued, it finds its fence old.
    """
    strike = {"name": "call ends", "nth": 2, "signal": signal.SIGSTOP}
    sleeper = scene.helper.start(scene.order("night", strike=strike))
    assert _STOPPED == scene.helper.wait(sleeper)
    scene.let_time_pass(2 * scene.long_lease)

    async with scene.survivor() as orchestrator:
        await orchestrator.resume_interrupted()
        result = await scene.submit(orchestrator, "night")
        log = await scene.updates(orchestrator, result.batch_id)
        os.kill(sleeper, signal.SIGCONT)
        assert scene.helper.wait(sleeper) in {0, scene.victim.UNAVAILABLE}

        assert log == await scene.updates(orchestrator, result.batch_id)
        assert 1 == len(scene.deliveries(result.batch_id))
        await scene.check_end(orchestrator, result)


async def test_a_request_submitted_by_two_processes_at_once_is_one_batch(scene: Any) -> None:
    """
    Both return its end; one of them made the calls.
    """
    assert [0, 0] == scene.run([scene.order("night") for _ in _WORKERS])

    async with scene.survivor() as orchestrator:
        assert ["night"] == list(await scene.batches(orchestrator))
        with anyio.fail_after(LONGEST_WAIT):
            await scene.check_end(orchestrator, await scene.submit(orchestrator, "night"))
    called = (*scene.victim.ACCEPTED, scene.victim.REFUSED[1])
    assert dict.fromkeys(called, 1) == scene.called("night")
