"""
The memory store's deletion of old notices, and its export and erasure of one mentor.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeVar

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._pseudonyms import is_same_mentor, mentor_pseudonym
from proxy_orchestration.notification.ends import Certificate
from proxy_orchestration.notification.erasure import (
    ERASED,
    NoticeErasure,
    NoticeExport,
    erased_acknowledgement,
    erased_notice,
    erased_push,
)
from proxy_orchestration.notification.notices import Audience, NoticeStatus, PushState
from proxy_orchestration.notification.records import AcknowledgementEvent
from proxy_orchestration.notification.run_log import RunRecord
from proxy_orchestration.storage.memory.notification.ends import MemoryCertificateEnds
from proxy_orchestration.storage.memory.notification.outbox import StoredNotice, StoredPush

K = TypeVar("K")
V = TypeVar("V")

_DONE: Final = frozenset({PushState.SENT, PushState.CANCELLED, PushState.EXPIRED})
_WAITING: Final = frozenset({PushState.QUEUED, PushState.LEASED})


@attrs.define(eq=False, slots=False)
class MemoryRetention(MemoryCertificateEnds):
    """
    Notices and messages, with what is kept about their certificates and runs.
    """

    _notified: dict[Certificate, datetime] = attrs.field(init=False, repr=False, factory=dict)
    _acknowledgements: list[AcknowledgementEvent] = attrs.field(init=False, repr=False, factory=list)
    _runs: dict[str, RunRecord] = attrs.field(init=False, repr=False, factory=dict)
    _erased: set[str] = attrs.field(init=False, repr=False, factory=set)

    async def purge_notices(self, *, created_before: datetime) -> int:
        """
        Empty old notices that wait for nobody, and show them no more; return how many.
        """
        await checkpoint()
        old = [
            stored
            for stored in self._notices.values()
            if stored.notice.created_at < created_before
            and not stored.is_purged
            and not self._has_work_left(stored)
        ]
        for stored in old:
            stored.is_purged = True
            stored.notice = attrs.evolve(
                stored.notice,
                status=NoticeStatus.CLEARED,
                title="",
                body="",
                deep_link=None,
                note="",
                holder_name="",
                acknowledged_by=None,
            )
        return len(old)

    async def purge_pushes(self, *, due_before: datetime) -> int:
        """
        Delete old messages that are done with; return how many.
        """
        await checkpoint()
        seconds = self.clock.monotonic()
        old = [
            push
            for push in self._pushes.values()
            if push.due_at < due_before and not push.is_held(seconds) and self._is_done(push, due_before)
        ]
        for push in old:
            del self._pushes[push.message.message_id]
            if push.certificate is not None:
                _take_out(self._pushes_about, push.certificate, push)
        return len(old)

    async def purge_runs(self, *, started_before: datetime) -> int:
        """
        Delete old runs from the log; return how many.
        """
        await checkpoint()
        old = [run.run_id for run in self._runs.values() if run.started_at < started_before]
        for run_id in old:
            del self._runs[run_id]
        return len(old)

    async def export_mentor(self, mentor_id: str, /) -> NoticeExport:
        """
        Return what is known of that mentor, as of one moment.
        """
        await checkpoint()
        notices = [stored.notice for stored in self._about(mentor_id) if not stored.is_purged]
        pushes = sorted(self._own_pushes(mentor_id), key=lambda push: (push.due_at, push.message.message_id))
        return NoticeExport(
            mentor_id=mentor_id,
            notices=tuple(sorted(notices, key=lambda each: (each.created_at, each.notification_id))),
            pushes=tuple(push.message for push in pushes),
            ends=tuple(self._ends_of(mentor_id)),
            acknowledgements=tuple(
                sorted(
                    (event for event in self._acknowledgements if is_same_mentor(event.mentor_id, mentor_id)),
                    key=lambda event: event.acknowledged_at,
                )
            ),
        )

    async def erase_mentor(self, mentor_id: str, /) -> NoticeErasure:
        """
        Put pseudonyms in the place of that mentor, and delete what was written about them.
        """
        await checkpoint()
        pseudonym = mentor_pseudonym(mentor_id)
        notices, pushes = self._about(mentor_id), self._own_pushes(mentor_id)
        named = [event for event in self._acknowledgements if is_same_mentor(event.mentor_id, mentor_id)]
        for stored in notices:
            self._erase_notice(stored)
        for push in pushes:
            self._erase_push(push)
        self._acknowledgements = [
            erased_acknowledgement(event) if is_same_mentor(event.mentor_id, mentor_id) else event
            for event in self._acknowledgements
        ]
        for about in [each for each in self._notified if is_same_mentor(each[0], mentor_id)]:
            moment, erased = self._notified.pop(about), (pseudonym, about[1])
            self._notified[erased] = max(moment, self._notified.get(erased, moment))
        for about in [each for each in self._ends if is_same_mentor(each[0], mentor_id)]:
            del self._ends[about]
        self._erased.add(pseudonym)
        return NoticeErasure(
            pseudonym=pseudonym, notices=len(notices), pushes=len(pushes), acknowledgements=len(named)
        )

    def _has_work_left(self, stored: StoredNotice) -> bool:
        notice = stored.notice
        push = self._pushes.get(notice.notification_id)
        waits = notice.status is NoticeStatus.PENDING and self._is_latest(notice)
        is_uncovered = notice.notification_id in self._uncovered.get(notice.recipient_id, {})
        return waits or is_uncovered or (push is not None and push.state in _WAITING)

    def _is_done(self, push: StoredPush, moment: datetime) -> bool:
        if push.state is PushState.DEAD:
            return push.opened_at is None and push.message.expires_at < moment
        # By the last one that was sent a recipient gets no second one on that day.
        is_last = push.opened_at is not None and push.claimed_at == self._told.get(push.message.recipient_id)
        return push.state in _DONE and not (is_last and push.state is PushState.SENT)

    def _about(self, mentor_id: str) -> list[StoredNotice]:
        return [
            stored for stored in self._notices.values() if is_same_mentor(stored.notice.mentor_id, mentor_id)
        ]

    def _own_pushes(self, mentor_id: str) -> list[StoredPush]:
        return [
            push
            for push in self._pushes.values()
            if push.certificate is not None and is_same_mentor(push.certificate[0], mentor_id)
        ]

    def _erase_notice(self, stored: StoredNotice) -> None:
        former, stored.notice = stored.notice, erased_notice(stored.notice)
        self._keys.pop(former.key, None)
        self._keys[stored.notice.key] = stored
        self._uncovered.get(former.recipient_id, {}).pop(former.notification_id, None)
        stored.covered_by = None  # so that no digest tells of it again
        _take_out(self._notices_about, (former.mentor_id, former.certificate_type), stored)
        about = stored.notice.mentor_id, stored.notice.certificate_type
        self._notices_about.setdefault(about, []).append(stored)
        if former.audience is Audience.MENTOR:
            _take_out(self._inboxes, former.recipient_id, stored)
            self._inboxes.setdefault(stored.notice.recipient_id, []).append(stored)

    def _erase_push(self, push: StoredPush) -> None:
        if push.state in _WAITING or push.state is PushState.DEAD:
            self._move(push, PushState.CANCELLED)
            push.code = ERASED
        push.message = erased_push(push.message)
        assert push.certificate is not None  # noqa: S101 - a mentor's own message is about one
        _take_out(self._pushes_about, push.certificate, push)
        push.certificate = mentor_pseudonym(push.certificate[0]), push.certificate[1]
        self._pushes_about.setdefault(push.certificate, []).append(push)


def _take_out(index: dict[K, list[V]], key: K, value: V) -> None:
    """
    Take a value out, and with the last one its key: the id of somebody who was erased stands nowhere.
    """
    index[key].remove(value)
    if not index[key]:
        del index[key]
