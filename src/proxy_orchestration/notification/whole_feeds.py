"""
Withdraws certificates that are missing from a complete feed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee, is_being_cancelled
from proxy_orchestration.notification.ends import is_too_much
from proxy_orchestration.notification.ends_port import CertificateEnds
from proxy_orchestration.notification.records import CertificateEnd, FeedCount, WholeFeed
from proxy_orchestration.notification.results import RecordProblem

TOO_MANY_WITHDRAWN: Final = "too_many_withdrawn"
"""The code of a feed that lacks more than a fifth of what is known: nothing was withdrawn."""

FEED_NOT_WHOLE: Final = "feed_not_whole"
"""The code of a feed with records that failed, which may be what it seems to lack: nothing was withdrawn."""

WITHDRAWAL_FAILED: Final = "withdrawal_failed"
"""The code of a store that failed while it withdrew; the next run with a whole feed does the rest."""

_log = logging.getLogger(_loggers.PASSES)


@attrs.define(eq=False, kw_only=True)
class FeedWatch:
    """
    Watches one run's feed, and withdraws at its end what it lacked.

    Attributes:
        complete: whether the host said that the feed is whole.
        since: when the run began.
        count: how much of what is known the feed lacks.
        store: what withdraws; `None` for a plan.
        page: mentors and types that are withdrawn in one transaction.
        withdrawn: how many certificates were withdrawn.
    """

    complete: bool
    since: datetime
    count: Callable[[WholeFeed], Awaitable[FeedCount]]
    store: CertificateEnds | None
    page: int
    withdrawn: int = attrs.field(default=0, init=False)
    _scope: set[tuple[str | None, str]] = attrs.field(factory=set, init=False, repr=False)
    _is_read: bool = attrs.field(default=True, init=False, repr=False)

    def saw(self, ends: Sequence[CertificateEnd]) -> None:
        """
        Note of which organizations and types the feed is.
        """
        if self.complete:
            self._scope.update((end.organization_id, end.certificate_type) for end in ends)

    def missed(self) -> None:
        """
        Note that a record of the feed could not be dealt with.
        """
        self._is_read = False

    async def end(self, tell: Callable[[Sequence[CertificateEnd]], Awaitable[None]]) -> RecordProblem | None:
        """
        Withdraw what the feed lacked; return what stood in the way.
        """
        if not self.complete:
            return None
        if not self._is_read:
            _log.error(
                "a feed of certificates was not read completely; no certificate is withdrawn",
                extra={"code": FEED_NOT_WHOLE},
            )
            return RecordProblem("", FEED_NOT_WHOLE)
        try:
            return await self._end(WholeFeed(scope=frozenset(self._scope), since=self.since), tell)
        except BaseException as error:
            if not comes_from_callee(error) or is_being_cancelled():
                raise
            _log.error(
                "the store failed while certificates were withdrawn; the next run with a complete feed "
                "continues",
                extra={"code": WITHDRAWAL_FAILED, "error": type(error).__name__},
            )
            return RecordProblem("", WITHDRAWAL_FAILED)

    async def _end(
        self, feed: WholeFeed, tell: Callable[[Sequence[CertificateEnd]], Awaitable[None]]
    ) -> RecordProblem | None:
        counted = await self.count(feed)
        if is_too_much(counted):
            _log.error(
                "a feed lacks more than a fifth of the known certificates; none is withdrawn",
                extra={"code": TOO_MANY_WITHDRAWN, "certificates": counted.unseen},
            )
            return RecordProblem("", TOO_MANY_WITHDRAWN)
        while counted.unseen and self.store is not None:
            ends = await self.store.withdraw(feed, limit=self.page)
            if not ends:
                break
            await tell(ends)
        self.withdrawn = counted.unseen
        return None
