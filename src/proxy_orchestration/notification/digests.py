"""
A coordinator's digest: one push a day that says how many mentors have a certificate running out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from proxy_orchestration._arguments import mapping_of, of_kind
from proxy_orchestration._validators import is_a
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.notices import PushMessage
from proxy_orchestration.notification.records import LeasedPush
from proxy_orchestration.notification.tiers import ExpiryPolicy, NotificationThresholdTier

_are_lines = mapping_of(NotificationThresholdTier, of_kind(str))


def _can_be_filled(
    _instance: object, attribute: attrs.Attribute[Any], lines: Mapping[NotificationThresholdTier, str]
) -> None:
    _are_lines(attribute.name, lines)
    for tier, line in lines.items():
        try:
            line.format(count=1, days=1)
        except (LookupError, ValueError) as error:
            rule = f"{tier.value}: the digest's line may have the fields {{count}} and {{days}} only"
            raise InvalidValueError(attribute.name, rule) from error


@attrs.frozen(kw_only=True)
class DigestTexts:
    """
    Words for a digest; replaced by a host with its own.

    Attributes:
        title: what it is about.
        lines: a line by tier; `{count}` is the number of certificates, `{days}`
            the days left at which the tier begins.
        thresholds: those days, of ADVANCE_60, WARNING_30 and URGENT_7; see `for_policy`.

    Raises:
        InvalidValueError: a line has another field, or a brace alone.
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
    thresholds: tuple[int, int, int] = (60, 30, 7)

    def for_policy(self, policy: ExpiryPolicy) -> DigestTexts:
        """
        Return the same words with that policy's thresholds.
        """
        return attrs.evolve(self, thresholds=policy.thresholds)

    def body(self, counts: Mapping[NotificationThresholdTier, int]) -> str:
        """
        Return the lines of the tiers that have any, the closest first.
        """
        days = dict(zip(NotificationThresholdTier, (*self.thresholds, 0), strict=True))
        return "\n".join(
            line.format(count=counts[tier], days=days[tier])
            for tier, line in self.lines.items()
            if counts.get(tier)
        )


def with_text(push: LeasedPush, texts: DigestTexts) -> PushMessage:
    """
    Return a digest's message with the words for its counts as they are now.
    """
    counts = push.digest or {}
    closest = [tier for tier in NotificationThresholdTier if counts.get(tier)]
    return attrs.evolve(
        push.message,
        title=texts.title,
        body=texts.body(counts),
        tier=closest[-1] if closest else push.message.tier,
    )
