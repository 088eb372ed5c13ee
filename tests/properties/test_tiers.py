from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_orchestration.notification.tiers import (
    ExpiryPolicy,
    NotificationThresholdTier,
    TierClassifier,
    WindowPolicy,
    classify,
    days_left,
    end_of,
    first_lapsed_day,
    has_lapsed,
    midnight_of,
    tier_start,
    window_start,
)
from proxy_orchestration.notification.zones import zone

DAY = timedelta(days=1)
ORDER = [None, *NotificationThresholdTier]
ZONES = [
    "UTC",
    "Europe/Oslo",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Asia/Kathmandu",
    "America/Santiago",
]

_zones = st.sampled_from(ZONES)
_days = st.dates(date(2020, 1, 1), date(2037, 12, 31))
_moments = st.builds(
    lambda moment, name: moment.replace(tzinfo=UTC).astimezone(zone(name)),
    st.datetimes(datetime(2020, 1, 1), datetime(2037, 12, 31)),  # noqa: DTZ001 - gets its zone above
    _zones,
)
_expiries = _days | _moments
_thresholds = st.lists(st.integers(0, 400), min_size=3, max_size=3, unique=True).map(
    lambda days: tuple(sorted(days, reverse=True))
)
_policies = st.builds(
    ExpiryPolicy, thresholds=_thresholds, timezone=_zones, window=st.sampled_from(WindowPolicy)
)


def expected_tier(left: int) -> NotificationThresholdTier | None:
    """
    Return the tier by the design's table, for a date.
    """
    table = {
        NotificationThresholdTier.LAPSED: left < 0,
        NotificationThresholdTier.URGENT_7: 0 <= left <= 7,
        NotificationThresholdTier.WARNING_30: 8 <= left <= 30,
        NotificationThresholdTier.ADVANCE_60: 31 <= left <= 60,
    }
    fitting = [tier for tier, fits in table.items() if fits]
    assert len(fitting) <= 1
    return fitting[0] if fitting else None


@pytest.mark.parametrize("name", ZONES)
def test_every_day_from_400_before_to_400_after_has_its_one_tier(name: str) -> None:
    """
    For a date, and for the midnight at which that date is over: the same tier, all day long.
    """
    policy = ExpiryPolicy(timezone=name)
    expires = date(2028, 2, 29)
    midnight = end_of(expires, policy.timezone)

    for left in range(-400, 401):
        noon = datetime.combine(expires - left * DAY, time(12), tzinfo=policy.timezone)
        for as_of in (noon, noon - timedelta(hours=11, minutes=59), noon + timedelta(hours=11, minutes=59)):
            assert expected_tier(left) is classify(expires, as_of=as_of, policy=policy)
            assert expected_tier(left) is classify(midnight, as_of=as_of, policy=policy)


@given(_policies, _expiries, _moments, st.timedeltas(timedelta(0), timedelta(days=500)))
def test_time_leads_only_towards_the_end(
    policy: ExpiryPolicy, expires: date, as_of: datetime, passed: timedelta
) -> None:
    """
    A later look at the same certificate never finds an earlier tier, nor more days.
    """
    later = (as_of.astimezone(UTC) + passed).astimezone(as_of.tzinfo)
    tiers = [ORDER.index(classify(expires, as_of=moment, policy=policy)) for moment in (as_of, later)]

    assert tiers == sorted(tiers)
    assert days_left(expires, as_of=later, policy=policy) <= days_left(expires, as_of=as_of, policy=policy)


@given(_zones, _expiries, _moments)
def test_a_certificate_lapses_at_its_end_and_not_before(name: str, expires: date, as_of: datetime) -> None:
    """
    The moment that stores compare and the day that texts name agree.
    """
    policy = ExpiryPolicy(timezone=name)
    end = end_of(expires, policy.timezone)

    assert (as_of.astimezone(UTC) >= end) is has_lapsed(expires, as_of=as_of, policy=policy)
    assert has_lapsed(expires, as_of=end, policy=policy)
    assert not has_lapsed(expires, as_of=end - timedelta(microseconds=1), policy=policy)


@given(_zones, _days)
def test_a_date_is_the_midnight_after_it(name: str, expires: date) -> None:
    """
    Both enter every tier on the same day.
    """
    policy = ExpiryPolicy(timezone=name)
    midnight = datetime.combine(expires + DAY, time(), tzinfo=policy.timezone)

    assert midnight.astimezone(UTC) == end_of(expires, policy.timezone)
    for tier in NotificationThresholdTier:
        assert tier_start(expires, tier, policy=policy) == tier_start(midnight, tier, policy=policy)


@pytest.mark.parametrize("name", ZONES)
@given(expires=_expiries)
def test_a_tier_has_one_window_on_every_day_of_a_run_and_it_starts_on_the_first(
    name: str, expires: date
) -> None:
    """
    Daily runs at 23:30 of the zone: one window per tier, its start the day of entry.
    """
    policy = ExpiryPolicy(timezone=name)
    first = first_lapsed_day(expires, policy.timezone) - 63 * DAY
    seen: dict[NotificationThresholdTier, set[date]] = {}
    entered: dict[NotificationThresholdTier, date] = {}
    for day in (first + number * DAY for number in range(70)):
        as_of = datetime.combine(day, time(23, 59, 59, 999999), tzinfo=policy.timezone)
        tier = classify(expires, as_of=as_of, policy=policy)
        if tier is not None:
            seen.setdefault(tier, set()).add(window_start(expires, tier, as_of=as_of, policy=policy))
            entered.setdefault(tier, day)

    # A certificate that ends within its last day is lapsed on the evening of that day.
    assert {tier: {day} for tier, day in entered.items()} == seen
    assert list(NotificationThresholdTier) == list(entered)
    assert all(earlier < later for earlier, later in pairwise(entered.values()))


@given(_policies, _expiries, _moments)
def test_a_classifier_answers_as_classify_does(policy: ExpiryPolicy, expires: date, as_of: datetime) -> None:
    """
    The fast way and the plain one agree, twice asked as well.
    """
    tier = classify(expires, as_of=as_of, policy=policy)
    classifier = TierClassifier(as_of, policy)

    for answer in (classifier.classify(expires), classifier.classify(expires)):
        assert (tier is None) is (answer is None)
        if tier is not None and answer is not None:
            assert tier is answer.tier
            assert window_start(expires, tier, as_of=as_of, policy=policy) == answer.window_start
            assert days_left(expires, as_of=as_of, policy=policy) == answer.days_left


@given(_policies, _days, st.integers(-450, 450))
def test_a_classifier_agrees_on_every_day_near_the_end(policy: ExpiryPolicy, today: date, left: int) -> None:
    """
    Drawn close to the bounds, where the two could differ.
    """
    as_of = datetime.combine(today, time(12), tzinfo=policy.timezone)
    expires = today + left * DAY
    answer = TierClassifier(as_of, policy).classify(expires)
    tier = classify(expires, as_of=as_of, policy=policy)

    assert tier is (answer.tier if answer else None)
    assert answer is None or left == answer.days_left


@given(
    st.lists(st.one_of(_days, _moments), max_size=8),
    _moments,
    _zones,
    st.sampled_from(WindowPolicy),
)
def test_a_classifier_answers_as_the_functions_do(
    ends: list[date], as_of: datetime, timezone: str, window: WindowPolicy
) -> None:
    """
    Asked twice, since it keeps what it was asked about dates.
    """
    policy = ExpiryPolicy(timezone=timezone, window=window)
    classifier = TierClassifier(as_of, policy)
    tiers = list(NotificationThresholdTier)

    for expires in [*ends, *ends]:
        over = end_of(expires, policy.timezone)
        assert classifier.end_of(expires) == over
        for tier, following in pairwise(tiers):
            starts = tuple(
                (each, tier_start(expires, each, policy=policy)) for each in tiers[: tiers.index(tier)]
            )
            daily = window is WindowPolicy.DAILY
            assert classifier.earlier_windows(expires, tier) == (() if daily else starts)
            pushed_until = (
                over
                if following is NotificationThresholdTier.LAPSED
                else midnight_of(tier_start(expires, following, policy=policy), policy.timezone)
            )
            assert classifier.push_end_of(expires, tier) == pushed_until
