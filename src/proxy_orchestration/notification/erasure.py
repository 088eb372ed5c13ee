"""
The data about one mentor's certificates: its export, and the result of its erasure.

A pseudonym takes the mentor's place in the keys of notices and in the guard,
so that a feed in which they still stand tells nobody a second time. Texts go.
"""

from __future__ import annotations

from typing import Final

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration._pseudonyms import mentor_pseudonym
from proxy_orchestration.notification.notices import (
    Audience,
    CertificateExpiryNotification,
    NoticeKey,
    NoticeStatus,
    PushMessage,
)
from proxy_orchestration.notification.records import AcknowledgementEvent, CertificateEnd
from proxy_orchestration.notification.visibility_records import VisibilityChange

ERASED: Final = "erased"
"""Why a push is cancelled, and what stands in the place of a notice's words."""


@attrs.frozen(kw_only=True)
class NoticeExport(PlainModel):
    """
    Everything that the store of notices holds about one mentor.

    Attributes:
        mentor_id: the mentor.
        notices: the notices about the mentor's certificates, to all recipients, the oldest first,
            without purged ones.
        pushes: the mentor's own messages, in the order of their due times.
        ends: the known ends of the mentor's certificates, by type; `None` for an end that no longer
            counts.
        acknowledgements: the audit rows of acknowledgements, the oldest first.
        visibility_changes: the audit rows of hiding and showing the mentor, the oldest first; empty
            without a visibility registry.
    """

    mentor_id: str
    notices: tuple[CertificateExpiryNotification, ...]
    pushes: tuple[PushMessage, ...]
    ends: tuple[CertificateEnd, ...]
    acknowledgements: tuple[AcknowledgementEvent, ...]
    visibility_changes: tuple[VisibilityChange, ...] = ()


@attrs.frozen(kw_only=True)
class NoticeErasure(PlainModel):
    """
    What was erased. All counts are 0 if nothing was stored, or nothing new since the last erasure.

    Attributes:
        pseudonym: the pseudonym that replaces the mentor's id.
        notices: the number of notices about the mentor's certificates, to all recipients.
        pushes: the number of the mentor's own messages; those still waiting are not sent.
        acknowledgements: the number of audit rows of acknowledged notices about the mentor.
        visibility_changes: the number of audit rows of hiding and showing the mentor.
    """

    pseudonym: str
    notices: int
    pushes: int
    acknowledgements: int
    visibility_changes: int = 0


def erased_key(key: NoticeKey) -> NoticeKey:
    """
    Return the key as it stands once its mentor is erased.
    """
    pseudonym = mentor_pseudonym(key.mentor_id)
    recipient = pseudonym if key.audience is Audience.MENTOR else key.recipient_id
    return key._replace(mentor_id=pseudonym, recipient_id=recipient)


def erased_notice(notice: CertificateExpiryNotification) -> CertificateExpiryNotification:
    """
    Return the notice about nobody: it says that it was erased, and waits for nobody.
    """
    key = erased_key(notice.key)
    waits = notice.status is NoticeStatus.PENDING
    return attrs.evolve(
        notice,
        mentor_id=key.mentor_id,
        recipient_id=key.recipient_id,
        status=NoticeStatus.CLEARED if waits else notice.status,
        title=ERASED,
        body=ERASED,
        deep_link=None,
        note="",
        holder_name="",
        expires=None,
        locale=None,
    )


def erased_push(push: PushMessage) -> PushMessage:
    """
    Return the message about nobody.
    """
    return attrs.evolve(push, recipient_id=mentor_pseudonym(push.recipient_id), title="", body="", data={})


def erased_acknowledgement(event: AcknowledgementEvent) -> AcknowledgementEvent:
    """
    Return the audit row about nobody; who took note, and when, stays.
    """
    return attrs.evolve(event, mentor_id=mentor_pseudonym(event.mentor_id), note="")
