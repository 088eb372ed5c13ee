"""
Makes a new enrollment link when a notice is read or sent, because a link is valid for two days only.
"""

from __future__ import annotations

import logging
from typing import Final

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration.notification.enrollment import EnrollmentLinks
from proxy_orchestration.notification.notices import Audience, CertificateExpiryNotification, PushMessage

LINK_IN_DATA: Final = "enrollmentUrl"
"""Where the app finds a push's link."""

_TYPE_IN_DATA: Final = "certificate_type"

_log = logging.getLogger(_loggers.ENROLLMENT)


def with_fresh_link(
    notice: CertificateExpiryNotification, enrollment: EnrollmentLinks | None
) -> CertificateExpiryNotification:
    """
    Return a mentor's notice with a link made now, if it has one.
    """
    if enrollment is None or notice.deep_link is None or notice.audience is not Audience.MENTOR:
        return notice
    link = _link(enrollment, notice, mentor_id=notice.mentor_id, certificate_type=notice.certificate_type)
    return attrs.evolve(notice, deep_link=link)


def pushed_with_fresh_link(message: PushMessage, enrollment: EnrollmentLinks | None) -> PushMessage:
    """
    Return a mentor's message with a link made now, if it has one.
    """
    if enrollment is None or LINK_IN_DATA not in message.data:
        return message
    data = {key: value for key, value in message.data.items() if key != LINK_IN_DATA}
    link = _link(
        enrollment,
        message,
        mentor_id=message.recipient_id,  # only a mentor's own carries one
        certificate_type=data.get(_TYPE_IN_DATA, ""),
    )
    return attrs.evolve(message, data=data if link is None else data | {LINK_IN_DATA: link})


def _link(
    enrollment: EnrollmentLinks,
    told: CertificateExpiryNotification | PushMessage,
    *,
    mentor_id: str,
    certificate_type: str,
) -> str | None:
    """
    Return a link, `None` where none can be made: what is told is more than its link.
    """
    try:
        link: object = enrollment.link_for(told.tier, mentor_id=mentor_id, certificate_type=certificate_type)
    except Exception as error:  # noqa: BLE001 - a host's own courses or clock
        name = type(error).__name__
        _log.error(
            "no new enrollment link could be made: %s", name, extra={"error": name, "tier": told.tier.value}
        )
        return None
    return link if isinstance(link, str) else None
