"""
What becomes of a drafted notice: pure, and the same for every store.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from proxy_orchestration.notification.records import DraftState, NoticeChunk
from proxy_orchestration.notification.resend import (
    Standing,
    certificate_of,
    consequence_of,
    last_allowed,
    states_of,
)
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.testing.contracts.notification.samples import (
    MORNING,
    chunk_of,
    coordinator,
    draft_of,
)

_HOUR = timedelta(hours=1)


def _state(chunk: NoticeChunk, standing: Standing, *, is_there: bool = False) -> DraftState:
    (draft,) = chunk.drafts
    (state,) = states_of(chunk, {certificate_of(draft): standing}, lambda _key: is_there)
    return state


@pytest.mark.parametrize(
    ("ago", "state"),
    [
        (timedelta(0), DraftState.CREATED),
        (timedelta(microseconds=1), DraftState.CREATED),
        (-timedelta(microseconds=1), DraftState.DEFERRED),
        (-30 * _HOUR, DraftState.DEFERRED),
    ],
    ids=["exactly the guard", "longer", "an instant less", "a later moment"],
)
def test_the_guard_lets_pass_what_is_as_long_ago_as_it_says(ago: timedelta, state: DraftState) -> None:
    """
    Exactly the guard ago is allowed; a notice of a later moment than the run's defers too.
    """
    chunk = chunk_of(draft_of())

    assert state is _state(chunk, Standing(chunk.as_of - chunk.guard - ago))


def test_a_later_end_comes_before_everything() -> None:
    """
    An earlier one says nothing.
    """
    draft = draft_of()
    later = draft.ends_at + _HOUR

    assert DraftState.STALE is _state(chunk_of(draft), Standing(None, later), is_there=True)
    assert DraftState.CREATED is _state(chunk_of(draft), Standing(None, draft.ends_at - _HOUR))


def test_a_notice_that_is_there_is_a_duplicate_and_not_deferred() -> None:
    """
    A repeated run finds its own notice within the guard.
    """
    chunk = chunk_of(draft_of())

    assert DraftState.DUPLICATE is _state(chunk, Standing(chunk.as_of), is_there=True)


def test_a_store_that_knows_nothing_of_a_certificate_creates() -> None:
    """
    Who is absent was never spoken of.
    """
    assert [DraftState.CREATED] == states_of(chunk_of(draft_of()), {}, lambda _key: False)


@pytest.mark.parametrize("state", DraftState)
def test_others_are_told_beside_a_new_notice_and_a_duplicate(state: DraftState) -> None:
    """
    Each once, and none who was told before.
    """
    draft = draft_of("mentor-1", NotificationThresholdTier.WARNING_30, coordinator(), coordinator())
    told = state in {DraftState.CREATED, DraftState.DUPLICATE}

    new = consequence_of(draft, state, lambda _key: False)
    known = consequence_of(draft, state, lambda _key: True)

    assert ([draft.others[0]] if told else []) == [*new.others]
    assert [] == [*known.others]
    assert [int(told), 0] == [new.fate.others, known.fate.others]


@pytest.mark.parametrize("state", DraftState)
def test_earlier_tiers_without_a_notice_were_missed(state: DraftState) -> None:
    """
    Told once, with the notice that is new.
    """
    advance = NotificationThresholdTier.ADVANCE_60
    draft = draft_of(earlier=[advance])
    fate = consequence_of(draft, state, lambda _key: False).fate

    assert ((advance,) if state is DraftState.CREATED else ()) == fate.missed
    assert () == consequence_of(draft, state, lambda _key: True).fate.missed


def test_a_guard_longer_than_time_lets_nothing_pass() -> None:
    """
    Instead of an error about dates.
    """
    assert datetime.min.replace(tzinfo=UTC) == last_allowed(MORNING, timedelta.max)
