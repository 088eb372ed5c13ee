"""
Addresses, passwords and databases that are not as they should be: one clear error each.
"""

from __future__ import annotations

import builtins
import logging
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("psycopg")

from sqlalchemy import URL, Connection, Engine, create_engine

from proxy_orchestration.errors import (
    MissingExtraError,
    OrchestrationError,
    RecordRefusedError,
    RepositoryUnavailableError,
    SchemaVersionError,
)
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
    create_schema,
)
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

_CANARY: Final = "hunter2-canary"
_PIECES: Final = ("hunter2", "canary")
_STORES: Final = (SqlActivityRepository, SqlNotificationRepository, SqlVisibilityRegistry)


def _all_that_is_told(error: BaseException) -> str:
    """
    Return what any logger could print of an error, of all that hangs on it too.
    """
    told: list[str] = ["".join(traceback.format_exception(error))]
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None:
            told += [str(one), repr(one), repr(one.args), repr(vars(one))]
            waiting += [one.__cause__, one.__context__]
    return "\n".join(told)


async def _error_of(url: Any, store: Any = SqlActivityRepository) -> OrchestrationError:
    with pytest.raises(OrchestrationError) as caught:
        async with store.open(url):
            pass
    return caught.value


@pytest.fixture(autouse=True)
def _nobody_tells_the_password(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """
    Whatever is logged meanwhile.
    """
    with caplog.at_level(logging.DEBUG):
        yield
    assert not any(piece in caplog.text for piece in _PIECES)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "registrations.db",
        f"postgresql+psycopg://tester:{_CANARY}@host:port/database",
        "postgresql+psycopg://tester:hunter2@canary@host/database",
        f"postgresql+asyncpg://tester:{_CANARY}@host/database",
        f"postgresql+psycopg2://tester:{_CANARY}@host/database",
        f"mysql://tester:{_CANARY}@host/database",
        f"no-such-database://tester:{_CANARY}@host/database",
        "sqlite+aiosqlite:///store.db",
    ],
)
@pytest.mark.parametrize("store", _STORES)
async def test_an_address_that_is_none_is_told_without_being_shown(url: str, store: Any) -> None:
    """
    With what an address looks like; in what was misread there may be a password.
    """
    error = await _error_of(url, store)

    assert isinstance(error, RepositoryUnavailableError)
    assert "postgresql+psycopg://user:password@host/database" in error.advice
    assert not any(piece in _all_that_is_told(error) for piece in _PIECES)


@pytest.mark.parametrize("name", ["postgres", "postgresql", "postgresql+psycopg"])
async def test_an_address_may_name_postgresql_in_short(postgresql_url: URL, name: str) -> None:
    """
    As other tools write it.
    """
    async with SqlActivityRepository.open(postgresql_url.set(drivername=name)) as store:
        assert await store.get("no-such-batch") is None


async def test_a_password_among_the_options_is_used_and_not_shown(postgresql: Databases) -> None:
    """
    Libpq takes it there too, where SQLAlchemy would print it.
    """
    postgresql.execute("postgres", f"CREATE ROLE optional LOGIN SUPERUSER PASSWORD '{_CANARY}'")
    url = postgresql.new().set(username="optional", password=None).update_query_dict({"password": _CANARY})
    async with SqlActivityRepository.open(url) as store:
        assert await store.get("no-such-batch") is None
        assert _CANARY not in repr(store) + repr(store.engine) + repr(store.engine.url)


@pytest.mark.parametrize(
    ("changes", "reason", "advice"),
    [
        ({"username": "nobody-of-ours"}, "refuses this user", "Check both"),
        ({"database": "no_such_database"}, "no such database", "Create it"),
        ({"query": {"host": "/no/such/folder"}}, "cannot be reached", "Check that it runs"),
        ({"query": {"host": "127.0.0.1", "port": "1"}}, "cannot be reached", "Check that it runs"),
        ({"query": {"host": "no-such-host.invalid"}}, "cannot be reached", "Check that it runs"),
        ({"query": {"host": "/", "sslmode": "odd"}}, "cannot be reached", "Check that it runs"),
    ],
    ids=["user", "database", "socket", "port", "host", "option"],
)
async def test_a_server_that_lets_nobody_in_is_told(
    postgresql_url: URL, changes: dict[str, Any], reason: str, advice: str
) -> None:
    """
    Why, as far as it says so, and what to do; the password is in nothing that hangs on the error.
    """
    error = await _error_of(postgresql_url.set(**changes))

    assert isinstance(error, RepositoryUnavailableError)
    assert reason in error.reason
    assert advice in error.advice
    assert not any(piece in _all_that_is_told(error) for piece in _PIECES)


async def test_a_wrong_password_is_told_and_not_shown(postgresql: Databases, postgresql_url: URL) -> None:
    """
    Neither the wrong one nor the right one.
    """
    postgresql.execute("postgres", "CREATE ROLE locked LOGIN PASSWORD 'the-right-canary'")
    error = await _error_of(postgresql_url.set(username="locked"))
    missing = await _error_of(postgresql_url.set(username="locked", password=None))

    for one in (error, missing):
        assert isinstance(one, RepositoryUnavailableError)
        assert "refuses this user or password" in one.reason
        assert not any(piece in _all_that_is_told(one) for piece in _PIECES)


async def test_too_few_connections_are_told(postgresql: Databases) -> None:
    """
    A user that may have one, and two stores.
    """
    url = postgresql.new()
    postgresql.execute(
        "postgres",
        f"CREATE ROLE single LOGIN SUPERUSER PASSWORD '{_CANARY}' CONNECTION LIMIT 1",
        "ALTER ROLE single NOSUPERUSER",
        "GRANT pg_read_all_data TO single",
    )
    url = url.set(username="single")
    async with SqlActivityRepository.open(url) as store:
        await store.get("no-such-batch")
        error = await _error_of(url)

    assert isinstance(error, RepositoryUnavailableError)
    assert "no further connection" in error.reason


async def test_a_user_without_rights_is_told(postgresql: Databases) -> None:
    """
    Who may read only cannot write, and who may do nothing cannot make the schema.
    """
    postgresql.execute(
        "postgres",
        f"CREATE ROLE reader LOGIN PASSWORD '{_CANARY}'",
        "GRANT pg_read_all_data TO reader",
    )
    async with SqlActivityRepository.open(postgresql.new().set(username="reader")) as store:
        assert await store.get("no-such-batch") is None
        with pytest.raises(RepositoryUnavailableError, match="may not do that") as caught:
            await store.accept(batch_of(1))
    error = await _error_of(postgresql.empty().set(username="reader"))

    assert isinstance(error, RepositoryUnavailableError)
    assert "may not do that" in error.reason
    assert "create_schema" in caught.value.advice == error.advice


@pytest.fixture
def bare(postgresql: Databases) -> Iterator[Engine]:
    """
    A host's own engine over a database without any table.
    """
    engine = create_engine(postgresql.empty())
    yield engine
    engine.dispose()


async def test_a_missing_schema_is_told_with_the_remedy(bare: Engine) -> None:
    """
    In no table's name.
    """
    store = SqlActivityRepository(bare)
    for call in (store.get("no-such-batch"), store.accept(batch_of(1))):
        with pytest.raises(SchemaVersionError, match="create_schema") as caught:
            await call
        assert "batches" not in str(caught.value)


@pytest.mark.parametrize(("revision", "remedy"), [("0002", "create_schema"), ("9999", "Upgrade")])
async def test_an_older_or_newer_schema_is_told(bare: Engine, revision: str, remedy: str) -> None:
    """
    Before anything is read or changed.
    """
    create_schema(bare)
    with bare.begin() as connection:
        connection.exec_driver_sql("UPDATE proxy_orchestration_version SET version_num = %s", (revision,))

    with pytest.raises(SchemaVersionError, match=remedy):
        await SqlActivityRepository(bare).get("no-such-batch")


async def test_a_column_that_is_missing_is_told_like_a_missing_schema(bare: Engine) -> None:
    """
    A host's own migrations may lag behind.
    """
    create_schema(bare)
    with bare.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE batches RENAME COLUMN label TO title")

    with pytest.raises(SchemaVersionError, match="create_schema"):
        await SqlActivityRepository(bare).get("no-such-batch")


async def test_a_read_only_database_can_be_read(postgresql: Databases) -> None:
    """
    A replica: writes say what to do, reads go on.
    """
    url = postgresql.new()
    postgresql.execute("postgres", f"ALTER DATABASE {url.database} SET default_transaction_read_only = on")
    async with SqlActivityRepository.open(url) as store:
        with pytest.raises(RepositoryUnavailableError, match="read-only") as caught:
            await store.accept(batch_of(1))

        assert "replica" in caught.value.advice
        assert await store.get("no-such-batch") is None


async def test_a_full_disk_undoes_the_whole_commit(bare: Engine) -> None:
    """
    The driver goes on from where it was once there is space.
    """
    create_schema(bare)
    store = SqlActivityRepository(bare)
    batch_id = await accepted(store, batch_of(3))
    lease = await lease_of(store, batch_id)
    commit = Commit(outcomes=tuple(map(ended, await claim(store, lease, 3))), ttl=LONG)
    with bare.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION fill_up() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'no space left, hunter2' USING ERRCODE = 'disk_full'; END $$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER full_disk AFTER INSERT ON outcomes EXECUTE FUNCTION fill_up()"
        )
    with pytest.raises(RepositoryUnavailableError, match="full") as caught:
        await store.commit(lease, commit)
    assert "Free space" in caught.value.advice
    assert [] == await log_of(store, batch_id)

    with bare.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER full_disk ON outcomes")
    assert 3 == (await store.commit(lease, commit)).tail


@pytest.mark.parametrize(
    ("state", "reason", "advice"),
    [
        ("08006", "was cut", "server runs"),
        ("25P03", "stood idle", "Resume"),
        ("25P04", "took too long", "statement_timeout"),
        ("3F000", "no such schema", "search_path"),
        ("53200", "memory", "Give it more"),
        ("53300", "no further connection", "raise its limit"),
        ("55P03", "took too long", "lock_timeout"),
        ("57014", "took too long", "statement_timeout"),
        ("58030", "disk of the database server failed", "server's log"),
        ("XX001", "damaged", "backup"),
        ("0A000", "SQLSTATE 0A000", "Check the database"),
    ],
)
async def test_every_trouble_has_its_words(postgresql_url: URL, state: str, reason: str, advice: str) -> None:
    """
    And never the vendor's, which stay in the cause for the host's own log.
    """
    async with SqlActivityRepository.open(postgresql_url) as store:
        with pytest.raises(RepositoryUnavailableError) as caught:
            await store._transactions.read(
                lambda connection: connection.exec_driver_sql(
                    f"DO $$ BEGIN RAISE EXCEPTION 'words of a vendor' USING ERRCODE = '{state}'; END $$"
                )
            )

    assert reason in caught.value.reason
    assert advice in caught.value.advice
    assert "words of a vendor" not in str(caught.value)
    assert "words of a vendor" in str(caught.value.__cause__)


async def test_a_statement_that_takes_too_long_is_told(postgresql_url: URL) -> None:
    """
    The server's own limit is a host's decision.
    """

    def take_too_long(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 1")  # for none of the store's own
        connection.exec_driver_sql("SELECT pg_sleep(30)")

    async with SqlActivityRepository.open(postgresql_url) as store:
        with pytest.raises(RepositoryUnavailableError, match="took too long"):
            await store._transactions.read(take_too_long)


async def test_a_pool_that_is_used_up_is_told(postgresql_url: URL) -> None:
    """
    The host's engine has one connection, and uses it.
    """
    engine = create_engine(postgresql_url, pool_size=1, max_overflow=0, pool_timeout=0)
    store = SqlActivityRepository(engine)
    with engine.connect(), pytest.raises(RepositoryUnavailableError, match="larger pool"):
        await store.get("no-such-batch")
    engine.dispose()


async def test_nothing_of_a_refused_record_can_be_read_in_the_error(bare: Engine) -> None:
    """
    PostgreSQL shows the whole row that breaks a rule.
    """
    create_schema(bare)
    with bare.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE batches ADD CHECK (label <> 'canary')")
    store, named = SqlActivityRepository(bare), batch_of(1, label="canary")
    with pytest.raises(OrchestrationError) as caught:
        await store.accept(named)

    assert "canary" not in _all_that_is_told(caught.value)


async def test_a_value_out_of_range_is_a_refused_record(postgresql_url: URL) -> None:
    """
    SQLite's numbers are wider.
    """
    async with SqlActivityRepository.open(postgresql_url) as store:
        with pytest.raises(RecordRefusedError):
            await store._transactions.write(
                lambda connection: (
                    connection.exec_driver_sql("UPDATE batches SET total = 1 / 0")
                    and connection.exec_driver_sql("SELECT CAST(3000000000 AS integer)")
                )
            )


async def test_a_missing_driver_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The line to install it is in the error.
    """
    real = builtins.__import__

    def without_psycopg(name: str, *rest: Any, **options: Any) -> Any:
        if name == "psycopg":
            raise ModuleNotFoundError(name="psycopg")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without_psycopg)
    error = await _error_of(f"postgresql+psycopg://tester:{_CANARY}@host/database")

    assert isinstance(error, MissingExtraError)
    assert "pip install 'proxy-orchestration[postgresql]'" in str(error)
    assert not any(piece in _all_that_is_told(error) for piece in _PIECES)


@pytest.mark.parametrize("name", ["postgresql+psycopg2", "mysql"])
def test_an_engine_of_another_driver_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whose errors and parameters nobody tested.
    """
    engine = create_engine("sqlite://")
    backend, _, driver = name.partition("+")
    monkeypatch.setattr(engine.dialect, "name", backend)
    monkeypatch.setattr(engine.dialect, "driver", driver)

    with pytest.raises(ValueError, match=r"postgresql\+psycopg"):
        SqlActivityRepository(engine)
