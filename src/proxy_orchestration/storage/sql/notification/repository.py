"""
The store of notices and pushes in SQL: each method is one transaction, in a worker thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import URL, Engine

from proxy_orchestration.notification.ports import (
    DeviceAnswerCounts,
    NotificationRepository,
    SupportsCompleteAndClaim,
)
from proxy_orchestration.storage.sql.database.methods import reading, writing
from proxy_orchestration.storage.sql.database.open import open_database, transactions_of
from proxy_orchestration.storage.sql.notification import acknowledgements as audit
from proxy_orchestration.storage.sql.notification import dead_pushes as given_up
from proxy_orchestration.storage.sql.notification import (
    ends,
    erasure,
    inbox,
    notices,
    outbox,
    retention,
    run_log,
)
from proxy_orchestration.storage.sql.notification.rows import refusals


class SqlNotificationRepository(NotificationRepository, DeviceAnswerCounts, SupportsCompleteAndClaim):
    """
    A `NotificationRepository` over a database that SQLAlchemy reaches.

    Any number of processes may share one database, and it may hold the
    registrations too. The schema has to be there: see `create_schema`, or
    use `open`. What breaks a rule of the schema, or cannot be kept as text,
    is a `RecordRefusedError`, and nothing of its call is stored.

    Args:
        engine: a synchronous engine, which is left as it is; on SQLite the
            database must be a file.
        schema: of PostgreSQL, where the tables are; `None` for the connection's own.
        prefix: before each table's name.

    Raises:
        InvalidTypeError: it is no engine; an address is given to `open`.
        ValueError: the engine is an in-memory SQLite, where every thread
            would see another database; or schema or prefix is no such name.
    """

    def __init__(self, engine: Engine, *, schema: str | None = None, prefix: str = "") -> None:
        self.engine = engine
        self._transactions = transactions_of(engine, refusals=refusals, schema=schema, prefix=prefix)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str | URL, *, schema: str | None = None, prefix: str = "", migrate: bool = True
    ) -> AsyncIterator[SqlNotificationRepository]:
        """
        Open a database, bring its schema up to date, and close it at the end.

        Args:
            url: for example `sqlite:///notices.db`.
            schema: of PostgreSQL, for the tables alone; made where it is missing.
            prefix: before each table's name, up to 20 characters.
            migrate: whether to bring the schema up to date; without it the
                schema has to be one that this version works on.

        Raises:
            SchemaVersionError: the schema is too new for this version of the
                library; or missing or too old, where it is not to be migrated.
            RepositoryUnavailableError: the database cannot be opened or written,
                or has tables of its own by these names.
            InvalidValueError: schema or prefix is no such name.
        """
        async with open_database(url, schema=schema, prefix=prefix, migrate=migrate) as engine:
            yield cls(engine, schema=schema, prefix=prefix)

    record: Final = writing(notices.record)
    weigh: Final = reading(notices.weigh)
    renew: Final = writing(notices.renew)
    notifications_for: Final = reading(notices.notifications_for)
    notification: Final = reading(notices.notification)

    count_unseen: Final = reading(ends.count_unseen)
    withdraw: Final = writing(notices.withdraw)
    counted_in: Final = reading(ends.counted_in)
    forget_ends: Final = writing(ends.forget_ends)

    acknowledge: Final = writing(audit.acknowledge)
    acknowledgements: Final = reading(audit.acknowledgements)
    log_run: Final = writing(run_log.log_run)
    list_runs: Final = reading(run_log.list_runs)

    read_inbox: Final = reading(inbox.read_inbox)
    mark_read: Final = writing(inbox.mark_read)
    put_off: Final = writing(inbox.put_off)

    purge_notices: Final = writing(retention.purge_notices)
    purge_pushes: Final = writing(retention.purge_pushes)
    purge_runs: Final = writing(retention.purge_runs)
    export_mentor: Final = reading(erasure.export_mentor)
    erase_mentor: Final = writing(erasure.erase_mentor)

    claim_pushes: Final = writing(outbox.claim_pushes)
    complete_pushes: Final = writing(outbox.complete_pushes)
    complete_and_claim: Final = writing(outbox.complete_and_claim)
    push_wait: Final = reading(outbox.push_wait)
    replay_dead: Final = writing(outbox.replay_dead)
    count_pushes: Final = reading(outbox.count_pushes)
    dead_pushes: Final = reading(given_up.dead_pushes)
    count_device_answers: Final = writing(given_up.count_device_answers)
