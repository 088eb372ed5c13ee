from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Any

import anyio
import pytest
from waits import LONGEST_WAIT

pytestmark = pytest.mark.crash

_STOPPED = -signal.SIGSTOP
_NIGHTS = ("night-1", "night-2", "night-3", "night-4")
_WORKERS = ("worker-1", "worker-2")


@pytest.mark.parametrize("verb", ["resume", "serve"])
async def test_two_processes_share_one_file_and_call_nothing_twice(scene: Any, verb: str) -> None:
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


async def test_a_request_submitted_by_two_processes_at_once_is_one_batch(scene: Any) -> None:
    """
    Both return its end; one of them made the calls.
    """
    orders = [scene.order("night") for _ in _WORKERS]
    assert [0, 0] == scene.run(orders)

    async with scene.survivor() as orchestrator:
        assert ["night"] == list(await scene.batches(orchestrator))
        await scene.check_end(orchestrator, await scene.submit(orchestrator, "night"))
    called = (*scene.victim.ACCEPTED, scene.victim.REFUSED[1])
    assert dict.fromkeys(called, 1) == scene.called("night")


@pytest.mark.parametrize(
    ("name", "nth"),
    [
        ("after accept_and_begin", 1),
        ("call ends", 2),
        ("before commit", 1),
        ("before commit", 2),
        ("before finish", 1),
    ],
    ids=str,
)
async def test_a_process_that_slept_beyond_its_lease_changes_nothing(scene: Any, name: str, nth: int) -> None:
    """
    Stopped, overtaken and continued, it finds its fence old; it reports what the other one did, or
    that its store did not answer within the lease, where it slept in the middle of a write.
    """
    sleeper = scene.helper.start(
        scene.order("night", strike={"name": name, "nth": nth, "signal": signal.SIGSTOP})
    )
    assert _STOPPED == scene.helper.wait(sleeper)
    scene.let_time_pass(2 * scene.long_lease)

    async with scene.survivor() as orchestrator:
        await orchestrator.resume_interrupted()
        result = await scene.submit(orchestrator, "night")
        log = await scene.updates(orchestrator, result.batch_id)
        records = await orchestrator.repository.activities_of_batch(result.batch_id)

        os.kill(sleeper, signal.SIGCONT)
        assert scene.helper.wait(sleeper) in {0, scene.victim.UNAVAILABLE}

        assert result == await scene.submit(orchestrator, "night")
        assert log == await scene.updates(orchestrator, result.batch_id)
        assert records == await orchestrator.repository.activities_of_batch(result.batch_id)
        assert 1 == len(scene.deliveries(result.batch_id))
        await scene.check_end(orchestrator, result)


async def test_a_dead_driver_is_replaced_by_one_of_two_that_wait_for_its_lease(scene: Any) -> None:
    """
    Of two processes that resume at once, one takes over and the other lets it.
    """
    dead = scene.helper.start(scene.order("night", strike={"name": "call ends", "nth": 2}))
    assert -signal.SIGKILL == scene.helper.wait(dead)
    scene.let_time_pass(scene.long_lease - 1.0)

    statuses = scene.run(scene.order(key, verb="resume") for key in _WORKERS)
    assert [0, 0] == statuses

    drivers = [key for key in _WORKERS if "before finish" in scene.trace(key)]
    assert 1 == len(drivers)
    async with scene.survivor() as orchestrator:
        with anyio.fail_after(LONGEST_WAIT):
            await scene.check_end(orchestrator, await scene.submit(orchestrator, "night"))


async def test_a_new_file_may_be_opened_by_many_processes_at_once(scene: Any) -> None:
    """
    Who comes second waits for the schema that the first one creates.
    """
    (scene.folder / "registrations.db").unlink()

    assert [0] * 6 == scene.run(scene.order(f"night-{number}") for number in range(6))
    async with scene.survivor() as orchestrator:
        for number in range(6):
            await scene.check_end(orchestrator, await scene.submit(orchestrator, f"night-{number}"))
