"""
What is remembered about devices, and settings that make no sense.
"""

from __future__ import annotations

import pytest

pytest.importorskip("httpx")
pytest.importorskip("google.auth")

from proxy_orchestration.notification.notices import PushTarget
from proxy_orchestration.push.fcm import devices as fcm_devices
from proxy_orchestration.push.fcm.answers import Action
from proxy_orchestration.push.fcm.devices import Pauses, TargetKeeper
from proxy_orchestration.push.fcm.pruning import OwnCounts, PruneBreaker
from proxy_orchestration.push.fcm.settings import FcmSettings

TARGET = PushTarget(kind="token", value="token-1", platform="ios")


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_concurrency": 0},
        {"call_timeout": 0},
        {"time_budget": -1},
        {"prune_share": 0},
        {"prune_share": 1.5},
        {"prune_minimum": 0},
        {"base_url": "localhost:8991"},
        {"base_url": "https://"},
        {"base_url": "https://fcm.example?key=1"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong) -> None:
    """
    The error names the field.
    """
    with pytest.raises(ValueError, match=rf"FcmSettings\.{next(iter(wrong))}"):
        FcmSettings(**wrong)


@pytest.mark.parametrize("wrong", [{"base_url": None}, {"project_id": 7}])
def test_settings_of_another_type_are_refused(wrong) -> None:
    """
    The error names the field.
    """
    with pytest.raises(TypeError, match=rf"FcmSettings\.{next(iter(wrong))} must be of type str"):
        FcmSettings(**wrong)


async def test_the_breaker_closes_again_as_newer_answers_are_better(caplog) -> None:
    """
    Older ones weigh less, and it tells each time that it trips.
    """
    breaker = PruneBreaker(settings=FcmSettings(prune_minimum=2, prune_share=0.5, prune_window=4))
    allowed = []

    for gone in (True, True, False, False, False, False, True, True, True, True):
        if gone:
            allowed.append(await breaker.gone())
        else:
            breaker.delivered()

    assert [True, False, True, True, True, False] == allowed
    assert 2 == len(caplog.records)


async def test_few_devices_that_are_gone_stop_nothing() -> None:
    """
    A share of little says little.
    """
    breaker = PruneBreaker(settings=FcmSettings())

    assert [True] * 19 + [False] == [await breaker.gone() for _ in range(20)]


async def test_what_could_not_be_counted_is_counted_the_next_time() -> None:
    """
    A store that fails makes no device count for less.
    """
    breaker = PruneBreaker(settings=FcmSettings(prune_minimum=3))
    counts, breaker.counts = breaker.counts, None
    for _ in range(2):
        with pytest.raises(AttributeError):
            await breaker.gone()
    breaker.counts = counts

    assert not await breaker.gone()


async def test_projects_are_counted_apart() -> None:
    """
    By the project that the settings name.
    """
    counts = OwnCounts()
    for project, allowed in (("a", True), ("a", False), (None, True)):
        settings = FcmSettings(prune_minimum=2, project_id=project)
        assert allowed is await PruneBreaker(settings=settings, counts=counts).gone()


def test_what_is_remembered_about_devices_is_bounded(devices, clock, monkeypatch) -> None:
    """
    The oldest is forgotten first; no address is kept.
    """
    monkeypatch.setattr(fcm_devices, "_MOST_REMEMBERED", 2)
    settings = FcmSettings()
    keeper = TargetKeeper(
        directory=devices, clock=clock, settings=settings, breaker=PruneBreaker(settings=settings)
    )
    targets = [PushTarget(kind="token", value=f"secret-{number}") for number in range(3)]

    for target in targets:
        keeper.quarantine(target)

    assert [False, True, True] == [keeper.is_quarantined(target) for target in targets]
    assert "secret" not in repr(keeper._quarantine._known)


def test_calls_that_are_refused_together_are_one_refusal(clock, caplog) -> None:
    """
    They were under way before the pause began; where one names a longer time, that one counts.
    """
    pauses = Pauses(clock=clock, settings=FcmSettings())

    waits = [pauses.begin(Action.QUOTA, TARGET, seconds) for seconds in (None, None, 90.0, 70.0)]

    assert [60.0, 60.0, 90.0, 90.0] == waits
    assert 1 == len(caplog.records)


def test_a_success_that_was_under_way_does_not_end_a_row_of_refusals(clock) -> None:
    """
    Only one after the pause does.
    """
    pauses = Pauses(clock=clock, settings=FcmSettings())
    pauses.begin(Action.QUOTA, TARGET, None)

    pauses.succeed(TARGET)
    clock.advance(60)
    assert 120.0 == pauses.begin(Action.QUOTA, TARGET, None)
    clock.advance(120)
    pauses.succeed(TARGET)
    assert 60.0 == pauses.begin(Action.QUOTA, TARGET, None)


def test_no_pause_exceeds_the_longest(clock) -> None:
    """
    However many refusals come in a row.
    """
    pauses = Pauses(clock=clock, settings=FcmSettings(longest_pause=100.0))

    for wait in (60.0, 100.0, 100.0):
        assert wait == pauses.begin(Action.CHANNEL_REFUSED, None, None)
        clock.advance(wait)


def test_a_pause_ends_exactly_when_it_says(clock) -> None:
    """
    A message that comes back then finds no pause.
    """
    pauses = Pauses(clock=clock, settings=FcmSettings())
    wait = pauses.begin(Action.PLATFORM_REFUSED, TARGET, 33.3)

    clock.advance(wait)

    assert 0.0 == pauses.remaining_for(TARGET)
