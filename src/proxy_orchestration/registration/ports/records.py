"""
The port of the standard service's store of activity records.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from proxy_orchestration.access import Visibility
from proxy_orchestration.registration.activities import ActivityRecord
from proxy_orchestration.registration.records import CorrectionNote, RecordFilter, RecordPage


class ActivityRecords(Protocol):
    """
    The store of the activities that the standard service registers.

    A record that is not void conflicts with another record of its organization with the same
    `duplicate_key`. The other record may be stored nevertheless if it is an override, that is, if
    its registration has `override_of`.
    """

    async def add_activities(
        self, records: Sequence[ActivityRecord], /, *, atomic: bool
    ) -> Sequence[ActivityRecord]:
        """
        Store each record, and return for each, in order, the record that then exists.

        That is the record itself, or the record that its registration already has, or the existing
        record that it conflicts with; in the last case it is not stored. Of two records in one call
        that conflict with each other, the first is stored. With `atomic`, no record is stored if
        one conflicts. The call is one transaction: after an error none is stored.

        Of two simultaneous calls with the same registration, or with two that conflict with each
        other, one stores its record, and the other gets that record.

        Raises:
            RecordRefusedError: the store refuses one of the records; none is stored.
        """
        ...

    async def find_activities(self, registration_ids: Collection[str], /) -> Sequence[ActivityRecord]:
        """
        Return the existing records of these registrations, in any order.
        """
        ...

    async def find_duplicates(
        self, organization_id: str, duplicate_keys: Collection[str], /
    ) -> Mapping[str, ActivityRecord]:
        """
        Return, by duplicate key, the organization's record that conflicts; keys without one are absent.

        One round trip. Overrides count, too. If there are several records, the one that is not an
        override is returned.
        """
        ...

    async def activities_of_batch(self, batch_id: str, /) -> Sequence[ActivityRecord]:
        """
        Return every record that the batch wrote, void ones included, ordered by mentor id.

        Each record has `registered_by`, so that after an incident the records of one submission can
        be found and voided.
        """
        ...

    async def void_activity(self, activity_id: str, /, *, voided_at: datetime) -> bool:
        """
        Declare a record void; it is kept, and no longer conflicts. Return whether the record exists.

        If it is already void, the time of the first call is kept.
        """
        ...

    async def list_activities(
        self, visibility: Visibility, /, *, limit: int, found_by: RecordFilter
    ) -> RecordPage:
        """
        Return at most `limit` visible records, void ones included, with their correction notes.

        The order is newest first: by the activity's day, then by the time of recording, then by id,
        each descending. Records of all batches and of single registrations are included.

        Raises:
            InvalidValueError: the cursor is not valid.
        """
        ...

    async def add_correction(self, visibility: Visibility, note: CorrectionNote, /) -> CorrectionNote | None:
        """
        Add a correction note to its record, which stays unchanged; return the stored note with this id.

        If a note with this id exists on this record, that earlier note is returned. `None`: there
        is no such visible record.

        Raises:
            RecordRefusedError: its text contains a NUL character or an unpaired surrogate.
        """
        ...
