"""
A store that fails, or lets the process die, at a chosen durable write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import ParamSpec, TypeAlias, TypeVar

import attrs

from proxy_orchestration.access import Visibility
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.registration.activities import ActivityRecord
from proxy_orchestration.registration.batches import BatchPage, BulkProgressUpdate, BulkSubmissionResult
from proxy_orchestration.registration.ledger import Acceptance, BatchRecord, NewBatch, NewRun, StoredItem
from proxy_orchestration.registration.ports import ActivityRepository
from proxy_orchestration.registration.runs import (
    Acquisition,
    CancelMark,
    Commit,
    Committed,
    DrivableRun,
    Lease,
)
from proxy_orchestration.registration.states import BulkStatus

_P = ParamSpec("_P")
_T = TypeVar("_T")


@attrs.frozen
class WritePoint:
    """
    One durable write.

    Attributes:
        number: from 1, over all writes through one repository.
        method: the port's method that writes.
    """

    number: int
    method: str


FaultHook: TypeAlias = Callable[[WritePoint], None]
"""Called at a write; may raise, or kill the process."""


def fail_at(number: int, error: BaseException) -> FaultHook:
    """
    Return a hook that raises the error at the write of that number, and only there.
    """

    def hook(point: WritePoint) -> None:
        if point.number == number:
            raise error

    return hook


def _pass(_point: WritePoint) -> None:
    """
    Let the write happen.
    """


@attrs.define(eq=False)
class FaultyActivityRepository:
    """
    An `ActivityRepository` that hands everything to another one, with a hook around each write.

    Leases are taken by `acquire` without a hook: losing one loses no data.

    Attributes:
        inner: the store that does the work.
        before: called before each write; an error means that nothing was written.
        after: called after each write; an error means that the answer was lost.
        writes: every write begun, in order.
    """

    inner: ActivityRepository
    before: FaultHook = _pass
    after: FaultHook = _pass
    writes: list[WritePoint] = attrs.field(init=False, factory=list)

    async def new_batch_id(self) -> str:
        """
        Hand the question on.
        """
        return await self.inner.new_batch_id()

    async def accept(self, batch: NewBatch, /) -> Acceptance:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("accept", self.inner.accept, batch)

    async def get(self, batch_id: str, /) -> BatchRecord | None:
        """
        Hand the question on.
        """
        return await self.inner.get(batch_id)

    async def read_result(self, batch_id: str, /) -> BulkSubmissionResult | None:
        """
        Hand the question on.
        """
        return await self.inner.read_result(batch_id)

    async def read_updates(self, batch_id: str, /, *, after: int, limit: int) -> Sequence[BulkProgressUpdate]:
        """
        Hand the question on.
        """
        return await self.inner.read_updates(batch_id, after=after, limit=limit)

    async def list_batches(
        self,
        visibility: Visibility,
        /,
        *,
        page: int,
        limit: int,
        statuses: Collection[BulkStatus] | None,
    ) -> BatchPage:
        """
        Hand the question on.
        """
        return await self.inner.list_batches(visibility, page=page, limit=limit, statuses=statuses)

    async def relabel(self, batch_id: str, label: str | None, /) -> bool:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("relabel", self.inner.relabel, batch_id, label)

    async def delete(self, batch_id: str, /) -> bool:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("delete", self.inner.delete, batch_id)

    async def purge(self, *, settled_before: datetime) -> int:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("purge", self.inner.purge, settled_before=settled_before)

    async def open_run(self, run: NewRun, /) -> int:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("open_run", self.inner.open_run, run)

    async def read_items(self, batch_id: str, /) -> Sequence[StoredItem]:
        """
        Hand the question on.
        """
        return await self.inner.read_items(batch_id)

    async def acquire(self, batch_id: str, run: int, /, *, ttl: float) -> Acquisition:
        """
        Hand the attempt on.
        """
        return await self.inner.acquire(batch_id, run, ttl=ttl)

    async def commit(self, lease: Lease, commit: Commit, /) -> Committed:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("commit", self.inner.commit, lease, commit)

    async def settle(self, lease: Lease, /, *, settled_at: datetime, audit_hold: float) -> AuditEvent:
        """
        Hand the write on, with its hooks.
        """
        return await self._write(
            "settle", self.inner.settle, lease, settled_at=settled_at, audit_hold=audit_hold
        )

    async def release(self, lease: Lease, /) -> None:
        """
        Hand the write on, with its hooks.
        """
        await self._write("release", self.inner.release, lease)

    async def cancel_run(self, batch_id: str, /, *, reason: str | None, wished_at: datetime) -> CancelMark:
        """
        Hand the write on, with its hooks.
        """
        return await self._write(
            "cancel_run", self.inner.cancel_run, batch_id, reason=reason, wished_at=wished_at
        )

    async def find_drivable(self, *, limit: int) -> Sequence[DrivableRun]:
        """
        Hand the question on.
        """
        return await self.inner.find_drivable(limit=limit)

    async def claim_audit_events(self, *, limit: int, hold: float) -> Sequence[AuditEvent]:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("claim_audit_events", self.inner.claim_audit_events, limit=limit, hold=hold)

    async def audit_wait(self) -> float | None:
        """
        Hand the question on.
        """
        return await self.inner.audit_wait()

    async def mark_audited(self, event_id: str, /) -> None:
        """
        Hand the write on, with its hooks.
        """
        await self._write("mark_audited", self.inner.mark_audited, event_id)

    async def add_activities(
        self, records: Sequence[ActivityRecord], /, *, atomic: bool
    ) -> Sequence[ActivityRecord]:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("add_activities", self.inner.add_activities, records, atomic=atomic)

    async def find_activities(self, registration_ids: Collection[str], /) -> Sequence[ActivityRecord]:
        """
        Hand the question on.
        """
        return await self.inner.find_activities(registration_ids)

    async def find_duplicates(
        self, organization_id: str, duplicate_keys: Collection[str], /
    ) -> Mapping[str, ActivityRecord]:
        """
        Hand the question on.
        """
        return await self.inner.find_duplicates(organization_id, duplicate_keys)

    async def void_activity(self, activity_id: str, /, *, voided_at: datetime) -> bool:
        """
        Hand the write on, with its hooks.
        """
        return await self._write("void_activity", self.inner.void_activity, activity_id, voided_at=voided_at)

    async def activities_of_batch(self, batch_id: str, /) -> Sequence[ActivityRecord]:
        """
        Hand the question on.
        """
        return await self.inner.activities_of_batch(batch_id)

    async def _write(
        self, method: str, call: Callable[_P, Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        point = WritePoint(len(self.writes) + 1, method)
        self.writes.append(point)
        self.before(point)
        result = await call(*args, **kwargs)
        self.after(point)
        return result
