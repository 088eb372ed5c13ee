"""
How mentors were hidden and shown, as it is kept. Immutable, no I/O.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import NamedTuple

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration._pseudonyms import pseudonym_of
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.inbox_pages import place_of, text_of


class VisibilityCause(enum.Enum):
    """
    Why a mentor was hidden or shown.
    """

    LAPSED = "lapsed"  # hidden: the certificate that counts has ended
    RENEWED = "renewed"  # shown: another certificate counts, which has not ended
    CORRECTED = "corrected"  # shown: the same certificate ends later
    REVOKED = "revoked"  # shown: no certificate of the type counts any longer
    WITHDRAWN = "withdrawn"  # shown: a complete feed has no certificate of the type
    RESTORED = "restored"  # shown: a person restored the mentor
    ERASED = "erased"  # the mentor was erased


@attrs.frozen(kw_only=True)
class VisibilityChange(PlainModel):
    """
    One audit row: a mentor was hidden, or shown again, for one type of certificate.

    Attributes:
        change_id: the number of the row in the store; 0 before it is stored.
        mentor_id: the mentor, or the pseudonym of one who was erased.
        certificate_type: the type of the certificate.
        hidden: true if the mentor was hidden, false if shown again.
        cause: the cause of the change.
        ends_at: the certificate's end for which the mentor is or was hidden.
        previous_status: the host's own status of the mentor before the hiding; `None` if not known.
        at: the time for which the run was made, or the time of the person's or host's call; aware,
            UTC.
        by: the id of the person who restored the mentor, else `None`.
        reason: that person's reason.
        organization_id: the mentor's organization, from the certificate, or `None`.
    """

    change_id: int = 0
    mentor_id: str
    certificate_type: str
    hidden: bool
    cause: VisibilityCause
    ends_at: datetime
    previous_status: str | None
    at: datetime
    by: str | None = None
    reason: str = ""
    organization_id: str | None = None


def erased_change(change: VisibilityChange) -> VisibilityChange:
    """
    Return the audit row about nobody; who restored, and when, stays.
    """
    pseudonym = pseudonym_of(change.mentor_id)
    return attrs.evolve(change, mentor_id=pseudonym, previous_status=None, reason="")


@attrs.frozen(kw_only=True)
class Restoration:
    """
    A person's request to show a mentor again.

    Attributes:
        mentor_id: the mentor.
        certificate_type: the certificate type that hides the mentor; `None` for all types.
        organization_id: only mentors of this organization, and of no known organization, are shown
            again.
        by: the id of the person who requests it.
        reason: that person's reason.
        at: the time of the request; aware, UTC.
    """

    mentor_id: str
    certificate_type: str | None
    organization_id: str
    by: str
    reason: str
    at: datetime


class ChangePlace(NamedTuple):
    """
    The change after which a page begins; numbers order changes of the same time.
    """

    at: datetime
    change_id: int


@attrs.frozen(kw_only=True)
class VisibilityPage(PlainModel):
    """
    One page of changes, newest first.

    Attributes:
        changes: at most `limit`.
        next_after: pass it as `after` to get those that follow; `None` on the last page.
    """

    changes: tuple[VisibilityChange, ...]
    next_after: str | None


def changes_page(changes: tuple[VisibilityChange, ...], *, limit: int) -> VisibilityPage:
    """
    Return a page of so many of these changes, of which there may be one more.
    """
    shown = changes[:limit]
    more = len(changes) > limit
    return VisibilityPage(
        changes=shown, next_after=text_of(shown[-1].at, shown[-1].change_id) if more else None
    )


def change_place(text: str) -> ChangePlace:
    """
    Return the place that a page told.

    Raises:
        InvalidValueError: it is none.
    """
    at, number = place_of(text)
    if not (number.isascii() and number.isdecimal()):
        name = "after"
        raise InvalidValueError(
            name, "is not a valid cursor: give the next_after of a page of changes, unchanged"
        )
    return ChangePlace(at, int(number))
