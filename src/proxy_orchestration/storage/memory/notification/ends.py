"""
The memory store's known ends of certificates, and their effect on messages and notices.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._pseudonyms import is_same_mentor
from proxy_orchestration.notification.ends import (
    UNNAMED,
    Certificate,
    EndKey,
    KnownEnd,
    NotedEnds,
    Place,
    certificate_about,
    counting_end,
    key_of,
)
from proxy_orchestration.notification.notices import NoticeKey, NoticeStatus
from proxy_orchestration.notification.records import CertificateEnd, FeedCount, WholeFeed
from proxy_orchestration.storage.memory.notification.inbox import MemoryInbox
from proxy_orchestration.storage.memory.notification.outbox import MemoryPushOutbox, StoredNotice


@attrs.define(eq=False, slots=False)
class MemoryCertificateEnds(MemoryInbox, MemoryPushOutbox):
    """
    Ends by mentor and type, and the notices that are about them.
    """

    _keys: dict[NoticeKey, StoredNotice] = attrs.field(init=False, repr=False, factory=dict)
    _ends: dict[Certificate, dict[EndKey, KnownEnd]] = attrs.field(init=False, repr=False, factory=dict)

    async def count_unseen(self, feed: WholeFeed, /) -> FeedCount:
        """
        Return how many certificates of the feed's scope count, and how many of them it lacks.
        """
        await checkpoint()
        known = [place for place in self._counted(feed.scope) if self._is_in(feed, place)]
        return FeedCount(known=len(known), unseen=sum(self._is_lacking(feed, place) for place in known))

    async def withdraw(self, feed: WholeFeed, /, *, limit: int) -> Sequence[CertificateEnd]:
        """
        Withdraw what the feed lacks, of up to so many mentors and types at once.
        """
        await checkpoint()
        lacking = [place for place in self._counted(feed.scope) if self._is_lacking(feed, place)]
        pairs = set(islice(dict.fromkeys(place.about for place in lacking), limit))
        for about, key in lacking:
            if about in pairs:
                self._ends[about][key] = self._ends[about][key]._replace(ends_at=None)
        counting = [counting_end(about, self._ends[about]) for about in sorted(pairs)]
        for end in counting:
            self._void(end)
        return counting

    async def counted_in(
        self, scope: Collection[tuple[str | None, str]], /, *, after: CertificateEnd | None, limit: int
    ) -> Sequence[CertificateEnd]:
        """
        Return ends that count, of these organizations and types, and those of these types without an id.
        """
        await checkpoint()
        last = None if after is None else Place(certificate_about(after), key_of(after))
        return [
            _end(place.about, place.key, self._ends[place.about][place.key])
            for place in sorted(self._counted(scope))
            if last is None or place > last
        ][:limit]

    async def forget_ends(self, *, before: datetime) -> int:
        """
        Forget ends that no longer count since before that moment; return how many.
        """
        await checkpoint()
        gone = [place for place in self._places() if self._is_forgettable(place, before)]
        for about, key in gone:
            del self._ends[about][key]
            if not self._ends[about]:
                del self._ends[about]
        return len(gone)

    def _note(self, noted: NotedEnds) -> int:
        """
        Keep what was told; return how many messages it cancelled.
        """
        for about, key in noted.forgotten:
            self._ends.get(about, {}).pop(key, None)
        for (about, key), end in noted.written.items():
            self._ends.setdefault(about, {})[key] = end
        return sum(self._void(noted.counting[about]) for about in noted.changed)

    def _void(self, end: CertificateEnd) -> int:
        """
        Cancel and clear what is about another end than the one that counts; return how many messages.
        """
        for stored in self._notices_about.get((end.mentor_id, end.certificate_type), ()):
            if stored.ends_at != end.ends_at:
                self._clear(stored)
        return self._cancel(end)

    def _clear(self, stored: StoredNotice) -> None:
        waiting = self._uncovered.get(stored.notice.recipient_id, {})
        stored.over = waiting.pop(stored.notice.notification_id, None) is not None or stored.over
        if stored.notice.status is NoticeStatus.PENDING:
            stored.notice = attrs.evolve(stored.notice, status=NoticeStatus.CLEARED)

    def _ends_of(self, mentor_id: str) -> list[CertificateEnd]:
        places = sorted(place for place in self._places() if is_same_mentor(place.about[0], mentor_id))
        return [_end(*place, self._ends[place.about][place.key]) for place in places]

    def _places(self) -> Iterator[Place]:
        for about, ends in self._ends.items():
            for key in ends:
                yield Place(about, key)

    def _counted(self, scope: Collection[tuple[str | None, str]]) -> Iterator[Place]:
        """
        Yield what counts of the scope, and what has no name of its types.
        """
        wanted = {(organization or "", certificate_type) for organization, certificate_type in scope}
        types = {certificate_type for _, certificate_type in scope}
        for place in self._places():
            (_, certificate_type), key = place
            if self._ends[place.about][key].ends_at is None:
                continue
            if certificate_type in types if key == UNNAMED else (key[0], certificate_type) in wanted:
                yield place

    def _is_in(self, feed: WholeFeed, place: Place) -> bool:
        return place.key != UNNAMED or self._is_lacking(feed, place)

    def _is_lacking(self, feed: WholeFeed, place: Place) -> bool:
        ends = self._ends[place.about]
        if place.key != UNNAMED:
            return ends[place.key].seen_at < feed.since
        return any(end.seen_at >= feed.since for key, end in ends.items() if key != UNNAMED)

    def _is_forgettable(self, place: Place, before: datetime) -> bool:
        ends = self._ends[place.about]
        end = ends[place.key]
        if end.ends_at is None:
            return end.seen_at < before
        return end.ends_at < before and _is_passed(end.ends_at, ends.values())


def _end(about: Certificate, key: EndKey, known: KnownEnd) -> CertificateEnd:
    return CertificateEnd(
        mentor_id=about[0],
        certificate_type=about[1],
        ends_at=known.ends_at,
        certificate_id=key.certificate_id,
        organization_id=key.organization_id or None,
    )


def _is_passed(ends_at: datetime, ends: Iterable[KnownEnd]) -> bool:
    return any(end.ends_at is not None and end.ends_at > ends_at for end in ends)
