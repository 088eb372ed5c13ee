"""
What a ledger may be able to do beyond its port, each found by its Protocol: fewer transactions, and no more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol, runtime_checkable

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.registration.ledger import Acceptance, BatchRecord, NewBatch
from proxy_orchestration.registration.ports.ledger import BatchLedger
from proxy_orchestration.registration.runs import Acquisition, Commit, Lease


@runtime_checkable
class SupportsFusedWrites(Protocol):
    """
    A ledger that does two of a driver's writes in one transaction; found by this Protocol.

    Where it is missing a driver calls `acquire` and `commit`, and `commit`
    and `settle`, one after the other. Fewer transactions are all that it gains.
    """

    async def begin(self, batch_id: str, run: int, /, *, ttl: float, claim: int, called: int) -> Acquisition:
        """
        Do what `acquire` does, and claim the first items of a run that nobody claimed from before.

        The lease has them as `claimed_now`, at most `claim` of them; the first
        `called` of them may be called. Nothing is claimed of an all-or-nothing
        run, or after a cancel request.
        """
        ...

    async def give_back(self, lease: Lease, /) -> None:
        """
        Do what `release` does for a lease under which nothing was called, and undo its claim.

        No-op under an old fence. What was claimed counts as never called.
        """
        ...

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
        Do what `commit` does, and then what `settle` does, all or nothing.

        Raises:
            LeaseLostError: the fence is old, the run is settled, or the batch gone.
            BatchStateError: an item of the run has no outcome even then.
        """
        ...


@runtime_checkable
class SupportsAcceptAndBegin(Protocol):
    """
    A ledger that stores a batch which is driven at once, and takes the lease on it, in one transaction.

    Where it is missing the run is acquired once its batch is accepted.
    """

    async def accept_and_begin(
        self, batch: NewBatch, /, *, ttl: float, claim: int, called: int
    ) -> tuple[Acceptance, Lease | None]:
        """
        Do what `accept` does and, where that creates the batch, what `begin` does with its run 1.

        A batch that was there already is left to whoever drives it: then there is no lease.

        Raises:
            IdempotencyKeyReusedError, RecordRefusedError: as `accept` would.
        """
        ...


@runtime_checkable
class SupportsMarkingMany(Protocol):
    """
    A ledger that notes of many audit events at once that they were taken.
    """

    async def mark_all_audited(self, event_ids: Collection[str], /) -> None:
        """
        Do what `AuditOutbox.mark_audited` does for each of them.
        """
        ...


@runtime_checkable
class SupportsGettingMany(Protocol):
    """
    A ledger that reads the headers of many batches at once.
    """

    async def get_many(self, batch_ids: Collection[str], /) -> Mapping[str, BatchRecord]:
        """
        Return what `BatchCatalogue.get` does for each of them; those that are not there are left out.
        """
        ...


@runtime_checkable
class SupportsHostTransactions(Protocol):
    """
    A ledger that can accept a batch within a transaction which the host has begun.
    """

    def within(self, connection: object, /) -> BatchLedger:
        """
        Return a ledger that accepts on this connection, reads by it, and does nothing else.

        What it accepts is stored when the host commits. It neither commits
        nor rolls back, and leaves the connection as it was; what fails leaves
        the host's transaction as it stood before.

        Raises:
            MisconfiguredError: it is no connection on which that is possible.
        """
        ...

    def check_may_drive(self, /) -> None:
        """
        Accept a ledger whose batches can be driven as soon as they are accepted.

        Raises:
            HostTransactionError: it is one that `within` returned; nothing was stored.
        """
        ...
