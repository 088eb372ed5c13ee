"""
The settings of notification.
"""

from __future__ import annotations

from datetime import datetime, time, tzinfo
from typing import Any, Final

import attrs

from proxy_orchestration._backoff import RetryPolicy
from proxy_orchestration._validators import is_a, is_positive, is_positive_count
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.tiers import day_of, days_after, in_utc
from proxy_orchestration.notification.zones import as_zone_name, is_zone_name, zone_or

_DAY: Final = 86_400.0


def _is_up_to_a_day(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    is_positive(instance, attribute, value)
    if value > _DAY:
        rule = "must be at most 86400 seconds, which is one day"
        raise InvalidValueError(attribute.name, rule)


@attrs.frozen(kw_only=True)
class NotificationSettings:
    """
    Limits and times of a notification run.

    Attributes:
        chunk_size: the number of certificates per write.
        most_problems: the most failures, and the most data-quality entries, that a result lists.
        most_planned: the most keys that a plan lists.
        neighbour_timeout: the longest time, in seconds, of a call of the recipient directory or the
            visibility registry for a chunk.
        push_hold: the seconds after which a run's messages are due even if the run has not ended,
            because it may have been killed; at most 86400. A message that a later chunk of the run
            supersedes before that is not sent.
    """

    chunk_size: int = attrs.field(default=500, validator=is_positive_count)
    most_problems: int = attrs.field(default=1000, validator=is_positive_count)
    most_planned: int = attrs.field(default=10_000, validator=is_positive_count)
    neighbour_timeout: float = attrs.field(default=30.0, validator=is_positive)
    push_hold: float = attrs.field(default=3600.0, validator=_is_up_to_a_day)


def _is_wall_time(instance: object, attribute: attrs.Attribute[Any], value: time) -> None:
    is_a(time)(instance, attribute, value)
    if value.tzinfo is not None:
        rule = "must have no zone of its own: the recipient's zone is used, or `timezone`"
        raise InvalidValueError(attribute.name, rule)


@attrs.frozen(kw_only=True)
class QuietHours:
    """
    The hours of a recipient's day in which no push is sent; they may include midnight.

    Attributes:
        start: the first quiet minute.
        end: the first minute after the quiet hours.
        timezone: the zone of recipients without a known zone, an IANA name or a zone with one.
    """

    start: time = attrs.field(validator=_is_wall_time)
    end: time = attrs.field(validator=_is_wall_time)
    timezone: str = attrs.field(default="UTC", converter=as_zone_name, validator=is_zone_name)

    def over_at(self, moment: datetime, timezone: str | None) -> datetime | None:
        """
        Return when the quiet hours end, in UTC, if they include this moment in this zone; else `None`.

        For an unknown zone, `timezone` is used.
        """
        local = zone_or(timezone, self.timezone)
        if not self._is_quiet(moment, local):
            return None
        today = day_of(moment, local)
        # An autumn night shows the end's wall time twice, a spring night not at all; decision 206.
        ends = [
            in_utc(datetime.combine(days_after(today, days), self.end, tzinfo=local).replace(fold=fold))
            for days in range(3)
            for fold in (0, 1)
        ]
        return min((end for end in ends if end > moment and not self._is_quiet(end, local)), default=None)

    def _is_quiet(self, moment: datetime, local: tzinfo) -> bool:
        try:
            minute = moment.astimezone(local).time()
        except OverflowError:
            minute = moment.time()
        if self.start <= self.end:
            return self.start <= minute < self.end
        return not self.end <= minute < self.start


@attrs.frozen(kw_only=True)
class DispatchSettings:
    """
    Limits and times of a dispatcher; all times in seconds.

    Attributes:
        batch_size: the most messages that are claimed and given to the sender at once.
        hold: the length of the lease on a claimed message. It must be longer than `send_timeout`,
            or a second dispatcher could send the message at the same time.
        send_timeout: the longest time of a call of the sender. A longer one is cancelled, and its
            messages are sent again later.
        retry: the waits between attempts, which continue until the message expires. Its
            `max_attempts` limits the leases in a row that end without a completion: the message may
            be the reason why the dispatchers were killed.
        poll_interval: the time between two looks of `serve` for messages that another process
            queued.
        quiet_hours: the hours in which no push is sent; `None` for none.
        digest_at: the recipient's local time at which coordinators' digests are sent; `None`: as
            soon as the run has ended.
        one_digest_a_day: whether a recipient gets at most one digest per local day; later notices
            are in the next day's digest.
        digest_timezone: the zone of recipients without a known zone, an IANA name or a zone with
            one.
    """

    batch_size: int = attrs.field(default=100, validator=is_positive_count)
    hold: float = attrs.field(default=120.0, validator=is_positive)
    send_timeout: float = attrs.field(default=60.0, validator=is_positive)
    retry: RetryPolicy = attrs.field(
        factory=lambda: RetryPolicy(max_attempts=8, initial=10.0, multiplier=2.0, max_delay=3600.0),
        validator=is_a(RetryPolicy),
    )
    poll_interval: float = attrs.field(default=5.0, validator=is_positive)
    quiet_hours: QuietHours | None = attrs.field(
        default=None, validator=attrs.validators.optional(is_a(QuietHours))
    )
    digest_at: time | None = attrs.field(default=None, validator=attrs.validators.optional(_is_wall_time))
    one_digest_a_day: bool = attrs.field(default=True, validator=is_a(bool))
    digest_timezone: str = attrs.field(default="UTC", converter=as_zone_name, validator=is_zone_name)

    def __attrs_post_init__(self) -> None:
        if self.hold <= self.send_timeout:
            rule = f"must be above send_timeout, which is {self.send_timeout!r}, not {self.hold!r}"
            raise InvalidValueError("DispatchSettings.hold", rule)  # noqa: EM101 - a field's name

    @property
    def eligibility_timeout(self) -> float:
        """
        Return the longest time, in seconds, of a call of `PushEligibility`.

        It is so short that the lease outlasts the sending.
        """
        return (self.hold - self.send_timeout) / 2
