"""
How a host tunes notification.
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
        rule = "messages are held for a day, 86400 seconds, at the most"
        raise InvalidValueError(attribute.name, rule)


@attrs.frozen(kw_only=True)
class NotificationSettings:
    """
    Limits of a run.

    Attributes:
        chunk_size: certificates per write.
        most_problems: failures and data-quality entries that a result lists.
        most_planned: keys that a plan lists.
        neighbour_timeout: seconds that the recipient directory and the visibility
            registry may take for a chunk.
        push_hold: seconds after which a run's messages are due although the run has not
            ended, since it may be killed; up to 86400. What a later chunk supersedes
            until then is not sent.
    """

    chunk_size: int = attrs.field(default=500, validator=is_positive_count)
    most_problems: int = attrs.field(default=1000, validator=is_positive_count)
    most_planned: int = attrs.field(default=10_000, validator=is_positive_count)
    neighbour_timeout: float = attrs.field(default=30.0, validator=is_positive)
    push_hold: float = attrs.field(default=3600.0, validator=_is_up_to_a_day)


def _is_wall_time(instance: object, attribute: attrs.Attribute[Any], value: time) -> None:
    is_a(time)(instance, attribute, value)
    if value.tzinfo is not None:
        rule = "has no zone of its own: each recipient's counts, or `timezone`"
        raise InvalidValueError(attribute.name, rule)


@attrs.frozen(kw_only=True)
class QuietHours:
    """
    Hours of a recipient's day in which nothing is pushed; they may pass midnight.

    Attributes:
        start: the first quiet minute.
        end: the first minute that is not quiet any more.
        timezone: the zone of recipients whose own is not known; a name or a zone, kept as its IANA name.
    """

    start: time = attrs.field(validator=_is_wall_time)
    end: time = attrs.field(validator=_is_wall_time)
    timezone: str = attrs.field(default="UTC", converter=as_zone_name, validator=is_zone_name)

    def over_at(self, moment: datetime, timezone: str | None) -> datetime | None:
        """
        Return when the quiet is over, in UTC, if it is quiet at that moment in that zone; `None` if not.

        An unknown zone counts as this policy's own.
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
        batch_size: messages claimed and handed to the sender at once.
        hold: for how long a claimed message is leased; longer than `send_timeout`, or a
            second dispatcher sends it beside the first.
        send_timeout: after this long a sender is cut, and its messages are sent again later.
        retry: the waits between attempts, which go on until the message expires. Its
            `max_attempts` bounds the leases in a row that end without a word, because who
            held them was killed: the message may be why.
        poll_interval: how often `serve` looks for messages that another process queued.
        quiet_hours: `None` for none.
        digest_at: the recipient's local time at which coordinators' digests are sent;
            `None`: when the run has ended.
        one_digest_a_day: whether a recipient gets no second digest on a local day;
            what came since is told in the next day's.
        digest_timezone: the zone of recipients whose own is not known; a name or a zone, kept as
            its IANA name.
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
        Return for how long the host is asked who wants pushes, so that the lease outlives the sending.
        """
        return (self.hold - self.send_timeout) / 2
