"""
Which code works on which schema: its own revision, and the next one where that only adds.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect

from proxy_orchestration.errors import SchemaVersionError
from proxy_orchestration.registration.runs import Commit, UnfinishedItem
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema, metadata
from proxy_orchestration.storage.sql.database import migrate, transactions, versions
from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS
from proxy_orchestration.storage.sql.database.versions import REVISIONS, VERSION_TABLE
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    OVER,
    accepted,
    batch_of,
    lease_of,
)

pytestmark = pytest.mark.one_loop


_NEXT: Final = f"{int(REVISIONS[-1]) + 1:04}"
_OVERNEXT: Final = f"{int(REVISIONS[-1]) + 2:04}"
_ROW: Final = f"SELECT version_num, compatible_from FROM {VERSION_TABLE}"  # noqa: S608 - our own name
_ADDING: Final = """
    op.add_column("batches", sa.Column("shade", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("weight", sa.Integer(), nullable=False, server_default="1"))
    op.create_table("shades", sa.Column("shade", sa.Text(), nullable=False))
    op.create_index("ix_batches_shade", "batches", ["shade"])
"""
_CONTRACTING: Final = """
    op.drop_column("batches", "service_name")
"""
_MIGRATION: Final = """
import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible

revision = {revision!r}
down_revision = {before!r}
compatible_from = {compatible_from!r}


def upgrade():
    {body}
    declare_compatible(op.get_bind(), compatible_from)
"""


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql(asyncio_only=True))]
)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """
    A host's own engine over a database without any table.
    """
    url: Any = f"sqlite:///{tmp_path / 'store.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("bare_postgresql_url")
    engine = create_engine(url)
    yield engine
    engine.dispose()


def _newer(folder: Path, *bodies: str, compatible_from: str = REVISIONS[-1]) -> Path:
    """
    Return the migrations of a library that is so many revisions newer.
    """
    script = shutil.copytree(MIGRATIONS, folder / "newer")
    before = int(REVISIONS[-1])
    for number, body in enumerate(bodies, before + 1):
        values = {"revision": f"{number:04}", "before": f"{number - 1:04}", "body": body.strip()}
        text = _MIGRATION.format(compatible_from=compatible_from, **values)
        (script / "versions" / f"{number:04}_newer.py").write_text(text, encoding="utf-8")
    return script


def _upgrade(connection: Connection, revision: str, script: Path = MIGRATIONS) -> None:
    directory = ScriptDirectory(str(script))
    options = {
        "version_table": VERSION_TABLE,
        "fn": lambda now, _context: directory._upgrade_revs(revision, now),
    }
    context = MigrationContext.configure(connection, opts=options)
    with Operations.context(context):
        context.run_migrations()


def _upgraded(engine: Engine, script: Path) -> None:
    """
    Bring the schema to the newest of these migrations, as a newer process would.
    """
    with engine.begin() as connection:
        _upgrade(connection, "head", script)


def _compatible_from(revision: str) -> str:
    module = ScriptDirectory(str(MIGRATIONS)).get_revision(revision).module
    found: str = module.compatible_from
    return found


def _row(engine: Engine) -> tuple[str, str]:
    with engine.connect() as connection:
        row = connection.exec_driver_sql(_ROW).one()
    return (row[0], row[1])


def test_the_version_row_says_from_which_code_on_it_may_be_used(engine: Engine) -> None:
    """
    A fresh schema is for the code that made it: what came before does not look there.
    """
    create_schema(engine)

    assert (REVISIONS[-1], _compatible_from(REVISIONS[-1])) == _row(engine)


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_an_older_schema_gets_the_row_too(engine: Engine, revision: str) -> None:
    """
    From every revision, and Alembic finds no difference.
    """
    with engine.begin() as connection:
        _upgrade(connection, revision)
    create_schema(engine)
    options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
    with engine.connect() as connection:
        difference = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    assert [] == difference
    assert (REVISIONS[-1], _compatible_from(REVISIONS[-1])) == _row(engine)


async def test_a_running_process_goes_on_while_a_newer_one_migrates(engine: Engine, tmp_path: Path) -> None:
    """
    One revision that only adds: open stores read and write before and after, over the same connections.
    """
    create_schema(engine)
    repository = SqlActivityRepository(engine)
    batch_ids = [await accepted(repository, batch_of(2)) for _ in range(7)]  # psycopg prepares after five
    found = [await repository.get(batch_id) for batch_id in batch_ids]

    _upgraded(engine, _newer(tmp_path, _ADDING))
    batch_ids += [await accepted(repository, batch_of(2)) for _ in range(7)]
    found += [await repository.get(batch_id) for batch_id in batch_ids[7:]]
    relabelled = await repository.relabel(batch_ids[0], "later")

    assert (_NEXT, REVISIONS[-1]) == _row(engine)
    assert batch_ids == [record.batch_id for record in found if record is not None]
    assert relabelled


async def test_a_process_may_start_on_a_schema_that_is_one_compatible_revision_newer(
    engine: Engine, tmp_path: Path
) -> None:
    """
    So that a fleet is upgraded one process after the other; whoever is older changes nothing.
    """
    create_schema(engine)
    _upgraded(engine, _newer(tmp_path, _ADDING))
    create_schema(engine)
    repository = SqlActivityRepository(engine)
    batch_id = await accepted(repository, batch_of(2))

    assert await repository.get(batch_id) is not None
    assert (_NEXT, REVISIONS[-1]) == _row(engine)


@pytest.mark.parametrize(
    ("bodies", "compatible_from"),
    [
        pytest.param([_CONTRACTING], _NEXT, id="marked incompatible"),
        pytest.param([_ADDING, ""], REVISIONS[-1], id="two revisions newer"),
        pytest.param([_ADDING, _CONTRACTING], _OVERNEXT, id="two newer and incompatible"),
    ],
)
async def test_what_is_too_new_is_refused_with_what_to_do(
    engine: Engine, tmp_path: Path, bodies: list[str], compatible_from: str
) -> None:
    """
    By whoever creates the schema and by every store, and nothing is changed.
    """
    create_schema(engine)
    _upgraded(engine, _newer(tmp_path, *bodies, compatible_from=compatible_from))
    before = _row(engine)

    with pytest.raises(SchemaVersionError, match="Upgrade proxy-orchestration") as creating:
        create_schema(engine)
    with pytest.raises(SchemaVersionError, match="Upgrade proxy-orchestration") as reading:
        await SqlActivityRepository(engine).get("no-such-batch")
    with pytest.raises(SchemaVersionError, match="Upgrade proxy-orchestration"):
        await SqlActivityRepository(engine).accept(batch_of(1))

    assert before == _row(engine)
    assert creating.value.advice
    assert str(creating.value) == str(reading.value)


@pytest.mark.parametrize(
    ("revision", "compatible_from"),
    [(_NEXT, None), (_NEXT, ""), (_NEXT, "soon"), ("soon", REVISIONS[-1]), ("", REVISIONS[-1])],
)
async def test_a_row_that_says_nothing_clear_is_refused(
    engine: Engine, revision: str, compatible_from: str | None
) -> None:
    """
    What cannot be read as a promise is none.
    """
    create_schema(engine)
    value = "NULL" if compatible_from is None else f"'{compatible_from}'"
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE {VERSION_TABLE} SET version_num = '{revision}', compatible_from = {value}"  # noqa: S608 - our own values
        )

    with pytest.raises(SchemaVersionError, match="Upgrade proxy-orchestration"):
        await SqlActivityRepository(engine).get("no-such-batch")


async def test_a_running_process_notices_in_time_that_the_schema_became_too_new(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It looks again now and then, and not only when it starts.
    """
    create_schema(engine)
    monkeypatch.setattr(transactions, "_VERSION_HOLDS", 0.0)
    repository = SqlActivityRepository(engine)
    await repository.get("no-such-batch")
    _upgraded(engine, _newer(tmp_path, _ADDING, ""))

    with pytest.raises(SchemaVersionError, match="Upgrade proxy-orchestration"):
        await repository.get("no-such-batch")


async def test_a_running_process_that_misses_a_column_looks_at_the_version(
    engine: Engine, tmp_path: Path
) -> None:
    """
    So that it is told the truth by the next call at the latest: the library is too old, not the schema.
    """
    create_schema(engine)
    repository = SqlActivityRepository(engine)
    await repository.get("no-such-batch")
    _upgraded(engine, _newer(tmp_path, _CONTRACTING, compatible_from=_NEXT))

    with pytest.raises(SchemaVersionError):
        await repository.get("no-such-batch")
    with pytest.raises(SchemaVersionError, match="Upgrade proxy-orchestration"):
        await repository.get("no-such-batch")


async def test_code_from_before_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The row of this revision names no earlier code; 0.1.0 does not even read it, and stops at the number.
    """
    create_schema(engine)
    monkeypatch.setattr(versions, "REVISIONS", REVISIONS[: REVISIONS.index("0005")])
    monkeypatch.setattr(migrate, "REVISIONS", REVISIONS[: REVISIONS.index("0005")], raising=False)

    with pytest.raises(SchemaVersionError, match="Upgrade proxy-orchestration"):
        create_schema(engine)
    with pytest.raises(SchemaVersionError, match="Upgrade proxy-orchestration"):
        await SqlActivityRepository(engine).get("no-such-batch")


_Shape = dict[str, dict[str, Any]]


def _shape(connection: Connection) -> _Shape:
    """
    Return each table's columns, indexes and constraints, by name.
    """
    inspector = inspect(connection)
    return {name: _table(inspector, name) for name in inspector.get_table_names()}


def _table(inspector: Any, name: str) -> dict[str, Any]:
    """
    Return what an older code relies on in a table, each part by its kind and name.
    """
    parts: dict[str, Any] = {
        f"column {column['name']}": (str(column["type"]), column["nullable"], column["default"])
        for column in inspector.get_columns(name)
    }
    parts["primary key"] = inspector.get_pk_constraint(name)["constrained_columns"]
    parts |= {f"index {index['name']}": _index(index) for index in inspector.get_indexes(name)}
    for kind in ("unique_constraints", "check_constraints", "foreign_keys"):
        found = getattr(inspector, f"get_{kind}")(name)
        parts |= {f"{kind} {one['name']}": str(one) for one in found}
    return parts


def _index(index: Any) -> tuple[Any, ...]:
    conditions = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return (index["column_names"], bool(index["unique"]), conditions)


def _contractions(before: _Shape, after: _Shape) -> list[str]:
    """
    Return what an older code would stumble over.
    """
    gone = [
        f"{table}: {part}"
        for table, parts in before.items()
        for part, value in parts.items()
        if after.get(table, {}).get(part, "gone") != value
    ]
    demands = [
        f"{table}: {part}"
        for table in before.keys() & after.keys()
        for part in after[table].keys() - before[table].keys()
        if not _is_harmless(part, after[table][part])
    ]
    return gone + demands


def _is_harmless(part: str, value: Any) -> bool:
    """
    Return whether rows that an older code writes satisfy a new part of an old table.
    """
    kind = part.partition(" ")[0]
    if kind == "column":
        _, nullable, default = value
        return nullable or default is not None
    return kind == "index" and not value[1]


@pytest.mark.parametrize("revision", REVISIONS[REVISIONS.index("0005") :])
def test_from_the_fifth_on_a_revision_only_adds(engine: Engine, revision: str) -> None:
    """
    And says so in the row: what an older code relies on is still there, and its rows satisfy what is new.

    One that does more names itself, and no older code works on it.
    """
    script = ScriptDirectory(str(MIGRATIONS)).get_revision(revision)
    with engine.begin() as connection:
        _upgrade(connection, str(script.down_revision))
        before = _shape(connection)
        _upgrade(connection, revision)
        after = _shape(connection)

    assert [] == _contractions(before, after) or _compatible_from(revision) == revision
    assert (revision, script.module.compatible_from) == _row(engine)


@pytest.mark.parametrize("revision", REVISIONS[REVISIONS.index("0006") :])
def test_what_older_code_would_misread_no_later_revision_lets_it_read(revision: str) -> None:
    """
    A pause and a service's name that older code does not know of stay unknown to it.
    """
    before = str(ScriptDirectory(str(MIGRATIONS)).get_revision(revision).down_revision)

    assert _compatible_from(before) <= _compatible_from(revision) <= revision


@pytest.mark.parametrize("revision", ["0013", "0014"])
def test_code_that_knows_of_no_pause_and_of_no_service_is_shut_out(revision: str) -> None:
    """
    It would drive what is paused, and what another service accepted.
    """
    assert revision == _compatible_from(revision)


@pytest.mark.parametrize(
    ("body", "contraction"),
    [
        (_ADDING, None),
        (_CONTRACTING, "batches: column service_name"),
        ('op.drop_index("ix_runs_open", "runs")', "runs: index ix_runs_open"),
        ('op.drop_table("audit_events")', "audit_events: column payload"),
        ('op.create_index("uq_label", "batches", ["label"], unique=True)', "batches: index uq_label"),
        ('op.alter_column("batches", "label", new_column_name="title")', "batches: column label"),
    ],
    ids=["adds", "drops a column", "drops an index", "drops a table", "demands", "renames"],
)
def test_a_revision_that_takes_something_away_is_noticed(
    engine: Engine, tmp_path: Path, body: str, contraction: str | None
) -> None:
    """
    The look at the shipped revisions is worth something.
    """
    create_schema(engine)
    script = _newer(tmp_path, body)
    with engine.begin() as connection:
        before = _shape(connection)
        _upgrade(connection, "head", script)
        found = _contractions(before, _shape(connection))

    assert (contraction in found) if contraction else found == []


async def test_where_older_code_drove_in_between_all_that_is_claimed_is_in_doubt(engine: Engine) -> None:
    """
    It raises the fence and says nothing of its calls; what waited may have been called too.
    """
    create_schema(engine)
    repository = SqlActivityRepository(engine)
    batch_id = await accepted(repository, batch_of(5))
    first = await lease_of(repository, batch_id)
    work = (await repository.commit(first, Commit(claim=3, called=1, ttl=LONG))).claimed
    waits = UnfinishedItem(work=work[1], due_in=LONG, calls=1, rounds=1)
    await repository.commit(first, Commit(unfinished=(waits,), called=2, ttl=LONG))
    await repository.release(first, due_in=LONG)
    with engine.begin() as connection:  # as code of revision 0005 acquires, claims and dies
        connection.exec_driver_sql("UPDATE runs SET fence = fence + 1, claimed = 4, lease_until = 1")
    newer = await lease_of(repository, batch_id, ttl=OVER)
    (known,) = newer.unfinished
    await repository.commit(newer, Commit(called=newer.called, ttl=OVER))
    again = await lease_of(repository, batch_id)

    assert ([0, 2, 3], ()) == ([one.item for one in newer.begun], newer.uncalled)
    assert (1, True, True) == (known.work.item, known.is_called, known.in_doubt)
    assert newer.begun == again.begun
    assert [(known.work, True)] == [(one.work, one.is_called) for one in again.unfinished]


async def test_older_code_that_did_not_look_at_due_times_leaves_nobody_waiting(engine: Engine) -> None:
    """
    Its lease is over: the run is due, whatever the driver before said.
    """
    create_schema(engine)
    repository = SqlActivityRepository(engine)
    batch_id = await accepted(repository, batch_of(1))
    await repository.release(await lease_of(repository, batch_id), due_in=LONG)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE runs SET fence = fence + 1, lease_until = 1")

    assert 1 == len(await repository.find_drivable(limit=9, due_only=True))


async def test_older_code_removes_what_it_does_not_know_with_the_batch(engine: Engine) -> None:
    """
    Or the next batch would have it: SQLite gives a row's number again.
    """
    create_schema(engine)
    repository = SqlActivityRepository(engine)
    batch_id = await accepted(repository, batch_of(1))
    lease = await lease_of(repository, batch_id)
    (work,) = (await repository.commit(lease, Commit(claim=1, ttl=LONG))).claimed
    await repository.commit(lease, Commit(unfinished=(UnfinishedItem(work=work),), ttl=LONG))
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(
                "PRAGMA foreign_keys = ON"
            )  # as older code has it, for the whole engine
        for table in ("outcomes", "work", "runs", "items", "batches"):
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - our own names

        assert 0 == connection.exec_driver_sql("SELECT count(*) FROM unfinished").scalar_one()
