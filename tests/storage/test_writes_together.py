"""
Writes that wait share a transaction, and none suffers for another.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import anyio
import pytest
from anyio import to_thread
from waits import LONGEST_WAIT

pytest.importorskip("sqlalchemy")

from held_writer import all_wait
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError

from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.storage.sql.database import transactions as module
from proxy_orchestration.storage.sql.database.transactions import CommitAnswerLostError, Transactions
from proxy_orchestration.storage.sql.database.waiting_writes import Joint, Refused, WaitingWrites, Write


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """
    A file with one table of ours, whose version nobody asks for.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'writes.db'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE names (name TEXT PRIMARY KEY)"))
    yield engine
    engine.dispose()


@pytest.fixture
def transactions(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Transactions:
    """
    The transactions over it, which take along all that wait, however slow the machine is.
    """
    monkeypatch.setattr(module, "check_version", lambda _connection: None)
    monkeypatch.setattr(module, "_LONGEST_TOGETHER", math.inf)
    return Transactions(engine)


def _insert(name: str, connection: Connection) -> str:
    connection.execute(text("INSERT INTO names VALUES (:name)"), {"name": name})
    return name


def _fail(error: BaseException, connection: Connection) -> None:
    _insert("of one that fails", connection)
    raise error


def _names(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT name FROM names ORDER BY name")).scalars())


@contextmanager
def _begun(engine: Engine) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("BEGIN"):
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


async def _outcome(
    transactions: Transactions, into: dict[str, Any], name: str, work: Any, **how: Any
) -> None:
    try:
        into[name] = await transactions.write(work, **how)
    except Exception as error:  # noqa: BLE001 - that is what is looked at
        into[name] = error


async def test_ten_that_wait_are_one_transaction(engine: Engine, transactions: Transactions) -> None:
    """
    One for who came first, one for all others; each gets its own answer.
    """
    names = [f"name-{number}" for number in range(10)]
    answers: dict[str, Any] = {}
    with _begun(engine) as begun:
        async with all_wait(transactions, partial(_insert, "first")) as tasks:
            for name in names:
                tasks.start_soon(_outcome, transactions, answers, name, partial(_insert, name))

    assert {name: name for name in names} == answers
    assert ["first", *names] == _names(engine)
    assert ["BEGIN IMMEDIATE"] * 2 == begun


@pytest.mark.parametrize("error", [ValueError("refused"), LookupError("stale")], ids=["value", "stale"])
async def test_one_that_fails_fails_alone(
    engine: Engine, transactions: Transactions, error: Exception
) -> None:
    """
    The nine beside it are written, and nothing of the one.
    """
    names = [f"name-{number}" for number in range(9)]
    answers: dict[str, Any] = {}
    async with all_wait(transactions, partial(_insert, "first")) as tasks:
        for name in names[:4]:
            tasks.start_soon(_outcome, transactions, answers, name, partial(_insert, name))
        tasks.start_soon(_outcome, transactions, answers, "bad", partial(_fail, error))
        for name in names[4:]:
            tasks.start_soon(_outcome, transactions, answers, name, partial(_insert, name))

    assert error is answers.pop("bad")
    assert {name: name for name in names} == answers
    assert ["first", *names] == _names(engine)


async def test_two_with_one_key_are_told_apart(engine: Engine, transactions: Transactions) -> None:
    """
    The database refuses the second alone.
    """
    answers: dict[str, Any] = {}
    async with all_wait(transactions, partial(_insert, "first")) as tasks:
        for name in ("one", "other"):
            tasks.start_soon(_outcome, transactions, answers, name, partial(_insert, "same"))

    assert {"same", "RepositoryUnavailableError"} == {
        answer if isinstance(answer, str) else type(answer).__name__ for answer in answers.values()
    }
    assert ["first", "same"] == _names(engine)


async def test_a_lost_answer_to_a_commit_is_lost_for_all(engine: Engine, transactions: Transactions) -> None:
    """
    Nobody may repeat what may have taken place.
    """
    answers: dict[str, Any] = {}
    commits: list[Connection] = []

    def lose(connection: Connection) -> None:
        commits.append(connection)
        if len(commits) == 2:
            msg = "COMMIT"
            raise OperationalError(msg, None, Exception("cut"), connection_invalidated=True)

    event.listen(engine, "commit", lose)
    async with all_wait(transactions, partial(_insert, "first")) as tasks:
        for number in range(10):
            tasks.start_soon(_outcome, transactions, answers, str(number), partial(_insert, f"name-{number}"))
    event.remove(engine, "commit", lose)

    assert {CommitAnswerLostError} == {type(answer) for answer in answers.values()}
    assert {OperationalError} == {type(answer.__cause__) for answer in answers.values()}
    assert (10, 2) == (len(set(map(id, answers.values()))), len(commits))


async def test_what_is_committed_is_not_done_again_when_its_file_is_gone(
    engine: Engine, transactions: Transactions, tmp_path: Path
) -> None:
    """
    Each is told that the file is gone, and none is written a second time.
    """
    answers: dict[str, Any] = {}
    done: list[str] = []
    commits: list[Connection] = []

    def lose_the_file(connection: Connection) -> None:
        commits.append(connection)
        if len(commits) == 2:
            (tmp_path / "writes.db").unlink()

    event.listen(engine, "commit", lose_the_file)
    async with all_wait(transactions, partial(_insert, "first")) as tasks:
        for name in ("one", "other"):
            tasks.start_soon(_outcome, transactions, answers, name, partial(_alone, done, name))
    event.remove(engine, "commit", lose_the_file)

    assert ["one", "other"] == sorted(done)
    assert [RepositoryUnavailableError] * 2 == [type(answer) for answer in answers.values()]
    assert 2 == len(set(map(id, answers.values())))


async def test_no_error_hangs_on_another_callers(transactions: Transactions) -> None:
    """
    A traceback would show one caller what the other one's write was about.
    """
    answers: dict[str, Any] = {}
    async with all_wait(transactions, partial(_insert, "first")) as tasks:
        for name in ("one", "other"):
            tasks.start_soon(
                _outcome, transactions, answers, name, partial(_fail, ValueError(f"about {name}"))
            )

    assert {"one": "about one", "other": "about other"} == {name: str(each) for name, each in answers.items()}
    assert [None, None] == [each.__context__ for each in answers.values()]


async def test_one_that_is_cancelled_while_it_waits_is_not_written(
    engine: Engine, transactions: Transactions
) -> None:
    """
    Those around it are.
    """
    answers: dict[str, Any] = {}
    async with all_wait(transactions, partial(_insert, "first")) as tasks:
        tasks.start_soon(_outcome, transactions, answers, "before", partial(_insert, "before"))
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as cancelled:
                cancelled.start_soon(transactions.write, partial(_insert, "cancelled"))
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        tasks.start_soon(_outcome, transactions, answers, "after", partial(_insert, "after"))

    assert {"before": "before", "after": "after"} == answers
    assert ["after", "before", "first"] == _names(engine)


async def test_one_that_is_cancelled_while_it_is_written_waits_for_its_end(
    engine: Engine, transactions: Transactions
) -> None:
    """
    Nothing writes any more when the caller goes on.
    """
    writes, goes_on = threading.Event(), threading.Event()

    def hold(connection: Connection) -> str:
        writes.set()
        goes_on.wait(LONGEST_WAIT)
        return _insert("held", connection)

    async with (
        anyio.create_task_group() as tasks,
        all_wait(transactions, partial(_insert, "first")) as others,
    ):
        others.start_soon(transactions.write, hold)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(transactions.write, partial(_insert, "taken along"))
        await anyio.wait_all_tasks_blocked()
        others.start_soon(_cancel_once, writes, tasks.cancel_scope, goes_on)

    assert ["first", "held", "taken along"] == _names(engine)


async def test_one_that_is_cancelled_and_put_back_is_taken_back(
    engine: Engine, transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whoever leads it runs out of time before its turn; who has left does not lead in their place.
    """
    monkeypatch.setattr(module, "_LONGEST_TOGETHER", 0.0)
    writes, goes_on = threading.Event(), threading.Event()

    def hold(connection: Connection) -> str:
        writes.set()
        goes_on.wait(LONGEST_WAIT)
        return _insert("held", connection)

    async with (
        anyio.create_task_group() as tasks,
        all_wait(transactions, partial(_insert, "first")) as others,
    ):
        others.start_soon(transactions.write, hold)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(transactions.write, partial(_insert, "put back"))
        await anyio.wait_all_tasks_blocked()
        others.start_soon(_cancel_once, writes, tasks.cancel_scope, goes_on)

    assert ["first", "held"] == _names(engine)


async def _cancel_once(writes: threading.Event, scope: anyio.CancelScope, goes_on: threading.Event) -> None:
    await to_thread.run_sync(writes.wait, LONGEST_WAIT)
    scope.cancel()
    goes_on.set()


async def test_a_slow_one_holds_the_others_for_its_bound(
    engine: Engine, transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whoever comes after it is in the next transaction.
    """
    clock = iter(range(1000))
    monkeypatch.setattr(module, "_LONGEST_TOGETHER", 3.0)
    # The module's alone: event loops and other threads read theirs as often as they like.
    own_time = SimpleNamespace(monotonic=lambda: float(next(clock)), sleep=time.sleep)
    monkeypatch.setattr(module, "time", own_time)
    monkeypatch.setattr(transactions, "_version_seen", float("inf"))
    answers: dict[str, Any] = {}
    with _begun(engine) as begun:
        async with all_wait(transactions, partial(_insert, "first")) as tasks:
            for number in range(6):
                name = f"name-{number}"
                tasks.start_soon(_outcome, transactions, answers, name, partial(_insert, name))

    assert 6 == len(answers)
    assert len(begun) == 3


async def test_who_comes_first_goes_first(engine: Engine, transactions: Transactions) -> None:
    """
    An acceptance does not wait for the outcomes of others.
    """
    order: list[str] = []

    def note(name: str, connection: Connection) -> str:
        order.append(name)
        return _insert(name, connection)

    answers: dict[str, Any] = {}
    async with all_wait(transactions, partial(_insert, "first")) as tasks:
        for name in ("a", "b"):
            tasks.start_soon(_outcome, transactions, answers, name, partial(note, name))
            await anyio.wait_all_tasks_blocked()
        tasks.start_soon(partial(_outcome, transactions, answers, "c", partial(note, "c"), first=True))

    assert ["c", "a", "b"] == order


NAMES: Final[dict[Write[Any], str]] = {}


def _written(name: str) -> Write[str]:
    return Write(partial(_insert, name))


def _put(waiting: WaitingWrites, *names: str, first: bool) -> None:
    for name in names:
        write = _written(name)
        waiting.put(write, first=first)
        NAMES[write] = name


def _take(waiting: WaitingWrites, most: int, *, and_do: int = 64) -> str:
    """
    Take that many, put back what there is no time for; return the names of all.
    """
    taken = waiting.take(most)
    waiting.put_back(taken[and_do:])
    return "".join(NAMES[write] for write in taken)


def test_who_comes_first_goes_in_the_order_of_coming() -> None:
    """
    The oldest of many new batches is not kept waiting by each that comes later, and nor is what was put back.
    """
    waiting = WaitingWrites()
    _put(waiting, *"ABC", first=True)
    _put(waiting, *"ab", first=False)

    assert "ABCab" == _take(waiting, 64, and_do=1)
    _put(waiting, "D", first=True)
    assert "abBCD" == _take(waiting, 64)
    assert "" == _take(waiting, 64)


def test_new_batches_that_never_cease_leave_half_to_others() -> None:
    """
    Of the places, and of the time; else the renewals of leases would wait until they are over.
    """
    waiting = WaitingWrites()
    _put(waiting, *"ABCDEFGHI", first=True)
    _put(waiting, *"abcdef", first=False)

    assert "ABab" == _take(waiting, 4, and_do=1)
    assert "abBC" == _take(waiting, 4, and_do=1)
    assert "BCbc" == _take(waiting, 4, and_do=2)
    assert "bcDE" == _take(waiting, 4)
    assert "FGde" == _take(waiting, 4)
    assert "fHI" == _take(waiting, 4)


async def test_a_store_that_is_away_fails_each(engine: Engine, transactions: Transactions) -> None:
    """
    Each is told so, as it would be alone.
    """
    answers: dict[str, Any] = {}

    def away(connection: Connection, *_: Any) -> None:
        msg = "INSERT"
        raise OperationalError(msg, None, Exception("disk I/O error"))

    async with all_wait(transactions, partial(_insert, "first")) as tasks:
        for number in range(3):
            tasks.start_soon(_outcome, transactions, answers, str(number), away)

    assert {RepositoryUnavailableError} == {type(answer) for answer in answers.values()}
    assert 3 == len(answers)


def _insert_all(
    calls: list[list[str]], connection: Connection, names: Sequence[str]
) -> Sequence[str | Refused]:
    """
    Insert all but what begins with "bad", by one statement.
    """
    calls.append(list(names))
    good = [name for name in names if not name.startswith("bad")]
    connection.execute(text("INSERT INTO names VALUES (:name)"), [{"name": name} for name in good])
    return [name if name in good else Refused(LookupError(name)) for name in names]


def _alone(alone: list[str], name: str, connection: Connection) -> str:
    alone.append(name)
    return _insert(name, connection)


async def test_those_of_one_kind_are_one_call(engine: Engine, transactions: Transactions) -> None:
    """
    Each gets its own answer or refusal; what is of another kind or of none is beside them.
    """
    calls: list[list[str]] = []
    others: list[list[str]] = []
    alone: list[str] = []
    kinds: tuple[Callable[..., Any], ...] = partial(_insert_all, calls), partial(_insert_all, others)
    names = ["a1", "b1", "bad", "a2", "b2"]
    answers: dict[str, Any] = {}
    with _begun(engine) as begun:
        async with all_wait(transactions, partial(_insert, "first")) as tasks:
            for name in names:
                joint = Joint(kinds[name.startswith("b") and name != "bad"], name)
                work = partial(_alone, alone, name)
                tasks.start_soon(partial(_outcome, transactions, answers, name, work, joint=joint))
                await anyio.wait_all_tasks_blocked()
            tasks.start_soon(_outcome, transactions, answers, "none", partial(_alone, alone, "none"))

    assert ([["a1", "bad", "a2"]], [["b1", "b2"]], ["none"]) == (calls, others, alone)
    assert "LookupError('bad')" == repr(answers.pop("bad"))
    assert {name: name for name in ("a1", "a2", "b1", "b2", "none")} == answers
    assert ["a1", "a2", "b1", "b2", "first", "none"] == _names(engine)
    assert 2 == len(begun)


async def test_large_ones_of_a_kind_are_several_calls(engine: Engine, transactions: Transactions) -> None:
    """
    Nothing ends one that has begun, so that it must not hold up all others.
    """
    calls: list[list[str]] = []
    alone: list[str] = []
    answers: dict[str, Any] = {}
    kind = partial(_insert_all, calls)
    async with all_wait(transactions, partial(_insert, "first")) as tasks:
        for name in "abcde":
            joint = Joint(kind, name, size=module._LARGEST_TOGETHER // 2)
            work = partial(_alone, alone, name)
            tasks.start_soon(partial(_outcome, transactions, answers, name, work, joint=joint))
            await anyio.wait_all_tasks_blocked()

    assert ([["a", "b"], ["c", "d"]], ["e"]) == (calls, alone)
    assert ["a", "b", "c", "d", "e", "first"] == _names(engine)


async def test_one_of_a_kind_is_written_as_it_is_alone(engine: Engine, transactions: Transactions) -> None:
    """
    With nothing to share there is nothing to gain.
    """
    calls: list[list[str]] = []
    alone: list[str] = []
    answers: dict[str, Any] = {}
    joint = Joint(partial(_insert_all, calls), "one")
    async with all_wait(transactions, partial(_insert, "first")) as tasks:
        tasks.start_soon(
            partial(_outcome, transactions, answers, "one", partial(_alone, alone, "one"), joint=joint)
        )

    assert ([], ["one"]) == (calls, alone)
    assert ["first", "one"] == _names(engine)


async def test_a_kind_whose_call_fails_is_undone_and_each_of_it_done_alone(
    engine: Engine, transactions: Transactions
) -> None:
    """
    The database says of the set that something in it is wrong, and of each alone whether it is this one.
    """
    calls: list[list[str]] = []
    alone: list[str] = []
    answers: dict[str, Any] = {}
    kind = partial(_insert_all, calls)
    names = {"one": "same", "other": "same", "third": "another"}
    async with all_wait(transactions, partial(_insert, "first")) as tasks:
        for caller, name in names.items():
            joint, work = Joint(kind, name), partial(_alone, alone, name)
            tasks.start_soon(partial(_outcome, transactions, answers, caller, work, joint=joint))

    assert 1 == len(calls)
    assert ["another", "same", "same"] == sorted(alone)
    assert "another" == answers.pop("third")
    assert {"same", "RepositoryUnavailableError"} == {
        answer if isinstance(answer, str) else type(answer).__name__ for answer in answers.values()
    }
    assert ["another", "first", "same"] == _names(engine)


async def test_a_store_that_cannot_be_reached_is_asked_twice_and_not_once_for_each(
    engine: Engine, transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whoever waits behind ten others hears of it as soon as they do; each has an error of its own.
    """
    answers: dict[str, Any] = {}
    asked: list[str] = []

    def away(*_: Any) -> Any:
        asked.append("asked")
        msg = "BEGIN IMMEDIATE"
        raise OperationalError(msg, None, Exception("unable to open database file"))

    async with all_wait(transactions, partial(_insert, "first")) as tasks:
        for number in range(10):
            tasks.start_soon(_outcome, transactions, answers, str(number), partial(_insert, str(number)))
        await anyio.wait_all_tasks_blocked()
        monkeypatch.setattr(module, "transaction", away)

    assert 2 == len(asked)
    assert {RepositoryUnavailableError} == {type(answer) for answer in answers.values()}
    assert 10 == len(set(map(id, answers.values())))
    assert ["first"] == _names(engine)
