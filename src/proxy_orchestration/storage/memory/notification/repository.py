"""
The memory store of notices.

Every method is atomic because it does not await once it has begun to read.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._pseudonyms import mentor_pseudonym
from proxy_orchestration._texts import check_texts
from proxy_orchestration.notification.ends import Certificate, NotedEnds, note_ends
from proxy_orchestration.notification.erasure import erased_key
from proxy_orchestration.notification.notices import (
    Audience,
    CertificateExpiryNotification,
    NoticeKey,
    NoticeStatus,
)
from proxy_orchestration.notification.records import (
    Acknowledged,
    AcknowledgementEvent,
    CertificateEnd,
    DraftState,
    NotedRenewals,
    NoticeChunk,
    NoticeDraft,
    RecordedChunk,
    digest_message,
    texts_of,
    texts_of_end,
)
from proxy_orchestration.notification.resend import (
    Consequence,
    Standing,
    certificate_of,
    consequence_of,
    reopened,
    states_of,
)
from proxy_orchestration.notification.run_log import RunPlace, RunRecord
from proxy_orchestration.notification.spellings import (
    by_form,
    ids_in,
    respelled,
    respelled_ends,
    spellings_of,
)
from proxy_orchestration.storage.memory.notification.outbox import StoredNotice, StoredPush
from proxy_orchestration.storage.memory.notification.retention import MemoryRetention


@attrs.define(eq=False, slots=False)
class MemoryNotificationRepository(MemoryRetention):
    """
    A `NotificationRepository` in memory, for one event loop; its data lasts as long as this object.

    Attributes:
        clock: its `monotonic` decides when leases end.
    """

    async def record(self, chunk: NoticeChunk, /) -> RecordedChunk:
        """
        Write what the chunk's drafts tell, and answer each in order.
        """
        await checkpoint()
        chunk = self._accepted(chunk)
        noted = self._noted(chunk)
        self._note(noted)
        consequences = self._consequences(chunk, noted)
        for draft, consequence in zip(chunk.drafts, consequences, strict=True):
            self._write(draft, consequence, chunk)
        return _recorded(consequences, noted)

    async def weigh(self, chunk: NoticeChunk, /) -> RecordedChunk:
        """
        Return what `record` would answer now, and write nothing.
        """
        await checkpoint()
        chunk = self._accepted(chunk)
        noted = self._noted(chunk)
        return _recorded(self._consequences(chunk, noted), noted)

    async def renew(self, ends: Sequence[CertificateEnd], /, *, at: datetime) -> NotedRenewals:
        """
        Note these ends: cancel messages and clear pending notices for ends that do not count any more.
        """
        await checkpoint()
        check_texts(chain.from_iterable(map(texts_of_end, ends)))
        ends = respelled_ends(ends, self._known(end.mentor_id for end in ends))
        noted = note_ends(self._ends, ends, at=at, by_host=True)
        return NotedRenewals(cancelled=self._note(noted), ends=tuple(noted.counting.values()))

    async def notifications_for(
        self, recipient_id: str, /, *, unacknowledged_only: bool = False
    ) -> Sequence[CertificateExpiryNotification]:
        """
        Return a recipient's notices, oldest first.
        """
        await checkpoint()
        found = [
            stored.notice
            for spelling in {recipient_id, *spellings_of([recipient_id])}
            for stored in self._inboxes.get(spelling, ())
            if not stored.is_purged
            and (not unacknowledged_only or stored.notice.status is NoticeStatus.PENDING)
        ]
        return sorted(found, key=lambda notice: (notice.created_at, notice.notification_id))

    async def notification(self, notification_id: str, /) -> CertificateExpiryNotification | None:
        """
        Return a notice, or `None`.
        """
        await checkpoint()
        stored = self._notices.get(notification_id)
        return None if stored is None or stored.is_purged else stored.notice

    async def acknowledge(self, event: AcknowledgementEvent, /) -> Acknowledged:
        """
        Mark the notice and its copies to others, and keep the event, unless it is not pending.
        """
        await checkpoint()
        check_texts((event.notification_id, event.acknowledged_by, event.note, event.organization_id))
        stored = self._notices.get(event.notification_id)
        if stored is None or stored.notice.status is not NoticeStatus.PENDING:
            return Acknowledged.BEFORE
        told = stored.notice.key[:4]
        for copy in self._notices_about[event.mentor_id, event.certificate_type]:
            if copy.notice.key[:4] == told and copy.notice.status is NoticeStatus.PENDING:
                copy.notice = attrs.evolve(
                    copy.notice,
                    status=NoticeStatus.ACKNOWLEDGED,
                    acknowledged_at=event.acknowledged_at,
                    acknowledged_by=event.acknowledged_by,
                    note=event.note,
                )
        self._acknowledgements.append(event)
        return Acknowledged.NOW

    async def acknowledgements(
        self, organization_id: str | None, /, *, limit: int
    ) -> Sequence[AcknowledgementEvent]:
        """
        Return the newest audit rows of an organization, newest first.
        """
        await checkpoint()
        rows = [
            event for event in reversed(self._acknowledgements) if event.organization_id == organization_id
        ]
        return heapq.nlargest(limit, rows, key=lambda event: event.acknowledged_at)

    async def log_run(self, run: RunRecord, /) -> None:
        """
        Add a run that has ended to the log, once per `run_id`, and make its messages due.
        """
        await checkpoint()
        check_texts((run.run_id, run.error, *run.shares))
        self._runs.setdefault(run.run_id, run)
        self._end_run(run.run_id, run.ended_at)

    async def list_runs(
        self, organization_id: str | None, /, *, after: RunPlace | None, limit: int
    ) -> Sequence[RunRecord]:
        """
        Return up to so many runs behind the place, newest first, with an organization's share or all counts.
        """
        await checkpoint()
        known = [
            attrs.evolve(run, shares={}, **({} if organization_id is None else _share(run, organization_id)))
            for run in self._runs.values()
            if organization_id is None or organization_id in run.shares
        ]
        following = [run for run in known if after is None or _place_of(run) < after]
        return heapq.nlargest(limit, following, key=_place_of)

    @property
    def runs(self) -> tuple[RunRecord, ...]:
        """
        Return the log of runs, the first logged first.
        """
        return tuple(self._runs.values())

    def _accepted(self, chunk: NoticeChunk) -> NoticeChunk:
        """
        Return the chunk, if it can be kept, in the spellings that are known.
        """
        check_texts(text for draft in chunk.drafts for text in texts_of(draft))
        check_texts(chain.from_iterable(map(texts_of_end, chunk.ends)))
        return respelled(chunk, self._known(ids_in(chunk)))

    def _known(self, ids: Iterable[str]) -> dict[str, str]:
        wanted = {*spellings_of(ids)}
        if not wanted:
            return {}
        mentors = {mentor_id for mentor_id, _ in (*self._ends, *self._notified)}
        return by_form(wanted & (mentors | self._inboxes.keys()))

    def _noted(self, chunk: NoticeChunk) -> NotedEnds:
        return note_ends(self._ends, chunk.ends, at=chunk.written_at, complete=chunk.complete)

    def _consequences(self, chunk: NoticeChunk, noted: NotedEnds) -> list[Consequence]:
        standing = {
            about: Standing(self._last_told(about), noted.known(about))
            for about in map(certificate_of, chunk.drafts)
        }
        states = states_of(chunk, standing, self._is_there)
        again = reopened(chunk, states, standing, lambda key: self._is_cleared(key, noted))
        return [
            consequence_of(draft, state, self._is_there, is_reopened=certificate_of(draft) in again)
            for draft, state in zip(chunk.drafts, states, strict=True)
        ]

    def _is_there(self, key: NoticeKey) -> bool:
        return key in self._keys or (bool(self._erased) and erased_key(key) in self._keys)

    def _last_told(self, certificate: Certificate) -> datetime | None:
        """
        Return when a certificate was told last, under its mentor's id or the pseudonym.
        """
        told = self._notified.get(certificate)
        if told is not None or not self._erased:
            return told
        mentor_id, certificate_type = certificate
        return self._notified.get((mentor_pseudonym(mentor_id), certificate_type))

    def _is_cleared(self, key: NoticeKey, noted: NotedEnds | None = None) -> bool:
        """
        Tell whether a notice was cleared, or is once these ends are noted, and may be shown again.

        What was purged, or stands under a pseudonym, is not shown to anybody again.
        """
        stored = self._keys.get(key)
        if stored is None or stored.is_purged:
            return False
        is_over = noted is not None and noted.voids(key[:2], stored.ends_at)
        return stored.notice.status is NoticeStatus.CLEARED or (
            is_over and stored.notice.status is NoticeStatus.PENDING
        )

    def _write(self, draft: NoticeDraft, consequence: Consequence, chunk: NoticeChunk) -> None:
        if consequence.fate.state is DraftState.CREATED:
            self._tell(draft, chunk)
        if consequence.fate.reopened:
            self._tell_again(draft, chunk)
        for other in consequence.others:
            self._tell_other(other, draft, chunk)

    def _tell(self, draft: NoticeDraft, chunk: NoticeChunk) -> None:
        certificate = certificate_of(draft)
        self._notified[certificate] = chunk.as_of
        told = StoredNotice(draft.notice, draft.ends_at)
        self._keep(told)
        if draft.push is not None:
            due_at, run_id = chunk.pushes_wait_for
            self._queue(
                StoredPush(
                    message=draft.push,
                    due_at=due_at,
                    certificate=certificate,
                    ends_at=draft.ends_at,
                    organization_id=draft.notice.organization_id,
                    told=told,
                    run_id=run_id,
                )
            )

    def _tell_other(
        self, notice: CertificateExpiryNotification, draft: NoticeDraft, chunk: NoticeChunk
    ) -> None:
        stored = StoredNotice(notice, draft.ends_at)
        self._keep(stored)
        if notice.audience is not Audience.MENTOR:
            self._leave_to_a_digest(stored, chunk)

    def _leave_to_a_digest(self, stored: StoredNotice, chunk: NoticeChunk) -> None:
        notice = stored.notice
        under_way = self._open_digests.get(notice.recipient_id)
        if under_way is not None:  # did not count it, as it is now
            under_way.counted = tuple(each for each in under_way.counted if each is not stored)
        self._uncovered.setdefault(notice.recipient_id, {})[notice.notification_id] = stored
        self._open_digest(
            StoredPush(
                message=digest_message(
                    notice.recipient_id, notice.notification_id, notice.tier, chunk.due_at
                ),
                due_at=chunk.due_at,
                opened_at=chunk.written_at,
                run_id=chunk.run_id,
                organization_id=notice.organization_id,
            )
        )

    def _tell_again(self, draft: NoticeDraft, chunk: NoticeChunk) -> None:
        """
        Let notices wait again that were cleared, and what was not sent of them.
        """
        self._notified[certificate_of(draft)] = chunk.as_of
        for notice in (draft.notice, *draft.others):
            if not self._is_cleared(notice.key):
                continue
            stored = self._keys[notice.key]
            stored.notice = attrs.evolve(stored.notice, status=NoticeStatus.PENDING)
            stored.ends_at = draft.ends_at
            if stored.over and notice.audience is not Audience.MENTOR:
                self._leave_to_a_digest(stored, chunk)
            stored.over = False
        self._queue_again(draft.notice.notification_id, draft.ends_at, chunk.pushes_wait_for)

    def _keep(self, stored: StoredNotice) -> None:
        notice = stored.notice
        self._notices[notice.notification_id] = stored
        self._keys[notice.key] = stored
        self._notices_about.setdefault((notice.mentor_id, notice.certificate_type), []).append(stored)
        self._inboxes.setdefault(notice.recipient_id, []).append(stored)


def _recorded(consequences: Sequence[Consequence], noted: NotedEnds) -> RecordedChunk:
    return RecordedChunk(
        fates=tuple(consequence.fate for consequence in consequences), ends=tuple(noted.counting.values())
    )


def _share(run: RunRecord, organization_id: str) -> dict[str, Any]:
    return attrs.asdict(run.shares[organization_id], recurse=False)


def _place_of(run: RunRecord) -> RunPlace:
    return RunPlace(run.started_at, run.run_id)
