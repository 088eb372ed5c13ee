"""
The optional parts that a host gives the console: names, a search for mentors, and existing records.
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
    A mentor whom a coordinator can choose.

    Attributes:
        mentor_id: the id under which activities are registered.
        name: the mentor's name; never in a repr.
        hint: distinguishes mentors with the same name, for example by chapter; never in a repr.
    """

    mentor_id: str
    name: str = attrs.field(repr=False)
    hint: str = attrs.field(default="", repr=False)


class MentorDirectory(Protocol):
    """
    Knows the names of mentors; this library itself stores only ids.
    """

    async def names(self, mentor_ids: Collection[str], /) -> Mapping[str, str]:
        """
        Return the known names of these mentors by id; of any other mentor a page shows the id.
        """
        ...

    async def search(self, text: str, /, *, actor: Actor, limit: int) -> Sequence[Mentor]:
        """
        Return at most `limit` mentors for whom the actor may register and who match the text.

        An empty text matches every mentor. The page keeps the order of the answer.
        """
        ...


@attrs.frozen(kw_only=True)
class ConflictingEntry:
    """
    A registration that waits for a decision, and the existing record with which it conflicts.

    Attributes:
        activity_id: the id of the existing record.
        mentor_id: on whose behalf.
        activity: the activity to register.
    """

    activity_id: str
    mentor_id: str
    activity: ProxyActivity


@attrs.frozen(kw_only=True)
class ExistingRecord(PlainModel):
    """
    What a page shows of an existing record.

    Notes are left out, because another coordinator may have written them.

    Attributes:
        activity_type, activity_date, duration_minutes: as in `ProxyActivity`.
        registered_by: the id of the person who registered it.
        recorded_at: when it was registered; aware, UTC.
    """

    activity_type: str
    activity_date: date
    duration_minutes: int
    registered_by: str
    recorded_at: datetime


class ExistingRecords(Protocol):
    """
    Describes the existing records with which registrations conflict.
    """

    async def describe(
        self, entries: Sequence[ConflictingEntry], /, *, actor: Actor
    ) -> Mapping[str, ExistingRecord]:
        """
        Return, by activity id, the records that the actor may see; of any other a page shows only the id.
        """
        ...


ActivityTypes: TypeAlias = Mapping[str, str]
"""The host's codes for activity types, each with its name for people."""
