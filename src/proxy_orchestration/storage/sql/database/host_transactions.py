"""
Our statements within a transaction of the host's, in the thread of its connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

import attrs
from sqlalchemy import Connection

from proxy_orchestration._concurrency import NoAnswerError, shielded_write
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.errors import HostTransactionError, RepositoryUnavailableError
from proxy_orchestration.registration.host_connections import ConnectionOfThread, RunInThread
from proxy_orchestration.storage.sql.database.errors import translated_errors
from proxy_orchestration.storage.sql.database.transactions import Transactions
from proxy_orchestration.storage.sql.dialect.lent_connections import LentConnection, is_awaited

T = TypeVar("T")

_LONGEST: Final = 60.0
"""Seconds that awaited statements have, cancelled or not; a lock that is waited for ends sooner."""


@attrs.define(eq=False)
class HostTransactions:
    """
    Takes the place of `Transactions` for a store on one connection of the host's, whose transaction is open.

    Attributes:
        own: those of the store.
        lent: the host's connection.
        run: calls a function where statements may be run on it.
    """

    own: Transactions
    lent: LentConnection
    run: RunInThread

    @classmethod
    def on(cls, given: object, own: Transactions) -> HostTransactions:
        """
        Return those on this connection.

        Raises:
            MisconfiguredError: it is no connection to such a database.
        """
        of_thread = given if isinstance(given, ConnectionOfThread) else None
        connection = given if of_thread is None else of_thread.connection
        run: RunInThread = _at_once if of_thread is None else of_thread.run
        if is_awaited(connection):
            run = _in_its_greenlet(connection)
        with translated_errors():
            return cls(own, own.lending.borrow(connection), run)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """
        Run a function that reads, and sees what the host's transaction sees.
        """
        answer: T = await self.run(lambda: self._do(work, writes=False))
        return answer

    async def accept(self, work: Callable[[Connection], T]) -> T:
        """
        Run the function that stores a batch.
        """
        answer: T = await self.run(lambda: self._do(work, writes=True))
        return answer

    async def write(
        self,
        _work: Callable[[Connection], T],
        *,
        first: bool = False,  # noqa: ARG002 - as that of `Transactions`
        joint: object = None,  # noqa: ARG002 - as that of `Transactions`
    ) -> NoReturn:
        """
        Refuse to do it.

        Raises:
            HostTransactionError: always.
        """
        refuse("this changes what other transactions wait for.")

    def _do(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        with translated_errors(), self.lent.savepoint(writes=writes) as connection:
            self.own.check_schema(connection)
            return work(connection)


def refuse(why: str) -> NoReturn:
    """
    Say that this is nothing to do within a host's transaction.

    Raises:
        HostTransactionError: always.
    """
    reason = f"Within your transaction a batch is accepted, and nothing else: {why}"
    advice = (
        "Submit with drive=False or submit_within, commit, and use the orchestrator over your repository."
    )
    raise HostTransactionError(reason, advice=advice)


async def _at_once(work: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it returns
    return work()


def _in_its_greenlet(connection: Any) -> RunInThread:  # noqa: ANN401 - of a module that may be missing
    async def run(work: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it returns
        # To its end: a driver that is cancelled within a statement leaves that running, and no savepoint
        # can be put back then.
        try:
            return await shielded_write(
                lambda: connection.run_sync(lambda _: work()), clock=SystemClock(), seconds=_LONGEST
            )
        except NoAnswerError as error:
            reason = "The database did not answer within your transaction in time."
            raise RepositoryUnavailableError(
                reason, advice="Roll back, and repeat the whole transaction."
            ) from error

    return run
