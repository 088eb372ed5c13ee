"""
The memory store of hidden mentors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Final

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._texts import check_texts
from proxy_orchestration.notification.ends import Certificate, certificate_about
from proxy_orchestration.notification.records import CertificateEnd
from proxy_orchestration.notification.standings import (
    Settled,
    Standing,
    erasures,
    settle_ends,
    settle_restoration,
)
from proxy_orchestration.notification.visibility_records import (
    ChangePlace,
    Restoration,
    VisibilityChange,
    erased_change,
)

SUPPRESSED: Final = "suppressed"
VISIBLE: Final = "visible"


@attrs.define(eq=False, slots=False)
class MemoryVisibilityRegistry:
    """
    A `VisibilityRegistry` in memory, for one event loop; its data lasts as long as this object.

    Attributes:
        statuses: the host's statuses by mentor id; an absent mentor is `visible`. A mentor is
            `suppressed` while this registry hides the mentor.
    """

    statuses: dict[str, str] = attrs.field(factory=dict)
    _standings: dict[Certificate, Standing] = attrs.field(init=False, repr=False, factory=dict)
    _changes: list[VisibilityChange] = attrs.field(init=False, repr=False, factory=list)
    _numbered: int = attrs.field(init=False, repr=False, default=0)
    _previous: dict[str, str] = attrs.field(init=False, repr=False, factory=dict)

    async def track(
        self,
        ends: Sequence[CertificateEnd],
        /,
        *,
        at: datetime,
        statuses: Mapping[str, str] | None = None,
        withdrawn: bool = False,
    ) -> int:
        """
        Note these ends; suppress and restore their mentors by them.
        """
        await checkpoint()
        check_texts((*chain.from_iterable(map(certificate_about, ends)), *(statuses or {}).values()))
        told = {certificate_about(end): end for end in ends}
        known = self._of({mentor_id for mentor_id, _ in told})
        known_statuses = {**self.statuses, **(statuses or {})}
        settled = settle_ends(known, told, at=at, statuses=known_statuses, withdrawn=withdrawn)
        self._keep(known, settled)
        return sum(map(self._suppress, settled.suppressed))

    async def hidden(self, mentor_ids: Collection[str], /, *, at: datetime) -> Collection[str]:
        """
        Return those of the mentors who are not to be shown at that moment.
        """
        await checkpoint()
        return {about[0] for about, standing in self._of(mentor_ids).items() if standing.hides(at)}

    async def suppressed(self, mentor_ids: Collection[str], /) -> Collection[str]:
        """
        Return those of the mentors whom `track` suppressed, and who were not restored since.
        """
        await checkpoint()
        return _suppressed(self._of(mentor_ids))

    async def restore(self, wanted: Restoration, /) -> Sequence[VisibilityChange]:
        """
        Show a mentor again, for the types for which we hide them; return the audit rows, by type.
        """
        await checkpoint()
        check_texts((wanted.by, wanted.reason))
        known = self._of({wanted.mentor_id})
        return self._keep(known, settle_restoration(known, wanted))

    async def changes(
        self, organization_id: str | None, /, *, after: ChangePlace | None, limit: int
    ) -> Sequence[VisibilityChange]:
        """
        Return up to so many changes behind the place, newest first, of an organization or of all.
        """
        await checkpoint()
        found = [
            change
            for change in self._changes
            if organization_id in {None, change.organization_id} and (after is None or _place(change) < after)
        ]
        return sorted(found, key=_place, reverse=True)[:limit]

    async def purge_changes(self, *, changed_before: datetime) -> int:
        """
        Delete the audit rows of changes before that moment; return how many.
        """
        await checkpoint()
        kept = [change for change in self._changes if change.at >= changed_before]
        gone = len(self._changes) - len(kept)
        self._changes = kept
        return gone

    async def changes_of(self, mentor_id: str, /) -> Sequence[VisibilityChange]:
        """
        Return the audit rows of one mentor, the oldest first.
        """
        await checkpoint()
        return sorted((change for change in self._changes if change.mentor_id == mentor_id), key=_place)

    async def erase_mentor(self, mentor_id: str, /, *, at: datetime) -> int:
        """
        Forget one mentor, and put a pseudonym into their audit rows.
        """
        await checkpoint()
        known = self._of({mentor_id})
        self._keep(known, Settled(standings={}, changes=erasures(known, at=at)))
        named = sum(change.mentor_id == mentor_id for change in self._changes)
        self._changes = [
            erased_change(change) if change.mentor_id == mentor_id else change for change in self._changes
        ]
        return named

    def _of(self, mentor_ids: Collection[str]) -> dict[Certificate, Standing]:
        return {about: standing for about, standing in self._standings.items() if about[0] in mentor_ids}

    def _keep(self, known: Mapping[Certificate, Standing], settled: Settled) -> Sequence[VisibilityChange]:
        for about in known:
            del self._standings[about]
        self._standings.update(settled.standings)
        stored = [
            attrs.evolve(change, change_id=number)
            for number, change in enumerate(settled.changes, self._numbered + 1)
        ]
        self._numbered += len(stored)
        self._changes += stored
        for mentor_id in {about[0] for about in known} - _suppressed(settled.standings):
            self._show(mentor_id)
        return stored

    def _suppress(self, mentor_id: str) -> bool:
        status = self.statuses.get(mentor_id, VISIBLE)
        if status == SUPPRESSED:  # by somebody else, who restores it
            return False
        self._previous[mentor_id] = status
        self.statuses[mentor_id] = SUPPRESSED
        return True

    def _show(self, mentor_id: str) -> None:
        previous = self._previous.pop(mentor_id, None)
        if previous is not None and self.statuses.get(mentor_id) == SUPPRESSED:
            self.statuses[mentor_id] = previous


def _suppressed(standings: Mapping[Certificate, Standing]) -> set[str]:
    return {about[0] for about, standing in standings.items() if standing.suppressed_at is not None}


def _place(change: VisibilityChange) -> ChangePlace:
    return ChangePlace(change.at, change.change_id)
