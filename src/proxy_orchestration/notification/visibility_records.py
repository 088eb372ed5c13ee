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
    REVOKED = "revoked"  # shown: none of the type counts any more
    WITHDRAWN = "withdrawn"  # shown: a whole feed has none of the type any more
    RESTORED = "restored"  # shown: a person said so
    ERASED = "erased"  # forgotten, with the mentor


@attrs.frozen(kw_only=True)
class VisibilityChange(PlainModel):
    """
    One audit row: a mentor was hidden for one type of certificate, or is not any more.

    Attributes:
        change_id: its number in the store; 0 before it is stored.
        mentor_id: the mentor, or the pseudonym of one who was erased.
        certificate_type: for which certificate.
        hidden: whether the mentor is hidden for it since.
        cause: why.
        ends_at: the end for which the mentor is hidden, or was.
        previous_status: the host's own status of the mentor from before they were hidden;
            `None` where it is not known.
        at: the moment that the run was for, or when a person or the host said so.
        by: the id of who restored; `None` for anything else.
        reason: of who restored.
        organization_id: the mentor's, as the certificate says, or `None`.
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
    Whom a person wants to be shown again.

    Attributes:
        mentor_id: the mentor.
        certificate_type: for which type; `None` for all.
        organization_id: whose mentors alone, and those of no known organization.
        by: who wants it.
        reason: why.
        at: when.
    """

    mentor_id: str
    certificate_type: str | None
    organization_id: str
    by: str
    reason: str
    at: datetime


class ChangePlace(NamedTuple):
    """
    Behind which change a page begins; numbers break the ties of a moment.
    """

    at: datetime
    change_id: int


@attrs.frozen(kw_only=True)
class VisibilityPage(PlainModel):
    """
    One page of changes, newest first.

    Attributes:
        changes: at most `limit`.
        next_after: pass it as `after` for those that follow; `None` when there are none.
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
        raise InvalidValueError(name, "is of no page of changes; pass `next_after` of one")
    return ChangePlace(at, int(number))
