"""
Behind PgBouncer, in session and in transaction mode, with three connections to the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("psycopg")

import psycopg
from pooler import running_pooler
from sqlalchemy import URL, Engine, create_engine

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkStatus,
    NotificationOrchestrator,
    PeerMentorCertificate,
    ProxyActivity,
    PushDispatcher,
    RepositoryUnavailableError,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    create_schema,
    metadata,
)
from proxy_orchestration.storage.sql.database.engines import open_engine
from proxy_orchestration.testing.contracts import (
    activity_records,
    audit_outbox,
    batch_catalogue,
    notice_book,
    push_outbox,
    run_ledger,
)
from proxy_orchestration.testing.contracts.registration.samples import accepted, batch_of
from proxy_orchestration.testing.notification import ScriptedPushSender

if TYPE_CHECKING:
    from pooler import Pooler
    from postgres_server.databases import Databases

pytestmark = pytest.mark.postgresql(asyncio_only=True)

_MODES: Final = ["session", "transaction"]
_COORDINATOR: Final = Actor(user_id="coord-119", roles={Role.COORDINATOR}, organization_id="chapter-oslo")
_SETTINGS: Final = (
    "SELECT name || '=' || setting FROM pg_settings"
    " WHERE NOT starts_with(name, 'transaction_') AND name <> 'application_name' ORDER BY name"
)


@pytest.fixture(params=_MODES)
def pooler(request: pytest.FixtureRequest, poolers: Callable[..., Pooler]) -> Pooler:
    """
    A pooler with three connections to each database.
    """
    return poolers(pool_mode=request.param, default_pool_size=3, query_wait_timeout=LONGEST_WAIT)


@pytest.fixture
def narrow(poolers: Callable[..., Pooler]) -> Pooler:
    """
    A pooler in transaction mode with one connection to each database, that all clients share.
    """
    return poolers(pool_mode="transaction", default_pool_size=1)


@pytest.fixture(scope="module")
def database(postgresql: Databases) -> URL:
    """
    A database of this file's: elsewhere connections are ended, which a pooler notices a moment later.
    """
    return postgresql.new()


@pytest.fixture
def direct(postgresql: Databases, database: URL) -> URL:
    """
    Its address, without rows.
    """
    deletions = (f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))  # noqa: S608 - our own names
    postgresql.execute(database.database, ";".join(deletions))  # type: ignore[arg-type]  # the same
    return database


@pytest.fixture
def url(direct: URL, pooler: Pooler) -> URL:
    """
    The same by way of the pooler.
    """
    return pooler.front(direct)


def _request(mentors: int) -> BulkRegistrationRequest:
    activity = ProxyActivity(
        activity_type="walk_and_talk", activity_date=datetime.now(UTC).date(), duration_minutes=60
    )
    return BulkRegistrationRequest.for_mentors([f"mentor-{one}" for one in range(mentors)], activity)


def _orchestrator(repository: SqlActivityRepository) -> BulkRegistrationOrchestrator:
    return BulkRegistrationOrchestrator(
        registration_service=StandardRegistrationService(repository=repository), repository=repository
    )


def test_a_pooler_leaves_nothing_behind(postgresql: Databases, narrow: Pooler) -> None:
    """
    Neither its folder nor its process, when its block ends.
    """
    assert narrow.folder.exists()  # so that there is a PgBouncer at all
    with running_pooler(postgresql.socket_folder, pool_mode="session") as pooler:
        running = _working_in(pooler.folder)

    assert 1 == len(running)
    assert [] == _working_in(pooler.folder)
    assert not pooler.folder.exists()


def _working_in(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append(process.name)
        except OSError:
            continue
    return found


async def test_batches_and_notices_go_through(url: URL) -> None:
    """
    Two stores, each with connections of its own, over three of the server's.
    """
    sender = ScriptedPushSender()
    certificate = PeerMentorCertificate(
        certificate_id="certificate-1",
        mentor_id="mentor-1",
        certificate_type="first_aid",
        expires=datetime.now(UTC).date() + timedelta(days=5),
        organization_id="chapter-oslo",
    )
    async with SqlActivityRepository.open(url) as records, SqlNotificationRepository.open(url) as notices:
        result = await _orchestrator(records).submit_bulk_registration(_request(30), actor=_COORDINATOR)
        run = await NotificationOrchestrator(repository=notices).run([certificate])
        await PushDispatcher(repository=notices, sender=sender).drain()

    assert (BulkStatus.SUCCESS, 30) == (result.status, len(result.succeeded))
    assert 1 == run.created
    assert 1 == len(sender.sent)


async def test_batches_are_served(url: URL) -> None:
    """
    By two that serve, while a third submits and looks.
    """
    with anyio.fail_after(LONGEST_WAIT):
        async with (
            SqlActivityRepository.open(url) as one,
            SqlActivityRepository.open(url) as two,
            anyio.create_task_group() as serving,
        ):
            for repository in (one, two):
                await serving.start(_orchestrator(repository).serve)
            for _ in range(3):
                accepted = await _orchestrator(one).submit_bulk_registration(
                    _request(5), actor=_COORDINATOR, drive=False
                )
                async with _orchestrator(two).watch_batch(accepted.batch_id, actor=_COORDINATOR) as run:
                    async for _ in run:
                        pass
            serving.cancel_scope.cancel()

    assert BulkStatus.PENDING == accepted.status
    assert 5 == run.result.total == len(run.result.outcomes)


def test_the_schema_is_made_through_a_pooler(postgresql: Databases, pooler: Pooler) -> None:
    """
    And found current by whoever comes next.
    """
    url = postgresql.empty()
    for _ in range(2):
        engine = open_engine(pooler.front(url))
        create_schema(engine)
        engine.dispose()

    assert [(0,)] == list(postgresql.execute(url.database, "SELECT count(*) FROM batches"))


@pytest.mark.parametrize("check", [*batch_catalogue, *run_ledger, *audit_outbox, *activity_records], ids=str)
async def test_the_contract_holds_behind_a_pooler(url: URL, check: Any) -> None:
    """
    All of it, in both modes.
    """
    await check(lambda: SqlActivityRepository.open(url))


@pytest.mark.full
@pytest.mark.parametrize("pooler", ["transaction"], indirect=True)
@pytest.mark.parametrize("check", [*notice_book, *push_outbox], ids=str)
async def test_notices_keep_their_contract_behind_a_pooler(url: URL, check: Any) -> None:
    """
    The other half, in the mode that gives a client another connection for each transaction.
    """
    await check(lambda: SqlNotificationRepository.open(url))


async def test_a_pooler_that_is_killed_and_started_again_is_outlived(
    postgresql: Databases, direct: URL
) -> None:
    """
    The next call either goes through or says what to do, and the one after it goes through.
    """
    with running_pooler(postgresql.socket_folder, pool_mode="transaction", default_pool_size=3) as pooler:
        async with SqlActivityRepository.open(pooler.front(direct)) as repository:
            batch_id = await accepted(repository, batch_of(2))
            pooler.restart()
            with suppress(RepositoryUnavailableError):
                await repository.relabel(batch_id, "once")
            await repository.relabel(batch_id, "twice")
            record = await repository.get(batch_id)

    assert record is not None
    assert "twice" == record.label


async def test_statement_pooling_is_refused_in_words(direct: URL, poolers: Callable[..., Pooler]) -> None:
    """
    A transaction of several statements is what it does not allow.
    """
    url = poolers(pool_mode="statement", default_pool_size=3).front(direct)
    with _told(r"pools statements[\s\S]+pool_mode"):
        async with SqlActivityRepository.open(url) as repository:
            await accepted(repository, batch_of(2))


@contextmanager
def _engines(url: URL, number: int, **arguments: Any) -> Iterator[list[Engine]]:
    with ExitStack() as after:
        engines = [create_engine(url, pool_size=1, connect_args=arguments) for _ in range(number)]
        for engine in engines:
            after.callback(engine.dispose)
        yield engines


async def test_clients_of_one_connection_do_not_run_each_other_s_statements(
    direct: URL, narrow: Pooler
) -> None:
    """
    Engines of a host that says nothing of prepared statements, and a driver that would prepare at the sixth.
    """
    with _engines(narrow.front(direct), 2) as engines:
        repositories = [SqlActivityRepository(engine) for engine in engines]
        batches = {
            await accepted(repository, batch_of(2)): repository
            for _ in range(8)
            for repository in repositories
        }
        for number, (batch_id, repository) in enumerate(batches.items()):
            await repository.relabel(batch_id, f"label {number}")
        labels = [record.label for batch in batches if (record := await repositories[0].get(batch))]

    assert [f"label {number}" for number in range(16)] == labels


async def test_nothing_of_ours_is_seen_by_the_next_client(direct: URL, narrow: Pooler) -> None:
    """
    On the very connection to the server that we used, neither settings nor prepared statements nor locks.
    """
    url = narrow.front(direct)

    def state() -> list[Any]:
        with psycopg.connect(
            host=url.query["host"], port=6432, user="tester", dbname=url.database, prepare_threshold=None
        ) as connection:
            queries = (_SETTINGS, "SELECT pg_backend_pid()", "SELECT count(*) FROM pg_prepared_statements")
            return [[row[0] for row in connection.execute(query)] for query in queries]

    before = state()
    async with SqlActivityRepository.open(url) as repository:
        for _ in range(7):
            await repository.get(await accepted(repository, batch_of(2)))

    assert before == state()


async def test_dates_are_read_whatever_their_style(direct: URL, narrow: Pooler) -> None:
    """
    A client before us may have left another style on the connection.
    """
    url = narrow.front(direct)
    with _engines(url, 1) as (engine,):
        with engine.connect() as connection:
            connection.exec_driver_sql("SET DateStyle = 'German'")
            connection.commit()
        repository = SqlActivityRepository(engine)
        record = await repository.get(await accepted(repository, batch_of(1)))

    assert record is not None


@contextmanager
def _told(words: str) -> Iterator[None]:
    with pytest.raises(RepositoryUnavailableError, match=words):
        yield


async def test_a_parameter_that_the_pooler_refuses_is_told(url: URL) -> None:
    """
    PgBouncer 1.18 takes no options at all.
    """
    with _told(r"refuses a parameter[\s\S]+Take options"):
        async with SqlActivityRepository.open(url.update_query_dict({"options": "-c lock_timeout=5s"})):
            pass


async def test_a_pooler_without_a_place_for_another_client_is_told(
    direct: URL, poolers: Callable[..., Pooler]
) -> None:
    """
    Which is not the server's own limit.
    """
    url = poolers(pool_mode="transaction", max_client_conn=1).front(direct)
    with (
        psycopg.connect(host=url.query["host"], port=6432, user="tester", dbname=url.database),
        _told(r"takes no further client[\s\S]+max_client_conn"),
    ):
        async with SqlActivityRepository.open(url):
            pass


async def test_a_pooler_without_a_free_connection_is_told(
    direct: URL, poolers: Callable[..., Pooler]
) -> None:
    """
    Once, after the pooler's own patience.
    """
    pooler = poolers(pool_mode="transaction", default_pool_size=1, admin_users="tester")
    url = pooler.front(direct)
    address = {"host": url.query["host"], "port": 6432, "user": "tester"}
    async with SqlActivityRepository.open(url) as repository:
        with psycopg.connect(**address, dbname=url.database) as other:
            other.execute("SELECT 1")
            with psycopg.connect(**address, dbname="pgbouncer", autocommit=True) as console:
                # Only now: its first log-in to the server counts as waiting, too, however long it takes.
                console.cursor().execute("SET query_wait_timeout = 1", prepare=False)
            with _told(r"no free connection[\s\S]+pool_size"):
                await repository.get("no-such-batch")


async def test_a_host_that_asks_for_prepared_statements_is_told_what_they_do(
    direct: URL, narrow: Pooler
) -> None:
    """
    Where names of two clients meet on one connection.
    """
    with _engines(narrow.front(direct), 2, prepare_threshold=1) as engines:
        repositories = [SqlActivityRepository(engine) for engine in engines]
        with _told(r"mixes up prepared statements[\s\S]+prepare_threshold"):
            for _ in range(10):
                for repository in repositories:
                    await repository.get("no-such-batch")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("EXECUTE no_such_statement", "mixes up prepared statements"),
        ("PREPARE twice AS SELECT 1; PREPARE twice AS SELECT 1", "mixes up prepared statements"),
        ("DO $$ BEGIN RAISE SQLSTATE '08P01'; END $$", "broke off"),
    ],
    ids=["26000", "42P05", "08P01"],
)
async def test_what_a_pooler_causes_is_told_as_such(direct: URL, statement: str, words: str) -> None:
    """
    By the code that comes with it.
    """
    async with SqlActivityRepository.open(direct) as repository:
        with _told(words):
            await repository._transactions.read(lambda connection: connection.exec_driver_sql(statement))


@pytest.mark.parametrize("threshold", ["0", "5"])
async def test_prepared_statements_are_there_for_who_asks(direct: URL, threshold: str) -> None:
    """
    Directly, by a number in the address.
    """
    found = []
    for url in (direct.update_query_dict({"prepare_threshold": threshold}), direct):
        async with SqlActivityRepository.open(url) as repository:
            for _ in range(7):
                await repository.get("no-such-batch")
            found.append(await repository._transactions.read(_prepared))

    assert found[0] > 0 == found[1]


def _prepared(connection: Any) -> int:
    number: int = connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one()
    return number


@pytest.mark.parametrize("given", ["five", "", "-1", "1.5"])
async def test_a_threshold_that_is_no_number_is_told(direct: URL, given: str) -> None:
    """
    Before anything is connected to.
    """
    with _told(r"prepare_threshold[\s\S]+not a number"):
        async with SqlActivityRepository.open(direct.set(query={"prepare_threshold": given})):
            pass
