"""
What a host may give the console beyond its orchestrator: names, a search, and records that exist.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol, TypeAlias

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration.access import Actor
from proxy_orchestration.registration.activities import ProxyActivity


@attrs.frozen(kw_only=True)
class Mentor(PlainModel):
    """
    Somebody whom a coordinator can choose.

    Attributes:
        mentor_id: by which an activity is registered.
        name: as people know the mentor; never in a repr.
        hint: what tells two of one name apart, such as a chapter; never in a repr.
    """

    mentor_id: str
    name: str = attrs.field(repr=False)
    hint: str = attrs.field(default="", repr=False)


class MentorDirectory(Protocol):
    """
    Who the mentors are; this library stores ids and no names.
    """

    async def names(self, mentor_ids: Collection[str], /) -> Mapping[str, str]:
        """
        Return the names of these mentors, as far as they are known; a page shows the id of any other.
        """
        ...

    async def search(self, text: str, /, *, actor: Actor, limit: int) -> Sequence[Mentor]:
        """
        Return at most `limit` mentors whom the actor may register for and who match the text.

        An empty text matches everybody. The order is that of the page.
        """
        ...


@attrs.frozen(kw_only=True)
class ConflictingEntry:
    """
    A registration that waits for a decision, and the record that it conflicts with.

    Attributes:
        activity_id: the record that exists.
        mentor_id: on whose behalf.
        activity: what is to be registered.
    """

    activity_id: str
    mentor_id: str
    activity: ProxyActivity


@attrs.frozen(kw_only=True)
class ExistingRecord(PlainModel):
    """
    What a page shows of a record that exists; notes are left out, since they may be another's.

    Attributes:
        activity_type, activity_date, duration_minutes: as in `ProxyActivity`.
        registered_by: who registered it.
        recorded_at: when; aware, UTC.
    """

    activity_type: str
    activity_date: date
    duration_minutes: int
    registered_by: str
    recorded_at: datetime


class ExistingRecords(Protocol):
    """
    What the records are that registrations conflict with.
    """

    async def describe(
        self, entries: Sequence[ConflictingEntry], /, *, actor: Actor
    ) -> Mapping[str, ExistingRecord]:
        """
        Return by activity id the records that the actor may know of; a page shows the id of any other.
        """
        ...


ActivityTypes: TypeAlias = Mapping[str, str]
"""The host's codes for kinds of activities, each with what people call it."""
