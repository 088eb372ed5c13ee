"""
What a double takes for a conflict.
"""

from __future__ import annotations

from typing import TypeVar

from proxy_orchestration.ports import Conflict, ConflictKind, ProxyRegistration
from proxy_orchestration.testing import CheckingRegistrationService

S = TypeVar("S", bound=CheckingRegistrationService)


def look_at_its_records(service: S) -> S:
    """
    Make the double find in its own records what the conflict kit takes for a duplicate.
    """

    def conflict(asked: ProxyRegistration) -> Conflict | None:
        for record in service.records.values():
            stored = record.registration
            same = (stored.mentor_id, stored.activity) == (asked.mentor_id, asked.activity)
            if same and asked.override_of is None and stored.registration_id != asked.registration_id:
                return Conflict(
                    mentor_id=asked.mentor_id,
                    kind=ConflictKind.DUPLICATE,
                    existing_activity_id=record.activity_id,
                )
        return None

    service.conflict_script = conflict
    return service
