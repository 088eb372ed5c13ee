"""
The store in SQL: each method is one transaction in a worker thread.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Final

import attrs
from sqlalchemy import URL, Engine

from proxy_orchestration.access import Visibility
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.registration.activities import ActivityRecord
from proxy_orchestration.registration.batches import BatchPage, BulkProgressUpdate, BulkSubmissionResult
from proxy_orchestration.registration.ledger import Acceptance, BatchRecord, NewBatch, NewRun, StoredItem
from proxy_orchestration.registration.runs import (
    Acquisition,
    CancelMark,
    Commit,
    Committed,
    DrivableRun,
    Lease,
)
from proxy_orchestration.registration.states import BulkStatus
from proxy_orchestration.storage.sql.database.open import opened, transactions_of
from proxy_orchestration.storage.sql.database.transactions import CommitAnswerLostError, Transactions
from proxy_orchestration.storage.sql.registration import (
    activities,
    audit,
    batches,
    items,
    opening,
    outcomes,
    runs,
)

_PURGED_AT_ONCE: Final = 50


@attrs.define(eq=False)
class SqlActivityRepository:
    """
    An `ActivityRepository` over a database that SQLAlchemy reaches.

    Any number of processes may share one database. The schema has to be
    there: see `create_schema`, or use `open`.

    Args:
        engine: a synchronous engine; on SQLite its connections are set up
            for durability, and the database must be a file.

    Raises:
        ValueError: the engine is an in-memory SQLite, where every thread
            would see another database.
    """

    engine: Engine
    _transactions: Transactions = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._transactions = transactions_of(self.engine)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str | URL) -> AsyncIterator[SqlActivityRepository]:
        """
        Open a database, bring its schema up to date, and close it at the end.

        Args:
            url: for example `sqlite:///registrations.db`, or
                `postgresql+psycopg://user:password@host/database`.

        Raises:
            SchemaVersionError: the schema is too new for this version of the library.
            RepositoryUnavailableError: the database cannot be opened or written,
                or the address is not understood.
            MissingExtraError: the address is PostgreSQL's, and psycopg is not installed.
        """
        async with opened(url) as engine:
            yield cls(engine)

    async def new_batch_id(self) -> str:
        """
        Return an id that no batch has.
        """
        return uuid.uuid4().hex

    async def accept(self, batch: NewBatch, /) -> Acceptance:
        """
        Store the batch, or find the one it already is.

        Where the answer to the commit is lost, it is looked for by its id: the
        caller may have no key by which to submit it again without doubling it.
        """
        batch_id = batch.batch_id or await self.new_batch_id()
        named = attrs.evolve(batch, batch_id=batch_id)
        try:
            return await self._transactions.write(lambda connection: opening.accept(connection, named))
        except CommitAnswerLostError:
            if await self.get(batch_id) is None:
                raise
            return Acceptance(batch_id=batch_id, created=True)

    async def get(self, batch_id: str, /) -> BatchRecord | None:
        """
        Return the batch's header and current run, or `None`.
        """
        return await self._transactions.read(lambda connection: batches.get(connection, batch_id))

    async def read_result(self, batch_id: str, /) -> BulkSubmissionResult | None:
        """
        Return the batch with all outcomes as of one moment, or `None`.
        """
        return await self._transactions.read(lambda connection: batches.read_result(connection, batch_id))

    async def read_updates(self, batch_id: str, /, *, after: int, limit: int) -> Sequence[BulkProgressUpdate]:
        """
        Return the entries of the batch's log that follow `after`.
        """
        return await self._transactions.read(
            lambda connection: outcomes.read_updates(connection, batch_id, after=after, limit=limit)
        )

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
        Return one page of the visible batches, newest first.
        """
        return await self._transactions.read(
            lambda connection: batches.list_batches(
                connection, visibility, page=page, limit=limit, statuses=statuses
            )
        )

    async def relabel(self, batch_id: str, label: str | None, /) -> bool:
        """
        Change the label; return whether the batch exists.
        """
        return await self._transactions.write(lambda connection: batches.relabel(connection, batch_id, label))

    async def delete(self, batch_id: str, /) -> bool:
        """
        Remove a settled batch; return whether it existed.
        """
        return await self._transactions.write(lambda connection: batches.remove(connection, batch_id))

    async def purge(self, *, settled_before: datetime) -> int:
        """
        Remove every batch that settled before that moment; return how many.

        In many short transactions, so that drivers write in between.
        """
        purged = 0
        after: int | None = 0
        while after is not None:
            removed, after = await self._transactions.write(
                partial(batches.purge, settled_before=settled_before, after=after, limit=_PURGED_AT_ONCE)
            )
            purged += removed
        return purged

    async def open_run(self, run: NewRun, /) -> int:
        """
        Open the next run and return its number.
        """
        return await self._transactions.write(lambda connection: opening.open_run(connection, run))

    async def read_items(self, batch_id: str, /) -> Sequence[StoredItem]:
        """
        Return every item of the batch in request order.
        """
        return await self._transactions.read(lambda connection: items.read_items(connection, batch_id))

    async def acquire(self, batch_id: str, run: int, /, *, ttl: float) -> Acquisition:
        """
        Take the run's lease if it is free.
        """
        return await self._transactions.write(
            lambda connection: runs.acquire(connection, batch_id, run, ttl=ttl)
        )

    async def commit(self, lease: Lease, commit: Commit, /) -> Committed:
        """
        Append outcomes, claim items and renew the lease, all or nothing.
        """
        return await self._transactions.write(lambda connection: runs.commit(connection, lease, commit))

    async def settle(self, lease: Lease, /, *, settled_at: datetime, audit_hold: float) -> AuditEvent:
        """
        Close the run with its counts and its audit event.
        """
        return await self._transactions.write(
            lambda connection: runs.settle(connection, lease, at=settled_at, audit_hold=audit_hold)
        )

    async def release(self, lease: Lease, /) -> None:
        """
        Give up the lease.
        """
        await self._transactions.write(lambda connection: runs.release(connection, lease))

    async def cancel_run(self, batch_id: str, /, *, reason: str | None, wished_at: datetime) -> CancelMark:
        """
        Store the wish to cancel and cancel what was not claimed.
        """
        return await self._transactions.write(
            lambda connection: opening.cancel_run(connection, batch_id, reason=reason, at=wished_at)
        )

    async def find_drivable(self, *, limit: int) -> Sequence[DrivableRun]:
        """
        Return runs that are not settled, the free ones first.
        """
        return await self._transactions.read(lambda connection: runs.find_drivable(connection, limit=limit))

    async def claim_audit_events(self, *, limit: int, hold: float) -> Sequence[AuditEvent]:
        """
        Return undelivered events that nobody holds, and hold them.
        """
        return await self._transactions.write(
            lambda connection: audit.claim_events(connection, limit=limit, hold=hold)
        )

    async def audit_wait(self) -> float | None:
        """
        Return the seconds until an undelivered event is free, or `None` without any.
        """
        return await self._transactions.read(audit.seconds_to_wait)

    async def mark_audited(self, event_id: str, /) -> None:
        """
        Note that the logger took the event.
        """
        await self._transactions.write(lambda connection: audit.mark_delivered(connection, event_id))

    async def add_activities(
        self, records: Sequence[ActivityRecord], /, *, atomic: bool
    ) -> Sequence[ActivityRecord]:
        """
        Store each record, and answer each with the record that stands for it, in order.
        """
        return await self._transactions.write(
            lambda connection: activities.add_many(connection, records, atomic=atomic)
        )

    async def find_activities(self, registration_ids: Collection[str], /) -> Sequence[ActivityRecord]:
        """
        Return the records of these registrations.
        """
        return await self._transactions.read(
            lambda connection: activities.find_many(connection, registration_ids)
        )

    async def find_duplicates(
        self, organization_id: str, duplicate_keys: Collection[str], /
    ) -> Mapping[str, ActivityRecord]:
        """
        Return for each of the keys the organization's record that is in the way, where there is one.
        """
        return await self._transactions.read(
            lambda connection: activities.find_duplicates(connection, organization_id, duplicate_keys)
        )

    async def void_activity(self, activity_id: str, /, *, voided_at: datetime) -> bool:
        """
        Declare a record void; return whether there is such a record.
        """
        return await self._transactions.write(
            lambda connection: activities.void(connection, activity_id, at=voided_at)
        )

    async def activities_of_batch(self, batch_id: str, /) -> Sequence[ActivityRecord]:
        """
        Return every record that the batch wrote, ordered by mentor id.
        """
        return await self._transactions.read(lambda connection: activities.of_batch(connection, batch_id))
