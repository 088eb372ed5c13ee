"""
How close a certificate is to its end, in calendar days of a zone. Pure.
"""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final, TypeVar, cast

import attrs

from proxy_orchestration._validators import is_a, is_count, member_of, members_in
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.certificates import Expiry
from proxy_orchestration.notification.zones import as_zone, is_zone

T = TypeVar("T")

_FIRST: Final = date.min.toordinal()
_LAST: Final = date.max.toordinal()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT: Final = timedelta(microseconds=1)
_MOST_DATES: Final = 4096
"""Dates whose classification is kept; a register has few, and made-up ones must not fill the memory."""


class NotificationThresholdTier(enum.Enum):
    """
    How close to its end a certificate is; later members are closer.
    """

    ADVANCE_60 = "advance_60"  # 31 to 60 days left
    WARNING_30 = "warning_30"  # 8 to 30 days left
    URGENT_7 = "urgent_7"  # today or up to 7 days left
    LAPSED = "lapsed"  # past its end


_TIERS: Final = tuple(NotificationThresholdTier)


class WindowPolicy(enum.Enum):
    """
    How often a tier's notice may be sent.
    """

    ONCE_PER_TIER = "once_per_tier"  # one window for the whole tier
    DAILY = "daily"  # one window for each day of a run


def _is_guard(instance: object, attribute: attrs.Attribute[Any], value: timedelta) -> None:
    is_a(timedelta)(instance, attribute, value)
    if value < timedelta(0):
        raise InvalidValueError(attribute.name, f"must be 0 or more, not {value!r}")


def _days(values: tuple[int, int, int]) -> tuple[int, int, int]:
    # How many there are is the validator's question.
    return cast("tuple[int, int, int]", tuple(members_in("thresholds", values)))


def _thresholds(_instance: object, attribute: attrs.Attribute[Any], value: tuple[Any, ...]) -> None:
    whole = all(isinstance(days, int) and not isinstance(days, bool) for days in value)
    if not whole or len(value) != 3 or not value[0] > value[1] > value[2] >= 0:  # noqa: PLR2004 - tiers before the end
        raise InvalidValueError(
            attribute.name,
            f"must be three whole numbers of days, each smaller than the one before, not {value!r}",
        )


def _window(value: object) -> WindowPolicy:
    return member_of(WindowPolicy, value)


@attrs.frozen(kw_only=True)
class ExpiryPolicy:
    """
    When, and how often, there is a notice about a certificate's end.

    Attributes:
        thresholds: the days left at which ADVANCE_60, WARNING_30 and URGENT_7 begin.
        timezone: the zone of calendar days, an IANA name or a `tzinfo`.
        window: how often a tier's notice may be sent.
        resend_guard: the shortest time between two notices to one mentor about one type; exactly
            this time is allowed.
        lapsed_push_days: the number of days after the end in which lapsed notices are still pushed.
    """

    thresholds: tuple[int, int, int] = attrs.field(
        default=(60, 30, 7), converter=_days, validator=_thresholds
    )
    timezone: tzinfo = attrs.field(default=UTC, converter=as_zone, validator=is_zone)
    window: WindowPolicy = attrs.field(default=WindowPolicy.ONCE_PER_TIER, converter=_window)
    resend_guard: timedelta = attrs.field(default=timedelta(hours=20), validator=_is_guard)
    lapsed_push_days: int = attrs.field(default=30, validator=is_count)


def check_aware(moment: datetime, *, name: str) -> None:
    """
    Accept a moment that has a zone.

    Raises:
        ValueError: it is naive.
    """
    if moment.tzinfo is None or moment.utcoffset() is None:
        msg = f"{name} must be an aware datetime: give it a time zone"
        raise ValueError(msg)


def in_utc(moment: datetime) -> datetime:
    """
    Return an aware moment in UTC; one that UTC's calendar does not reach has its own wall time there.
    """
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC, fold=0)


def midnight_of(day: date, timezone: tzinfo) -> datetime:
    """
    Return the moment in UTC at which that day begins in the zone.
    """
    return in_utc(datetime.combine(day, time(), tzinfo=timezone))


def days_after(day: date, days: int) -> date:
    """
    Return the day that many days later, or earlier; the calendar's first or last day where it would pass it.
    """
    return date.fromordinal(min(max(day.toordinal() + days, _FIRST), _LAST))


def day_of(moment: datetime, timezone: tzinfo) -> date:
    """
    Return the zone's calendar day at that moment.

    A moment at the very end of the calendar, as registers keep for "never",
    has the calendar's own first or last day where the zone would pass it.

    Raises:
        ValueError: the moment is naive.
    """
    check_aware(moment, name="a moment")
    try:
        return moment.astimezone(timezone).date()
    except OverflowError:
        return moment.date()


def last_valid_day(expires: Expiry, timezone: tzinfo) -> date:
    """
    Return the last calendar day of the zone on which the certificate is valid at some moment.

    Raises:
        ValueError: the expiry is a naive datetime.
    """
    if not isinstance(expires, datetime):
        return expires
    check_aware(expires, name="expires")
    try:
        before = expires.astimezone(UTC) - _INSTANT
    except OverflowError:
        return expires.date()
    return day_of(before, timezone)


def first_lapsed_day(expires: Expiry, timezone: tzinfo) -> date:
    """
    Return the first calendar day of the zone on which the certificate is lapsed at some moment.

    Raises:
        ValueError: the expiry is a naive datetime.
    """
    if isinstance(expires, datetime):
        check_aware(expires, name="expires")
        return day_of(expires, timezone)
    return days_after(expires, 1)


def end_of(expires: Expiry, timezone: tzinfo) -> datetime:
    """
    Return the moment from which on the certificate is not valid, in UTC.

    For a date it is the next midnight of the zone; where a clock change skips
    midnight, the moment of the change.

    Raises:
        ValueError: the expiry is a naive datetime.
    """
    if isinstance(expires, datetime):
        check_aware(expires, name="expires")
        return in_utc(expires)
    return midnight_of(days_after(expires, 1), timezone)


def days_left(expires: Expiry, *, as_of: datetime, policy: ExpiryPolicy) -> int:
    """
    Return the calendar days from that moment's day to the last valid day; 0 on the last day.

    Raises:
        ValueError: `as_of` or `expires` is a naive datetime.
    """
    check_aware(as_of, name="as_of")
    return (last_valid_day(expires, policy.timezone) - day_of(as_of, policy.timezone)).days


def has_lapsed(expires: Expiry, *, as_of: datetime, policy: ExpiryPolicy) -> bool:
    """
    Tell whether the certificate is past its end at that moment.

    Raises:
        ValueError: `as_of` or `expires` is a naive datetime.
    """
    check_aware(as_of, name="as_of")
    if isinstance(expires, datetime):
        check_aware(expires, name="expires")
        # Two moments of one zone object compare by the wall, which an autumn night shows twice.
        return (as_of - _EPOCH) >= (expires - _EPOCH)
    return day_of(as_of, policy.timezone) > expires


def classify(
    expires: Expiry, *, as_of: datetime, policy: ExpiryPolicy | None = None
) -> NotificationThresholdTier | None:
    """
    Return the tier of a certificate at this time; `None` while its end is farther away than the first tier.

    Raises:
        ValueError: `as_of` or `expires` is a naive datetime.
    """
    policy = policy or ExpiryPolicy()
    if has_lapsed(expires, as_of=as_of, policy=policy):
        return NotificationThresholdTier.LAPSED
    return _tier_before_end(days_left(expires, as_of=as_of, policy=policy), policy)


def _tier_before_end(left: int, policy: ExpiryPolicy) -> NotificationThresholdTier | None:
    """
    Return the tier of a certificate that is valid for that many days after today.
    """
    advance, warning, urgent = policy.thresholds
    if left > advance:
        return None
    if left > warning:
        return NotificationThresholdTier.ADVANCE_60
    return NotificationThresholdTier.WARNING_30 if left > urgent else NotificationThresholdTier.URGENT_7


def tier_start(expires: Expiry, tier: NotificationThresholdTier, *, policy: ExpiryPolicy) -> date:
    """
    Return the day on which the certificate enters the tier, whatever day it is now.
    """
    if tier is NotificationThresholdTier.LAPSED:
        return first_lapsed_day(expires, policy.timezone)
    before = dict(zip(NotificationThresholdTier, policy.thresholds, strict=False))[tier]
    return days_after(last_valid_day(expires, policy.timezone), -before)


def window_start(
    expires: Expiry, tier: NotificationThresholdTier, *, as_of: datetime, policy: ExpiryPolicy | None = None
) -> date:
    """
    Return the first day of the window in which the tier's notice is sent at most once.

    With `ONCE_PER_TIER` it is the day on which the certificate enters the tier, which depends only
    on expiry and tier. With `DAILY` it is the day of the run.
    """
    policy = policy or ExpiryPolicy()
    if policy.window is WindowPolicy.DAILY:
        check_aware(as_of, name="as_of")
        return day_of(as_of, policy.timezone)
    return tier_start(expires, tier, policy=policy)


@attrs.frozen
class Classification:
    """
    The tier of one certificate in one run.

    Attributes:
        tier: how close to its end it is.
        window_start: the first day of the window in which the tier's notice is sent at most once.
        days_left: calendar days to the last valid day; 0 on that day, below 0 after it.
    """

    tier: NotificationThresholdTier
    window_start: date
    days_left: int


@attrs.define(eq=False, init=False)
class TierClassifier:
    """
    Classifies the certificates of one run; those that end on the same date share the answer.

    Attributes:
        as_of: the run's moment.
        policy: when a certificate's end is told, and how often.
        today: the calendar day of the policy's zone at that moment.
    """

    as_of: datetime
    policy: ExpiryPolicy
    today: date
    _by_date: dict[date, Classification | None] = attrs.field(repr=False)
    _ends: dict[date, datetime] = attrs.field(repr=False)
    _push_ends: dict[NotificationThresholdTier, dict[date, datetime]] = attrs.field(repr=False)
    _earlier: dict[
        NotificationThresholdTier, dict[date, tuple[tuple[NotificationThresholdTier, date], ...]]
    ] = attrs.field(repr=False)

    def __init__(self, as_of: datetime, policy: ExpiryPolicy | None = None) -> None:
        """
        Prepare for a run at that moment.

        Raises:
            ValueError: the moment is naive.
        """
        check_aware(as_of, name="as_of")
        self.as_of = as_of
        self.policy = policy or ExpiryPolicy()
        self.today = day_of(as_of, self.policy.timezone)
        self._by_date = {}
        self._ends = {}
        self._push_ends = {tier: {} for tier in _TIERS}
        self._earlier = {tier: {} for tier in _TIERS}

    def classify(self, expires: Expiry) -> Classification | None:
        """
        Return the tier of a certificate with that end; `None` while it is far from its end.

        Raises:
            ValueError: `expires` is a naive datetime.
        """
        # Dates repeat from record to record. Datetimes do not, and would only fill the memory.
        if type(expires) is not date:
            return self._classify(expires)
        try:
            return self._by_date[expires]
        except KeyError:
            return _keep(self._by_date, expires, self._classify(expires))

    def earlier_windows(
        self, expires: Expiry, tier: NotificationThresholdTier
    ) -> tuple[tuple[NotificationThresholdTier, date], ...]:
        """
        Return the tiers before that one, and the day on which each of their windows began.

        None where windows are daily.

        Raises:
            ValueError: `expires` is a naive datetime.
        """
        if type(expires) is not date:
            return self._earlier_windows(expires, tier)
        try:
            return self._earlier[tier][expires]
        except KeyError:
            return _keep(self._earlier[tier], expires, self._earlier_windows(expires, tier))

    def push_end_of(self, expires: Expiry, tier: NotificationThresholdTier) -> datetime:
        """
        Return the moment at which that tier's push is too late: the next tier's start.

        Raises:
            ValueError: `expires` is a naive datetime.
        """
        if type(expires) is not date:
            return self._push_end_of(expires, tier)
        try:
            return self._push_ends[tier][expires]
        except KeyError:
            return _keep(self._push_ends[tier], expires, self._push_end_of(expires, tier))

    def _earlier_windows(
        self, expires: Expiry, tier: NotificationThresholdTier
    ) -> tuple[tuple[NotificationThresholdTier, date], ...]:
        if self.policy.window is WindowPolicy.DAILY:
            return ()
        before = _TIERS[: _TIERS.index(tier)]
        return tuple((each, tier_start(expires, each, policy=self.policy)) for each in before)

    def _push_end_of(self, expires: Expiry, tier: NotificationThresholdTier) -> datetime:
        timezone = self.policy.timezone
        if tier is NotificationThresholdTier.LAPSED:
            last = first_lapsed_day(expires, timezone)
            return midnight_of(days_after(last, self.policy.lapsed_push_days), timezone)
        following = _TIERS[_TIERS.index(tier) + 1]
        if following is NotificationThresholdTier.LAPSED:
            return end_of(expires, timezone)
        return midnight_of(tier_start(expires, following, policy=self.policy), timezone)

    def end_of(self, expires: Expiry) -> datetime:
        """
        Return the moment from which on a certificate with that end is not valid; see the function.

        Raises:
            ValueError: `expires` is a naive datetime.
        """
        if type(expires) is not date:
            return end_of(expires, self.policy.timezone)
        try:
            return self._ends[expires]
        except KeyError:
            return _keep(self._ends, expires, end_of(expires, self.policy.timezone))

    def _classify(self, expires: Expiry) -> Classification | None:
        tier = classify(expires, as_of=self.as_of, policy=self.policy)
        if tier is None:
            return None
        daily = self.policy.window is WindowPolicy.DAILY
        start = self.today if daily else tier_start(expires, tier, policy=self.policy)
        left = (last_valid_day(expires, self.policy.timezone) - self.today).days
        return Classification(tier, start, left)


def _keep(answers: dict[date, T], day: date, answer: T) -> T:
    if len(answers) >= _MOST_DATES:
        answers.clear()
    answers[day] = answer
    return answer
