"""
Conflicts between registrations and existing records, and people's decisions about them.
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
    CHECK_FAILED = "check_failed"  # the check for existing records failed
    MAYBE_OWN = "maybe_own"  # an earlier call for the item, with a lost answer, may have written it


class ConflictPolicy(enum.Enum):
    """
    How a submission treats mentors whose registration conflicts.

    No policy covers a failed check, or a record that may come from an earlier call for the same
    item: such a mentor always waits for a person's decision.
    """

    REVIEW = "review"  # they wait for a decision; the others are registered
    SKIP = "skip"  # they are left out; the others are registered
    OVERRIDE = "override"  # they are registered anyway; for coordinators


class ConflictDecision(enum.Enum):
    """
    A person's decision about one mentor whose registration conflicts.
    """

    OVERRIDE = "override"  # register anyway
    SKIP = "skip"  # leave this mentor out permanently
    OVERRIDE_MAYBE_OWN = "override_maybe_own"  # register, although the record may be this item's own


OVERRIDES: Final = frozenset({ConflictDecision.OVERRIDE, ConflictDecision.OVERRIDE_MAYBE_OWN})
"""The decisions to register anyway."""


def _kind(value: object) -> ConflictKind:
    return member_of(ConflictKind, value)


@attrs.frozen(kw_only=True)
class Conflict(PlainModel):
    """
    One registration that conflicts with an existing record or an earlier entry.

    Attributes:
        mentor_id: the mentor of the registration.
        kind: the kind of conflict.
        existing_activity_id: the id of the conflicting record; for IN_BATCH the id of the earlier
            entry's future record; `None` if the check failed.
        item_key: the item key of the registration. `None`: all registrations of that mentor in the
            question; in a report, the mentor's only registration, which has no key of its own.
    """

    mentor_id: str = attrs.field(validator=is_a(str))
    kind: ConflictKind = attrs.field(converter=_kind)
    existing_activity_id: str | None = attrs.field(default=None, converter=plain_activity_id)
    item_key: str | None = attrs.field(default=None, validator=attrs.validators.optional(is_a(str)))


@attrs.frozen(kw_only=True)
class ConflictReport(PlainModel):
    """
    Which entries of a request conflict with existing records; nothing was written for it.

    Each entry of the request is in exactly one of the three. `clean` and `refused` hold item keys;
    an entry without its own key has the mentor's id as item key.

    Attributes:
        conflicts: the conflicting entries, in request order.
        clean: the entries that would be registered, in request order.
        refused: the entries that would be refused, because the mentor is out of the actor's scope
            or is the actor. Conflicts are not looked for here, so nothing about these mentors is
            revealed.
    """

    conflicts: tuple[Conflict, ...]
    clean: tuple[str, ...]
    refused: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """
        Return the number of entries of the request.
        """
        return len(self.conflicts) + len(self.clean) + len(self.refused)


@attrs.frozen(kw_only=True)
class Override:
    """
    A stored decision to register although an existing record conflicts.

    Attributes:
        activity_id: the id of the overridden record; `None` if none was known, so that the service
            decides.
        decided_by: the id of the coordinator who decided.
        decided_at: when the coordinator decided; aware, UTC.
    """

    activity_id: str | None
    decided_by: str
    decided_at: datetime
