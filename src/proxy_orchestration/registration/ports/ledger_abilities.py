"""
Optional abilities of a ledger, found by their Protocols; most save transactions.
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
    A ledger that can do two of a driver's writes in one transaction; an optional ability.

    Without it, a driver calls `acquire` and `commit`, and `commit` and `settle`, one after the
    other. The ability only saves transactions.
    """

    async def begin(self, batch_id: str, run: int, /, *, ttl: float, claim: int, called: int) -> Acquisition:
        """
        Do the same as `acquire`, and claim the first items of a run that has no claimed items yet.

        The lease has at most `claim` of them as `claimed_now`; the first `called` of them may be
        called. Nothing is claimed in an all-or-nothing run, or after a cancel request.
        """
        ...

    async def give_back(self, lease: Lease, /) -> None:
        """
        Do the same as `release` for a lease under which nothing was called, and undo its claim.

        With an old fence, do nothing. The claimed items count as never called.
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
        Do the same as `commit` and then `settle`, all or nothing.

        Raises:
            LeaseLostError: the fence is old, the run is settled, or the batch was deleted.
            BatchStateError: an item of the run still has no outcome.
        """
        ...


@runtime_checkable
class SupportsAcceptAndBegin(Protocol):
    """
    A ledger that can store a batch and take its lease in one transaction; an optional ability.

    Without it, the run is acquired after its batch is accepted.
    """

    async def accept_and_begin(
        self, batch: NewBatch, /, *, ttl: float, claim: int, called: int
    ) -> tuple[Acceptance, Lease | None]:
        """
        Do the same as `accept` and, if that creates the batch, the same as `begin` for its run 1.

        If the batch already existed, no lease is taken.

        Raises:
            IdempotencyKeyReusedError, RecordRefusedError: as `accept` would.
        """
        ...


@runtime_checkable
class SupportsMarkingMany(Protocol):
    """
    A ledger that can mark many audit events as delivered in one call; an optional ability.
    """

    async def mark_all_audited(self, event_ids: Collection[str], /) -> None:
        """
        Do the same as `AuditOutbox.mark_audited` for each of them.
        """
        ...


@runtime_checkable
class SupportsGettingMany(Protocol):
    """
    A ledger that can read the headers of many batches in one call; an optional ability.
    """

    async def get_many(self, batch_ids: Collection[str], /) -> Mapping[str, BatchRecord]:
        """
        Return the same as `BatchCatalogue.get` for each of them, without those that do not exist.
        """
        ...


@runtime_checkable
class SupportsHostTransactions(Protocol):
    """
    A ledger that can accept a batch within a transaction of the host; an optional ability.
    """

    def within(self, connection: object, /) -> BatchLedger:
        """
        Return a ledger that accepts batches and reads on this connection, and refuses everything else.

        An accepted batch is stored when the host commits. The ledger neither commits nor rolls
        back, and leaves the connection unchanged. A failing call leaves the host's transaction as
        it was before the call.

        Raises:
            MisconfiguredError: the connection is not of a kind that this ledger can use.
        """
        ...

    def check_may_drive(self, /) -> None:
        """
        Return if batches that this ledger accepts can be driven at once, and raise an error if not.

        Raises:
            HostTransactionError: the ledger was returned by `within`; nothing was stored.
        """
        ...
