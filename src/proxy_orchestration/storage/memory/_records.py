"""
The memory store's activity records.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration.registration.activities import ActivityRecord


@attrs.define(eq=False, slots=False)
class MemoryActivityRecords:
    """
    One record for each registration; it outlives its batch.
    """

    _records: dict[str, ActivityRecord] = attrs.field(init=False, repr=False, factory=dict)
    _records_of: dict[str, list[ActivityRecord]] = attrs.field(init=False, repr=False, factory=dict)

    async def add_activity(self, record: ActivityRecord, /) -> ActivityRecord:
        """
        Store the record unless its registration has one, and return the stored one.
        """
        await checkpoint()
        registration = record.registration
        stored = self._records.setdefault(registration.registration_id, record)
        if stored is record:
            self._records_of.setdefault(registration.batch_id, []).append(record)
        return stored

    async def find_activity(self, registration_id: str, /) -> ActivityRecord | None:
        """
        Return the registration's record, or `None`.
        """
        await checkpoint()
        return self._records.get(registration_id)

    async def activities_of_batch(self, batch_id: str, /) -> Sequence[ActivityRecord]:
        """
        Return the batch's records, ordered by mentor id.
        """
        await checkpoint()
        return sorted(self._records_of.get(batch_id, ()), key=lambda record: record.registration.mentor_id)
