"""
The memory store's inboxes.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from datetime import datetime

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration.notification.ends import Certificate
from proxy_orchestration.notification.inbox_pages import InboxPlace, InboxRow, InboxRows, InboxScope
from proxy_orchestration.notification.notices import CertificateExpiryNotification, NoticeStatus
from proxy_orchestration.storage.memory.notification.outbox import StoredNotice


@attrs.define(eq=False, slots=False)
class MemoryInbox:
    """
    Notices by id, by certificate and by recipient.
    """

    _notices: dict[str, StoredNotice] = attrs.field(init=False, repr=False, factory=dict)
    _notices_about: dict[Certificate, list[StoredNotice]] = attrs.field(init=False, repr=False, factory=dict)
    _inboxes: dict[str, list[StoredNotice]] = attrs.field(init=False, repr=False, factory=dict)

    async def read_inbox(self, scope: InboxScope, /, *, after: InboxPlace | None, limit: int) -> InboxRows:
        """
        Return up to so many notices of the scope, the newest first, and how many are unread.
        """
        await checkpoint()
        known = list(self._in_scope(scope))
        following = [stored for stored in known if after is None or _place_of(stored.notice) < after]
        page = heapq.nlargest(limit, following, key=lambda stored: _place_of(stored.notice))
        return InboxRows(
            rows=tuple(map(self._row, page)),
            unread=sum(map(_is_unread, known)),
            has_more=len(following) > limit,
        )

    async def mark_read(
        self, scope: InboxScope, notification_ids: Collection[str] | None, /, *, at: datetime
    ) -> int:
        """
        Note of these notices, or of all, that they were read; return how many pending ones were not.
        """
        await checkpoint()
        named = [
            stored
            for stored in self._in_scope(scope)
            if notification_ids is None or stored.notice.notification_id in notification_ids
        ]
        unread = sum(map(_is_unread, named))
        for stored in named:
            stored.read_at = stored.read_at or at
        return unread

    async def put_off(self, scope: InboxScope, notification_id: str, /, *, until: datetime) -> bool:
        """
        Note until when a pending notice is put off; false where there is none.
        """
        await checkpoint()
        stored = self._notices.get(notification_id)
        if stored is None or not scope.covers(stored.notice) or not _waits(stored):
            return False
        stored.remind_at = until
        return True

    def _in_scope(self, scope: InboxScope) -> Iterator[StoredNotice]:
        for stored in self._inboxes.get(scope.recipient_id, ()):
            if scope.covers(stored.notice) and not stored.is_purged:
                yield stored

    def _row(self, stored: StoredNotice) -> InboxRow:
        notice = stored.notice
        return InboxRow(
            notice=notice,
            ends_at=stored.ends_at,
            read_at=stored.read_at,
            remind_at=stored.remind_at,
            is_latest=self._is_latest(notice),
        )

    def _is_latest(self, notice: CertificateExpiryNotification) -> bool:
        """
        Tell whether the recipient has no later notice about that certificate.
        """
        return not any(
            _place_of(other.notice) > _place_of(notice)
            for other in self._notices_about[notice.mentor_id, notice.certificate_type]
            if other.notice.recipient_id == notice.recipient_id
        )


def _place_of(notice: CertificateExpiryNotification) -> InboxPlace:
    return InboxPlace(notice.created_at, notice.notification_id)


def _waits(stored: StoredNotice) -> bool:
    return stored.notice.status is NoticeStatus.PENDING


def _is_unread(stored: StoredNotice) -> bool:
    return _waits(stored) and stored.read_at is None
