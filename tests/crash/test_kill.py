from __future__ import annotations

import random
import signal
from typing import Any

import pytest

from proxy_orchestration import BulkStatus, ItemState

pytestmark = pytest.mark.crash

_KILLED = -signal.SIGKILL
_SERVICES = ("look-up", "plain")
_KILLS_PER_SEED = 25

_POINTS = [
    ("before accept_and_begin", 1),  # the intent of the first items with it
    ("after accept_and_begin", 1),
    ("call begins", 1),
    ("before add_activities", 2),
    ("after add_activities", 2),
    ("call ends", 4),
    ("before commit", 1),  # the first outcomes
    ("after commit", 1),
    ("before finish", 1),
    ("after finish", 1),
    ("audit begins", 1),
    ("audit ends", 1),
    ("before mark_audited", 1),
    ("after mark_audited", 1),
]

_ANSWER_HIDDEN = {"audit ends", "before mark_audited"}


@pytest.mark.parametrize(("name", "nth"), _POINTS, ids=str)
async def test_a_kill_at_a_write_point_loses_nothing_and_doubles_nothing(
    scene: Any, name: str, nth: int
) -> None:
    """
    Resumed, each mentor has one record and one outcome, and the run one audit event.
    """
    statuses = scene.run(
        scene.order(key, service=key, strike={"name": name, "nth": nth}) for key in _SERVICES
    )
    assert [_KILLED] * len(_SERVICES) == statuses

    for key in _SERVICES:
        async with scene.survivor(service=key) as orchestrator:
            await scene.check_doubt(orchestrator, key)
            await orchestrator.resume_interrupted()
            result = await scene.submit(orchestrator, key)

            await scene.check_end(orchestrator, result)
            assert 1 + (name in _ANSWER_HIDDEN) == len(scene.deliveries(result.batch_id))


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_kill_at_any_numbered_write_loses_nothing(scene: Any, side: str) -> None:
    """
    Every write of a whole submission is the last one once, on either side of it.
    """
    writes = _moments_of_a_whole_life(scene, lambda line: line.startswith(f"{side} "))
    points = [(name, writes[: index + 1].count(name)) for index, name in enumerate(writes)]
    keys = [f"{name}, {nth}" for name, nth in points]

    statuses = scene.run(
        scene.order(key, strike={"name": name, "nth": nth})
        for key, (name, nth) in zip(keys, points, strict=True)
    )

    # How many outcomes share a commit is up to the threads, so that the last commits may not come.
    assert {_KILLED, 0} >= set(statuses)
    assert statuses.count(0) <= sum(name.endswith("commit") for name, _ in points)
    await _resume_and_check(scene, keys)


@pytest.mark.parametrize("seed", range(4))
async def test_a_kill_at_a_random_moment_loses_nothing(scene: Any, seed: int) -> None:
    """
    Killed between any two statements of any transaction, twice, nothing is lost or doubled.
    """
    moments = len(_moments_of_a_whole_life(scene, lambda _line: True))
    draw = random.Random(f"{seed}-{scene.backend}")  # noqa: S311 - has to be repeatable, not secret
    strikes = [draw.randint(1, moments) for _ in range(_KILLS_PER_SEED)]
    keys = [f"seed {seed}, kill {index}, moment {number}" for index, number in enumerate(strikes)]

    statuses = scene.run(
        scene.order(key, service=draw.choice(_SERVICES), strike={"number": number}, statements=True)
        for key, number in zip(keys, strikes, strict=True)
    )
    assert {_KILLED, 0} >= set(statuses)
    assert _KILLED in statuses
    await _resume_and_check(scene, keys, resumer=f"seed {seed}, resumer", second=draw.randint(1, 500))


@pytest.mark.parametrize("service", ["forgetful", "forgetful with look-up"])
@pytest.mark.parametrize(("name", "nth"), [("after add_activities", 3), ("after commit", 1)])
async def test_replies_lost_before_and_after_a_kill_end_with_one_record_after_a_retry(
    scene: Any, service: str, name: str, nth: int
) -> None:
    """
    A driver's own exception after the write is no proof of a failure; the retry asks first.
    """
    statuses = scene.run([scene.order("night", service=service, strike={"name": name, "nth": nth})])
    assert [_KILLED] == statuses

    async with scene.survivor(service=service) as orchestrator:
        await orchestrator.resume_interrupted()
        halfway = await scene.submit(orchestrator, "night")
        lost = {
            outcome.failure.code for outcome in halfway.failed if outcome.mentor_id in scene.victim.ACCEPTED
        }
        result = await orchestrator.retry_failed_items(halfway.batch_id, actor=scene.victim.COORDINATOR)

        assert {"unexpected"} == lost
        await scene.check_end(orchestrator, result, runs=2)


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_what_a_cancel_after_a_kill_calls_never_begun_was_never_called(scene: Any, nth: int) -> None:
    """
    Whatever the dead process had called ends by a look-up, not as CANCELLED.
    """
    statuses = scene.run([scene.order("night", strike={"name": "after commit", "nth": nth})])
    assert [_KILLED] == statuses

    async with scene.survivor() as orchestrator:
        batch = (await scene.batches(orchestrator))["night"]
        report = await orchestrator.cancel_batch(batch.batch_id, actor=scene.victim.COORDINATOR)
        result = await scene.submit(orchestrator, "night")
        records = await orchestrator.repository.activities_of_batch(batch.batch_id)
        by_state = {
            state: {outcome.mentor_id for outcome in result.outcomes if outcome.state is state}
            for state in ItemState
        }

        assert BulkStatus.CANCELLED is result.status
        assert set() == by_state[ItemState.CANCELLED] & set(scene.called("night"))
        assert {record.registration.mentor_id for record in records} == by_state[ItemState.SUCCEEDED]
        assert len(by_state[ItemState.CANCELLED]) == report.never_started
        assert result.total == (
            report.never_started + report.finished + report.in_doubt + report.already_settled
        )


def _moments_of_a_whole_life(scene: Any, chosen: Any) -> list[str]:
    assert [0] == scene.run([scene.order("rehearsal", statements=True)])
    return [line for line in scene.trace("rehearsal") if chosen(line)]


async def _resume_and_check(
    scene: Any, keys: list[str], *, resumer: str | None = None, second: int = 0
) -> None:
    async with scene.survivor() as orchestrator:
        for key in keys:
            await scene.check_doubt(orchestrator, key)
    if resumer is not None:
        strike = {"number": second}
        order = scene.order(resumer, verb="resume", strike=strike, statements=True)
        assert scene.run([order])[0] in {_KILLED, 0}
    async with scene.survivor() as orchestrator:
        await orchestrator.resume_interrupted()
        for key in keys:
            result = await scene.submit(orchestrator, key)

            await scene.check_end(orchestrator, result)
            assert len(scene.deliveries(result.batch_id)) <= 2 + (resumer is not None), key
