"""
An item whose call ends the process: everybody else comes to an end, whatever else happens to the process.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from proxy_orchestration import ItemState

_KILLED = -signal.SIGKILL
_POISONED = 86  # `victim_services.POISONED`, which the victims import
_NIGHTS = ("night-1", "night-2", "night-3")
_KILLS = 2

pytestmark = pytest.mark.crash


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.postgresql(asyncio_only=True)),
    ]
)
def scene(request: pytest.FixtureRequest) -> Any:
    """
    An empty database in a file, and one on the tests' server.
    """
    if request.param == "sqlite":
        return request.getfixturevalue("scene")
    url = request.getfixturevalue("postgresql_url")
    return request.getfixturevalue("scene_of")(url=url.render_as_string(hide_password=False))


def _people(key: str, count: int, *poison: str) -> list[str]:
    names = [f"{key}-mentor-{number}" for number in range(count)]
    return [*names[: count // 3], *poison, *names[count // 3 :]]


async def _accepted(scene: Any, people: dict[str, list[str]]) -> list[str]:
    scene.requests = {key: {"mentors": names} for key, names in people.items()}
    async with scene.survivor() as orchestrator:
        return [(await scene.submit(orchestrator, key, drive=False)).batch_id for key in people]


async def _check_end(scene: Any, people: dict[str, list[str]]) -> None:
    async with scene.survivor() as orchestrator:
        for key, names in people.items():
            result = await scene.submit(orchestrator, key)
            ends = dict.fromkeys(names, ItemState.SUCCEEDED) | {
                name: ItemState.UNKNOWN for name in names if name.startswith("poison")
            }
            await scene.check_end(orchestrator, result, ends=ends)
            assert {"driver_lost"} >= {outcome.failure.code for outcome in result.failed}


def _serve(scene: Any, key: str, batches: Sequence[str], **strike: Any) -> int:
    """
    Let one process serve until it dies or all is settled; return how it ended.
    """
    order = scene.order(key, verb="serve", service="poisonous", batches=batches, **strike)
    (status,) = scene.run([order])
    return int(status)


async def test_a_poisonous_item_in_serve_stops_nobody_else(scene: Any) -> None:
    """
    It is called once among others and twice alone; after three restarts all the others are settled.
    """
    people = {"night-1": _people("one", 19, "poison"), "night-2": _people("two", 20)}
    batches = await _accepted(scene, people)
    ends = [_serve(scene, f"life-{life}", batches) for life in range(4)]

    assert [_POISONED] * 3 + [0] == ends
    await _check_end(scene, people)
    calls = [name for life in range(4) for name in scene.called(f"life-{life}").elements()]
    assert 3 == calls.count("poison")


@pytest.mark.parametrize("seed", range(3))
async def test_a_kill_storm_with_a_poisonous_item_in_each_batch_settles_the_others(
    scene: Any, seed: int
) -> None:
    """
    Each of them takes the process along as often as the settings say; two kills come on top.
    """
    # One death more than there are kills, so that no innocent item is killed often enough to end here.
    scene.settings = {"max_takeovers": _KILLS + 1}
    people = {key: _people(key, 9, f"poison-{key}") for key in _NIGHTS}
    batches = await _accepted(scene, people)
    draw = random.Random(f"{seed}-{scene.backend}")  # noqa: S311 - has to be repeatable, not secret
    kills = draw.sample(range(6), _KILLS)
    ends = []
    for life in range(len(_NIGHTS) * (_KILLS + 2) + _KILLS + 1):
        strike: dict[str, Any] = {}
        if life in kills:
            strike = {"strike": {"number": draw.randint(1, 60)}, "statements": True}
        ends.append(_serve(scene, f"life-{life}", batches, **strike))
        if ends[-1] == 0:
            break

    assert 0 == ends[-1]
    assert {_POISONED, _KILLED} >= set(ends[:-1])
    await _check_end(scene, people)
