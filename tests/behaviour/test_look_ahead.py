from __future__ import annotations

from datetime import date

import pytest

from proxy_orchestration import ProxyActivity
from proxy_orchestration.registration.execution.attempts import Attempt
from proxy_orchestration.registration.execution.look_ahead import LookAhead, Speed
from proxy_orchestration.registration.runs import WorkItem

pytestmark = pytest.mark.dateless

WORKERS = 2
VISIT = ProxyActivity(activity_type="visit", activity_date=date(2026, 1, 2), duration_minutes=30)


def _attempts(first: int, last: int) -> list[Attempt]:
    return [
        Attempt.at(
            WorkItem(item=place, mentor_id=f"m{place}", activity=VISIT, epoch=0, in_doubt=False, place=place),
            batch_id="b",
        )
        for place in range(first, last + 1)
    ]


def _speed(*, call: float, commit: float) -> Speed:
    """
    Return what is known after ten calls of that many seconds each.
    """
    speed = Speed(workers=WORKERS)
    speed.note_results(10, 10 * call / WORKERS)
    speed.note_commit(commit)
    return speed


@pytest.mark.parametrize(
    ("call", "commit", "likely"),
    [
        (0.2, 0.003, 0),  # hardly any time is lost by waiting for each commit
        (0.010, 0.005, 2),  # one call in half the time of another, twice for safety
        (0.002, 0.010, 20),
        (0.0001, 0.003, float("inf")),  # it answers at once
    ],
)
def test_calls_run_ahead_by_what_a_commit_is_likely_to_last(
    call: float, commit: float, likely: float
) -> None:
    """
    A slow service needs no look-ahead, and a kill leaves in doubt what was under way.
    """
    assert likely == _speed(call=call, commit=commit).likely_calls()


def test_who_knows_nothing_yet_allows_no_call_beforehand() -> None:
    """
    Two calls for each worker have to be seen first, in whichever run.
    """
    speed = Speed(workers=WORKERS)
    speed.note_results(3, 0.0001)
    speed.note_commit(0.003)

    assert 0 == speed.likely_calls()


def test_answers_in_no_time_say_nothing_of_the_speed() -> None:
    """
    On a clock that stands still; what was known before stays.
    """
    speed = _speed(call=0.010, commit=0.005)
    speed.note_results(10, 0.0)

    assert 2 == speed.likely_calls()


def _ahead(speed: Speed, *, claimed: int = 0, called: int = 0, step: int = 1) -> LookAhead:
    return LookAhead(called=called, claimed=claimed, speed=speed, counted_from=0.0, step=step)


def test_at_first_as_many_are_allowed_as_there_are_workers() -> None:
    """
    The others are claimed, and provably not called.
    """
    ahead = _ahead(Speed(workers=WORKERS))
    place = ahead.place_after(12, queued=0, free=WORKERS)
    ahead.hold_back(_attempts(1, 12))

    assert WORKERS == place
    assert [1, 2] == [attempt.work.place for attempt in ahead.allow(place)]
    assert 10 == ahead.held_back


def test_a_free_worker_gets_one_item_and_a_busy_one_none() -> None:
    """
    What is allowed and not yet taken counts.
    """
    ahead = _ahead(Speed(workers=WORKERS), claimed=2, called=2)
    ahead.hold_back(_attempts(3, 12))

    assert 3 == ahead.place_after(0, queued=0, free=1)
    assert 2 == ahead.place_after(0, queued=1, free=1)
    assert 2 == ahead.place_after(0, queued=0, free=0)


def test_chunks_are_allowed_whole() -> None:
    """
    A call for many has as many items as it has.
    """
    ahead = _ahead(Speed(workers=WORKERS), step=5)

    assert 10 == ahead.place_after(100, queued=0, free=WORKERS)
    assert 1 == ahead.free(5)
    assert 0 == ahead.free(6)


def test_a_fast_service_gets_all_that_is_claimed() -> None:
    """
    It would wait for commits only.
    """
    ahead = _ahead(_speed(call=0.0001, commit=0.003), claimed=4, called=4)
    ahead.hold_back(_attempts(5, 8))

    assert 108 == ahead.place_after(100, queued=0, free=WORKERS)


def test_results_count_from_when_they_could_come() -> None:
    """
    Where all workers waited for a commit, nothing could finish before it came back.
    """
    speed = _speed(call=0.010, commit=0.005)
    ahead = _ahead(speed)
    ahead.place_after(10, queued=0, free=WORKERS)
    ahead.note_commit(1.0, 2.0)
    waited = ahead.counted_from
    ahead.place_after(10, queued=0, free=0)
    ahead.note_commit(3.0, 4.0)

    assert (2.0, 3.0) == (waited, ahead.counted_from)
