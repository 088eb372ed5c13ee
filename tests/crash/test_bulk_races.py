from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Any

import pytest

from proxy_orchestration import BulkStatus, ItemState

pytestmark = pytest.mark.crash

_KILLED = -signal.SIGKILL
_STOPPED = -signal.SIGSTOP
_CHUNKS = {"max_undurable": 8, "max_per_call": 3}
_RIVALS = ("rival-1", "rival-2")
_ASIDE = {"review": ItemState.NEEDS_REVIEW, "skip": ItemState.SKIPPED}


@pytest.mark.parametrize(
    ("service", "policy"), [("checking bulk", "review"), ("checking bulk", "skip"), ("checking", "review")]
)
async def test_of_two_that_register_the_same_at_once_one_does_and_the_other_asks(
    scene: Any, service: str, policy: str
) -> None:
    """
    Both are accepted before either writes, so that no check beforehand sees anything.
    """
    mentors = [f"mentor-{number:02}" for number in range(15)]
    contested = set(mentors[3:12])
    scene.duplicates, scene.settings = True, _CHUNKS
    scene.requests = {
        "rival-1": {"mentors": mentors[:12], "on_conflict": policy},
        "rival-2": {"mentors": mentors[:2:-1], "on_conflict": policy},
    }
    _let_both_in(scene, service)

    async with scene.survivor(service) as orchestrator:
        results = [await scene.submit(orchestrator, key) for key in _RIVALS]
        records = [
            record
            for result in results
            for record in await orchestrator.repository.activities_of_batch(result.batch_id)
        ]
        winners = {record.registration.mentor_id: record.activity_id for record in records}

        assert dict.fromkeys(mentors, 1) == Counter(record.registration.mentor_id for record in records)
        assert [None] * len(mentors) == [record.registration.override_of for record in records]
        lost = [outcome for result in results for outcome in result.outcomes if not outcome.activity_id]
        assert sorted(contested) == sorted(outcome.mentor_id for outcome in lost)
        assert {(_ASIDE[policy], winners[outcome.mentor_id]) for outcome in lost} == {
            (outcome.state, outcome.conflicting_activity_id) for outcome in lost
        }
        for result in results:
            ends = {outcome.mentor_id: outcome.state for outcome in result.outcomes}
            assert {ItemState.SUCCEEDED, _ASIDE[policy]} >= set(ends.values())
            await scene.check_end(orchestrator, result, ends=ends)


def _let_both_in(scene: Any, service: str) -> None:
    halt = {"name": "after accept_and_begin", "nth": 1, "signal": signal.SIGSTOP}
    pids = [scene.helper.start(scene.order(key, service=service, strike=halt)) for key in _RIVALS]
    assert [_STOPPED] * 2 == [scene.helper.wait(pid) for pid in pids]
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert [0] * 2 == [scene.helper.wait(pid) for pid in pids]


@pytest.mark.parametrize("service", ["bulk", "bulk with look-up"])
@pytest.mark.parametrize(
    ("name", "nth"),
    [("chunk begins", 2), ("after add_activities", 1), ("chunk ends", 1)],
    ids=str,
)
async def test_what_a_cancel_after_a_kill_in_mid_chunk_calls_never_begun_was_never_called(
    scene: Any, service: str, name: str, nth: int
) -> None:
    """
    Whoever stood in a chunk ends by a look-up or unknown; a retry finds one record each.
    """
    scene.settings = _CHUNKS
    _kill(scene, service, name, nth)

    async with scene.survivor(service) as orchestrator:
        coordinator = scene.victim.COORDINATOR
        batch = (await scene.batches(orchestrator))["night"]
        report = await orchestrator.cancel_batch(batch.batch_id, actor=coordinator)
        result = await scene.submit(orchestrator, "night")
        cancelled = {o.mentor_id for o in result.outcomes if o.state is ItemState.CANCELLED}

        assert cancelled
        assert set() == cancelled & set(scene.called("night"))
        assert len(cancelled) == report.never_started
        assert result.total == (
            report.never_started + report.finished + report.in_doubt + report.already_settled
        )
        result = await orchestrator.retry_failed_items(
            batch.batch_id, actor=coordinator, mentor_ids=_repeatable(scene, result)
        )
        records = await orchestrator.repository.activities_of_batch(batch.batch_id)

        assert scene.usual_ends == {outcome.mentor_id: outcome.state for outcome in result.outcomes}
        assert list(scene.victim.ACCEPTED) == [record.registration.mentor_id for record in records]


def _kill(scene: Any, service: str, name: str, nth: int) -> None:
    order = scene.order("night", service=service, strike={"name": name, "nth": nth})
    assert [_KILLED] == scene.run([order])


def _repeatable(scene: Any, result: Any) -> list[str]:
    return [outcome.mentor_id for outcome in result.outcomes if outcome.state is not ItemState.SUCCEEDED]


@pytest.mark.parametrize("name", ["chunk begins", "after add_activities"])
async def test_a_cancel_after_a_kill_in_an_atomic_call_leaves_one_doubt_for_all(
    scene: Any, name: str
) -> None:
    """
    Whether all or nothing was written a retry of all finds out.
    """
    scene.requests["night"] = {"mode": "atomic", "mentors": scene.victim.ACCEPTED}
    _kill(scene, "bulk", name, 1)

    async with scene.survivor("bulk") as orchestrator:
        coordinator = scene.victim.COORDINATOR
        batch = (await scene.batches(orchestrator))["night"]
        await orchestrator.cancel_batch(batch.batch_id, actor=coordinator)
        doubtful = await scene.submit(orchestrator, "night")
        result = await orchestrator.retry_failed_items(batch.batch_id, actor=coordinator)

        assert {ItemState.UNKNOWN} == {outcome.state for outcome in doubtful.outcomes}
        assert BulkStatus.SUCCESS is result.status
        ends = dict.fromkeys(scene.victim.ACCEPTED, ItemState.SUCCEEDED)
        await scene.check_end(orchestrator, result, runs=2, ends=ends)


@pytest.mark.parametrize("mode", ["independent", "atomic"])
@pytest.mark.parametrize(("name", "nth"), [("chunk ends", 1), ("before finish", 1)], ids=str)
async def test_chunks_whose_replies_are_lost_keep_their_keys(
    scene: Any, mode: str, name: str, nth: int
) -> None:
    """
    The service knows keys only and would write again under new ones; all is unknown, and then is found.
    """
    scene.settings = _CHUNKS
    scene.requests["night"] = {"mode": mode, "mentors": scene.victim.ACCEPTED}
    mute = "mute bulk per key"
    _kill(scene, mute, name, nth)

    async with scene.survivor(mute) as orchestrator:
        await orchestrator.resume_interrupted()
        result = await scene.submit(orchestrator, "night")

        assert {ItemState.UNKNOWN} == {outcome.state for outcome in result.outcomes}
    async with scene.survivor("bulk per key") as orchestrator:
        result = await orchestrator.retry_failed_items(result.batch_id, actor=scene.victim.COORDINATOR)
        ends = dict.fromkeys(scene.victim.ACCEPTED, ItemState.SUCCEEDED)

        await scene.check_end(orchestrator, result, runs=2, ends=ends)
