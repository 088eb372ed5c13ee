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
    Knows the host's own statuses of mentors.
    """

    async def current(self, mentor_ids: Collection[str], /) -> Mapping[str, str]:
        """
        Return the statuses of these mentors by id, such as `on_leave`; an absent mentor has none.

        Asked before mentors are hidden, only about these mentors, at most once per chunk of a run.
        A failure does not stop the run; the previous status is then not known.
        """
        ...


class VisibilityRegistry(Protocol):
    """
    Hides mentors with lapsed certificates from lists of mentors.

    Each change is stored together with its audit row (`VisibilityChange`), in one transaction.
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
        Store these ends, and hide every mentor whose certificate has ended at this time; all or nothing.

        Each end is the one that counts for a mentor and type, as the store of notices knows it. It
        replaces the stored one, whether earlier or later. An end of `None` means that no
        certificate counts, because it was revoked or `withdrawn`.

        The previous status of a hidden mentor, from `statuses`, is stored for the day of renewal. A
        mentor who is already hidden for the same end stays hidden, without another change. If the
        new end has not passed, or there is none, a mentor whom this registry has hidden is shown
        again, unless another type of that mentor has ended. A mentor whom a person restored is not
        hidden for ends up to the time of that restoration.

        Return how many mentors were newly hidden.
        """
        ...

    async def hidden(self, mentor_ids: Collection[str], /, *, at: datetime) -> Collection[str]:
        """
        Return the mentors among these who must not be shown at this time.

        It compares the ends themselves with `at`, so a late run does not hide mentors late.
        """
        ...

    async def suppressed(self, mentor_ids: Collection[str], /) -> Collection[str]:
        """
        Return the mentors among these whom `track` has hidden and who were not restored since then.
        """
        ...

    async def restore(self, wanted: Restoration, /) -> Sequence[VisibilityChange]:
        """
        Show a mentor again, for the types that hide this mentor; return the audit rows, ordered by type.

        After that, no end up to `wanted.at` hides the mentor. The rows have the previous status.
        There are no rows if the mentor was not hidden.
        """
        ...

    async def changes(
        self, organization_id: str | None, /, *, after: ChangePlace | None, limit: int
    ) -> Sequence[VisibilityChange]:
        """
        Return at most `limit` changes after the given place, newest first, of one organization or of all.
        """
        ...

    async def purge_changes(self, /, *, changed_before: datetime) -> int:
        """
        Delete the audit rows of changes before this time; return how many. Hidden mentors stay hidden.
        """
        ...

    async def changes_of(self, mentor_id: str, /) -> Sequence[VisibilityChange]:
        """
        Return the audit rows of one mentor, the oldest first.
        """
        ...

    async def erase_mentor(self, mentor_id: str, /, *, at: datetime) -> int:
        """
        Delete the data of one mentor, and put a pseudonym into the mentor's audit rows; all or nothing.

        Reasons and previous statuses are deleted. A mentor who was hidden gets one more row, about
        the end of the hiding. Return how many rows now have the pseudonym.
        """
        ...
