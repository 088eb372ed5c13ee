"""
The memory store's outbox of push messages.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._moments import remaining
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.notification.ends import Certificate
from proxy_orchestration.notification.notices import (
    CertificateExpiryNotification,
    NoticeStatus,
    PushMessage,
    PushState,
)
from proxy_orchestration.notification.records import (
    MOST_NEAREST,
    NOTHING_LEFT,
    RENEWED,
    CertificateEnd,
    DeadPush,
    DeviceAnswers,
    Digest,
    LeasedPush,
    PushCompletion,
    digest_message,
)

_UNSENT: Final = frozenset({PushState.QUEUED, PushState.LEASED, PushState.DEAD})


@attrs.define(eq=False)
class StoredNotice:
    """
    A notice, as it is now, the end that it is about, and what its recipient did with it.

    Attributes:
        over: whether no digest is to tell of it since it was cleared.
        covered_by: the digest that covered it, by id.
    """

    notice: CertificateExpiryNotification
    ends_at: datetime
    read_at: datetime | None = None
    remind_at: datetime | None = None
    is_purged: bool = False
    over: bool = False
    covered_by: str | None = None


@attrs.define(eq=False, kw_only=True)
class StoredPush:
    """
    A message and where it stands.

    Attributes:
        message: what is sent.
        due_at: when, in the caller's time.
        certificate, ends_at: what it is about; `None` for a digest.
        told: the notice that it tells of; `None` for a digest.
        opened_at: when a digest was opened; `None` for any other message.
        run_id: the run whose end makes it due; of a digest the last that wrote for it since it was claimed.
        claimed_at, counted: when it was claimed last, and what a digest counted then.
        covered: what a digest covered.
        held: whether its token may complete it, also where it was cancelled meanwhile.
        organization_id: of the mentor that it is about, or whose notice opened a digest.
        lost: leases in a row that ended without a completion.
        lease_until, lease_ttl: when its lease ends by the store's own clock, and how long it is.
    """

    message: PushMessage
    due_at: datetime
    certificate: Certificate | None = None
    ends_at: datetime | None = None
    told: StoredNotice | None = None
    opened_at: datetime | None = None
    run_id: str | None = None
    claimed_at: datetime | None = None
    counted: tuple[StoredNotice, ...] = ()
    covered: tuple[StoredNotice, ...] = ()
    state: PushState = PushState.QUEUED
    token: int = 0
    attempts: int = 0
    lost: int = 0
    organization_id: str | None = None
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

    def is_held(self, seconds: float) -> bool:
        """
        Tell whether its attempt may still be completed by who leased it.
        """
        return self.held and remaining(self.lease_until, self.lease_ttl, seconds) > 0

    def wait(self, now: datetime, seconds: float) -> float:
        """
        Return the seconds until it may be claimed; 0 if it may now.
        """
        if self.state is PushState.LEASED:
            return remaining(self.lease_until, self.lease_ttl, seconds)
        return max(0.0, (self.due_at - now).total_seconds())


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
    _uncovered: dict[str, dict[str, StoredNotice]] = attrs.field(init=False, repr=False, factory=dict)
    _open_digests: dict[str, StoredPush] = attrs.field(init=False, repr=False, factory=dict)
    _told: dict[str, datetime] = attrs.field(init=False, repr=False, factory=dict)
    _answers: dict[str, DeviceAnswers] = attrs.field(init=False, repr=False, factory=dict)

    async def claim_pushes(self, *, now: datetime, limit: int, hold: float) -> Sequence[LeasedPush]:
        """
        Lease messages that are due, those due first first, and count the attempt.
        """
        await checkpoint()
        seconds = self.clock.monotonic()
        due = (push for push in self._open.values() if push.is_due(now, seconds))
        found = heapq.nsmallest(limit, due, key=lambda push: (push.due_at, push.message.message_id))
        for push in found:
            push.lost += push.state is PushState.LEASED
            push.state, push.held = PushState.LEASED, True
            push.token += 1
            push.attempts += 1
            push.lease_until, push.lease_ttl = seconds + hold, hold
            push.claimed_at, push.run_id = now, None
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
            self._uncover(push)
            self._reopen(push, now)
        return len(dead)

    async def dead_pushes(
        self, /, *, organization_id: str | None, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[DeadPush]:
        """
        Return dead messages, those claimed longest ago first.
        """
        await checkpoint()
        found = [
            _dead(push, push.claimed_at)
            for push in self._pushes.values()
            if push.state is PushState.DEAD
            and push.claimed_at is not None
            and (organization_id is None or push.organization_id in {None, organization_id})
            and (after is None or (push.claimed_at, push.message.message_id) > after)
        ]
        return heapq.nsmallest(limit, found, key=lambda dead: (dead.claimed_at, dead.message_id))

    async def count_device_answers(
        self, channel: str, /, *, answered: int, gone: int, window: int
    ) -> DeviceAnswers:
        """
        Add these to the channel's sums, and return the sums.
        """
        await checkpoint()
        known = self._answers.get(channel, DeviceAnswers())
        sums = self._answers[channel] = known.plus(answered=answered, gone=gone, window=window)
        return sums

    async def count_pushes(self) -> Mapping[PushState, int]:
        """
        Return the messages by state; states without any are absent.
        """
        await checkpoint()
        return dict(Counter(push.state for push in self._pushes.values()))

    def _queue(self, push: StoredPush) -> None:
        """
        Add a message, unless one of its id is there.
        """
        if push.message.message_id in self._pushes:
            return
        self._pushes[push.message.message_id] = push
        self._open[push.message.message_id] = push
        if push.certificate is not None:
            self._pushes_about.setdefault(push.certificate, []).append(push)

    def _cancel(self, end: CertificateEnd) -> int:
        """
        Cancel what may still be sent for another end than this, which counts; return how many.
        """
        needless = [
            push
            for push in self._pushes_about.get((end.mentor_id, end.certificate_type), ())
            if push.state in _UNSENT and push.ends_at != end.ends_at
        ]
        for push in needless:
            push.code = RENEWED
            self._move(push, PushState.CANCELLED)
        return len(needless)

    def _queue_again(
        self, message_id: str, ends_at: datetime, waits_for: tuple[datetime, str | None]
    ) -> None:
        """
        Queue a message again that a renewal cancelled which does not count any more.
        """
        push = self._pushes.get(message_id)
        if push is None or push.state is not PushState.CANCELLED or push.code != RENEWED:
            return
        push.token, push.held, push.ends_at = push.token + 1, False, ends_at
        due_at, push.run_id = waits_for
        self._reopen(push, due_at)

    def _complete(self, completion: PushCompletion) -> bool:
        push = self._pushes.get(completion.message_id)
        if push is None or not push.held or push.token != completion.token:
            return False
        push.held = False
        if push.state is PushState.CANCELLED and completion.state is not PushState.SENT:
            return False
        push.due_at = completion.due_at or push.due_at
        push.attempts -= not completion.counted
        push.lost = push.lost if completion.untried else 0
        if completion.owed is not None:
            push.message = attrs.evolve(push.message, owed=completion.owed)
        push.code = completion.code
        self._move(push, completion.state)
        if push.opened_at is not None:
            self._settle(push, completion)
        return True

    def _open_digest(self, digest: StoredPush) -> None:
        """
        Open a digest, or see to it that the recipient's open one is due by then.
        """
        recipient_id = digest.message.recipient_id
        known = self._open_digests.get(recipient_id)
        if known is None:
            self._open_digests[recipient_id] = digest
            self._queue(digest)
            return
        # A leased one was counted already: what is written now is for the one that follows it.
        follows = known.state is PushState.LEASED and known.run_id is None
        if known.state is PushState.DEAD:
            known.opened_at = digest.opened_at
            self._reopen(known, digest.due_at)
        elif follows or known.due_at > digest.due_at:
            known.due_at = digest.due_at
        known.run_id = digest.run_id

    def _settle(self, push: StoredPush, completion: PushCompletion) -> None:
        """
        Cover what a digest counted, and open another for what came since.
        """
        recipient_id = push.message.recipient_id
        if push.state not in _UNSENT:
            del self._open_digests[recipient_id]
        if push.state is PushState.SENT and push.claimed_at is not None:
            self._told[recipient_id] = max(push.claimed_at, self._told.get(recipient_id, push.claimed_at))
        if completion.covers:
            self._cover(push)
        if completion.covers or completion.code == NOTHING_LEFT:
            self._open_next(push)

    def _open_next(self, ended: StoredPush) -> None:
        waiting = self._uncovered.get(ended.message.recipient_id)
        if waiting:
            notice = next(iter(waiting.values())).notice
            self._open_digest(
                StoredPush(
                    message=digest_message(
                        notice.recipient_id, notice.notification_id, notice.tier, ended.due_at
                    ),
                    due_at=ended.due_at,
                    opened_at=ended.claimed_at,
                    run_id=ended.run_id,
                    organization_id=notice.organization_id,
                )
            )

    def _cover(self, push: StoredPush) -> None:
        """
        Let no digest tell again of what this one counted.
        """
        waiting = self._uncovered.get(push.message.recipient_id, {})
        found = [stored for stored in push.counted if stored.notice.notification_id in waiting]
        for stored in found:
            stored.covered_by = push.message.message_id
            del waiting[stored.notice.notification_id]
        push.covered += tuple(found)

    def _uncover(self, push: StoredPush) -> None:
        """
        Let a digest tell again what it covered although nobody was told; what is cleared, if it waits again.
        """
        if push.opened_at is None:
            return
        waiting = self._uncovered.setdefault(push.message.recipient_id, {})
        for stored in push.covered:
            if stored.covered_by != push.message.message_id:
                continue
            stored.covered_by = None
            if stored.notice.status is NoticeStatus.CLEARED:
                stored.over = True
            else:
                waiting[stored.notice.notification_id] = stored
        push.covered = ()

    def _end_run(self, run_id: str, at: datetime) -> None:
        """
        Make this run's messages due, and the digests that it was the last to write for.
        """
        for push in (*self._open.values(), *self._open_digests.values()):
            if push.run_id == run_id:
                push.due_at, push.run_id = min(push.due_at, at), None

    def _reopen(self, push: StoredPush, due_at: datetime) -> None:
        push.due_at, push.attempts, push.lost, push.code = due_at, 0, 0, ""
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
            digest=self._digest(push),
            mentor_id=push.certificate and push.certificate[0],
            certificate_type=push.certificate and push.certificate[1],
            lost=push.lost,
            code=push.code,
            notice=None if push.told is None or push.told.is_purged else push.told.notice,
        )

    def _digest(self, push: StoredPush) -> Digest | None:
        if push.opened_at is None:
            return None
        recipient_id = push.message.recipient_id
        push.counted = tuple(self._uncovered.get(recipient_id, {}).values())
        return Digest(
            opened_at=push.opened_at,
            counts=dict(Counter(stored.notice.tier for stored in push.counted)),
            nearest=_nearest(push.counted),
            told_at=self._told.get(recipient_id),
        )


def _dead(push: StoredPush, claimed_at: datetime) -> DeadPush:
    return DeadPush(
        message_id=push.message.message_id,
        recipient_id=push.message.recipient_id,
        mentor_id=push.certificate and push.certificate[0],
        certificate_type=push.certificate and push.certificate[1],
        tier=push.message.tier,
        code=push.code,
        attempts=push.attempts,
        claimed_at=claimed_at,
        expires_at=push.message.expires_at,
        organization_id=push.organization_id,
    )


def _nearest(counted: Iterable[StoredNotice]) -> tuple[CertificateEnd, ...]:
    """
    Return the certificates that end first, each once.
    """
    ends: dict[Certificate, datetime] = {}
    for stored in counted:
        about = stored.notice.mentor_id, stored.notice.certificate_type
        ends[about] = max(stored.ends_at, ends.get(about, stored.ends_at))
    first = heapq.nsmallest(MOST_NEAREST, ends.items(), key=lambda each: (each[1], each[0]))
    return tuple(
        CertificateEnd(mentor_id=mentor_id, certificate_type=certificate_type, ends_at=ends_at)
        for (mentor_id, certificate_type), ends_at in first
    )
