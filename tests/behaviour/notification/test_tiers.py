import pickle
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest

from proxy_orchestration.notification.tiers import (
    _MOST_DATES,
    ExpiryPolicy,
    NotificationThresholdTier,
    TierClassifier,
    WindowPolicy,
    classify,
    day_of,
    days_left,
    end_of,
    first_lapsed_day,
    has_lapsed,
    last_valid_day,
    tier_start,
    window_start,
)

DAY = timedelta(days=1)
NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
OSLO = ExpiryPolicy(timezone="Europe/Oslo")

NONE = None
ADVANCE = NotificationThresholdTier.ADVANCE_60
WARNING = NotificationThresholdTier.WARNING_30
URGENT = NotificationThresholdTier.URGENT_7
LAPSED = NotificationThresholdTier.LAPSED


@pytest.mark.parametrize(
    ("left", "before", "then", "after"),
    [
        (61, NONE, NONE, ADVANCE),
        (60, NONE, ADVANCE, ADVANCE),
        (31, ADVANCE, ADVANCE, WARNING),
        (30, ADVANCE, WARNING, WARNING),
        (8, WARNING, WARNING, URGENT),
        (7, WARNING, URGENT, URGENT),
        (1, URGENT, URGENT, URGENT),
        (0, URGENT, URGENT, LAPSED),
        (-1, URGENT, LAPSED, LAPSED),
    ],
)
def test_each_boundary_and_the_days_beside_it_have_their_tier(left, before, then, after):
    """
    The specification's nine values, each with the day before and the day after.
    """
    expires = NOON.date() + left * DAY

    assert [before, then, after] == [classify(expires, as_of=NOON + step * DAY) for step in (-1, 0, 1)]


@pytest.mark.parametrize(
    ("as_of", "hours"),
    [
        (datetime(2026, 3, 25, 0, tzinfo=ZoneInfo("Europe/Oslo")), 167),
        (datetime(2026, 10, 21, 0, tzinfo=ZoneInfo("Europe/Oslo")), 169),
    ],
)
def test_seven_days_are_calendar_days_across_a_clock_change(as_of, hours):
    """
    A week of Oslo is 167 or 169 hours long; dividing seconds would be a day off.
    """
    expires = as_of.date() + 6 * DAY
    end = end_of(expires, OSLO.timezone)

    assert timedelta(hours=hours) == end - as_of.astimezone(UTC)
    for spelling in (expires, end):
        assert 6 == days_left(spelling, as_of=as_of, policy=OSLO)
        assert 7 == days_left(spelling, as_of=as_of - timedelta(seconds=1), policy=OSLO)
        assert as_of.date() - DAY == tier_start(spelling, URGENT, policy=OSLO)


def test_of_an_hour_that_comes_twice_the_second_is_later():
    """
    Two moments of one zone compare by the wall in Python, which shows that hour twice.
    """
    zone = OSLO.timezone
    expires = datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=0)
    before = datetime(2026, 10, 25, 2, 10, tzinfo=zone, fold=0)
    after = datetime(2026, 10, 25, 2, 10, tzinfo=zone, fold=1)

    assert [URGENT, LAPSED] == [classify(expires, as_of=as_of, policy=OSLO) for as_of in (before, after)]


def test_where_a_clock_change_skips_midnight_the_day_ends_with_the_change():
    """
    Santiago goes from 24:00 to 01:00.
    """
    change = datetime(2026, 9, 6, 4, tzinfo=UTC)

    assert change == end_of(date(2026, 9, 5), ZoneInfo("America/Santiago"))


@pytest.mark.parametrize(
    ("expires", "tier", "start"),
    [
        (date(2028, 2, 29), URGENT, date(2028, 2, 22)),
        (date(2028, 3, 7), URGENT, date(2028, 2, 29)),
        (date(2027, 3, 7), URGENT, date(2027, 2, 28)),
        (date(2028, 2, 29), LAPSED, date(2028, 3, 1)),
        (date(2026, 12, 31), LAPSED, date(2027, 1, 1)),
        (date(2027, 1, 1), URGENT, date(2026, 12, 25)),
        (date(2027, 1, 15), ADVANCE, date(2026, 11, 16)),
        (date(2027, 1, 15), WARNING, date(2026, 12, 16)),
    ],
)
def test_leap_days_and_year_ends_count_like_other_days(expires, tier, start):
    """
    The window starts on the day of entry, over a leap day and a turn of the year as well.
    """
    policy = ExpiryPolicy()
    as_of = datetime.combine(start, NOON.timetz())

    assert start == tier_start(expires, tier, policy=policy)
    assert tier is classify(expires, as_of=as_of)
    assert tier is not classify(expires, as_of=as_of - DAY)


def test_a_day_is_the_day_of_the_policys_zone():
    """
    At one moment Kiritimati is a day ahead of Greenwich, and Pago Pago a day behind it.
    """
    as_of = datetime(2026, 9, 1, 10, 30, tzinfo=UTC)
    expires = date(2026, 9, 1)
    left = {
        name: days_left(expires, as_of=as_of, policy=ExpiryPolicy(timezone=name))
        for name in ("Pacific/Kiritimati", "UTC", "Pacific/Pago_Pago")
    }

    assert {"Pacific/Kiritimati": -1, "UTC": 0, "Pacific/Pago_Pago": 1} == left


def test_a_certificate_that_ends_at_noon_is_urgent_before_and_lapsed_from_then_on():
    """
    The moment itself is over; the day counts as the last valid one, and as the first lapsed one.
    """
    instant = timedelta(microseconds=1)

    assert URGENT is classify(NOON, as_of=NOON - instant)
    assert LAPSED is classify(NOON, as_of=NOON)
    assert NOON.date() == last_valid_day(NOON, UTC) == first_lapsed_day(NOON, UTC)
    assert NOON.date() == window_start(NOON, LAPSED, as_of=NOON + 9 * DAY)


def test_a_daily_window_is_the_day_of_the_run():
    """
    In the policy's zone, whatever the tier.
    """
    policy = ExpiryPolicy(window="daily", timezone="Pacific/Kiritimati")

    assert WindowPolicy.DAILY is policy.window
    assert date(2026, 9, 2) == window_start(date(2026, 9, 9), URGENT, as_of=NOON, policy=policy)
    assert date(2026, 9, 2) == TierClassifier(NOON, policy).classify(date(2026, 9, 9)).window_start


def test_thresholds_are_the_hosts():
    """
    Also a tier of a single day, and one that begins on the last day.
    """
    policy = ExpiryPolicy(thresholds=(2, 1, 0))
    tiers = [classify(NOON.date() + left * DAY, as_of=NOON, policy=policy) for left in (3, 2, 1, 0, -1)]

    assert [NONE, ADVANCE, WARNING, URGENT, LAPSED] == tiers


@pytest.mark.parametrize(
    "thresholds",
    [
        (60, 30),
        (60, 30, 7, 1),
        (30, 60, 7),
        (60, 60, 7),
        (60, 7, 7),
        (60, 30, -1),
        (60, 30.5, 7),
        ("c", "b", "a"),
    ],
)
def test_thresholds_that_make_no_three_tiers_are_refused(thresholds):
    """
    Before anything runs.
    """
    with pytest.raises(ValueError, match="three whole numbers of days"):
        ExpiryPolicy(thresholds=thresholds)


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "Europe", "../etc/passwd", "UTC\0"])
def test_an_unknown_zone_is_refused(name):
    """
    The error says what a zone's name looks like.
    """
    with pytest.raises(ValueError, match="IANA name such as Europe/Oslo"):
        ExpiryPolicy(timezone=name)


def test_no_zone_is_refused():
    """
    Python would take it for the machine's own.
    """
    with pytest.raises(TypeError, match="timezone must be an IANA name or a tzinfo, not NoneType"):
        ExpiryPolicy(timezone=None)


class _Floating(tzinfo):
    def utcoffset(self, moment):
        return None


class _Silent(_Floating):
    def fromutc(self, moment):
        return moment


@pytest.mark.parametrize(
    ("silent", "told"),
    [(_Floating(), "ValueError"), (_Silent(), "it returns no offset")],
    ids=["raises", "none"],
)
def test_a_zone_that_tells_no_time_is_refused(silent, told):
    """
    When the settings are made, not in the night.
    """
    with pytest.raises(ValueError, match=told):
        ExpiryPolicy(timezone=silent)


@pytest.mark.parametrize("naive", [NOON.replace(tzinfo=None), NOON.replace(tzinfo=_Floating())])
@pytest.mark.parametrize(
    "ask",
    [
        lambda naive: classify(NOON.date(), as_of=naive),
        lambda naive: classify(naive, as_of=NOON),
        lambda naive: days_left(NOON.date(), as_of=naive, policy=OSLO),
        lambda naive: has_lapsed(NOON.date(), as_of=naive, policy=OSLO),
        lambda naive: last_valid_day(naive, UTC),
        lambda naive: first_lapsed_day(naive, UTC),
        lambda naive: end_of(naive, UTC),
        lambda naive: day_of(naive, UTC),
        lambda naive: window_start(naive, URGENT, as_of=NOON),
        lambda naive: window_start(NOON, URGENT, as_of=naive, policy=ExpiryPolicy(window="daily")),
        TierClassifier,
        lambda naive: TierClassifier(NOON).classify(naive),
    ],
)
def test_a_naive_moment_is_refused_wherever_it_comes_in(ask, naive):
    """
    Nothing guesses the machine's zone.
    """
    with pytest.raises(ValueError, match="must be an aware datetime"):
        ask(naive)


@pytest.mark.parametrize("name", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize(
    ("expires", "tier"),
    [
        (date.max, NONE),
        (datetime.max.replace(tzinfo=UTC), NONE),
        (datetime.max.replace(tzinfo=ZoneInfo("Pacific/Pago_Pago")), NONE),
        (date.min, LAPSED),
        (datetime.min.replace(tzinfo=UTC), LAPSED),
        (datetime.min.replace(tzinfo=ZoneInfo("Pacific/Kiritimati")), LAPSED),
    ],
)
def test_the_ends_of_the_calendar_stand_for_never_and_always(expires, tier, name):
    """
    Registers keep them where nothing is known; no zone and no tier's start passes the calendar.
    """
    policy = ExpiryPolicy(timezone=name)
    year = date.max.year if tier is NONE else date.min.year

    assert tier is classify(expires, as_of=NOON, policy=policy)
    assert year == end_of(expires, policy.timezone).year
    assert all(year == tier_start(expires, each, policy=policy).year for each in NotificationThresholdTier)


def test_a_classifier_keeps_a_bounded_number_of_days():
    """
    Three thousand years of made-up days do not stay in memory.
    """
    classifier = TierClassifier(NOON)
    for number in range(_MOST_DATES + 10):
        classifier.classify(NOON.date() - number * DAY)

    assert 10 == len(classifier._by_date)
    assert LAPSED is classifier.classify(NOON.date() - DAY).tier


def test_a_classifier_classifies_instants_without_keeping_them():
    """
    Moments are as many as records.
    """
    classifier = TierClassifier(NOON)

    assert LAPSED is classifier.classify(NOON).tier
    assert NONE is classifier.classify(NOON + 70 * DAY)
    assert {} == classifier._by_date


def test_a_policy_can_be_sent_to_another_process():
    """
    Hosts run the nightly job in a worker.
    """
    assert pickle.loads(pickle.dumps(OSLO)) == OSLO  # noqa: S301 - our own bytes
