"""
The port of the known ends of certificates, a part of what every store of notices offers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from proxy_orchestration.notification.records import CertificateEnd, FeedCount, WholeFeed


class CertificateEnds(Protocol):
    """
    The known ends of certificates, as `NoticeBook.record` and `renew` note them.

    What a whole feed lacks is an end of its scope that counts and was last
    noted before `since`: by a chunk that says `complete`, or by any that
    changed it. An end without an id is lacking where another of its mentor
    and type was noted since.
    """

    async def count_unseen(self, feed: WholeFeed, /) -> FeedCount:
        """
        Return how many certificates of the feed's scope count, and how many of them it lacks.
        """
        ...

    async def withdraw(self, feed: WholeFeed, /, *, limit: int) -> Sequence[CertificateEnd]:
        """
        Withdraw what the feed lacks, of up to so many mentors and types at once, all or nothing.

        A withdrawn certificate counts no more; messages and notices for its
        end are dealt with as `record` does. Returns for each of these mentors
        and types the one end that counts now; an empty answer says that
        nothing is left to withdraw.
        """
        ...

    async def counted_in(
        self, scope: Collection[tuple[str | None, str]], /, *, after: CertificateEnd | None, limit: int
    ) -> Sequence[CertificateEnd]:
        """
        Return ends that count, of these organizations and types, and those of these types without an id.

        In an order of the store's own; `after` is the last one of the page before.
        """
        ...

    async def forget_ends(self, /, *, before: datetime) -> int:
        """
        Forget ends that no longer count since before that moment; return how many.

        Those are revoked and withdrawn ones that were noted before it, and
        those that ended before it and have a later one beside them.
        """
        ...
