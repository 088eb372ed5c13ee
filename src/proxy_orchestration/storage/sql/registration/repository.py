"""
The store in SQL: each method is all or nothing, in a worker thread.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

import attrs
from sqlalchemy import URL, Connection, Engine

from proxy_orchestration._wiring import check_functions
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.registration.batches import PurgedBatches
from proxy_orchestration.registration.ledger import Acceptance, NewBatch, NewRun
from proxy_orchestration.registration.ports import (
    ActivityRepository,
    SupportsAcceptAndBegin,
    SupportsFusedWrites,
    SupportsGettingMany,
    SupportsHostTransactions,
    SupportsMarkingMany,
    SupportsTakingFreeRuns,
)
from proxy_orchestration.registration.runs import DrivableRun, Lease
from proxy_orchestration.storage.sql.database.host_transactions import HostTransactions, refuse
from proxy_orchestration.storage.sql.database.methods import reading, writing
from proxy_orchestration.storage.sql.database.open import open_database, transactions_of
from proxy_orchestration.storage.sql.database.transactions import CommitAnswerLostError, Transactions
from proxy_orchestration.storage.sql.registration import (
    activities,
    audit,
    batch_lists,
    batches,
    correction_notes,
    drivable,
    endings,
    erasure,
    free_runs,
    item_pages,
    items,
    opening,
    outcomes,
    pausing,
    runs,
    settling,
)
from proxy_orchestration.storage.sql.registration.accepting_together import joint_acceptance
from proxy_orchestration.storage.sql.registration.committing_together import joint_commit
from proxy_orchestration.storage.sql.registration.finishing_together import joint_end
from proxy_orchestration.storage.sql.registration.first_leases import Beginning
from proxy_orchestration.storage.sql.registration.rows import FIRST_RUN
from proxy_orchestration.storage.sql.registration.run_hooks import OnRunOpened, tell

T = TypeVar("T")

_PURGED_AT_ONCE: Final = 50
_EVENTS_AT_ONCE: Final = 500


class SqlActivityRepository(
    ActivityRepository,
    SupportsFusedWrites,
    SupportsAcceptAndBegin,
    SupportsMarkingMany,
    SupportsGettingMany,
    SupportsTakingFreeRuns,
    SupportsHostTransactions,
):
    """
    An `ActivityRepository` over a database that SQLAlchemy reaches.

    Any number of processes may share one database. The schema has to be
    there: see `create_schema`, or use `open`.

    Args:
        engine: a synchronous engine, which is left as it is; on SQLite the
            database must be a file.
        schema: of PostgreSQL, where the tables are; `None` for the connection's own.
        prefix: before each table's name.
        on_run_opened: a plain function of yours, called with SQLAlchemy's connection, the
            batch's id and the run's number within each transaction that accepts a batch
            or opens a retry or a review. What it writes by that connection is stored with
            the run or not at all. It may be called again where a transaction is repeated,
            in a worker thread, and neither ends the transaction nor calls this library.
            What it raises is the cause of a `RunHookError`, and nothing was stored.

    Raises:
        InvalidTypeError: it is no engine; an address is given to `open`.
        ValueError: the engine is an in-memory SQLite, where every thread
            would see another database; or schema or prefix is no such name.
        MisconfiguredError: `on_run_opened` is no plain function.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        schema: str | None = None,
        prefix: str = "",
        on_run_opened: OnRunOpened | None = None,
    ) -> None:
        self.engine = engine
        self.on_run_opened = on_run_opened
        check_functions(self, "on_run_opened", optional=True)
        self._own = transactions_of(engine, schema=schema, prefix=prefix)
        self._transactions: Transactions | HostTransactions = self._own
        self._accepted_by: str | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str | URL,
        *,
        schema: str | None = None,
        prefix: str = "",
        migrate: bool = True,
        on_run_opened: OnRunOpened | None = None,
    ) -> AsyncIterator[SqlActivityRepository]:
        """
        Open a database, bring its schema up to date, and close it at the end.

        Args:
            url: for example `sqlite:///registrations.db`, or
                `postgresql+psycopg://user:password@host/database`.
            schema: of PostgreSQL, for the tables alone; made where it is missing.
            prefix: before each table's name, up to 20 characters.
            migrate: whether to bring the schema up to date; without it the
                schema has to be one that this version works on.
            on_run_opened: as for the class.

        Raises:
            SchemaVersionError: the schema is too new for this version of the
                library; or missing or too old, where it is not to be migrated.
            RepositoryUnavailableError: the database cannot be opened or written,
                has tables of its own by these names, or the address is not understood.
            InvalidValueError: schema or prefix is no such name.
            MissingExtraError: the address is PostgreSQL's, and psycopg is not installed.
            MisconfiguredError: `on_run_opened` is no plain function.
        """
        async with open_database(url, schema=schema, prefix=prefix, migrate=migrate) as engine:
            yield cls(engine, schema=schema, prefix=prefix, on_run_opened=on_run_opened)

    def only_accepted_by(self, service_name: str) -> SqlActivityRepository:
        """
        Return this store, of which `serve` and `resume_interrupted` take up one service's batches alone.

        For several services over one database, each with an orchestrator of
        that `service_name`: none of them drives what another one accepted,
        or takes its audit events. Everything else is as before.

        Args:
            service_name: whose; a batch that was accepted without a name is nobody's.
        """
        scoped = copy.copy(self)
        scoped._accepted_by = service_name  # noqa: SLF001 - of this class
        return scoped

    def within(self, connection: object, /) -> SqlActivityRepository:
        """
        Return this store on a connection of yours, for a batch that is to be accepted in your transaction.

        `accept` writes there, in your thread, and reading reads there;
        everything else is refused, and so is a batch to be driven at once.
        Nothing of it commits, rolls back, closes or sets an isolation level;
        what fails is undone to a savepoint, and nobody is told. Use it for
        one transaction, and for nothing beside it.

        Args:
            connection: of SQLAlchemy, `Connection` or `AsyncConnection`; or the driver's
                own, of sqlite3 or psycopg, as Django has it. On SQLite its transaction
                was begun to write (BEGIN IMMEDIATE).

        Raises:
            MisconfiguredError: it is no connection to a database like this store's.
        """
        within = copy.copy(self)
        within._transactions = HostTransactions.on(connection, self._own)  # noqa: SLF001 - of this class
        return within

    def check_may_drive(self) -> None:
        """
        Accept a store whose batches can be driven as soon as they are accepted.

        Raises:
            HostTransactionError: it is one that `within` returned; nothing was stored.
        """
        if isinstance(self._transactions, HostTransactions):
            refuse("nobody can drive what is not committed.")

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
        return await self._accept(await self._named(batch))

    async def accept_and_begin(
        self, batch: NewBatch, /, *, ttl: float, claim: int, called: int
    ) -> tuple[Acceptance, Lease | None]:
        """
        Store the batch with its first lease, or find the one it already is.
        """
        self.check_may_drive()
        named, begin = await self._named(batch), Beginning(ttl=ttl, claim=claim, called=called)
        acceptance = await self._accept(named, begin)
        return acceptance, begin.lease(named, acceptance.batch_id) if acceptance.created else None

    async def _named(self, batch: NewBatch) -> NewBatch:
        return batch if batch.batch_id else attrs.evolve(batch, batch_id=await self.new_batch_id())

    async def _accept(self, batch: NewBatch, begin: Beginning | None = None) -> Acceptance:
        def work(connection: Connection) -> Acceptance:
            acceptance = opening.accept(connection, batch, begin)
            if acceptance.created:
                tell(connection, self.on_run_opened, acceptance.batch_id, FIRST_RUN)
            return acceptance

        if isinstance(self._transactions, HostTransactions):
            return await self._transactions.accept(work)
        joint = None if self.on_run_opened is not None else joint_acceptance(batch, begin)
        try:
            return await self._transactions.write(work, first=True, joint=joint)
        except CommitAnswerLostError:
            if batch.batch_id is None or await self.get(batch.batch_id) is None:
                raise
            return Acceptance(batch_id=batch.batch_id, created=True)

    find_by_key: Final = reading(opening.find_by_key)
    get: Final = reading(batches.get)
    get_many: Final = reading(batches.get_many)
    read_result: Final = reading(batches.read_result)
    read_summary: Final = reading(batches.read_summary)
    read_item_page: Final = reading(item_pages.read_item_page)
    read_updates: Final = reading(outcomes.read_updates)
    list_batches: Final = reading(batch_lists.list_batches)
    relabel: Final = writing(batches.relabel)
    delete: Final = writing(batches.delete)

    async def purge(
        self, *, settled_before: datetime, with_open_reviews: bool = False, with_untold: bool = False
    ) -> PurgedBatches:
        """
        Remove the batches that settled before that moment, but for those that wait.
        """
        remove = partial(
            batches.purge,
            settled_before=settled_before,
            with_open_reviews=with_open_reviews,
            with_untold=with_untold,
        )
        parts = [part async for part in self._in_parts(remove, _PURGED_AT_ONCE)]
        return PurgedBatches(
            deleted=sum(part.deleted for part in parts),
            left_for_review=sum(part.left_for_review for part in parts),
            left_untold=sum(part.left_untold for part in parts),
        )

    async def purge_audit_events(self, *, settled_before: datetime) -> int:
        """
        Remove every taken event of a run that settled before that moment; return how many.
        """
        remove = partial(audit.purge_audit_events, settled_before=settled_before)
        return sum([part async for part in self._in_parts(remove, _EVENTS_AT_ONCE)])

    purge_tombstones: Final = writing(batches.purge_tombstones)

    async def _in_parts(self, remove: Callable[..., tuple[T, int | None]], at_once: int) -> AsyncIterator[T]:
        # In many short transactions, so that drivers write in between.
        after: int | None = 0
        while after is not None:
            part, after = await self._transactions.write(partial(remove, after=after, limit=at_once))
            yield part

    export_mentor: Final = reading(erasure.export_mentor)
    erase_mentor: Final = writing(erasure.erase_mentor)

    async def open_run(self, run: NewRun, /) -> int:
        """
        Open the next run over these items and return its number.
        """

        def work(connection: Connection) -> int:
            number = opening.open_run(connection, run)
            tell(connection, self.on_run_opened, run.batch_id, number)
            return number

        return await self._transactions.write(work)

    read_items: Final = reading(items.read_items)
    acquire: Final = writing(runs.acquire)
    commit: Final = writing(runs.commit, joint=joint_commit)
    settle: Final = writing(settling.settle)
    begin: Final = writing(runs.begin)
    finish: Final = writing(settling.finish, joint=joint_end)
    give_back: Final = writing(runs.give_back)
    release: Final = writing(runs.release)
    cancel_run: Final = writing(opening.cancel_run)
    pause_run: Final = writing(pausing.pause_run)
    resume_run: Final = writing(pausing.resume_run)

    async def find_drivable(
        self, *, limit: int, due_only: bool = False, service_name: str | None = None
    ) -> Sequence[DrivableRun]:
        """
        Return runs that are not settled, the free ones first.
        """
        find = partial(
            drivable.find_drivable,
            limit=limit,
            due_only=due_only,
            service_name=service_name,
            accepted_by=self._accepted_by,
        )
        return await self._transactions.read(find)

    async def take_free_runs(  # noqa: PLR0913 - the port's
        self,
        *,
        limit: int,
        ttl: float,
        claim: int,
        called: int,
        except_for: Collection[str] = (),
        service_name: str | None = None,
    ) -> Sequence[Lease]:
        """
        Take the leases of free and due runs, and claim the first items of each.
        """
        take = partial(
            free_runs.take_free_runs,
            limit=limit,
            ttl=ttl,
            claim=claim,
            called=called,
            except_for=except_for,
            service_name=service_name,
            accepted_by=self._accepted_by,
        )
        return await self._transactions.write(take)

    async def claim_audit_events(self, *, limit: int, hold: float) -> Sequence[AuditEvent]:
        """
        Return undelivered events that nobody holds, and hold them.
        """
        claim = partial(audit.claim_audit_events, limit=limit, hold=hold, accepted_by=self._accepted_by)
        return await self._transactions.write(claim)

    async def audit_wait(self) -> float | None:
        """
        Return the seconds until an undelivered event is free, or `None` without any.
        """
        return await self._transactions.read(partial(audit.audit_wait, accepted_by=self._accepted_by))

    mark_audited: Final = writing(audit.mark_audited)
    mark_all_audited: Final = writing(audit.mark_all_audited)

    claim_endings: Final = writing(endings.claim_endings)
    endings_wait: Final = reading(endings.endings_wait)
    mark_told: Final = writing(endings.mark_told)

    add_activities: Final = writing(activities.add_activities)
    find_activities: Final = reading(activities.find_activities)
    find_duplicates: Final = reading(activities.find_duplicates)
    void_activity: Final = writing(activities.void_activity)
    activities_of_batch: Final = reading(activities.activities_of_batch)
    list_activities: Final = reading(correction_notes.list_activities)
    add_correction: Final = writing(correction_notes.add_correction)
