"""
Writes a notice's text again, for its reader and the day of reading or sending. Logs failures.

The words that a notice was written with are for that day and for who was
known to read it then. Weeks later another number of days is left.
"""

from __future__ import annotations

import logging
from datetime import date, datetime
from typing import Final, TypeGuard

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._texts import is_storable
from proxy_orchestration._validators import is_a
from proxy_orchestration.notification.digests import DigestTexts
from proxy_orchestration.notification.messages import (
    MessageCatalogue,
    Messages,
    NoticeContext,
    NoticeText,
    SupportsDigestTexts,
)
from proxy_orchestration.notification.notices import CertificateExpiryNotification, NoticeStatus
from proxy_orchestration.notification.tiers import ExpiryPolicy, NotificationThresholdTier, classify, day_of

_TIERS: Final = tuple(NotificationThresholdTier)

_log = logging.getLogger(_loggers.NOTIFICATION)


@attrs.frozen(kw_only=True)
class NoticeWords:
    """
    Writes the texts of stored notices again, for another day or reader.

    Attributes:
        messages: the catalogue of the orchestrator that wrote the notices. If it has a method
            `digest_texts`, as `MessageCatalogue` has, it also gives the texts of digests.
        policy: the policy of that orchestrator, which gives the zone of days and the thresholds of
            tiers.
    """

    messages: Messages = attrs.field(factory=MessageCatalogue)
    policy: ExpiryPolicy = attrs.field(factory=ExpiryPolicy, validator=is_a(ExpiryPolicy))

    def as_of(
        self, notice: CertificateExpiryNotification, moment: datetime, *, locale: str | None = None
    ) -> NoticeText:
        """
        Return a notice's title and body at this time, for a reader of this locale.

        The text of a pending notice has the days left at this time, and the tier that the
        certificate has reached by then, never a tier that is further from the end. An acknowledged
        or cleared notice says the same as when it was written. A notice without the needed data, or
        without a usable text in the catalogue, keeps its stored text.

        Args:
            notice: the stored notice.
            moment: the time of reading or sending; aware.
            locale: the reader's locale; `None`: the one that was known when the notice was written.
        """
        if notice.expires is None:
            return NoticeText(notice.title, notice.body)
        is_open = notice.status is NoticeStatus.PENDING
        as_of = max(moment, notice.created_at) if is_open else notice.created_at
        try:
            text: object = self.messages.render(self._context(notice, notice.expires, as_of, locale))
        except Exception as error:  # noqa: BLE001 - a host's words; there are some from the day it was written
            return _as_written(notice, type(error).__name__)
        return text if is_usable(text) else _as_written(notice, "UnusableText")

    def digest_texts(self, locale: str | None) -> DigestTexts | None:
        """
        Return the texts of a digest for a reader of this locale; `None` if the catalogue has none.
        """
        if not isinstance(self.messages, SupportsDigestTexts):
            return None
        try:
            texts: object = self.messages.digest_texts(locale)
        except Exception as error:  # noqa: BLE001 - a host's words; there are others
            name = type(error).__name__
            _log.error("the catalogue has no words for a digest: %s", name, extra={"error": name})
            return None
        return texts.for_policy(self.policy) if isinstance(texts, DigestTexts) else None

    def _context(
        self, notice: CertificateExpiryNotification, expires: date, as_of: datetime, locale: str | None
    ) -> NoticeContext:
        now = classify(expires, as_of=as_of, policy=self.policy)
        return NoticeContext(
            mentor_id=notice.mentor_id,
            holder_name=notice.holder_name,
            certificate_type=notice.certificate_type,
            tier=notice.tier if now is None else max(notice.tier, now, key=_TIERS.index),
            expires=expires,
            days_left=(expires - day_of(as_of, self.policy.timezone)).days,
            audience=notice.audience,
            locale=locale or notice.locale,
            link=notice.deep_link,
        )


def is_usable(text: object) -> TypeGuard[NoticeText]:
    """
    Tell whether a catalogue's answer is a text that can be shown and kept.
    """
    if not isinstance(text, NoticeText):
        return False
    return bool(text.title.strip() and text.body.strip()) and is_storable(f"{text.title}{text.body}")


def _as_written(notice: CertificateExpiryNotification, error: str) -> NoticeText:
    _log.error(
        "a notice could not be worded again and keeps its stored text: %s",
        error,
        extra={"error": error, "mentor_id": notice.mentor_id, "tier": notice.tier.value},
    )
    return NoticeText(notice.title, notice.body)
