"""
What the standard registration service stores.
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
    The activities that the standard service registers.

    A record conflicts with another one of its organization that has the same
    `duplicate_key`, unless it is void. The other may be stored all the same
    when it is an override: when its registration has `override_of`.
    """

    async def add_activities(
        self, records: Sequence[ActivityRecord], /, *, atomic: bool
    ) -> Sequence[ActivityRecord]:
        """
        Store each record, and answer each, in order, with the record that exists then.

        That is the record itself; or the one that its registration has
        already; or the existing record that it conflicts with, and then it is
        not stored. Of two in one call that conflict with each other the first
        is stored. With `atomic` none is stored as soon as one conflicts. It is
        one transaction: after an error none is stored.

        Of two calls at once with one registration, or with two that conflict
        with each other, one stores its record and the other gets that one.

        Raises:
            RecordRefusedError: the store is well and refuses one of them; none is stored.
        """
        ...

    async def find_activities(self, registration_ids: Collection[str], /) -> Sequence[ActivityRecord]:
        """
        Return the records of these registrations, in no order; fewer where some have none.
        """
        ...

    async def find_duplicates(
        self, organization_id: str, duplicate_keys: Collection[str], /
    ) -> Mapping[str, ActivityRecord]:
        """
        Return for each of the keys the organization's record that conflicts, where there is one.

        In one round trip. Overrides count too: of several records the one that
        is no override.
        """
        ...

    async def activities_of_batch(self, batch_id: str, /) -> Sequence[ActivityRecord]:
        """
        Return every record that the batch wrote, void ones too, ordered by mentor id.

        `registered_by` stands on each: what one submission wrote can be found
        and voided after an incident.
        """
        ...

    async def void_activity(self, activity_id: str, /, *, voided_at: datetime) -> bool:
        """
        Declare a record void; it stays and is in nobody's way. Return whether there is such a record.

        The first moment stays when it is void already.
        """
        ...

    async def list_activities(
        self, visibility: Visibility, /, *, limit: int, found_by: RecordFilter
    ) -> RecordPage:
        """
        Return at most `limit` records of visible people, void ones too, with the notes beside them.

        Newest first: by the activity's day, then by when it was recorded, then
        by id, the greatest first. Whoever registered them, in whichever batch.

        Raises:
            InvalidValueError: the cursor is none.
        """
        ...

    async def add_correction(self, visibility: Visibility, note: CorrectionNote, /) -> CorrectionNote | None:
        """
        Put the note beside its record, which stays as it is; return the note that has its id then.

        That is an earlier one where the id came with this record before.
        `None` where no visible person registered such a record.

        Raises:
            RecordRefusedError: its text holds NUL or half a surrogate pair.
        """
        ...
