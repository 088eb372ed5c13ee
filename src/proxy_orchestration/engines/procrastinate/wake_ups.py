"""
The jobs that wake a driver: their payload, and how they are queued.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Final, TypeAlias

import attrs
import psycopg
from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import JobDeferrer
from procrastinate.manager import JobManager

from proxy_orchestration import _loggers
from proxy_orchestration._validators import is_a
from proxy_orchestration.errors import InvalidValueError, MisconfiguredError

QUEUE: Final = "proxy_orchestration"
VERSION: Final = 1
"""Of the payload. A field that older builds may leave out of account comes without a new one."""

SqlConnection: TypeAlias = Any
"""A synchronous `sqlalchemy.Connection` in a transaction; this extra does not need SQLAlchemy itself."""

_log = logging.getLogger(_loggers.ENGINES)


@attrs.frozen(kw_only=True)
class WakeUp:
    """
    What a job says.

    Attributes:
        batch_id, run: what to drive.
        failures: how often in a row driving it raised.
    """

    batch_id: str
    run: int
    failures: int = 0

    @property
    def lock(self) -> str:
        """
        Return the queueing lock: of all jobs that say the same, one waits.
        """
        return f"{self.batch_id}:{self.run}"

    def to_payload(self) -> dict[str, Any]:
        """
        Return the job's arguments.
        """
        return {"version": VERSION, **attrs.asdict(self)}

    @classmethod
    def of_payload(cls, payload: Mapping[str, Any]) -> WakeUp:
        """
        Read a job's arguments; what a later build of this version may have added is left out of account.

        Raises:
            InvalidValueError: they are of another version, or lack something.
        """
        version, name = payload.get("version"), "payload of a job"
        if version != VERSION:
            rule = (
                f"must have version {VERSION} for this build, not {version!r}. Let workers of the other "
                "build take the job, or do nothing: the sweep wakes the run again."
            )
            raise InvalidValueError(name, rule)
        missing = {"batch_id", "run"} - payload.keys()
        if missing:
            rule = f"must have {sorted(missing)}"
            raise InvalidValueError(name, rule)
        return cls(batch_id=payload["batch_id"], run=payload["run"], failures=payload.get("failures", 0))


@attrs.frozen(eq=False)
class WakeUps:
    """
    Queues jobs that wake workers, for processes that accept batches; `register` sets up the workers.

    At most one job per run waits in the queue. No batch depends on its job: the sweep finds a run
    without one.

    Attributes:
        app: the host's Procrastinate app; it must be open when `wake` is called.
        queue: the name of the jobs' queue, and the first part of their tasks' names; one for each
            store and service.
    """

    app: App = attrs.field(validator=is_a(App))
    queue: str = attrs.field(default=QUEUE, kw_only=True, validator=is_a(str))

    @property
    def task(self) -> str:
        """
        Return the name of the task that drives a run.
        """
        return f"{self.queue}.drive"

    async def wake(self, batch_id: str, run: int, *, after: float = 0.0) -> bool:
        """
        Queue a job that drives the run; return false if a job for it already waits.

        Call it after a submission, a retry or a decision with `drive=False`, and after
        `resume_batch`. If Procrastinate's database does not take the job, its `ConnectorException`
        is raised; the batch is accepted nevertheless.

        Args:
            batch_id: the batch.
            run: the number of its current run, as in the result.
            after: seconds to wait before the job runs.
        """
        return await store(self, WakeUp(batch_id=batch_id, run=run), after=after)

    def wake_within(self, connection: SqlConnection, batch_id: str, run: int, /) -> None:
        """
        Queue a job for the run within the transaction of this connection.

        It exists only once that is committed.

        Give it to a store as `on_run_opened`. If a job already waits, or this database does not
        have Procrastinate's tables, the transaction stays as it is.

        Args:
            connection: a SQLAlchemy connection through psycopg 3 to the database with
                Procrastinate's tables.
            batch_id: the batch.
            run: the number of the opened run.

        Raises:
            MisconfiguredError: the connection is not to PostgreSQL, or does not use psycopg.
        """
        if not _is_psycopgs(connection):
            problem = (
                "it is not a psycopg connection. Call `wake` after the commit, or let the sweep find the run."
            )
            raise MisconfiguredError(type(self).__name__, "connection", problem)
        wake_up = WakeUp(batch_id=batch_id, run=run)
        manager = JobManager(SyncPsycopgConnector())  # never opened: it only speaks through the connection
        deferrer = JobDeferrer(
            job_manager=manager, job=_deferrer(self, wake_up).job, connection=_ByDriver(connection)
        )
        try:
            # A taken lock is an error to PostgreSQL, which aborts what is not in a savepoint; decision 313.
            with connection.begin_nested():
                deferrer.defer()
        except AlreadyEnqueued:
            return
        except ConnectorException as error:
            _log.warning(
                "batch %s was not woken; the sweep will find it: %s",
                batch_id,
                type(error.__cause__).__name__,
                extra={"batch_id": batch_id, "run": run, "error": type(error.__cause__).__name__},
            )


def _is_psycopgs(connection: SqlConnection) -> bool:
    # An awaited connection has a module of SQLAlchemy's around psycopg, which it names.
    module = connection.dialect.dbapi
    return getattr(module, "psycopg", module) is psycopg


@attrs.frozen(eq=False)
class _ByDriver:
    """
    SQLAlchemy's connection as Procrastinate asks psycopg's, be it lent for a host's transaction, or awaited.
    """

    connection: SqlConnection

    @contextmanager
    def cursor(self, **_options: Any) -> Iterator[_Cursor]:  # noqa: ANN401 - how its rows are made
        with closing(self.connection.connection.cursor()) as cursor:
            yield _Cursor(cursor)


@attrs.frozen(eq=False)
class _Cursor:
    """
    A cursor at the driver whose rows are dictionaries.
    """

    cursor: Any

    def execute(self, query: str, arguments: Mapping[str, Any]) -> None:
        self.cursor.execute(query, arguments)

    def fetchall(self) -> list[dict[str, Any]]:
        names = [column[0] for column in self.cursor.description]
        return [dict(zip(names, row, strict=True)) for row in self.cursor.fetchall()]


async def store(wake_ups: WakeUps, wake_up: WakeUp, *, after: float = 0.0) -> bool:
    """
    Store a job that is due after so many seconds; return false if one for the run waits already.

    Raises:
        procrastinate.exceptions.ConnectorException: its database did not take it.
    """
    options: dict[str, Any] = {"schedule_in": {"seconds": after}} if after > 0 else {}
    try:
        await _deferrer(wake_ups, wake_up, **options).defer_async()
    except AlreadyEnqueued:
        return False
    return True


def _deferrer(wake_ups: WakeUps, wake_up: WakeUp, **options: Any) -> JobDeferrer:  # noqa: ANN401 - Procrastinate's own
    return wake_ups.app.configure_task(
        wake_ups.task,
        queue=wake_ups.queue,
        queueing_lock=wake_up.lock,
        task_kwargs=wake_up.to_payload(),
        **options,
    )
