"""
The memory store's outbox of push messages.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Final

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._moments import remaining
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.notification.notices import (
    CertificateExpiryNotification,
    NoticeStatus,
    PushMessage,
    PushState,
)
from proxy_orchestration.notification.records import (
    NOTHING_LEFT,
    CertificateEnd,
    LeasedPush,
    PushCompletion,
)
from proxy_orchestration.notification.resend import Certificate
from proxy_orchestration.notification.tiers import NotificationThresholdTier

_UNSENT: Final = frozenset({PushState.QUEUED, PushState.LEASED, PushState.DEAD})


@attrs.define(eq=False)
class StoredNotice:
    """
    A notice, as it is now, and the end that it is about.
    """

    notice: CertificateExpiryNotification
    ends_at: datetime


@attrs.define(eq=False, kw_only=True)
class StoredPush:
    """
    A message and where it stands.

    Attributes:
        message: what is sent.
        due_at: when, in the caller's time.
        certificate, ends_at: what it is about; `None` for a digest.
        digest_date: the day that a digest is for.
        held: whether its token may complete it, also where it was cancelled meanwhile.
        lease_until, lease_ttl: when its lease ends by the store's own clock, and how long it is.
    """

    message: PushMessage
    due_at: datetime
    certificate: Certificate | None = None
    ends_at: datetime | None = None
    digest_date: date | None = None
    state: PushState = PushState.QUEUED
    token: int = 0
    attempts: int = 0
    held: bool = False
    lease_until: float = -math.inf
    lease_ttl: float = 0.0
    code: str = ""

    def is_due(self, now: datetime, seconds: float) -> bool:
        """
        Tell whether it may be claimed.
        """
        if self.state is PushState.LEASED:
            return not remaining(self.lease_until, self.lease_ttl, seconds)
        return self.due_at <= now

    def wait(self, now: datetime, seconds: float) -> float:
        """
        Return the seconds until it may be claimed; 0 if it may now.
        """
        if self.state is PushState.LEASED:
            return remaining(self.lease_until, self.lease_ttl, seconds)
        return max(0.0, (self.due_at - now).total_seconds())

    def is_for_earlier_than(self, end: CertificateEnd) -> bool:
        """
        Tell whether that end, or that revocation, makes it needless.
        """
        return end.ends_at is None or (self.ends_at is not None and self.ends_at < end.ends_at)


@attrs.define(eq=False, slots=False)
class MemoryPushOutbox:
    """
    Messages by id; those that wait or are leased once more, so that no poll walks through sent ones.

    Attributes:
        clock: leases end by its `monotonic`.
    """

    clock: Clock = attrs.field(factory=SystemClock)
    _pushes: dict[str, StoredPush] = attrs.field(init=False, repr=False, factory=dict)
    _open: dict[str, StoredPush] = attrs.field(init=False, repr=False, factory=dict)
    _pushes_about: dict[Certificate, list[StoredPush]] = attrs.field(init=False, repr=False, factory=dict)
    _of_digest: dict[tuple[str, date], list[StoredNotice]] = attrs.field(init=False, repr=False, factory=dict)

    async def claim_pushes(self, *, now: datetime, limit: int, hold: float) -> Sequence[LeasedPush]:
        """
        Lease messages that are due, those due first first, and count the attempt.
        """
        await checkpoint()
        seconds = self.clock.monotonic()
        due = (push for push in self._open.values() if push.is_due(now, seconds))
        found = heapq.nsmallest(limit, due, key=lambda push: (push.due_at, push.message.message_id))
        for push in found:
            push.state, push.held = PushState.LEASED, True
            push.token += 1
            push.attempts += 1
            push.lease_until, push.lease_ttl = seconds + hold, hold
        return [self._leased(push) for push in found]

    async def complete_pushes(self, completions: Sequence[PushCompletion], /) -> int:
        """
        Store how the attempts ended; return how many leases still held.
        """
        await checkpoint()
        return sum(self._complete(completion) for completion in completions)

    async def push_wait(self, *, now: datetime) -> float | None:
        """
        Return the seconds until a message is due; 0 if one is, `None` without any.
        """
        await checkpoint()
        seconds = self.clock.monotonic()
        return min((push.wait(now, seconds) for push in self._open.values()), default=None)

    async def replay_dead(self, message_ids: Collection[str] | None, /, *, now: datetime) -> int:
        """
        Queue dead messages again, these or all, with no attempt counted; return how many.
        """
        await checkpoint()
        named = self._pushes if message_ids is None else set(message_ids) & self._pushes.keys()
        dead = [self._pushes[name] for name in named if self._pushes[name].state is PushState.DEAD]
        for push in dead:
            self._reopen(push, now)
        return len(dead)

    async def count_pushes(self) -> Mapping[PushState, int]:
        """
        Return the messages by state; states without any are absent.
        """
        await checkpoint()
        return dict(Counter(push.state for push in self._pushes.values()))

    def _queue(self, push: StoredPush) -> None:
        """
        Add a message, unless one of its id is there that may not be opened again.
        """
        known = self._pushes.get(push.message.message_id)
        if known is not None:
            if known.code == NOTHING_LEFT:
                self._reopen(known, push.due_at)
            return
        self._pushes[push.message.message_id] = push
        self._open[push.message.message_id] = push
        if push.certificate is not None:
            self._pushes_about.setdefault(push.certificate, []).append(push)

    def _cancel(self, ends: Iterable[CertificateEnd]) -> int:
        """
        Cancel what may still be sent for an earlier end than these; return how many.
        """
        needless = [
            push
            for end in ends
            for push in self._pushes_about.get((end.mentor_id, end.certificate_type), ())
            if push.state in _UNSENT and push.is_for_earlier_than(end)
        ]
        for push in needless:
            self._move(push, PushState.CANCELLED)
        return len(needless)

    def _complete(self, completion: PushCompletion) -> bool:
        push = self._pushes.get(completion.message_id)
        if push is None or not push.held or push.token != completion.token:
            return False
        push.held = False
        if push.state is PushState.CANCELLED and completion.state is not PushState.SENT:
            return False
        push.due_at = completion.due_at or push.due_at
        push.attempts -= not completion.counted
        push.code = completion.code
        self._move(push, completion.state)
        if push.code == NOTHING_LEFT and push.digest_date is not None:
            self._open_again(push, push.digest_date)
        return True

    def _open_again(self, push: StoredPush, day: date) -> None:
        """
        Queue a digest again whose day got a notice since it was claimed.
        """
        if self._count(push.message.recipient_id, day):
            self._reopen(push, push.due_at)

    def _reopen(self, push: StoredPush, due_at: datetime) -> None:
        push.due_at, push.attempts, push.code = due_at, 0, ""
        self._move(push, PushState.QUEUED)

    def _move(self, push: StoredPush, state: PushState) -> None:
        push.state = state
        if state is PushState.QUEUED:
            self._open[push.message.message_id] = push
        else:
            self._open.pop(push.message.message_id, None)

    def _leased(self, push: StoredPush) -> LeasedPush:
        return LeasedPush(
            message=push.message,
            token=push.token,
            attempts=push.attempts,
            digest=None
            if push.digest_date is None
            else self._count(push.message.recipient_id, push.digest_date),
        )

    def _count(self, recipient_id: str, day: date) -> Mapping[NotificationThresholdTier, int]:
        told = (stored.notice for stored in self._of_digest.get((recipient_id, day), ()))
        return dict(Counter(notice.tier for notice in told if notice.status is not NoticeStatus.CLEARED))
