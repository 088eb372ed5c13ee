"""
What an inbox shows of its notices, and how its pages follow each other. Immutable, no I/O.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.notices import CertificateExpiryNotification

_NO_PLACE: Final = "is none: give the next_after of a page, as it is"


class InboxPlace(NamedTuple):
    """
    Behind which notice a page begins; ids break the ties of a moment.
    """

    created_at: datetime
    notification_id: str


@attrs.frozen(kw_only=True)
class InboxScope:
    """
    Which notices of a recipient somebody may know of.

    Attributes:
        recipient_id: whose inbox.
        organization_id: only notices about mentors of this organization.
        with_unassigned: also those about mentors of whom no organization is known.
    """

    recipient_id: str
    organization_id: str
    with_unassigned: bool

    def covers(self, notice: CertificateExpiryNotification) -> bool:
        """
        Tell whether the notice is among them.
        """
        if notice.organization_id is None:
            is_in_organization = self.with_unassigned
        else:
            is_in_organization = notice.organization_id == self.organization_id
        return notice.recipient_id == self.recipient_id and is_in_organization


@attrs.frozen(kw_only=True)
class InboxRow:
    """
    A notice as a store keeps it.

    Attributes:
        notice: the notice.
        ends_at: the end that it tells; aware, UTC.
        read_at: when the recipient read it, or `None`.
        remind_at: until when the recipient put it off, or `None`.
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
    A page as a store answers it.

    Attributes:
        rows: the newest first.
        unread: pending notices of the whole scope that were not read.
        has_more: whether others follow these.
    """

    rows: tuple[InboxRow, ...]
    unread: int
    has_more: bool


@attrs.frozen(kw_only=True)
class InboxNotice(PlainModel):
    """
    A notice as its recipient reads it today.

    Attributes:
        notification: the notice; its link is good for two days from the reading on.
        ends_at: from when on the certificate is not valid; aware, UTC.
        last_day: the last calendar day on which it is, in the policy's zone.
        days_left: calendar days from the day of reading to that day; below 0 after it.
        has_ended: whether it is over now.
        read_at: when the recipient read it, or `None`.
        remind_at: until when the recipient put it off, or `None`.
        in_banner: whether a banner is to tell it now: it waits, is the recipient's latest about
            that certificate, is not put off, and the end is within the warning's days, or over.
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
    One page of somebody's inbox, newest first.

    Attributes:
        notices: at most `limit`.
        unread: pending notices of the whole inbox that were not read; 0 without any.
        next_after: pass it as `after` for those that follow, whatever is told meanwhile;
            `None` when there are none.
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
