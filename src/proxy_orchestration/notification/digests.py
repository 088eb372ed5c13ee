"""
A coordinator's digest: one push a day that says how many mentors have a certificate running out.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from proxy_orchestration.notification.notices import PushMessage
from proxy_orchestration.notification.records import LeasedPush
from proxy_orchestration.notification.tiers import NotificationThresholdTier


@attrs.frozen(kw_only=True)
class DigestTexts:
    """
    Words for a digest; replaced by a host with its own.

    Attributes:
        title: what it is about.
        lines: a line by tier; `{count}` is the number of certificates.
    """

    title: str = "Sertifikater som utløper"
    lines: Mapping[NotificationThresholdTier, str] = attrs.field(
        factory=lambda: {
            NotificationThresholdTier.LAPSED: "Utløpt: {count}",
            NotificationThresholdTier.URGENT_7: "Utløper innen 7 dager: {count}",
            NotificationThresholdTier.WARNING_30: "Utløper innen 30 dager: {count}",
            NotificationThresholdTier.ADVANCE_60: "Utløper innen 60 dager: {count}",
        }
    )

    def body(self, counts: Mapping[NotificationThresholdTier, int]) -> str:
        """
        Return the lines of the tiers that have any, the closest first.
        """
        return "\n".join(
            line.format(count=counts[tier]) for tier, line in self.lines.items() if counts.get(tier)
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
