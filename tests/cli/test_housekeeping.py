"""
What relabel, delete, purge, upgrade, health and --version do, tell, and end with.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.database.versions import REVISIONS
from proxy_orchestration.testing.contracts.registration.samples import NOON, batch_of, ended


def test_the_version_is_told(run: Any) -> None:
    """
    Without a command, and without a store.
    """
    ended = run("--version")

    assert ExitCode.SUCCESS == ended.code
    assert f"proxy-orchestration {version('proxy-orchestration')}\n" == ended.out


def test_a_batch_is_relabelled_and_loses_its_label(run: Any, settled: Any) -> None:
    """
    An empty label is none.
    """
    batch_id = settled(m1=ItemState.SUCCEEDED)

    assert ExitCode.SUCCESS == run("relabel", batch_id, "Week 45").code
    assert "Week 45" in run("list").out
    assert {"batch_id": batch_id, "label": None} == run("relabel", batch_id, "", "--json").document
    assert "Week 45" not in run("list").out


def test_a_label_that_is_too_long_is_bad_input(run: Any, settled: Any) -> None:
    """
    Nothing is cut off in silence.
    """
    ended = run("relabel", settled(m1=ItemState.SUCCEEDED), "x" * 201)

    assert ExitCode.BAD_INPUT == ended.code
    assert "200" in ended.err


def test_a_settled_batch_is_deleted(run: Any, settled: Any) -> None:
    """
    It is gone then, for machines too.
    """
    first, second = settled(m1=ItemState.SUCCEEDED), settled(m1=ItemState.FAILED)

    assert ExitCode.SUCCESS == run("delete", first).code
    assert {"batch_id": second, "deleted": True} == run("delete", second, "--json").document
    assert ExitCode.NOT_FOUND == run("delete", first).code


def test_a_batch_that_waits_for_a_person_is_deleted_only_when_that_is_said(run: Any, settled: Any) -> None:
    """
    The refusal says how to decide, and by which option it goes all the same.
    """
    batch_id = settled(m1=ItemState.NEEDS_REVIEW)

    refused = run("delete", batch_id)

    assert ExitCode.WRONG_STATE == refused.code
    assert f"proxy-orchestration review {batch_id} " in refused.err
    assert "--with-open-reviews" in refused.err
    assert ExitCode.SUCCESS == run("delete", batch_id, "--with-open-reviews").code


def test_an_open_batch_is_not_deleted(run: Any, accepted: Any) -> None:
    """
    It is cancelled first.
    """
    assert ExitCode.WRONG_STATE == run("delete", accepted("m1")).code


@pytest.mark.parametrize("command", [("relabel", "b", "x"), ("delete", "b")])
def test_a_batch_of_somebody_else_is_not_found(run: Any, settled: Any, command: tuple[str, ...]) -> None:
    """
    Whoever it is for may not know of it.
    """
    batch_id = settled(m1=ItemState.SUCCEEDED)
    name, _, *rest = command

    assert ExitCode.NOT_FOUND == run(name, batch_id, *rest, "--actor", "bo@oslo").code


def test_what_is_old_is_let_go_of_kind_by_kind(run: Any, mentors_csv: Any) -> None:
    """
    Batches, then audit events and keys; each only when it is named.
    """
    run("register", mentors_csv(m1="today"))

    kept = run("purge", "--settled-before", "today-1", "--json")
    gone = run("purge", "--settled-before", "today+1", "--json")
    rest = run("purge", "--audit-before", "today+1", "--keys-before", "today+1")

    removed = ("batches", "audit_events", "keys", "notices", "pushes", "runs", "visibility_changes")
    nothing = dict.fromkeys((*removed, "left_for_review", "left_untold"), 0)
    assert nothing == kept.document
    assert nothing | {"batches": 1} == gone.document
    assert "Removed: 0 batches, 1 audit event, 1 key, 0 notices, 0 pushes, 0 runs, " in rest.out
    assert "0 changes of visibility." in rest.out


def test_a_purge_says_what_it_leaves_and_how_it_goes_all_the_same(
    run: Any, settled: Any, in_store: Any
) -> None:
    """
    A batch that waits for a person, and one of which a host waits to hear.
    """

    async def untold(repository: Any) -> None:
        lease = await repository.acquire(batch_id, 1, ttl=60.0)
        work = (await repository.commit(lease, Commit(claim=1, ttl=60.0))).claimed
        await repository.commit(lease, Commit(outcomes=(ended(work[0]),), ttl=60.0))
        await repository.settle(lease, settled_at=NOON, audit_hold=0.0, tell=True)

    async def accept(repository: Any) -> str:
        return str((await repository.accept(batch_of(1))).batch_id)

    settled(m1=ItemState.NEEDS_REVIEW)
    batch_id = in_store(accept)
    in_store(untold)

    left = run("purge", "--settled-before", "today+1")
    gone = run("purge", "--settled-before", "today+1", "--with-open-reviews", "--with-untold", "--json")

    assert "Removed: 0 batches" in left.out
    assert "1 batch stays, because mentors wait for a decision (--with-open-reviews)." in left.out
    assert "1 batch stays, because the host was not yet told of the end (--with-untold)." in left.out
    assert (2, 0, 0) == tuple(gone.document[name] for name in ("batches", "left_for_review", "left_untold"))


@pytest.mark.parametrize("args", [(), ("--settled-before", "yesterday")])
def test_a_purge_of_nothing_that_is_named_is_bad_input(run: Any, args: tuple[str, ...]) -> None:
    """
    It says how to name it.
    """
    ended = run("purge", *args)

    assert ExitCode.BAD_INPUT == ended.code
    assert "today" in ended.err


def test_an_upgrade_makes_a_schema_and_then_changes_nothing(run: Any, store: Path) -> None:
    """
    Both are told, by revision.
    """
    made = run("upgrade", "--json")
    again = run("upgrade")

    assert {"before": None, "after": REVISIONS[-1], "own": REVISIONS[-1]} == made.document
    assert f"The schema is already at revision {REVISIONS[-1]}; nothing was changed." in again.out
    assert store.is_file()


def test_an_older_schema_is_brought_up_to_date(run: Any, store: Path, older: Any) -> None:
    """
    A look at its health alone does not, and says what does.
    """
    older(store)

    ill = run("health")
    upgraded = run("upgrade")

    assert ExitCode.STORE_UNAVAILABLE == ill.code
    assert f"proxy-orchestration upgrade --db {store}" in ill.err
    assert f"The schema was upgraded from revision 0005 to {REVISIONS[-1]}." in upgraded.out
    assert ExitCode.SUCCESS == run("health").code


@pytest.fixture
def older() -> Any:
    """
    Makes a store as a version before this one made it.
    """
    from alembic.migration import MigrationContext  # noqa: PLC0415 - skipped without the extra
    from alembic.operations import Operations  # noqa: PLC0415 - the same
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - the same
    from sqlalchemy import create_engine  # noqa: PLC0415 - the same

    from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS  # noqa: PLC0415 - the same

    def make(path: Path) -> None:
        script = ScriptDirectory(str(MIGRATIONS))
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            options = {
                "version_table": "proxy_orchestration_version",
                "fn": lambda revision, _: script._upgrade_revs("0005", revision),
            }
            context = MigrationContext.configure(connection, opts=options)
            with Operations.context(context):
                context.run_migrations()
        engine.dispose()

    return make


def test_health_tells_who_waits_for_a_driver(run: Any, accepted: Any) -> None:
    """
    For a person, and for a machine.
    """
    run("upgrade")
    idle = run("health")
    batch_id = accepted("m1")

    ended = run("health", "--json")

    assert (ExitCode.SUCCESS, True) == (idle.code, "no batch waits for a driver" in idle.out)
    assert ExitCode.SUCCESS == ended.code
    assert (True, batch_id) == (ended.document["store_reachable"], ended.document["oldest_undriven"])
    assert f"batch {batch_id} has waited " in ended.err


def test_a_store_that_does_not_answer_is_told_by_the_code(run: Any, store: Path) -> None:
    """
    A file that is gone, and one that another process holds for itself.
    """
    assert ExitCode.STORE_UNAVAILABLE == run("health", "--json").code

    run("upgrade")
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("DROP TABLE runs")
        connection.commit()
    ended = run("health")
    assert ExitCode.STORE_UNAVAILABLE == ended.code
    assert "does not answer" in ended.out
