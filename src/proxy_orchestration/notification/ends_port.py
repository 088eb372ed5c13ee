"""
The port of the known ends of certificates, which every store of notices implements.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from proxy_orchestration.notification.records import CertificateEnd, FeedCount, WholeFeed


class CertificateEnds(Protocol):
    """
    The known ends of certificates, which `NoticeBook.record` and `renew` store.

    A complete feed lacks an end if the end is in its scope, counts, and was last stored before
    `since`: by a chunk with `complete`, or by any chunk that changed it. An end without a
    certificate id is lacking if another end of its mentor and type was stored since then.
    """

    async def count_unseen(self, feed: WholeFeed, /) -> FeedCount:
        """
        Return how many certificates in the feed's scope count, and how many of them the feed lacks.
        """
        ...

    async def withdraw(self, feed: WholeFeed, /, *, limit: int) -> Sequence[CertificateEnd]:
        """
        Withdraw certificates that the feed lacks, for at most `limit` pairs of mentor and type.

        All or nothing.

        A withdrawn certificate no longer counts. Messages and notices for its end are treated as in
        `record`. Return, for each of these mentors and types, the end that counts now. An empty
        answer means that nothing is left to withdraw.
        """
        ...

    async def counted_in(
        self, scope: Collection[tuple[str | None, str]], /, *, after: CertificateEnd | None, limit: int
    ) -> Sequence[CertificateEnd]:
        """
        Return a page of ends that count: of these organizations and types, and of these types without an id.

        The store chooses the order; `after` is the last end of the previous page.
        """
        ...

    async def forget_ends(self, /, *, before: datetime) -> int:
        """
        Delete ends that stopped counting before this time; return how many.

        These are revoked and withdrawn ends that were stored before it, and ends before it for
        which there is a later one.
        """
        ...
