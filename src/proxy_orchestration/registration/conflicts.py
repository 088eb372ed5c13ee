"""
Existing records that conflict with registrations, and what people decide about them.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Final

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration._validators import is_a, member_of
from proxy_orchestration.registration.activities import plain_activity_id


class ConflictKind(enum.Enum):
    """
    Why a registration needs a person's decision.
    """

    DUPLICATE = "duplicate"  # a record of the same mentor, type and day exists
    IN_BATCH = "in_batch"  # an earlier entry of the same request registers the same
    CHECK_FAILED = "check_failed"  # whether one exists could not be found out
    MAYBE_OWN = "maybe_own"  # a record exists that a call whose answer was lost may have written


class ConflictPolicy(enum.Enum):
    """
    What a submission does with mentors whose registration conflicts.

    A check that failed, and a record that may be the mentor's own, are covered
    by none of them: such a mentor waits for a person under each.
    """

    REVIEW = "review"  # they wait for a decision; the others go ahead
    SKIP = "skip"  # they are left out; the others go ahead
    OVERRIDE = "override"  # they are registered all the same; for coordinators


class ConflictDecision(enum.Enum):
    """
    What a person decides about one mentor whose registration conflicts.
    """

    OVERRIDE = "override"  # register all the same
    SKIP = "skip"  # leave this mentor out, for good
    OVERRIDE_MAYBE_OWN = "override_maybe_own"  # register although the record may be the mentor's own


OVERRIDES: Final = frozenset({ConflictDecision.OVERRIDE, ConflictDecision.OVERRIDE_MAYBE_OWN})
"""Decisions to register all the same."""


def _kind(value: object) -> ConflictKind:
    return member_of(ConflictKind, value)


@attrs.frozen(kw_only=True)
class Conflict(PlainModel):
    """
    One registration that conflicts.

    Attributes:
        mentor_id: the mentor of the registration.
        kind: why it conflicts.
        existing_activity_id: the record that it conflicts with, for IN_BATCH the one that
            the earlier entry will have; `None` when the check failed.
        item_key: the registration, by its name in the batch. `None`: all registrations of
            that mentor that were asked about; in a report it is the only one, without a
            key of its own.
    """

    mentor_id: str = attrs.field(validator=is_a(str))
    kind: ConflictKind = attrs.field(converter=_kind)
    existing_activity_id: str | None = attrs.field(default=None, converter=plain_activity_id)
    item_key: str | None = attrs.field(default=None, validator=attrs.validators.optional(is_a(str)))


@attrs.frozen(kw_only=True)
class ConflictReport(PlainModel):
    """
    What of a request conflicts with what is registered already; nothing was written for it.

    Conflicts, clean and refused ones together are the request's entries, each once.
    `clean` and `refused` hold item keys, which are mentor ids where an entry has no key of its own.

    Attributes:
        conflicts: in request order.
        clean: entries whose registration would go ahead, in request order.
        refused: entries that would be refused: mentors out of the actor's scope, or the
            actor; not asked about, so that nothing is told about them.
    """

    conflicts: tuple[Conflict, ...]
    clean: tuple[str, ...]
    refused: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """
        Return how many entries the request has.
        """
        return len(self.conflicts) + len(self.clean) + len(self.refused)


@attrs.frozen(kw_only=True)
class Override:
    """
    A stored decision to register although an existing record conflicts.

    Attributes:
        activity_id: the record that is overridden; `None` where none was known,
            and the service has the last word.
        decided_by: the coordinator who decided.
        decided_at: when; aware, UTC.
    """

    activity_id: str | None
    decided_by: str
    decided_at: datetime
