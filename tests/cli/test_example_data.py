"""
The console's example is stored once, however many days lie between two starts, and shows something on each.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.cli.console import _key
from proxy_orchestration.cli.example_data import ExampleCertificates, example_over, store_example
from proxy_orchestration.cli.options import Common, IfAbsent
from proxy_orchestration.cli.session import Session, do_in_session
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.notification.certificates import Expiry
from proxy_orchestration.notification.tiers import NotificationThresholdTier, TierClassifier
from proxy_orchestration.storage.memory import (
    MemoryActivityRepository,
    MemoryNotificationRepository,
    MemoryVisibilityRegistry,
)
from proxy_orchestration.testing import FakeClock

_ANNA = Actor(user_id="anna", organization_id="oslo", roles=frozenset({Role.COORDINATOR, Role.CHAPTER_ADMIN}))
_LATE_EVENING = datetime(2026, 11, 30, 23, 57, tzinfo=UTC)
_VALID_DAYS = 120


@attrs.frozen
class _Shown:
    """
    What a start of the example leaves in the store.

    Attributes:
        batches: their ids.
        notices: how often a coordinator was told of a mentor's certificate in a tier.
    """

    batches: frozenset[str]
    notices: Counter[tuple[str, NotificationThresholdTier]]


Start = Callable[..., _Shown]


@pytest.fixture
def start(store: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """
    Starts the example over the store some days after the first time; deletes so many batches before it ends.
    """

    def start(*, days_later: int, then_delete: int = 0) -> _Shown:
        now = _LATE_EVENING + timedelta(days=days_later)
        monkeypatch.setattr(SystemClock, "now", lambda _clock: now)

        async def work(session: Session) -> _Shown:
            await store_example(session, _ANNA)
            example = example_over(session, _ANNA, pace=0.0)
            listed = (await example.orchestrator.list_batches(actor=_ANNA)).batches
            inbox = await example.notifications.inbox(_ANNA.user_id, actor=_ANNA, limit=100)
            for each in listed[:then_delete]:
                await example.orchestrator.delete_batch(each.batch_id, actor=_ANNA, with_open_reviews=True)
            told = Counter((each.notification.mentor_id, each.notification.tier) for each in inbox.notices)
            return _Shown(frozenset(each.batch_id for each in listed), told)

        common = Common(store=store, as_json=False, actor=_ANNA, if_absent=IfAbsent.CREATE)
        return do_in_session(common, work, if_interrupted="Start it again.")

    return start


def test_on_a_later_day_it_stands_as_it_was_stored(start: Start) -> None:
    """
    The same three batches; nobody is told a second time, and a few are told that their tier has changed.
    """
    first, next_day, week_later = (start(days_later=days) for days in (0, 1, 7))

    assert 3 == len(first.batches)
    assert first.batches == next_day.batches == week_later.batches
    assert {1} == set(week_later.notices.values())
    assert first.notices <= next_day.notices <= week_later.notices
    assert 0 < week_later.notices.total() - first.notices.total() < first.notices.total()


def test_a_batch_that_was_deleted_does_not_come_back(start: Start) -> None:
    """
    Nor does it keep the console from starting.
    """
    first = start(days_later=0, then_delete=1)
    again = start(days_later=0)

    assert (3, 2) == (len(first.batches), len(again.batches))
    assert again.batches < first.batches


def test_on_every_day_some_certificates_are_in_each_tier() -> None:
    """
    From one day to the next only the ends of those change that are renewed.
    """
    days = [_LATE_EVENING + timedelta(days=number) for number in range(_VALID_DAYS)]
    ends = [_ends(day) for day in days]
    tiers = [{_tier_of(end, day) for end in found.values()} for day, found in zip(days, ends, strict=True)]
    renewed = [len(after.items() - before.items()) for before, after in itertools.pairwise(ends)]

    assert [{*NotificationThresholdTier, None}] * _VALID_DAYS == tiers
    assert {0, 1} == set(renewed)


async def test_on_every_day_some_messages_are_given_up_and_some_mentors_have_no_coordinator() -> None:
    """
    So no page of the console is empty, whenever the example is stored first.
    """
    for days in range(0, _VALID_DAYS, 9):  # those who cause it are more than nine days apart
        session = _in_memory(FakeClock(_LATE_EVENING + timedelta(days=days), moves_after=0))
        await store_example(session, _ANNA)
        example = example_over(session, _ANNA, pace=0.0)
        dead = await example.dispatcher.dead_pushes(actor=_ANNA)
        plan = await example.notifications.plan(example.certificates.certificates(actor=_ANNA))

        assert dead.pushes
        assert plan.result.data_quality


def _in_memory(clock: FakeClock) -> Session:
    return Session(
        common=Common(store=None, as_json=False, actor=_ANNA),
        repository=MemoryActivityRepository(clock=clock),
        notices=MemoryNotificationRepository(clock=clock),
        visibility=MemoryVisibilityRegistry(),
        clock=clock,
    )


def _ends(now: datetime) -> dict[str, Expiry]:
    certificates = ExampleCertificates(clock=FakeClock(now), organization_id="oslo").certificates(actor=_ANNA)
    return {each.certificate_id: each.expires for each in certificates}


def _tier_of(end: Expiry, now: datetime) -> NotificationThresholdTier | None:
    found = TierClassifier(now).classify(end)
    return None if found is None else found.tier


async def _key_of(session: Session) -> bytes:
    return _key(session)


def test_a_key_that_cannot_be_stored_is_of_this_start_alone(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    A folder has its name here: the console starts all the same, and says what that means.
    """
    store.with_name(f"{store.name}.console-key").mkdir()

    keys = {
        do_in_session(
            Common(store=str(store), as_json=False, actor=_ANNA, if_absent=IfAbsent.CREATE),
            _key_of,
            if_interrupted="",
        )
        for _ in range(2)
    }

    assert 2 == len(keys)
    told = " ".join(capsys.readouterr().err.split())
    assert "so open pages do not work after a restart. Make the folder writable" in told
