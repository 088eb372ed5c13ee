"""
Wraps a ledger: records accepted batches, driven runs and commits.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import partial
from typing import Final, Protocol, TypeVar, cast

import attrs
from opentelemetry.trace import SpanKind, Tracer

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.errors import LeaseLostError
from proxy_orchestration.registration.ledger import Acceptance, NewBatch
from proxy_orchestration.registration.ports import (
    BatchLedger,
    SupportsAcceptAndBegin,
    SupportsFusedWrites,
    SupportsHostTransactions,
    SupportsTakingFreeRuns,
)
from proxy_orchestration.registration.runs import Acquisition, Commit, Committed, DrivableRun, Lease
from proxy_orchestration.telemetry.instruments import STATE, Instruments
from proxy_orchestration.telemetry.open_runs import LOST, RELEASED, SETTLED, OpenRuns
from proxy_orchestration.telemetry.spans import BATCH_ID, ITEMS, Attributes, CurrentSpan
from proxy_orchestration.telemetry.stand_ins import stand_in_for
from proxy_orchestration.telemetry.trace_contexts import text_of

T = TypeVar("T")

METHODS: Final = (
    "accept",
    "accept_and_begin",
    "within",
    "acquire",
    "begin",
    "take_free_runs",
    "commit",
    "finish",
    "settle",
    "release",
    "give_back",
    "find_drivable",
)
"""What is watched of a ledger, as far as it has it."""


class AbleLedger(
    BatchLedger,
    SupportsFusedWrites,
    SupportsAcceptAndBegin,
    SupportsHostTransactions,
    SupportsTakingFreeRuns,
    Protocol,
):
    """
    A ledger with all its abilities; one that lacks some is never asked for them.
    """


@attrs.define(eq=False, kw_only=True)
class WatchedLedger:
    """
    Asks a ledger, and notes what came of it.

    Attributes:
        ledger: the host's.
        runs: those that are driven here.
        tracer: `None` where spans are off.
        instruments: `None` where metrics are off.
        undriven: runs without a driver at the newest look, as far as that looked; `None`
            before the first.
    """

    ledger: AbleLedger
    runs: OpenRuns
    tracer: Tracer | None
    instruments: Instruments | None
    undriven: int | None = attrs.field(default=None, init=False)

    async def accept(self, batch: NewBatch, /) -> Acceptance:
        """
        Store a batch, with where in the trace that is.
        """

        async def store(traced: NewBatch) -> tuple[Acceptance, Lease | None]:
            return await self.ledger.accept(traced), None

        accepted, _ = await self._accepted(batch, store)
        return accepted

    async def accept_and_begin(
        self, batch: NewBatch, /, *, ttl: float, claim: int, called: int
    ) -> tuple[Acceptance, Lease | None]:
        """
        Do the same, and begin its run.
        """
        store = partial(self.ledger.accept_and_begin, ttl=ttl, claim=claim, called=called)
        accepted, lease = await self._accepted(batch, store)
        if lease is not None:
            self.runs.open(lease)
        return accepted, lease

    def within(self, connection: object, /) -> BatchLedger:
        """
        Return the ledger on a connection of the host's, which accepts in the trace as this one does.
        """
        within = self.ledger.within(connection)
        watched = attrs.evolve(self, ledger=cast("AbleLedger", within))
        return stand_in_for(within, {"accept": watched.accept})

    async def _accepted(
        self, batch: NewBatch, store: Callable[[NewBatch], Awaitable[tuple[Acceptance, Lease | None]]]
    ) -> tuple[Acceptance, Lease | None]:
        if self.tracer is None:
            answer = await store(batch)
        else:
            said: Attributes = {ITEMS: len(batch.entries)}
            with CurrentSpan(self.tracer, "proxy_orchestration.accept", said, kind=SpanKind.PRODUCER) as span:
                answer = await store(attrs.evolve(batch, trace_context=text_of(span)))
                span.set_attribute(BATCH_ID, answer[0].batch_id)
                span.set_attribute("proxy_orchestration.created", answer[0].created)
        if answer[0].created and batch.verdicts:
            self._count(Counter(each.state.value for each in batch.verdicts.values()))
        return answer

    async def acquire(
        self, batch_id: str, run: int, /, *, ttl: float, take_over: bool = False
    ) -> Acquisition:
        """
        Try to acquire a run; one that is taken over is given up at once, and no run begins.
        """
        acquired = await self.ledger.acquire(batch_id, run, ttl=ttl, take_over=take_over)
        if isinstance(acquired, Lease) and not take_over:
            self.runs.open(acquired)
        return acquired

    async def begin(self, batch_id: str, run: int, /, *, ttl: float, claim: int, called: int) -> Acquisition:
        """
        Try to acquire a run with its first items.
        """
        acquired = await self.ledger.begin(batch_id, run, ttl=ttl, claim=claim, called=called)
        if isinstance(acquired, Lease):
            self.runs.open(acquired)
        return acquired

    async def take_free_runs(  # noqa: PLR0913 - the port's
        self,
        /,
        *,
        limit: int,
        ttl: float,
        claim: int,
        called: int,
        except_for: Collection[str] = (),
        service_name: str | None = None,
    ) -> Sequence[Lease]:
        """
        Take many free runs.
        """
        leases = await self.ledger.take_free_runs(
            limit=limit, ttl=ttl, claim=claim, called=called, except_for=except_for, service_name=service_name
        )
        for lease in leases:
            self.runs.open(lease)
        return leases

    async def commit(self, lease: Lease, commit: Commit, /) -> Committed:
        """
        Write outcomes.
        """
        return await self._written(lease, commit, lambda: self.ledger.commit(lease, commit))

    async def finish(
        self,
        lease: Lease,
        commit: Commit,
        /,
        *,
        settled_at: datetime,
        audit_hold: float,
        tell: bool = False,
    ) -> AuditEvent:
        """
        Write the last outcomes, and settle the run.
        """
        finish = partial(self.ledger.finish, settled_at=settled_at, audit_hold=audit_hold, tell=tell)
        event = await self._written(lease, commit, lambda: finish(lease, commit))
        self.runs.end(lease, SETTLED, event.counts)
        return event

    async def settle(
        self, lease: Lease, /, *, settled_at: datetime, audit_hold: float, tell: bool = False
    ) -> AuditEvent:
        """
        Settle the run.
        """
        settle = partial(self.ledger.settle, settled_at=settled_at, audit_hold=audit_hold, tell=tell)
        event = await self._written(lease, None, lambda: settle(lease))
        self.runs.end(lease, SETTLED, event.counts)
        return event

    async def _written(self, lease: Lease, commit: Commit | None, write: Callable[[], Awaitable[T]]) -> T:
        began = time.perf_counter()
        try:
            with self._committing(lease, commit):
                written = await write()
        except LeaseLostError:
            if self.instruments is not None:
                self.instruments.leases_lost.add(1)
            self.runs.end(lease, LOST)
            raise
        if self.instruments is not None and commit is not None:
            self.instruments.commit_time.record(time.perf_counter() - began)
            self.instruments.commit_size.record(len(commit.outcomes))
            self._count(Counter(outcome.state.value for outcome in commit.outcomes))
        return written

    def _committing(self, lease: Lease, commit: Commit | None) -> AbstractContextManager[object]:
        if self.tracer is None:
            return nullcontext()
        run = self.runs.find(lease.batch_id)
        said: Attributes = {ITEMS: 0 if commit is None else len(commit.outcomes)}
        parent = None if run is None else run.context
        return CurrentSpan(self.tracer, "proxy_orchestration.commit", said, parent=parent)

    def _count(self, states: Mapping[str, int]) -> None:
        if self.instruments is not None:
            for state, count in states.items():
                self.instruments.items.add(count, {STATE: state})

    async def release(self, lease: Lease, /, *, due_in: float = 0.0) -> None:
        """
        Give the lease up.
        """
        try:
            await self.ledger.release(lease, due_in=due_in)
        finally:
            self.runs.end(lease, RELEASED)

    async def give_back(self, lease: Lease, /) -> None:
        """
        Give the lease up, with what was claimed under it.
        """
        try:
            await self.ledger.give_back(lease)
        finally:
            self.runs.end(lease, RELEASED)

    async def find_drivable(
        self, /, *, limit: int, due_only: bool = False, service_name: str | None = None
    ) -> Sequence[DrivableRun]:
        """
        Look for work, and note how much has no driver: all of it, unless there is more than was looked for.
        """
        found = await self.ledger.find_drivable(limit=limit, due_only=due_only, service_name=service_name)
        free = sum(run.lease_remaining <= 0 for run in found)
        self.undriven = free if len(found) < limit else max(free, self.undriven or 0)
        return found
