"""
The models of an inbox and its pages. Immutable, no I/O.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.notices import CertificateExpiryNotification

_NO_PLACE: Final = "is not a valid cursor: give the next_after of a page, unchanged"


class InboxPlace(NamedTuple):
    """
    The notice after which a page begins; ids order notices of the same time.
    """

    created_at: datetime
    notification_id: str


@attrs.frozen(kw_only=True)
class InboxScope:
    """
    Which notices of a recipient an actor may see.

    Attributes:
        recipient_id: the id of the recipient.
        organization_id: only notices about mentors of this organization.
        with_unassigned: whether notices about mentors without a known organization are included.
    """

    recipient_id: str
    organization_id: str
    with_unassigned: bool

    def covers(self, notice: CertificateExpiryNotification) -> bool:
        """
        Return whether the notice is in this scope.
        """
        if notice.organization_id is None:
            is_in_organization = self.with_unassigned
        else:
            is_in_organization = notice.organization_id == self.organization_id
        return notice.recipient_id == self.recipient_id and is_in_organization


@attrs.frozen(kw_only=True)
class InboxRow:
    """
    A notice as a store returns it.

    Attributes:
        notice: the notice.
        ends_at: the certificate's end that it is about; aware, UTC.
        read_at: when the recipient read it, or `None`.
        remind_at: the time until which the recipient postponed it, or `None`.
        is_latest: whether the recipient has no later notice about that certificate.
    """

    notice: CertificateExpiryNotification
    ends_at: datetime
    read_at: datetime | None = None
    remind_at: datetime | None = None
    is_latest: bool = True


@attrs.frozen(kw_only=True)
class InboxRows:
    """
    A page of an inbox as a store returns it.

    Attributes:
        rows: the newest first.
        unread: the number of pending notices of the whole scope that were not read.
        has_more: whether more notices follow.
    """

    rows: tuple[InboxRow, ...]
    unread: int
    has_more: bool


@attrs.frozen(kw_only=True)
class InboxNotice(PlainModel):
    """
    A notice as its recipient reads it now.

    Attributes:
        notification: the notice; its link is valid for two days from now.
        ends_at: the time from which the certificate is not valid; aware, UTC.
        last_day: the last calendar day on which it is valid, in the policy's zone.
        days_left: the calendar days from today to that day; negative after it.
        has_ended: whether the certificate has ended.
        read_at: when the recipient read it, or `None`.
        remind_at: the time until which the recipient postponed it, or `None`.
        in_banner: whether a banner should show it now: it is pending, is the recipient's latest
            about that certificate, is not postponed, and the end is within the days of the warning
            tier, or past.
    """

    notification: CertificateExpiryNotification
    ends_at: datetime
    last_day: date
    days_left: int
    has_ended: bool
    read_at: datetime | None
    remind_at: datetime | None
    in_banner: bool


@attrs.frozen(kw_only=True)
class InboxPage(PlainModel):
    """
    One page of a recipient's inbox, newest first.

    Attributes:
        notices: at most `limit`.
        unread: the number of pending notices in the whole inbox that were not read.
        next_after: pass it as `after` to get those that follow, even if new notices arrive; `None`
            on the last page.
    """

    notices: tuple[InboxNotice, ...]
    unread: int
    next_after: str | None


def text_of(moment: datetime, name: object) -> str:
    """
    Return a place in a list as a page tells it; `place_of` reads it again.
    """
    return f"{moment.astimezone(UTC).isoformat()}~{name}"


def place_of(text: str) -> InboxPlace:
    """
    Return the place that a page told.

    Raises:
        InvalidValueError: it is none.
    """
    written, _, notification_id = text.partition("~")
    with suppress(ValueError):
        moment = datetime.fromisoformat(written)
        if moment.tzinfo is not None and notification_id:
            return InboxPlace(moment, notification_id)
    raise InvalidValueError("after", _NO_PLACE)  # noqa: EM101 - an argument's name
