"""
A host that is not async: its transaction stays in its thread, and Django's is one of them.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkStatus,
    Conflict,
    HostTransactionError,
    MisconfiguredError,
    ProxyRegistration,
)
from proxy_orchestration.blocking import BlockingOrchestrator
from proxy_orchestration.blocking.calls import _Errand
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing import CheckingRegistrationService
from proxy_orchestration.testing.contracts.registration.samples import COORDINATOR, batch_of

pytestmark = pytest.mark.dateless

REQUEST = BulkRegistrationRequest(entries=batch_of(2).entries)


class LookingService(CheckingRegistrationService):
    """
    Notes the thread in which it is asked, and knows what a test does when a run is opened.
    """

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()
        self.on_run_opened: Callable[[], None] = lambda: None

    async def find_conflicts(self, registrations: Sequence[ProxyRegistration], /) -> Sequence[Conflict]:
        """
        Answer as the other does.
        """
        self.threads.add(threading.get_ident())
        return await super().find_conflicts(registrations)


@contextmanager
def _blocking(file: Path, backend: Any, service: LookingService) -> Iterator[BlockingOrchestrator]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[BulkRegistrationOrchestrator]:
        def on_run_opened(*_: object) -> None:
            service.on_run_opened()

        url = f"sqlite:///{file}"
        async with SqlActivityRepository.open(url, on_run_opened=on_run_opened) as repository:
            yield BulkRegistrationOrchestrator(registration_service=service, repository=repository)

    with BlockingOrchestrator(opened, backend=backend) as blocking:
        yield blocking


@pytest.fixture
def service() -> LookingService:
    """
    What is asked about conflicts.
    """
    return LookingService()


@pytest.fixture
def blocking(tmp_path: Path, anyio_backend: str, service: LookingService) -> Iterator[BlockingOrchestrator]:
    """
    An object that is open at its first call.
    """
    with _blocking(tmp_path / "store.db", anyio_backend, service) as blocking:
        blocking.check_health()
        yield blocking


@pytest.fixture
def orders(tmp_path: Path, blocking: BlockingOrchestrator) -> Callable[[], list[str]]:
    """
    Make the host's own table, and return what reads it.
    """
    with closing(sqlite3.connect(tmp_path / "store.db")) as made:
        made.execute("CREATE TABLE orders (name TEXT)")

    def read() -> list[str]:
        with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
            return [name for (name,) in connection.execute("SELECT name FROM orders")]

    return read


@pytest.fixture
def connection(
    tmp_path: Path, blocking: BlockingOrchestrator, orders: Callable[[], list[str]]
) -> Iterator[sqlite3.Connection]:
    """
    A connection of this thread, whose transaction was begun to write.
    """
    connection = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def test_the_service_is_asked_in_the_loop_and_the_connection_is_used_here(
    blocking: BlockingOrchestrator, connection: sqlite3.Connection, service: LookingService
) -> None:
    """
    A driver refuses a connection in any thread but its own.
    """
    accepted = blocking.submit_within(connection, REQUEST, actor=COORDINATOR)
    connection.execute("COMMIT")
    driven = blocking.resume_interrupted()

    assert BulkStatus.PENDING is accepted.status
    assert threading.get_ident() not in service.threads
    assert [accepted.batch_id] == list(driven)


def test_an_error_of_the_connection_leaves_as_itself(
    blocking: BlockingOrchestrator, connection: sqlite3.Connection
) -> None:
    """
    Across both threads.
    """
    connection.execute("COMMIT")

    with pytest.raises(HostTransactionError, match="BEGIN IMMEDIATE"):
        blocking.submit_within(connection, REQUEST, actor=COORDINATOR)


def test_an_interruption_while_it_is_stored_undoes_it(
    blocking: BlockingOrchestrator,
    connection: sqlite3.Connection,
    service: LookingService,
    orders: Callable[[], list[str]],
) -> None:
    """
    The call ends, and the host's transaction goes on from where it was.
    """
    connection.execute("INSERT INTO orders VALUES ('first')")
    service.on_run_opened = _interrupt
    with pytest.raises(KeyboardInterrupt):
        blocking.submit_within(connection, REQUEST, actor=COORDINATOR)
    service.on_run_opened = lambda: None
    accepted = blocking.submit_within(connection, REQUEST, actor=COORDINATOR)
    connection.execute("COMMIT")
    batches = blocking.list_batches(actor=COORDINATOR).batches

    assert ["first"] == orders()
    assert [accepted.batch_id] == [batch.batch_id for batch in batches]


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_an_errand_that_nobody_waits_for_is_not_begun() -> None:
    """
    A thread comes to it after its call was cancelled.
    """

    async def give_up() -> list[str]:
        done: list[str] = []
        errand = _Errand(lambda: done.append("done"))
        errand.is_wanted = False
        errand.do(None)  # type: ignore[arg-type]  # no loop is told
        return done

    assert [] == anyio.run(give_up)


@pytest.fixture
def django_connection(
    tmp_path: Path, blocking: BlockingOrchestrator, orders: Callable[[], list[str]]
) -> Iterator[Any]:
    """
    Django's connection to the store's database.
    """
    pytest.importorskip("django")
    from django_host import django_database  # noqa: PLC0415 - needs Django

    options = {"transaction_mode": "IMMEDIATE"}
    with django_database(
        "bulk", ENGINE="django.db.backends.sqlite3", NAME=str(tmp_path / "store.db"), OPTIONS=options
    ) as connection:
        yield connection


@pytest.mark.parametrize("fails", [False, True], ids=["committed", "rolled back"])
def test_an_order_of_django_s_and_its_batch_are_one(
    blocking: BlockingOrchestrator, django_connection: Any, orders: Callable[[], list[str]], fails: bool
) -> None:
    """
    A driver is woken by `on_commit`, or not at all.
    """
    from django.db import transaction  # noqa: PLC0415 - needs Django

    woken: list[str] = []
    accepted: list[str] = []
    with suppress(ZeroDivisionError), transaction.atomic(using="bulk"):
        with django_connection.cursor() as cursor:
            cursor.execute("INSERT INTO orders VALUES ('first')")
        batch = blocking.submit_within(django_connection.connection, REQUEST, actor=COORDINATOR)
        accepted.append(batch.batch_id)
        transaction.on_commit(lambda: woken.append(batch.batch_id), using="bulk")
        1 / (not fails)
    stored = [batch.batch_id for batch in blocking.list_batches(actor=COORDINATOR).batches]

    assert ([] if fails else ["first"]) == orders()
    assert ([] if fails else accepted) == stored == woken


def test_outside_of_an_atomic_block_of_django_s_it_is_refused(
    blocking: BlockingOrchestrator, django_connection: Any
) -> None:
    """
    Each statement would be committed by itself.
    """
    django_connection.ensure_connection()

    with pytest.raises(HostTransactionError, match="not in a transaction"):
        blocking.submit_within(django_connection.connection, REQUEST, actor=COORDINATOR)
    with pytest.raises(MisconfiguredError, match=r"from Django: connection\.connection"):
        blocking.submit_within(django_connection, REQUEST, actor=COORDINATOR)
