"""
Small batches of many callers are stored by one set of statements, and each as it would be alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from small_batches import (
    BEGIN,
    Ending,
    accept_together,
    commit_together,
    ending_of,
    finish_together,
    new_batch,
    parts_of,
)
from sqlalchemy import Connection, Engine, Table, create_engine, event, select

from proxy_orchestration.errors import (
    BatchStateError,
    IdempotencyKeyReusedError,
    LeaseLostError,
    OrchestrationError,
    RecordRefusedError,
)
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.ledger import Acceptance, NewBatch
from proxy_orchestration.registration.requests import RegistrationEntry, SubmissionMode
from proxy_orchestration.registration.runs import UnfinishedItem
from proxy_orchestration.storage.sql import create_schema
from proxy_orchestration.storage.sql.database.waiting_writes import Refused
from proxy_orchestration.storage.sql.registration.accepting_together import joint_acceptance
from proxy_orchestration.storage.sql.registration.changed_runs import NotAsFoundError
from proxy_orchestration.storage.sql.registration.committing_together import joint_commit
from proxy_orchestration.storage.sql.registration.finishing_together import joint_end
from proxy_orchestration.storage.sql.registration.opening import accept, cancel_run
from proxy_orchestration.storage.sql.registration.pausing import pause_run
from proxy_orchestration.storage.sql.registration.runs import commit
from proxy_orchestration.storage.sql.registration.settling import finish
from proxy_orchestration.storage.sql.schema import (
    audit_events,
    batch_keys,
    batches,
    items,
    outcomes,
    runs,
    work,
)
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    REFUSED,
    batch_of,
    later,
    override,
)

if TYPE_CHECKING:
    from postgres_server.databases import Databases

pytestmark = pytest.mark.dateless

TABLES: Final = (batch_keys, batches, items, runs, work, outcomes, audit_events)
BY_THE_STORES_CLOCK: Final = ("lease_until", "first_call_at", "held_until", "paused_since")


@attrs.define(eq=False)
class Pair:
    """
    Two databases that are given the same: one all at once, the other each by itself.
    """

    together: Engine
    alone: Engine

    def rows(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """
        Return all that is in either, but for what tells the database's own time.
        """
        return _rows(self.together), _rows(self.alone)


def _rows(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    with engine.connect() as connection:
        return {table.name: _rows_of(connection, table) for table in TABLES}


def _rows_of(connection: Connection, table: Table) -> list[tuple[Any, ...]]:
    kept = [column for column in table.columns if column.name not in BY_THE_STORES_CLOCK]
    # The order in which several are stored is nobody's business, and so are the numbers that follow from it.
    shown = [column for column in kept if column.name not in {"id", "batch"}]
    return sorted((tuple(row) for row in connection.execute(select(*shown))), key=repr)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """
    Two of each kind of database, with our tables.
    """
    if request.param == "sqlite":
        urls: Sequence[Any] = [f"sqlite:///{tmp_path / name}.db" for name in ("together", "alone")]
    else:
        postgresql: Databases = request.getfixturevalue("postgresql")
        urls = [postgresql.new(), postgresql.new()]
    together, alone = map(create_engine, urls)
    create_schema(together)
    create_schema(alone)
    yield Pair(together, alone)
    together.dispose()
    alone.dispose()


@contextmanager
def _counted(engine: Engine) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def _own_key(mentor_id: str, key: str) -> RegistrationEntry:
    return RegistrationEntry(mentor_id, ACTIVITY, item_key=key)


NEW: Final = (
    new_batch(1),
    new_batch(2, 1, idempotency_key="b", label=None),
    new_batch(3, 50, idempotency_key="a", submitted_at=later(5)),
    new_batch(4, 3, mode=SubmissionMode.ATOMIC, on_conflict=ConflictPolicy.SKIP),
    new_batch(5, 2, service_name="visits", trace_context='{"traceparent":"00-«æ»\\"\'"}'),
    new_batch(6, entries=(_own_key("mentor-1", "first"), _own_key("mentor-1", "second"))),
)


def _each(engine: Engine, write: Callable[[Connection, Any], Any], given: Sequence[Any]) -> list[Any]:
    """
    Do each in a transaction of its own; return the answers, and the types of what was raised.
    """
    answers: list[Any] = []
    for one in given:
        try:
            with engine.begin() as connection:
                answers.append(write(connection, one))
        except OrchestrationError as error:
            answers.append(type(error))
    return answers


def _told(answers: Sequence[Any]) -> list[Any]:
    return [type(each.error) if isinstance(each, Refused) else each for each in answers]


def _accept(connection: Connection, new: NewBatch) -> Acceptance:
    return accept(connection, new, BEGIN)


def test_what_is_accepted_together_is_what_is_accepted_alone(pair: Pair) -> None:
    """
    Row by row, whatever a batch is like.
    """
    alone = _each(pair.alone, _accept, NEW)
    together = accept_together(pair.together, NEW)
    stored, expected = pair.rows()

    assert alone == together
    assert [Acceptance(batch_id=f"batch-{n}", created=True) for n in range(1, 7)] == together
    assert expected == stored
    assert 68 == len(stored["items"]) == len(stored["work"])


def test_how_many_statements_ten_take_does_not_depend_on_their_number(pair: Pair) -> None:
    """
    Five, with keys; and five for their ends.
    """
    new = [new_batch(number, idempotency_key=f"key-{number}") for number in range(10)]
    with _counted(pair.together) as accepting:
        accept_together(pair.together, new)
    with _counted(pair.together) as ending:
        finish_together(pair.together, [ending_of(each) for each in new])

    assert (5, 5) == (len(accepting), len(ending)), [*accepting, *ending]


def test_a_key_that_is_there_already_is_its_batch_and_nobody_elses_matter(pair: Pair) -> None:
    """
    From an earlier transaction, or from the same one; with another list it is refused alone.
    """
    same, other = {"idempotency_key": "k"}, {"idempotency_key": "l"}
    _each(pair.alone, _accept, [new_batch(1, **other)])
    accept_together(pair.together, [new_batch(1, **other), new_batch(9)][:1])
    new = [
        new_batch(2, **same),
        new_batch(3, **same),
        new_batch(4, 2, **same),
        new_batch(5),
        new_batch(6, **other),
    ]
    alone = _each(pair.alone, _accept, new)
    together = _told(accept_together(pair.together, new))
    stored, expected = pair.rows()

    assert [("batch-2", True), ("batch-2", False), IdempotencyKeyReusedError, ("batch-5", True)] == [
        each if isinstance(each, type) else (each.batch_id, each.created) for each in together[:4]
    ]
    assert alone == together
    assert expected == stored


def test_a_text_that_cannot_be_kept_is_refused_alone(pair: Pair) -> None:
    """
    Before anything is written.
    """
    new = [new_batch(1), new_batch(2, label="half \ud800"), new_batch(3)]
    alone = _each(pair.alone, _accept, new)
    together = _told(accept_together(pair.together, new))
    stored, expected = pair.rows()

    assert RecordRefusedError is together[1]
    assert alone == together
    assert expected == stored


@pytest.mark.parametrize(
    "new",
    [
        new_batch(1, verdicts={"mentor-0": REFUSED}),
        new_batch(1, overrides={"mentor-0": override("activity-1")}),
        new_batch(1, 101),
        batch_of(1),
    ],
    ids=["judged", "overriding", "large", "without an id"],
)
def test_what_is_more_than_plain_is_accepted_alone(new: NewBatch) -> None:
    """
    So is whatever nobody drives at once.
    """
    assert joint_acceptance(new, BEGIN) is None
    assert joint_acceptance(new_batch(1), None) is None
    assert joint_acceptance(new_batch(1), BEGIN) is not None


def _finish(connection: Connection, one: Ending) -> Any:
    return finish(connection, one.lease, one.commit, **one.how)


SMALL: Final = tuple(each for each in NEW if each.mode is SubmissionMode.INDEPENDENT)


def _accepted(pair: Pair, new: Sequence[NewBatch]) -> None:
    for engine in (pair.alone, pair.together):
        _each(engine, _accept, new)


def test_what_ends_together_ends_as_it_does_alone(pair: Pair) -> None:
    """
    Row by row: the log, the counts, the lists and the audit event; and one was cancelled at its end.
    """
    _accepted(pair, SMALL)
    for engine in (pair.alone, pair.together):
        with engine.begin() as connection:
            cancel_run(
                connection, "batch-2", reason='A «mistake» \\ "', wished_at=later(8), cancelled_by="c-2"
            )
    endings = [ending_of(each, tell=each.batch_id == "batch-3") for each in SMALL]
    alone = _each(pair.alone, _finish, endings)
    together = finish_together(pair.together, endings)
    stored, expected = pair.rows()

    assert alone == together
    assert expected == stored
    assert 5 == len(stored["audit_events"])
    assert {"c-2", None} == {each.cancelled_by for each in together}


def test_a_stale_driver_beside_good_ones_is_refused_alone(pair: Pair) -> None:
    """
    Of one batch whoever has the lease, whichever comes first; a batch that is gone is lost too.
    """
    _accepted(pair, NEW[:3])
    good = [ending_of(each) for each in NEW[:3]]
    endings = [
        ending_of(NEW[0], fence=2),
        good[0],
        good[1],
        ending_of(NEW[1], fence=7),
        ending_of(new_batch(8)),
        good[2],
    ]
    alone = _each(pair.alone, _finish, endings)
    together = _told(finish_together(pair.together, endings))
    stored, expected = pair.rows()

    lost = LeaseLostError
    assert [lost, False, False, lost, lost, False] == [each if each is lost else False for each in together]
    assert alone == together
    assert expected == stored


def test_a_run_ends_once_however_often_it_is_said(pair: Pair) -> None:
    """
    In one set or in the next.
    """
    _accepted(pair, NEW[:1])
    endings = [ending_of(NEW[0]), ending_of(NEW[0])]
    alone = _each(pair.alone, _finish, [*endings, endings[0]])
    together = [*finish_together(pair.together, endings), *finish_together(pair.together, endings[:1])]
    stored, expected = pair.rows()

    assert [LeaseLostError] * 2 == _told(together)[1:]
    assert alone == _told(together)
    assert expected == stored


ON_INSERT: Final = "CREATE TRIGGER skips BEFORE INSERT ON batches"
SKIPS: Final = {
    "sqlite": (f"{ON_INSERT} WHEN NEW.label IS NULL BEGIN SELECT RAISE(IGNORE); END",),
    "postgresql": (
        "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        f"{ON_INSERT} FOR EACH ROW WHEN (NEW.label IS NULL) EXECUTE FUNCTION skip()",
    ),
}


def _take_away_a_run(connection: Connection) -> None:
    connection.execute(runs.delete().where(runs.c.batch == 2))


def _skip_what_has_no_label(connection: Connection) -> None:
    for statement in SKIPS[connection.dialect.name]:
        connection.exec_driver_sql(statement)


def commit_and_end(engine: Engine, parts: Sequence[tuple[Ending, Ending]]) -> None:
    """
    Do both in one transaction, so that nothing is left should one of them fail.
    """
    joints = [joint_commit(begun.lease, begun.commit) for begun, _ in parts]
    ends = [joint_end(end.lease, end.commit, **end.how) for _, end in parts]
    with engine.begin() as connection:
        for each in (joints, ends):
            (do_all,) = {joint.do_all for joint in each if joint is not None}
            do_all(connection, [joint.part for joint in each if joint is not None])


@pytest.mark.parametrize("do", [_take_away_a_run, _skip_what_has_no_label], ids=["taken away", "skipped"])
def test_a_row_that_a_host_keeps_from_being_changed_is_made_up_for_nobody(
    pair: Pair, do: Callable[[Connection], None]
) -> None:
    """
    All of them are undone, to be done alone, where an upsert would make the row, or leave it as it was.
    """
    new = [new_batch(1), new_batch(2), new_batch(3)]
    _accepted(pair, new)
    for engine in (pair.alone, pair.together):
        with engine.begin() as connection:
            do(connection)
    with pytest.raises(NotAsFoundError):
        finish_together(pair.together, [ending_of(each) for each in new])
    with pytest.raises(NotAsFoundError):
        commit_and_end(pair.together, [parts_of(ending_of(each), 4) for each in new])
    stored, expected = pair.rows()

    assert expected == stored
    assert [] == stored["audit_events"]


@pytest.mark.parametrize("activity_id", ["activity-1", None])
def test_an_override_stands_in_the_event_of_its_run(pair: Pair, activity_id: str | None) -> None:
    """
    Beside runs without any, and with a stale driver of the same run.
    """
    new = [new_batch(1), new_batch(2, overrides={"mentor-0": override(activity_id)}), new_batch(3)]
    _accepted(pair, new)
    endings = [ending_of(new[1], fence=5), *map(ending_of, new)]
    alone = _each(pair.alone, _finish, endings)
    together = _told(finish_together(pair.together, endings))
    stored, expected = pair.rows()

    assert LeaseLostError is together[0]
    assert [0, 1, 0] == [len(each.overrides) for each in together[1:]]
    assert alone == together
    assert expected == stored


def _commit(connection: Connection, one: Ending) -> Any:
    return commit(connection, one.lease, one.commit)


def test_what_is_committed_and_ended_in_parts_together_is_so_alone(pair: Pair) -> None:
    """
    Row by row, whatever a commit tells of a run, and whatever happened to the run meanwhile.
    """
    _accepted(pair, SMALL)
    parts = [parts_of(ending_of(each, tell=each.batch_id == "batch-3"), 1) for each in SMALL]
    said: list[dict[str, Any]] = [
        {"called": 2, "alone": 2},
        {"since_first_call": None, "driven_for": 0.0},
        {"called": 50},
        {"outcomes": ()},
        {"called": 0},
    ]
    first = [
        attrs.evolve(begun, commit=attrs.evolve(begun.commit, **how))
        for (begun, _), how in zip(parts, said, strict=True)
    ]
    for engine in (pair.alone, pair.together):
        with engine.begin() as connection:
            pause_run(connection, "batch-3", 1, paused_at=later(7), paused_by="c-2")
            cancel_run(connection, "batch-5", reason=None, wished_at=later(8))
    alone = _each(pair.alone, _commit, first)
    together = commit_together(pair.together, first)
    stored, expected = pair.rows()

    assert alone == together
    assert expected == stored
    assert {True, False} == {each.paused for each in together} == {each.cancel_wished for each in together}

    last = [end for (_, end), how in zip(parts, said, strict=True) if "outcomes" not in how]
    ends_alone = _each(pair.alone, _finish, last)
    ends_together = finish_together(pair.together, last)
    stored, expected = pair.rows()

    assert 4 == len(ends_together)
    assert ends_alone == ends_together
    assert expected == stored


def test_how_many_statements_ten_parts_take_does_not_depend_on_their_number(pair: Pair) -> None:
    """
    Three for what is committed, and seven for the ends.
    """
    new = [new_batch(number) for number in range(10)]
    accept_together(pair.together, new)
    parts = [parts_of(ending_of(each), 4) for each in new]
    with _counted(pair.together) as committing:
        commit_together(pair.together, [begun for begun, _ in parts])
    with _counted(pair.together) as ending:
        finish_together(pair.together, [end for _, end in parts])

    assert (3, 7) == (len(committing), len(ending)), [*committing, *ending]


def test_stale_drivers_among_those_who_commit_are_refused_alone(pair: Pair) -> None:
    """
    So is a second commit of one run in the same set, should the first have brought it.
    """
    _accepted(pair, NEW[:3])
    parts = [parts_of(ending_of(each), 1) for each in (NEW[0], NEW[2])]
    (stale, stale_end), (gone, gone_end) = (
        parts_of(ending_of(each, fence=fence), 1) for each, fence in ((NEW[0], 2), (new_batch(8), 1))
    )
    commits = [stale, parts[0][0], gone, parts[1][0], stale]
    ends = [stale_end, parts[0][1], gone_end, parts[1][1], stale_end]
    alone = [*_each(pair.alone, _commit, commits), *_each(pair.alone, _finish, ends)]
    together = [
        *_told(commit_together(pair.together, commits)),
        *_told(finish_together(pair.together, ends)),
    ]
    stored, expected = pair.rows()

    assert 6 == together.count(LeaseLostError)
    assert alone == together
    assert expected == stored


def test_an_end_that_leaves_an_item_open_undoes_the_set(pair: Pair) -> None:
    """
    Then each is done alone, and this one is told so.
    """
    _accepted(pair, NEW[:1])
    whole = ending_of(NEW[0])
    part = attrs.evolve(
        whole, commit=attrs.evolve(whole.commit, outcomes=whole.commit.outcomes[1:], called=9)
    )
    before, _ = pair.rows()

    with pytest.raises(BatchStateError, match="not every item"):
        finish_together(pair.together, [part])
    assert [BatchStateError] == _each(pair.alone, _finish, [part])
    assert (before, before) == pair.rows()


def test_a_commit_that_asks_for_something_is_done_alone() -> None:
    """
    For items, for what is known of items to be kept, or for room of another size.
    """
    plain = ending_of(new_batch(1, 101))
    first, _ = parts_of(plain, 50)
    unfinished = UnfinishedItem(work=plain.lease.claimed_now[0], due_in=1.0)
    whole = attrs.evolve(first.commit, outcomes=plain.commit.outcomes)

    assert joint_commit(first.lease, first.commit) is not None
    for asking in (
        attrs.evolve(first.commit, claim=1),
        attrs.evolve(first.commit, unfinished=(unfinished,)),
        attrs.evolve(first.commit, called=None),
        whole,
    ):
        assert joint_commit(first.lease, asking) is None


def test_what_is_not_small_or_of_a_first_run_ends_alone() -> None:
    """
    And so does what leaves something behind.
    """
    plain = ending_of(new_batch(1))
    part = attrs.evolve(plain.commit, outcomes=plain.commit.outcomes[1:], called=None)
    large = ending_of(new_batch(1, 101))

    assert joint_end(plain.lease, plain.commit, **plain.how) is not None
    for lease, last in [
        (plain.lease, part),
        (attrs.evolve(plain.lease, run=2), plain.commit),
        (large.lease, large.commit),
    ]:
        assert joint_end(lease, last, **plain.how) is None
