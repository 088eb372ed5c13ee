"""
Notices and pushes in SQL: each method is one transaction in a worker thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

import attrs
from sqlalchemy import URL, Connection, Engine

from proxy_orchestration.notification.notices import CertificateExpiryNotification, PushState
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
from proxy_orchestration.storage.sql.database.open import opened, transactions_of
from proxy_orchestration.storage.sql.database.transactions import Transactions
from proxy_orchestration.storage.sql.dialect.texts import keepable
from proxy_orchestration.storage.sql.notification import acknowledgements, notices, outbox
from proxy_orchestration.storage.sql.notification.rows import refusals

T = TypeVar("T")


@attrs.define(eq=False)
class SqlNotificationRepository:
    """
    A `NotificationRepository` over a database that SQLAlchemy reaches.

    Any number of processes may share one database, and it may hold the
    registrations too. The schema has to be there: see `create_schema`, or
    use `open`. What breaks a rule of the schema, or cannot be kept as text,
    is a `RecordRefusedError`, and nothing of its call is stored.

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
    async def open(cls, url: str | URL) -> AsyncIterator[SqlNotificationRepository]:
        """
        Open a database, bring its schema up to date, and close it at the end.

        Args:
            url: for example `sqlite:///notices.db`.

        Raises:
            SchemaVersionError: the schema is too new for this version of the library.
            RepositoryUnavailableError: the database cannot be opened or written.
        """
        async with opened(url) as engine:
            yield cls(engine)

    async def record(self, chunk: NoticeChunk, /) -> Sequence[DraftFate]:
        """
        Write what the chunk's drafts tell, and answer each in order.
        """
        return await self._write(lambda connection: notices.record(connection, chunk))

    async def weigh(self, chunk: NoticeChunk, /) -> Sequence[DraftFate]:
        """
        Return what `record` would answer now, and write nothing.
        """
        return await self._read(lambda connection: notices.weigh(connection, chunk))

    async def renew(self, ends: Sequence[CertificateEnd], /, *, at: datetime) -> int:  # noqa: ARG002 - the port's
        """
        Note new ends; return how many messages were cancelled.
        """
        return await self._write(lambda connection: notices.renew(connection, ends))

    async def notifications_for(
        self, recipient_id: str, /, *, unacknowledged_only: bool = False
    ) -> Sequence[CertificateExpiryNotification]:
        """
        Return a recipient's notices, oldest first.
        """
        return await self._read(
            lambda connection: notices.inbox(
                connection, recipient_id, unacknowledged_only=unacknowledged_only
            )
        )

    async def notification(self, notification_id: str, /) -> CertificateExpiryNotification | None:
        """
        Return a notice, or `None`.
        """
        return await self._read(lambda connection: notices.get(connection, notification_id))

    async def acknowledge(self, event: AcknowledgementEvent, /) -> Acknowledged:
        """
        Mark the notice and write its one audit row.
        """
        return await self._write(lambda connection: acknowledgements.acknowledge(connection, event))

    async def acknowledgements(
        self, organization_id: str | None, /, *, limit: int
    ) -> Sequence[AcknowledgementEvent]:
        """
        Return the newest audit rows of an organization, newest first.
        """
        return await self._read(
            lambda connection: acknowledgements.newest(connection, organization_id, limit=limit)
        )

    async def log_run(self, run: RunRecord, /) -> None:
        """
        Add a run to the log, once.
        """
        await self._write(lambda connection: acknowledgements.log_run(connection, run))

    async def claim_pushes(self, *, now: datetime, limit: int, hold: float) -> Sequence[LeasedPush]:
        """
        Lease messages that are due, and count the attempt.
        """
        return await self._write(lambda connection: outbox.claim(connection, now=now, limit=limit, hold=hold))

    async def complete_pushes(self, completions: Sequence[PushCompletion], /) -> int:
        """
        Store how the attempts ended; return how many leases still held.
        """
        return await self._write(lambda connection: outbox.complete(connection, completions))

    async def push_wait(self, *, now: datetime) -> float | None:
        """
        Return the seconds until a message is due; 0 if one is, `None` without any.
        """
        return await self._read(lambda connection: outbox.seconds_to_wait(connection, now=now))

    async def replay_dead(self, message_ids: Collection[str] | None, /, *, now: datetime) -> int:
        """
        Queue dead messages again, these or all; return how many.
        """
        ids = None if message_ids is None else keepable(message_ids)
        return await self._write(lambda connection: outbox.replay(connection, ids, now=now))

    async def count_pushes(self) -> Mapping[PushState, int]:
        """
        Return the messages by state; states without any are absent.
        """
        return await self._read(outbox.count)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._transactions.write(lambda connection: _refusing(connection, work))

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._transactions.read(lambda connection: _refusing(connection, work))


def _refusing(connection: Connection, work: Callable[[Connection], T]) -> T:
    with refusals():
        return work(connection)
