"""
The memory store of who is hidden because a certificate is lapsed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import chain
from typing import Final

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._texts import check_texts
from proxy_orchestration.notification.ends import certificate_about
from proxy_orchestration.notification.records import CertificateEnd

SUPPRESSED: Final = "suppressed"
VISIBLE: Final = "visible"


@attrs.define(eq=False, slots=False)
class MemoryVisibilityRegistry:
    """
    A `VisibilityRegistry` that lives as long as this object, for one event loop.

    Attributes:
        statuses: a mentor's status as the host knows it, by mentor id, `visible`
            where absent; `suppressed` while this registry suppresses the mentor.
    """

    statuses: dict[str, str] = attrs.field(factory=dict)
    _ends: dict[str, dict[str, datetime]] = attrs.field(init=False, repr=False, factory=dict)
    _suppressed: dict[str, set[str]] = attrs.field(init=False, repr=False, factory=dict)
    _previous: dict[str, str] = attrs.field(init=False, repr=False, factory=dict)

    async def track(self, ends: Sequence[CertificateEnd], /, *, at: datetime) -> int:
        """
        Note these ends; suppress and restore their mentors by them.
        """
        await checkpoint()
        check_texts(chain.from_iterable(map(certificate_about, ends)))
        for end in ends:
            self._note(end)
        return sum(self._settle(mentor_id, at) for mentor_id in dict.fromkeys(end.mentor_id for end in ends))

    async def hidden(self, mentor_ids: Collection[str], /, *, at: datetime) -> Collection[str]:
        """
        Return those of the mentors who are not to be shown at that moment.
        """
        await checkpoint()
        return {mentor_id for mentor_id in mentor_ids if self._has_ended(mentor_id, at)}

    def _note(self, end: CertificateEnd) -> None:
        types = self._ends.setdefault(end.mentor_id, {})
        if end.ends_at != types.pop(end.certificate_type, None):
            self._suppressed.get(end.mentor_id, set()).discard(end.certificate_type)
        if end.ends_at is not None:
            types[end.certificate_type] = end.ends_at

    def _settle(self, mentor_id: str, at: datetime) -> bool:
        """
        Suppress or restore one mentor; return whether it is newly suppressed.

        What is suppressed stays until its end is another one, whatever moment a run is for.
        """
        ours = mentor_id in self._previous
        ended = self._suppressed.setdefault(mentor_id, set())
        ended |= {code for code, ends_at in self._ends.get(mentor_id, {}).items() if ends_at <= at}
        if not ended:
            previous = self._previous.pop(mentor_id, VISIBLE)
            if ours and self.statuses.get(mentor_id) == SUPPRESSED:
                self.statuses[mentor_id] = previous
            return False
        status = self.statuses.get(mentor_id, VISIBLE)
        if ours or status == SUPPRESSED:  # the latter by somebody else, who restores it
            return False
        self._previous[mentor_id] = status
        self.statuses[mentor_id] = SUPPRESSED
        return True

    def _has_ended(self, mentor_id: str, at: datetime) -> bool:
        return any(ends_at <= at for ends_at in self._ends.get(mentor_id, {}).values())
