"""
The writes of a driver: with its fence, shielded, in as few transactions as the ledger allows.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import Notifier, shielded_write
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.registration.execution.run_context import RunContext
from proxy_orchestration.registration.ports import BatchLedger, SupportsFusedWrites
from proxy_orchestration.registration.runs import Commit, Committed, ItemOutcome, LogPage

_HEARTBEATS_PER_LEASE = 3
_CLOSE_ENOUGH = 1e-6

T = TypeVar("T")

_log = logging.getLogger(_loggers.DRIVER)


@attrs.define(eq=False, kw_only=True)
class RunWriter:
    """
    The only writer of one run, for as long as its lease lasts.

    Attributes:
        context: the run.
        ledger: where it is written.
        fused: the ledger, if it does two writes in one transaction.
        progress: wakes watchers of a batch in this process.
        tail: the length of the batch's log.
        written_at: when the last write that came back was sent, by the monotonic clock.
        is_over: whether the run is settled, or somebody else's; nothing more can be written.
        event: the audit event of the settled run.
    """

    context: RunContext
    ledger: BatchLedger
    fused: SupportsFusedWrites | None
    progress: Notifier[LogPage]
    tail: int = attrs.field(init=False)
    written_at: float = attrs.field(init=False)
    is_over: bool = attrs.field(default=False, init=False)
    event: AuditEvent | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.tail = self.context.lease.tail
        self.written_at = self.context.clock.monotonic()

    @property
    def left(self) -> int:
        """
        Return how many items of the run have no durable outcome.
        """
        lease = self.context.lease
        return lease.base + lease.run_items - self.tail

    @property
    def heartbeat_period(self) -> float:
        """
        Return after how many seconds without a write the lease has to be renewed.
        """
        return self.context.settings.lease_ttl / _HEARTBEATS_PER_LEASE

    def heartbeat_is_due(self) -> bool:
        """
        Tell whether the lease has to be renewed now.
        """
        silent = self.context.clock.monotonic() - self.written_at
        return silent >= self.heartbeat_period - _CLOSE_ENOUGH

    async def commit(self, commit: Commit) -> Committed:
        """
        Write, and tell whoever watches; the last outcomes settle the run where the ledger can do both.
        """
        sent_at = self.context.clock.monotonic()
        committed = await self._store(commit)
        # When it was sent, not when it was answered: the store counted the lease from somewhere in between.
        self.written_at = sent_at
        self.tail = committed.tail
        self._publish(commit.outcomes)  # after the commit: what is told must not be lost any more
        return committed

    async def _store(self, commit: Commit) -> Committed:
        lease = self.context.lease
        # One transaction for the last outcomes and the end; decision 141.
        if self.left > len(commit.outcomes) or self.fused is None:
            return await self.ledger.commit(lease, commit)
        self.event = await self.fused.finish(
            lease,
            commit,
            settled_at=self.context.clock.now(),
            audit_hold=self._audit_hold,
            tell=self.context.tells_ending,
        )
        self.is_over = True
        return Committed(tail=self.tail + len(commit.outcomes), claimed=(), cancel_wished=False)

    def _publish(self, outcomes: tuple[ItemOutcome, ...]) -> None:
        lease = self.context.lease
        page = LogPage(run=lease.run, first=self.tail - len(outcomes) + 1, outcomes=outcomes)
        self.progress.notify(lease.batch_id, page if outcomes else None)
        if self.is_over:
            self.progress.notify(lease.batch_id)

    async def settle(self) -> None:
        """
        Close the run, whose items all have durable outcomes.
        """
        lease = self.context.lease
        self.event = await self.ledger.settle(
            lease,
            settled_at=self.context.clock.now(),
            audit_hold=self._audit_hold,
            tell=self.context.tells_ending,
        )
        self.is_over = True
        self.progress.notify(lease.batch_id)

    async def pause(self, code: str) -> None:
        """
        Pause the run by itself, since its last calls failed with that code.
        """
        lease = self.context.lease
        await self.ledger.pause_run(lease.batch_id, lease.run, paused_at=self.context.clock.now(), code=code)
        _log.warning(
            "run %d of batch %s was paused, because its last calls failed with the same error",
            lease.run,
            lease.batch_id,
            extra={"batch_id": lease.batch_id, "run": lease.run},
        )

    @property
    def _audit_hold(self) -> float:
        return 2 * self.context.settings.audit_timeout

    async def shielded(self, write: Callable[[], Awaitable[T]]) -> T:
        """
        Let a write that records the truth finish although the host shuts down, but not for ever.
        """
        clock = self.context.clock
        lease_ends = self.written_at + self.context.settings.lease_ttl
        left = max(self.heartbeat_period, lease_ends - clock.monotonic())
        try:
            return await shielded_write(write, clock=clock, seconds=left)
        except TimeoutError as error:
            reason = "The store did not answer within the lease."
            raise RepositoryUnavailableError(
                reason, advice="Check the store, then resume the batch."
            ) from error
