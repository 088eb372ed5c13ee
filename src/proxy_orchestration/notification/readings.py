"""
Tiers of many certificates at one moment: what `classify` answers, with today looked up once.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import attrs

from proxy_orchestration.notification.certificates import Expiry
from proxy_orchestration.notification.tiers import (
    ExpiryPolicy,
    NotificationThresholdTier,
    WindowPolicy,
    check_aware,
    day_of,
    has_lapsed,
    last_valid_day,
    tier_before_end,
    tier_start,
)

_MOST_KEPT: Final = 4096
"""Days whose reading is kept; a register has few, a made-up one must not fill the memory."""


@attrs.frozen
class TierReading:
    """
    Where a certificate stands that is in a tier.

    Attributes:
        tier: how close to its end it is.
        window_start: the first day of the window in which the tier's notice is sent at most once.
        days_left: calendar days to the last valid day; 0 on that day, below 0 after it.
    """

    tier: NotificationThresholdTier
    window_start: date
    days_left: int


@attrs.define(eq=False, init=False)
class TierReader:
    """
    Reads tiers for one run.

    Attributes:
        as_of: the run's moment.
        policy: when a certificate's end is told, and how often.
        today: the calendar day of the policy's zone at that moment.
    """

    as_of: datetime
    policy: ExpiryPolicy
    today: date
    _kept: dict[date, TierReading | None] = attrs.field(repr=False)

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
        self._kept = {}

    def read(self, expires: Expiry) -> TierReading | None:
        """
        Return where a certificate with that end stands; `None` while it is far from its end.

        Raises:
            ValueError: `expires` is a naive datetime.
        """
        if type(expires) is not date:
            return self._work_out(expires)
        try:
            return self._kept[expires]
        except KeyError:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            return self._kept.setdefault(expires, self._work_out(expires))

    def _work_out(self, expires: Expiry) -> TierReading | None:
        left = (last_valid_day(expires, self.policy.timezone) - self.today).days
        lapsed = left <= 0 and has_lapsed(expires, as_of=self.as_of, policy=self.policy)
        tier = NotificationThresholdTier.LAPSED if lapsed else tier_before_end(left, self.policy)
        if tier is None:
            return None
        daily = self.policy.window is WindowPolicy.DAILY
        start = self.today if daily else tier_start(expires, tier, policy=self.policy)
        return TierReading(tier, start, left)
