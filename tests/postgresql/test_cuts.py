"""
Transactions that PostgreSQL gives up, connections that are cut, servers that start again.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from waits import LONGEST_WAIT

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("psycopg")

from postgres_server import find_programs, running_server
from sqlalchemy import URL, Connection, create_engine, event, text

from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    accepted,
    batch_of,
    claim,
    ended,
    lease_of,
    log_of,
)

if TYPE_CHECKING:
    from postgres_server.databases import Databases

pytestmark = pytest.mark.postgresql(asyncio_only=True)

_RELABEL = text("UPDATE batches SET label = :label WHERE batch_id = :wanted")


@pytest.fixture
async def store(postgresql_url: URL) -> AsyncIterator[SqlActivityRepository]:
    """
    A store with nothing in it.
    """
    async with SqlActivityRepository.open(postgresql_url) as repository:
        yield repository


@contextmanager
def _once(store: SqlActivityRepository, beginning: str, strike: Any) -> Iterator[list[int]]:
    """
    Strike once, after the first statement that begins so; count how often it was executed.
    """
    struck: list[int] = []

    def note(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(beginning):
            struck.append(1)
            if len(struck) == 1:
                strike(connection)

    event.listen(store.engine, "after_cursor_execute", note)
    yield struck
    event.remove(store.engine, "after_cursor_execute", note)


def _backend(connection: Connection) -> int:
    pid: int = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]  # it is connected
    return pid


async def test_connections_cut_while_they_rested_are_no_trouble(
    postgresql: Databases, store: SqlActivityRepository
) -> None:
    """
    A server or a firewall ended them; the next call takes a new one.
    """
    batch_id = await accepted(store, batch_of(1))
    postgresql.let_go(store.engine.url.database)

    assert await store.get(batch_id) is not None
    postgresql.let_go(store.engine.url.database)
    assert await store.relabel(batch_id, "new")


@pytest.mark.parametrize("how", ["terminated", "idle too long"])
async def test_a_commit_cut_in_its_middle_is_repeated_whole(
    postgresql: Databases, store: SqlActivityRepository, how: str
) -> None:
    """
    Nothing of the first attempt stays, and everything of the second.
    """
    batch_id = await accepted(store, batch_of(3))
    lease = await lease_of(store, batch_id)
    work = await claim(store, lease, 3)

    def cut(connection: Connection) -> None:
        backend = _backend(connection)
        if how == "terminated":
            postgresql.terminate(backend)
        else:
            connection.connection.cursor().execute("SET idle_in_transaction_session_timeout = 1")
        postgresql.wait_for_the_end_of(backend)

    with _once(store, "UPDATE runs SET tail", cut) as executed:
        committed = await store.commit(lease, Commit(outcomes=tuple(map(ended, work)), ttl=LONG))

    assert 2 == len(executed)
    assert 3 == committed.tail
    assert [1, 2, 3] == [update.sequence for update in await log_of(store, batch_id)]


async def test_a_connection_cut_at_the_commit_itself_leaves_the_answer_open(
    postgresql: Databases, store: SqlActivityRepository
) -> None:
    """
    Whether it took place cannot be known, so it is neither repeated nor told as done.
    """
    batch_id = await accepted(store, batch_of(1))
    cut: list[int] = []

    @event.listens_for(store.engine, "commit")
    def cut_it(connection: Connection) -> None:
        if not cut:
            cut.append(_backend(connection))
            postgresql.terminate(cut[0])
            postgresql.wait_for_the_end_of(cut[0])

    with pytest.raises(RepositoryUnavailableError, match="answer to it is lost") as caught:
        await store.relabel(batch_id, "new")

    assert "resume" in caught.value.advice
    assert await store.relabel(batch_id, "newer")


async def test_a_batch_whose_acceptance_lost_its_answer_is_found_and_not_doubled(
    postgresql: Databases, store: SqlActivityRepository
) -> None:
    """
    Though it has no key: it is looked for by its id.
    """
    cut: list[int] = []

    @event.listens_for(store.engine, "before_cursor_execute")
    def commit_and_cut_it(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO work") and not cut:
            cut.append(_backend(connection))

    @event.listens_for(store.engine, "commit")
    def cut_it(connection: Connection) -> None:
        if cut and _backend(connection) == cut[0]:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("COMMIT")
            postgresql.terminate(cut[0])
            postgresql.wait_for_the_end_of(cut[0])

    acceptance = await store.accept(batch_of(2))

    assert cut
    assert acceptance.created
    assert await store.get(acceptance.batch_id) is not None
    assert 1 == len(await store.find_drivable(limit=9))


async def test_a_connection_that_is_always_cut_is_an_error(
    postgresql: Databases, store: SqlActivityRepository
) -> None:
    """
    A few repetitions, and then what to do.
    """
    batch_id = await accepted(store, batch_of(1))
    attempts: list[int] = []

    @event.listens_for(store.engine, "before_cursor_execute")
    def cut(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE batches"):
            attempts.append(_backend(connection))
            postgresql.terminate(attempts[-1])
            postgresql.wait_for_the_end_of(attempts[-1])

    with pytest.raises(RepositoryUnavailableError, match="was cut") as caught:
        await store.relabel(batch_id, "new")

    assert 1 < len(set(attempts)) < 10
    assert "Check that its server runs" in caught.value.advice


async def test_a_deadlock_is_repeated(postgresql_url: URL, store: SqlActivityRepository) -> None:
    """
    The other transaction ends, and then ours does too.
    """
    names = [await accepted(store, batch_of(1)) for _ in range(2)]
    holds, may_go_on = threading.Event(), threading.Event()
    attempts: list[int] = []

    def stand_in_the_way() -> None:
        engine = create_engine(postgresql_url)
        with engine.begin() as connection:
            connection.exec_driver_sql("SET deadlock_timeout = '60s'")  # the other one notices
            connection.execute(_RELABEL, {"wanted": names[1], "label": "theirs"})
            holds.set()
            may_go_on.wait(timeout=LONGEST_WAIT)
            connection.execute(_RELABEL, {"wanted": names[0], "label": "theirs"})
        engine.dispose()

    def relabel_both(connection: Connection) -> None:
        attempts.append(1)
        connection.execute(_RELABEL, {"wanted": names[0], "label": "ours"})
        may_go_on.set()
        connection.execute(_RELABEL, {"wanted": names[1], "label": "ours"})

    other = threading.Thread(target=stand_in_the_way)
    other.start()
    holds.wait(timeout=LONGEST_WAIT)
    await store._transactions.write(relabel_both)
    other.join(timeout=LONGEST_WAIT)

    assert 1 < len(attempts) < 6
    assert ["ours", "ours"] == [record.label for name in names if (record := await store.get(name))]


async def test_transactions_that_always_stand_in_each_other_s_way_are_an_error(
    store: SqlActivityRepository,
) -> None:
    """
    A few repetitions, and then what to do.
    """
    attempts: list[int] = []

    def fail(connection: Connection) -> None:
        attempts.append(1)
        connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$")

    with pytest.raises(RepositoryUnavailableError, match="kept blocking each other"):
        await store._transactions.write(fail)

    assert 1 < len(attempts) < 10


async def test_a_server_that_starts_again_has_all_that_was_acknowledged(postgresql: Databases) -> None:
    """
    Without a warning, in the middle of a run: the driver's next commit goes on with it.
    """
    with running_server(find_programs()) as server:
        url = URL.create("postgresql", "tester", database="postgres", query={"host": str(server.folder)})
        async with SqlActivityRepository.open(url) as store:
            batch_id = await accepted(store, batch_of(3))
            lease = await lease_of(store, batch_id)
            first, *others = await claim(store, lease, 3)
            await store.commit(lease, Commit(outcomes=(ended(first),), ttl=LONG))
            server.restart()
            await store.commit(lease, Commit(outcomes=tuple(map(ended, others)), ttl=LONG))

            assert [1, 2, 3] == [update.sequence for update in await log_of(store, batch_id)]
