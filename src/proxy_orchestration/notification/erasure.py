"""
What is known of one mentor's certificates, and what is left of it once they are erased.

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
    All that the store of notices holds about one mentor.

    Attributes:
        mentor_id: the mentor.
        notices: about their certificates, to whomever, the oldest first; without what was purged.
        pushes: their own messages, those due first first.
        ends: the known ends of their certificates, by type; `None` for one that counts no more.
        acknowledgements: who took note, the oldest first.
        visibility_changes: how they were hidden and shown, the oldest first; of the
            registry, where the orchestrator has one.
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
    What was erased; all counts are 0 when nothing was known, or nothing new since the last time.

    Attributes:
        pseudonym: what stands in the place of the mentor's id now.
        notices: about their certificates, to whomever.
        pushes: their own messages; those that waited are not sent any more.
        acknowledgements: of their notices.
        visibility_changes: of how they were hidden and shown.
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
