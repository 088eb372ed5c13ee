"""
The public methods for readers of notices: read the inbox, mark as read, postpone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Final

import attrs

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import NotAuthorizedError, NotificationNotFoundError
from proxy_orchestration.notification.arguments import check_arguments
from proxy_orchestration.notification.enrollment import EnrollmentLinks
from proxy_orchestration.notification.fresh_links import with_fresh_link
from proxy_orchestration.notification.inbox_pages import (
    InboxNotice,
    InboxPage,
    InboxRow,
    InboxScope,
    place_of,
    text_of,
)
from proxy_orchestration.notification.locales import find_locales
from proxy_orchestration.notification.messages import Messages
from proxy_orchestration.notification.notices import CertificateExpiryNotification, NoticeStatus
from proxy_orchestration.notification.ports import NotificationRecords, RecipientDirectory, RecipientLocales
from proxy_orchestration.notification.settings import NotificationSettings
from proxy_orchestration.notification.tiers import ExpiryPolicy, day_of, last_valid_day
from proxy_orchestration.notification.words import NoticeWords

REMIND_AFTER: Final[timedelta] = timedelta(hours=24)
"""
For how long a notice is put off.
"""


class InboxVerbs:
    """
    What the orchestrator tells and lets do in an inbox.
    """

    __slots__ = ()

    repository: NotificationRecords
    clock: Clock
    policy: ExpiryPolicy
    enrollment: EnrollmentLinks | None
    messages: Messages
    recipients: RecipientDirectory | None
    settings: NotificationSettings

    @property
    def words(self) -> NoticeWords:
        """
        Return what makes the words of this orchestrator's notices anew, for a dispatcher and for inboxes.
        """
        return NoticeWords(messages=self.messages, policy=self.policy)

    async def inbox(
        self, recipient_id: str, *, actor: Actor, after: str | None = None, limit: int = 50
    ) -> InboxPage:
        """
        Return a page of somebody's notices, newest first, as they are to be read today.

        Everybody reads their own, a chapter admin also those of the organization.
        The words are those of today, in the reader's language. The recipient
        gets links that are made now; others get none.

        Args:
            recipient_id: whose inbox.
            actor: who reads, with the roles held now.
            after: `next_after` of the page before.
            limit: notices on a page, 1 to 100.

        Raises:
            NotAuthorizedError: it is another's inbox, and the actor no chapter admin; nothing was read.
            RepositoryUnavailableError: the store failed.
            InvalidValueError: `after` is of no page, or the limit out of range.
        """
        check_arguments(recipient_id=recipient_id, actor=actor, after=after, limit=limit)
        is_own = actor.user_id == recipient_id
        if not is_own and Role.CHAPTER_ADMIN not in actor.roles:
            action = "read the notices of others"
            raise NotAuthorizedError(action, ask="a chapter admin")
        # Of mentors of no known organization the recipient is told, and no other organization's admin.
        scope = InboxScope(
            recipient_id=recipient_id, organization_id=actor.organization_id, with_unassigned=is_own
        )
        place = None if after is None else place_of(after)
        found = await self.repository.read_inbox(scope, after=place, limit=limit)
        last = found.rows[-1].notice if found.has_more else None
        read = partial(_as_read, self, is_own=is_own, locale=await self._locale_of(actor))
        return InboxPage(
            notices=tuple(map(read, found.rows)),
            unread=found.unread,
            next_after=None if last is None else text_of(last.created_at, last.notification_id),
        )

    async def mark_read(self, notification_id: str, *, actor: Actor) -> bool:
        """
        Note that the actor read a notice of theirs; tell whether it was unread.

        Raises:
            NotificationNotFoundError: no such notice, or not the actor's own.
            RepositoryUnavailableError: the store failed.
        """
        check_arguments(notification_id=notification_id, actor=actor)
        await self._own(notification_id, actor)
        marked = await self.repository.mark_read(_own_scope(actor), [notification_id], at=self.clock.now())
        return marked > 0

    async def mark_all_read(self, *, actor: Actor) -> int:
        """
        Note that the actor read all their notices; return how many were unread.

        Raises:
            RepositoryUnavailableError: the store failed.
        """
        check_arguments(actor=actor)
        return await self.repository.mark_read(_own_scope(actor), None, at=self.clock.now())

    async def remind_later(self, notification_id: str, *, actor: Actor) -> datetime | None:
        """
        Put a notice of the actor's off for 24 hours, and return until when.

        It leaves the banner and stays in the inbox. Its push was for once, and is
        neither sent again nor kept back. `None` where the notice does not wait any
        more: there is nothing to be reminded of.

        Raises:
            NotificationNotFoundError: no such notice, or not the actor's own.
            RepositoryUnavailableError: the store failed.
        """
        check_arguments(notification_id=notification_id, actor=actor)
        await self._own(notification_id, actor)
        until = self.clock.now() + REMIND_AFTER
        waits = await self.repository.put_off(_own_scope(actor), notification_id, until=until)
        return until if waits else None

    async def _locale_of(self, actor: Actor) -> str | None:
        directory: object = self.recipients
        if not isinstance(directory, RecipientLocales):
            return None
        seconds = self.settings.neighbour_timeout
        found = await find_locales(directory, [actor.user_id], clock=self.clock, seconds=seconds)
        return found.get(actor.user_id)

    async def _own(self, notification_id: str, actor: Actor) -> CertificateExpiryNotification:
        notice = await self.repository.notification(notification_id)
        if notice is None or not _own_scope(actor).covers(notice):
            raise NotificationNotFoundError(notification_id)
        return notice


def _own_scope(actor: Actor) -> InboxScope:
    return InboxScope(recipient_id=actor.user_id, organization_id=actor.organization_id, with_unassigned=True)


def _as_read(verbs: InboxVerbs, row: InboxRow, *, is_own: bool, locale: str | None) -> InboxNotice:
    """
    Return a notice with all that depends on the day of reading.
    """
    now, policy = verbs.clock.now(), verbs.policy
    last_day = last_valid_day(row.ends_at, policy.timezone)
    days_left = (last_day - day_of(now, policy.timezone)).days
    waits = row.notice.status is NoticeStatus.PENDING and row.is_latest
    is_put_off = row.remind_at is not None and now < row.remind_at
    _, warned_from, _ = policy.thresholds
    link_of = verbs.enrollment if row.notice.status is not NoticeStatus.CLEARED else None
    # Without the link for anybody else, since it is the recipient's own.
    notice = with_fresh_link(row.notice, link_of) if is_own else attrs.evolve(row.notice, deep_link=None)
    words = verbs.words.as_of(notice, now, locale=locale)
    return InboxNotice(
        notification=attrs.evolve(notice, title=words.title, body=words.body),
        ends_at=row.ends_at,
        last_day=last_day,
        days_left=days_left,
        has_ended=row.ends_at <= now,
        read_at=row.read_at,
        remind_at=row.remind_at,
        in_banner=waits and not is_put_off and days_left <= warned_from,
    )
