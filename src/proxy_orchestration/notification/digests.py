"""
A coordinator's digest: its texts, and when it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final

import attrs

from proxy_orchestration._arguments import mapping_of, of_kind
from proxy_orchestration._validators import is_a
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.labels import label_of, labels_in_all
from proxy_orchestration.notification.notices import PushMessage
from proxy_orchestration.notification.records import CertificateEnd, Digest
from proxy_orchestration.notification.tiers import ExpiryPolicy, NotificationThresholdTier, day_of
from proxy_orchestration.notification.zones import as_zone, is_zone

_LIVES: Final = timedelta(days=1)
"""For how long a provider may keep a digest for a device that is off; the next one replaces it."""

_INSTANT: Final = timedelta(microseconds=1)

_are_lines = mapping_of(NotificationThresholdTier, of_kind(str))
_are_labels = mapping_of(str, of_kind(str))


def _can_be_filled(
    _instance: object, attribute: attrs.Attribute[Any], lines: Mapping[NotificationThresholdTier, str]
) -> None:
    _are_lines(attribute.name, lines)
    for tier, line in lines.items():
        try:
            line.format(count=1, days=1)
        except (LookupError, ValueError) as error:
            rule = f"{tier.value}: the digest's line must not have fields other than {{count}} and {{days}}"
            raise InvalidValueError(attribute.name, rule) from error


def _names_a_certificate(instance: object, attribute: attrs.Attribute[Any], line: str) -> None:
    is_a(str)(instance, attribute, line)
    try:
        line.format(mentor_id="", label="", certificate_type="", date="")
    except (LookupError, ValueError) as error:
        rule = "must not have fields other than {mentor_id}, {label}, {certificate_type} and {date}"
        raise InvalidValueError(attribute.name, rule) from error


def _by_code(labels: Mapping[str, str]) -> Mapping[str, str]:
    _are_labels("labels", labels)
    return labels_in_all(labels)


@attrs.frozen(kw_only=True)
class DigestTexts:
    """
    The texts of a digest; a host may give its own.

    Attributes:
        title: the title of the push.
        lines: one line for each tier. `{count}` is the number of certificates, `{days}` the number
            of days left at which the tier begins.
        nearest: the line for each of the certificates that end first, with `{mentor_id}`, `{label}`
            (the name of its type), `{certificate_type}` (the code of its type) and `{date}` (the last
            valid day, such as 2026-03-04). Empty: no certificate is named.
        thresholds: the days left at which ADVANCE_60, WARNING_30 and URGENT_7 begin; see
            `for_policy`.
        timezone: the zone of the last valid day, an IANA name or a `tzinfo`; see `for_policy`.
        labels: names of certificate types, by code; they take precedence over a catalogue's. A type
            without a name is shown as its code.

    Raises:
        InvalidTypeError: the name of a type is not a string.
        InvalidValueError: a line has an unknown field or a single brace.
    """

    title: str = attrs.field(default="Sertifikater som utløper", validator=is_a(str))
    lines: Mapping[NotificationThresholdTier, str] = attrs.field(
        validator=_can_be_filled,
        factory=lambda: {
            NotificationThresholdTier.LAPSED: "Utløpt: {count}",
            NotificationThresholdTier.URGENT_7: "Utløper innen {days} dager: {count}",
            NotificationThresholdTier.WARNING_30: "Utløper innen {days} dager: {count}",
            NotificationThresholdTier.ADVANCE_60: "Utløper innen {days} dager: {count}",
        },
    )
    nearest: str = attrs.field(default="{date}: {label}, {mentor_id}", validator=_names_a_certificate)
    thresholds: tuple[int, int, int] = (60, 30, 7)
    timezone: tzinfo = attrs.field(default=UTC, converter=as_zone, validator=is_zone)
    labels: Mapping[str, str] = attrs.field(factory=dict, converter=_by_code)

    def for_policy(self, policy: ExpiryPolicy) -> DigestTexts:
        """
        Return the same texts with the policy's thresholds and zone.
        """
        return attrs.evolve(self, thresholds=policy.thresholds, timezone=policy.timezone)

    def with_labels(self, labels: Mapping[str, str]) -> DigestTexts:
        """
        Return the same words with these names for the types that have none here, by code.
        """
        return attrs.evolve(self, labels=labels_in_all(self.labels, labels)) if labels else self

    def body(
        self, counts: Mapping[NotificationThresholdTier, int], nearest: Sequence[CertificateEnd] = ()
    ) -> str:
        """
        Return the lines of the tiers that have certificates, closest first, then those of the nearest ends.
        """
        days = dict(zip(NotificationThresholdTier, (*self.thresholds, 0), strict=True))
        told = [
            line.format(count=counts[tier], days=days[tier])
            for tier, line in self.lines.items()
            if counts.get(tier)
        ]
        named = [self._name(end, end.ends_at) for end in nearest if self.nearest and end.ends_at]
        return "\n".join((*told, *named))

    def _name(self, end: CertificateEnd, ends_at: datetime) -> str:
        return self.nearest.format(
            mentor_id=end.mentor_id,
            label=label_of(end.certificate_type, self.labels),
            certificate_type=end.certificate_type,
            date=_last_day(ends_at, self.timezone).isoformat(),
        )


def _last_day(ends_at: datetime, zone: tzinfo) -> date:
    # The first moment at which it is not valid is midnight of the day after.
    try:
        return day_of(ends_at - _INSTANT, zone)
    except OverflowError:
        return day_of(ends_at, zone)


def with_text(message: PushMessage, digest: Digest, texts: DigestTexts, now: datetime) -> PushMessage:
    """
    Return a digest's message with the words for its counts, as it is sent at that moment.
    """
    closest = [tier for tier in NotificationThresholdTier if digest.counts.get(tier)]
    return attrs.evolve(
        message,
        title=texts.title,
        body=texts.body(digest.counts, digest.nearest),
        tier=closest[-1] if closest else message.tier,
        expires_at=now + _LIVES,
    )


def waits_until(
    digest: Digest, now: datetime, zone: tzinfo, *, digest_at: time | None, once_a_day: bool
) -> datetime | None:
    """
    Return when a digest is to be sent that is to wait at that moment, in UTC; `None` for now.

    Args:
        digest: what it tells, and when the recipient was told last.
        now: aware.
        zone: the recipient's.
        digest_at: the local time at which digests are sent; `None`: at any.
        once_a_day: whether a recipient gets no second one on a local day.
    """
    moments: list[datetime] = []
    if digest_at is not None:
        moments.append(_first_after(digest.opened_at, digest_at, zone))
    told_at = None if digest.told_at is None else digest.told_at.astimezone(zone)
    if once_a_day and told_at is not None and told_at.date() == now.astimezone(zone).date():
        # At the hour of the last one; a run that ends earlier on that day does not wait for it.
        hour = told_at.time() if digest_at is None else digest_at
        moments.append(_at(told_at.date() + timedelta(days=1), hour, zone))
    latest = max(moments, default=now)
    return latest if latest > now else None


def _first_after(moment: datetime, hour: time, zone: tzinfo) -> datetime:
    day = moment.astimezone(zone).date()
    first = _at(day, hour, zone)
    return first if first >= moment else _at(day + timedelta(days=1), hour, zone)


def _at(day: date, hour: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, hour, tzinfo=zone).astimezone(UTC)
