"""
A function of the host's is called within each transaction that opens a run; what it writes is the run's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import Connection, Engine, create_engine, text

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    ItemState,
    MisconfiguredError,
    RunHookError,
)
from proxy_orchestration.registration.ledger import RunPurpose
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing import ScriptedRegistrationService, reject, succeed
from proxy_orchestration.testing.contracts.registration.samples import (
    COORDINATOR,
    accepted,
    batch_of,
    rerun,
    settle,
    settled_batch,
)

pytestmark = pytest.mark.dateless


@pytest.fixture
def anyio_backend() -> str:
    """
    Below the event loop both are the same; the kit runs on each.
    """
    return "asyncio"


def _order(connection: Connection, batch_id: str, run: int) -> None:
    connection.execute(text("INSERT INTO orders VALUES (:batch, :run)"), {"batch": batch_id, "run": run})


@attrs.define(eq=False)
class Host:
    """
    A store with the host's own table of orders beside it.
    """

    repository: SqlActivityRepository

    def orders(self) -> list[tuple[str, int]]:
        """
        Return what the host's table has.
        """
        with self.repository.engine.connect() as connection:
            rows = connection.execute(text("SELECT batch, run FROM orders ORDER BY run, batch"))
            return [(row.batch, row.run) for row in rows]


@pytest.fixture
async def opened(tmp_path: Path) -> Callable[..., Any]:
    """
    Open a store with a hook.
    """
    url = f"sqlite:///{tmp_path / 'store.db'}"

    @asynccontextmanager
    async def open_host(hook: Any = _order, **names: str) -> AsyncIterator[Host]:
        async with SqlActivityRepository.open(url, on_run_opened=hook, **names) as repository:
            with repository.engine.begin() as connection:
                connection.execute(text("CREATE TABLE orders (batch TEXT, run INTEGER)"))
            yield Host(repository)

    return open_host


async def test_it_is_called_for_each_acceptance_retry_and_review(opened: Any) -> None:
    """
    With the run's number; and not for a batch that was there already.
    """
    async with opened() as host:
        batch_id = await settled_batch(host.repository, ItemState.FAILED, idempotency_key="form-7")
        joined = await host.repository.accept(batch_of(1, idempotency_key="form-7"))
        await host.repository.open_run(rerun(batch_id, ["mentor-0"], purpose=RunPurpose.RETRY))
        await settle(host.repository, batch_id, [ItemState.NEEDS_REVIEW], run=2)
        review = rerun(batch_id, ["mentor-0"], expected_run=2, purpose=RunPurpose.REVIEW)
        await host.repository.open_run(review)
        orders = host.orders()

    assert (batch_id, False) == (joined.batch_id, joined.created)
    assert [(batch_id, run) for run in (1, 2, 3)] == orders


async def test_a_batch_that_is_driven_at_once_is_told_of_too(opened: Any) -> None:
    """
    Whose lease is taken in the same transaction.
    """
    async with opened() as host:
        acceptance, lease = await host.repository.accept_and_begin(batch_of(2), ttl=30, claim=2, called=1)
        orders = host.orders()

    assert lease is not None
    assert [(acceptance.batch_id, 1)] == orders


async def test_what_it_raises_is_the_cause_and_nothing_is_stored(opened: Any) -> None:
    """
    Neither a batch, nor its key, nor what it wrote before.
    """

    def fail(connection: Connection, batch_id: str, run: int) -> None:
        _order(connection, batch_id, run)
        raise LookupError(batch_id)

    batch = batch_of(2, idempotency_key="form-7", batch_id="batch-1")
    async with opened(fail) as host:
        with pytest.raises(RunHookError, match="raised LookupError") as raised:
            await host.repository.accept(batch)
        found = await host.repository.find_by_key(batch.actor, "form-7", batch.fingerprint)
        orders = host.orders()

    assert isinstance(raised.value.__cause__, LookupError)
    assert ("batch-1", 1) == (raised.value.batch_id, raised.value.run)
    assert (None, []) == (found, orders)


async def test_a_refused_retry_leaves_the_batch_in_its_run(opened: Any) -> None:
    """
    A run that was not opened can be opened later.
    """

    def fail_later(connection: Connection, batch_id: str, run: int) -> None:
        connection.execute(text("INSERT INTO no_such_table VALUES (1)" if run > 1 else "SELECT 1"))

    async with opened(fail_later) as host:
        batch_id = await settled_batch(host.repository, ItemState.FAILED)
        with pytest.raises(RunHookError, match="OperationalError") as raised:
            await host.repository.open_run(rerun(batch_id, ["mentor-0"]))
        record = await host.repository.get(batch_id)

    assert (2, 1) == (raised.value.run, record.run)


@pytest.mark.parametrize("end", [Connection.commit, Connection.rollback], ids=["commit", "rollback"])
async def test_it_cannot_end_the_transaction(opened: Any, end: Callable[[Connection], None]) -> None:
    """
    Half a batch is not committed for it, and the connection is as good as new afterwards.
    """

    def ends(connection: Connection, batch_id: str, run: int) -> None:
        _order(connection, batch_id, run)
        end(connection)

    async with opened(ends) as host:
        with pytest.raises(RunHookError, match="ended the transaction"):
            await host.repository.accept(batch_of(2, batch_id="batch-1"))
        host.repository.on_run_opened = None
        there = await accepted(host.repository, batch_of(1))
        found = await host.repository.get("batch-1")
        orders = host.orders()

    assert (None, []) == (found, orders)
    assert there


async def test_one_that_raises_costs_no_other_of_the_group_its_batch(opened: Any) -> None:
    """
    Acceptances that wait share a transaction; the failing one fails alone, and the others are called again.
    """
    called: list[str] = []

    def refuse_one(connection: Connection, batch_id: str, run: int) -> None:
        called.append(batch_id)
        _order(connection, batch_id, run)
        if batch_id == "batch-3":
            raise LookupError

    failed: list[str] = []

    async def accept(host: Host, batch_id: str) -> None:
        try:
            await host.repository.accept(batch_of(1, batch_id=batch_id))
        except RunHookError as error:
            failed.append(error.batch_id)

    names = [f"batch-{number}" for number in range(10)]
    async with opened(refuse_one) as host:
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(accept, host, name)
        orders = host.orders()

    assert ["batch-3"] == failed
    assert [(name, 1) for name in names if name != "batch-3"] == orders
    assert len(called) >= len(names)


async def test_its_statements_are_not_renamed_where_ours_have_a_prefix(opened: Any) -> None:
    """
    A host may have tables of its own by our names.
    """

    def write_items(connection: Connection, batch_id: str, run: int) -> None:
        connection.execute(text("INSERT INTO items VALUES (:batch)"), {"batch": batch_id})

    async with opened(write_items, prefix="bulk_") as host:
        with host.repository.engine.begin() as connection:
            connection.execute(text("CREATE TABLE items (batch TEXT)"))
        batch_id = await accepted(host.repository, batch_of(2))
        items = await host.repository.read_items(batch_id)
        with host.repository.engine.connect() as connection:
            own = connection.execute(text("SELECT batch FROM items")).scalars().all()

    assert ([batch_id], 2) == (own, len(items))


async def test_the_verbs_of_an_orchestrator_call_it(opened: Any) -> None:
    """
    A submission that is driven at once, and its retry.
    """
    service = ScriptedRegistrationService()
    service.script = lambda _, attempt: reject("no_consent", "No consent.") if attempt == 1 else succeed()
    async with opened() as host:
        bulk = BulkRegistrationOrchestrator(registration_service=service, repository=host.repository)
        request = BulkRegistrationRequest(entries=batch_of(1).entries)
        result = await bulk.submit_bulk_registration(request, actor=COORDINATOR)
        await bulk.retry_failed_items(result.batch_id, actor=COORDINATOR)
        orders = host.orders()

    assert [(result.batch_id, 1), (result.batch_id, 2)] == orders


async def _awaited(_connection: Connection, _batch_id: str, _run: int) -> None: ...


@pytest.mark.parametrize("hook", [_awaited, "a function"], ids=["awaited", "no function"])
def test_one_that_cannot_be_called_is_refused(tmp_path: Path, hook: Any) -> None:
    """
    When the store is made, and not at the first batch.
    """
    engine: Engine = create_engine(f"sqlite:///{tmp_path / 'store.db'}")

    with pytest.raises(MisconfiguredError, match="on_run_opened"):
        SqlActivityRepository(engine, on_run_opened=hook)
    engine.dispose()
