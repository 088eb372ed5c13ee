"""
A store of notices that fails, or lets the process die, at a chosen durable write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import ParamSpec, TypeVar

import attrs

from proxy_orchestration.notification.notices import CertificateExpiryNotification, PushState
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.notification.records import (
    Acknowledged,
    AcknowledgementEvent,
    CertificateEnd,
    DraftFate,
    LeasedPush,
    NoticeChunk,
    PushCompletion,
)
from proxy_orchestration.notification.results import RunRecord
from proxy_orchestration.testing.faults import FaultHook, WritePoint

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _pass(_point: WritePoint) -> None:
    """
    Let the write happen.
    """


@attrs.define(eq=False)
class FaultyNotificationRepository:
    """
    A `NotificationRepository` that hands everything to another one, with a hook around each write.

    Attributes:
        inner: the store that does the work.
        before: called before each write; an error means that nothing was written.
        after: called after each write; an error means that the answer was lost.
        writes: every write begun, in order.
    """

    inner: NotificationRepository
    before: FaultHook = _pass
    after: FaultHook = _pass
    writes: list[WritePoint] = attrs.field(init=False, factory=list)

    async def record(self, chunk: NoticeChunk, /) -> Sequence[DraftFate]:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("record", self.inner.record, chunk)

    async def weigh(self, chunk: NoticeChunk, /) -> Sequence[DraftFate]:
        """
        Hand the question on.
        """
        return await self.inner.weigh(chunk)

    async def renew(self, ends: Sequence[CertificateEnd], /, *, at: datetime) -> int:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("renew", self.inner.renew, ends, at=at)

    async def notifications_for(
        self, recipient_id: str, /, *, unacknowledged_only: bool = False
    ) -> Sequence[CertificateExpiryNotification]:
        """
        Hand the question on.
        """
        return await self.inner.notifications_for(recipient_id, unacknowledged_only=unacknowledged_only)

    async def notification(self, notification_id: str, /) -> CertificateExpiryNotification | None:
        """
        Hand the question on.
        """
        return await self.inner.notification(notification_id)

    async def acknowledge(self, event: AcknowledgementEvent, /) -> Acknowledged:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("acknowledge", self.inner.acknowledge, event)

    async def acknowledgements(
        self, organization_id: str | None, /, *, limit: int
    ) -> Sequence[AcknowledgementEvent]:
        """
        Hand the question on.
        """
        return await self.inner.acknowledgements(organization_id, limit=limit)

    async def log_run(self, run: RunRecord, /) -> None:
        """
        Hand the write on, with its hooks.
        """
        await self._write("log_run", self.inner.log_run, run)

    async def claim_pushes(self, *, now: datetime, limit: int, hold: float) -> Sequence[LeasedPush]:
        """
        Hand the write on, with its hooks: a claim counts an attempt.
        """
        return await self._write("claim_pushes", self.inner.claim_pushes, now=now, limit=limit, hold=hold)

    async def complete_pushes(self, completions: Sequence[PushCompletion], /) -> int:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("complete_pushes", self.inner.complete_pushes, completions)

    async def push_wait(self, *, now: datetime) -> float | None:
        """
        Hand the question on.
        """
        return await self.inner.push_wait(now=now)

    async def replay_dead(self, message_ids: Collection[str] | None, /, *, now: datetime) -> int:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("replay_dead", self.inner.replay_dead, message_ids, now=now)

    async def count_pushes(self) -> Mapping[PushState, int]:
        """
        Hand the question on.
        """
        return await self.inner.count_pushes()

    async def _write(
        self, method: str, call: Callable[_P, Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        point = WritePoint(len(self.writes) + 1, method)
        self.writes.append(point)
        self.before(point)
        result = await call(*args, **kwargs)
        self.after(point)
        return result
