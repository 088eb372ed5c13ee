"""
An existing record that stands in the way of a registration.
"""

from __future__ import annotations

import enum

import attrs


class ConflictKind(enum.Enum):
    """
    Why a registration needs a person's decision.
    """

    DUPLICATE = "duplicate"  # a record of the same mentor, type and day exists
    CHECK_FAILED = "check_failed"  # whether one exists could not be found out


@attrs.frozen(kw_only=True)
class Conflict:
    """
    One registration that conflicts.

    Attributes:
        mentor_id: the mentor of the registration.
        kind: why it conflicts.
        existing_activity_id: the record in the way; `None` when the check failed.
    """

    mentor_id: str
    kind: ConflictKind
    existing_activity_id: str | None = None
