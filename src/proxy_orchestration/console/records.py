"""
Describes existing records from the orchestrator's own store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from proxy_orchestration.access import Actor, Visibility
from proxy_orchestration.console.ports import ConflictingEntry, ExistingRecord
from proxy_orchestration.registration.activities import ActivityRecord
from proxy_orchestration.registration.ports import ActivityRecords
from proxy_orchestration.registration.records import RecordFilter

_PER_READ: Final = 100
_MOST_READS: Final = 5


@attrs.frozen
class StoredRecords:
    """
    Describes the records of the standard service, whoever of the organization registered them.
    """

    store: ActivityRecords

    async def describe(
        self, entries: Sequence[ConflictingEntry], /, *, actor: Actor
    ) -> Mapping[str, ExistingRecord]:
        """
        Return by activity id the records of the actor's organization, as far as they are found.
        """
        wanted = {entry.activity_id for entry in entries}
        found: dict[str, ExistingRecord] = {}
        cursor: str | None = None
        for _ in range(_MOST_READS if wanted else 0):
            page = await self.store.list_activities(
                Visibility(organization_id=actor.organization_id),
                limit=_PER_READ,
                found_by=_around(entries, cursor),
            )
            records = [listed.record for listed in page.records]
            found |= {each.activity_id: _told(each) for each in records if each.activity_id in wanted}
            cursor = page.next_cursor
            if cursor is None or len(found) == len(wanted):
                break
        return found


def _around(entries: Sequence[ConflictingEntry], cursor: str | None) -> RecordFilter:
    # A host's own rule may call records of other days duplicates; those are told by their id.
    days = [entry.activity.activity_date for entry in entries]
    return RecordFilter(
        mentor_ids=frozenset(entry.mentor_id for entry in entries),
        activity_from=min(days),
        activity_through=max(days),
        cursor=cursor,
    )


def _told(record: ActivityRecord) -> ExistingRecord:
    registration = record.registration
    return ExistingRecord(
        activity_type=registration.activity.activity_type,
        activity_date=registration.activity.activity_date,
        duration_minutes=registration.activity.duration_minutes,
        registered_by=registration.registered_by.user_id,
        recorded_at=record.recorded_at,
    )
