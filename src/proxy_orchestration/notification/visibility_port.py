"""
The ports of who is hidden, and of what a host itself says about a mentor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from proxy_orchestration.notification.records import CertificateEnd
from proxy_orchestration.notification.visibility_records import ChangePlace, Restoration, VisibilityChange


class MentorStatuses(Protocol):
    """
    Knows which status of the host's own mentors have.
    """

    async def current(self, mentor_ids: Collection[str], /) -> Mapping[str, str]:
        """
        Return the statuses of these mentors, such as `on_leave`; who is absent has none.

        Asked before mentors are hidden, about those alone, at most once per
        chunk of a run. A failure stops no run: the status is not known then.
        """
        ...


class VisibilityRegistry(Protocol):
    """
    Hides mentors whose certificates are lapsed from lists of mentors.

    Each change has an audit row (`VisibilityChange`), stored with it or not at all.
    """

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
        Note these ends; suppress every mentor whose certificate has ended at that moment, all or nothing.

        Each is the one end that counts of a mentor and type, as the notices'
        store knows it, and takes the place of the one noted before, earlier or
        later; an end of `None` says that none counts any more: it was revoked,
        or `withdrawn`. A suppressed mentor keeps the previous status, as
        `statuses` has it, for the day of renewal. What is suppressed already
        stays as it is while its end stays. Another end that is not over, or
        none, restores the mentor, where we suppressed and no other type of
        that mentor has ended. Whom a person had restored is not suppressed for
        an end up to that moment. Returns how many were newly suppressed.
        """
        ...

    async def hidden(self, mentor_ids: Collection[str], /, *, at: datetime) -> Collection[str]:
        """
        Return those of the mentors who are not to be shown at that moment.

        Compares the ends themselves with `at`, so that a late run hides nobody late.
        """
        ...

    async def suppressed(self, mentor_ids: Collection[str], /) -> Collection[str]:
        """
        Return those of the mentors whom `track` suppressed, and who were not restored since.
        """
        ...

    async def restore(self, wanted: Restoration, /) -> Sequence[VisibilityChange]:
        """
        Show a mentor again, for the types for which we hide them; return the audit rows, by type.

        No end up to `wanted.at` hides the mentor any more. The rows say what
        the previous status was; none where nothing is hidden.
        """
        ...

    async def changes(
        self, organization_id: str | None, /, *, after: ChangePlace | None, limit: int
    ) -> Sequence[VisibilityChange]:
        """
        Return up to so many changes behind the place, newest first, of an organization or of all.
        """
        ...

    async def purge_changes(self, /, *, changed_before: datetime) -> int:
        """
        Delete the audit rows of changes before that moment; return how many. Who is hidden stays so.
        """
        ...

    async def changes_of(self, mentor_id: str, /) -> Sequence[VisibilityChange]:
        """
        Return the audit rows of one mentor, the oldest first.
        """
        ...

    async def erase_mentor(self, mentor_id: str, /, *, at: datetime) -> int:
        """
        Forget one mentor, and put a pseudonym into their audit rows, all or nothing.

        Reasons and previous statuses go. Whom we hid has one more row, which
        says so. Returns how many rows stand under the pseudonym anew.
        """
        ...
