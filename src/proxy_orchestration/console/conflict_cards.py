"""
Conflicts as pages show them: the existing record, the new activity, and the possible decisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from proxy_orchestration.console.ports import ConflictingEntry, ExistingRecord
from proxy_orchestration.console.visits import Visit
from proxy_orchestration.console.wordings import CONFLICTS, DECISIONS
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.conflicts import ConflictDecision, ConflictKind
from proxy_orchestration.registration.flow import BulkConflictCase


@attrs.frozen(kw_only=True)
class Card:
    """
    One conflict, side by side.

    Attributes:
        item_key: what is decided about: the mentor's id, or the item's key in a batch that is stored.
        mentor_id: whose.
        name: the mentor's name, or id.
        kind: why it conflicts.
        existing_id: the record that exists; `None` where none is known.
        existing: what is known of that record; `None` where nothing is.
        new: what is to be registered.
        decision: what is decided so far.
    """

    item_key: str
    mentor_id: str
    name: str = attrs.field(repr=False)
    kind: ConflictKind
    existing_id: str | None
    existing: ExistingRecord | None
    new: ProxyActivity
    decision: ConflictDecision | None

    @property
    def reason(self) -> str:
        """
        Return why it conflicts, in English.
        """
        return CONFLICTS[self.kind]

    @property
    def choices(self) -> Sequence[tuple[ConflictDecision, str]]:
        """
        Return what can be decided, each as it is called.
        """
        override = (
            ConflictDecision.OVERRIDE_MAYBE_OWN
            if self.kind is ConflictKind.MAYBE_OWN
            else ConflictDecision.OVERRIDE
        )
        return [(each, DECISIONS[each]) for each in (ConflictDecision.SKIP, override)]


async def cards_for(
    visit: Visit,
    cases: Sequence[tuple[BulkConflictCase, str, ProxyActivity]],
    *,
    decisions: Mapping[str, ConflictDecision],
) -> Sequence[Card]:
    """
    Return a card for each case, with the record that exists as far as the actor may know of it.

    Args:
        visit: the request.
        cases: each with its mentor's id, and what is to be registered.
        decisions: what is decided so far, by what the cases name.
    """
    entries = [
        ConflictingEntry(
            activity_id=case.conflict.existing_activity_id,
            mentor_id=mentor_id,
            activity=activity,
        )
        for case, mentor_id, activity in cases
        if case.conflict.existing_activity_id is not None and case.conflict.kind is not ConflictKind.IN_BATCH
    ]
    existing = await visit.console.records.describe(entries, actor=visit.person) if entries else {}
    names = await visit.names(mentor_id for _, mentor_id, _ in cases)
    return [
        Card(
            item_key=case.conflict.mentor_id,
            mentor_id=mentor_id,
            name=names.of(mentor_id),
            kind=case.conflict.kind,
            existing_id=case.conflict.existing_activity_id,
            existing=existing.get(case.conflict.existing_activity_id or ""),
            new=activity,
            decision=decisions.get(case.conflict.mentor_id, case.decision),
        )
        for case, mentor_id, activity in cases
    ]
