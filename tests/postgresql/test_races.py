"""
Two at once on PostgreSQL, in the orders that a single writer never sees.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import pytest
from anyio import to_thread
from waits import LONGEST_WAIT

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("psycopg")

from sqlalchemy import URL, Connection, create_engine, event, text

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.errors import BatchStateError, RecordRefusedError, StaleRunError
from proxy_orchestration.notification.notices import PushState
from proxy_orchestration.notification.records import CertificateEnd
from proxy_orchestration.registration.batches import PurgedBatches
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
)
from proxy_orchestration.storage.sql.notification import notices, visibility
from proxy_orchestration.storage.sql.notification import outbox as push_rows
from proxy_orchestration.storage.sql.registration import activities as activity_rows
from proxy_orchestration.storage.sql.registration import free_runs, opening
from proxy_orchestration.testing.contracts.notification.samples import (
    ENDS,
    MORNING,
    chunk_of,
    claimed,
    draft_of,
    end_of,
    retried,
    run_with,
)
from proxy_orchestration.testing.contracts.notification.samples import ended as push_ended
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    NOON,
    accepted,
    activity_record,
    batch_of,
    claim,
    ended,
    later,
    lease_of,
    mentors,
    record_of,
    rerun,
    settled_batch,
)

if TYPE_CHECKING:
    from postgres_server.databases import Databases

pytestmark = pytest.mark.postgresql(asyncio_only=True)

T = TypeVar("T")


@pytest.fixture
async def store(postgresql_url: URL) -> AsyncIterator[SqlActivityRepository]:
    """
    A store with nothing in it.
    """
    async with SqlActivityRepository.open(postgresql_url) as repository:
        yield repository


@contextmanager
def _another(url: URL) -> Iterator[Connection]:
    """
    Open a transaction of another process, which the test ends.
    """
    engine = create_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


async def _meanwhile(
    postgresql: Databases,
    other: Connection,
    url: URL,
    call: Callable[[], Awaitable[T]],
    *,
    then: Callable[[], object] = lambda: None,
) -> T | Exception:
    """
    Let the call wait for the other transaction, end and commit that, and return how the call ends.
    """
    answers: list[T | Exception] = []

    async def ask() -> None:
        try:
            answers.append(await call())
        except Exception as error:  # noqa: BLE001 - told by the test
            answers.append(error)

    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as crew:
            crew.start_soon(ask)
            await to_thread.run_sync(postgresql.wait_for_waiting, url.database)
            assert [] == answers
            then()
            other.commit()
    return answers[0]


async def test_a_batch_that_is_run_again_is_not_deleted(
    postgresql: Databases, postgresql_url: URL, store: SqlActivityRepository
) -> None:
    """
    The run that another process opens at that moment keeps all its rows.
    """
    batch_id = await settled_batch(store, ItemState.FAILED)
    with _another(postgresql_url) as other:
        opening.open_run(other, rerun(batch_id, mentors(1)))
        answer = await _meanwhile(postgresql, other, postgresql_url, lambda: store.delete(batch_id))

    assert isinstance(answer, BatchStateError)
    assert "not settled" in str(answer)
    assert 2 == (await record_of(store, batch_id)).run
    assert 1 == len(await store.read_items(batch_id))


async def test_a_batch_that_is_run_again_is_not_purged(
    postgresql: Databases, postgresql_url: URL, store: SqlActivityRepository
) -> None:
    """
    Others that settled in time are.
    """
    batch_id = await settled_batch(store, ItemState.FAILED)
    settled = await settled_batch(store, ItemState.SUCCEEDED)
    with _another(postgresql_url) as other:
        opening.open_run(other, rerun(batch_id, mentors(1)))
        purged = await _meanwhile(
            postgresql, other, postgresql_url, lambda: store.purge(settled_before=later(3600))
        )

    assert PurgedBatches(deleted=1) == purged
    assert 2 == (await record_of(store, batch_id)).run
    assert await store.get(settled) is None


@pytest.mark.parametrize("verb", ["open_run", "cancel_run"])
async def test_who_comes_second_is_told_what_the_first_did(
    postgresql: Databases, postgresql_url: URL, store: SqlActivityRepository, verb: str
) -> None:
    """
    A batch that another process changes meanwhile is changed, and not gone.
    """
    batch_id = await settled_batch(store, ItemState.FAILED)

    async def call() -> Any:
        if verb == "open_run":
            return await store.open_run(rerun(batch_id, mentors(1)))
        return await store.cancel_run(batch_id, reason=None, wished_at=NOON)

    with _another(postgresql_url) as other:
        opening.open_run(other, rerun(batch_id, mentors(1)))
        answer = await _meanwhile(postgresql, other, postgresql_url, call)

    if verb == "open_run":
        assert isinstance(answer, StaleRunError)
        assert (1, 2) == (answer.expected_run, answer.current_run)
    else:
        assert 2 == answer.run


async def test_one_idempotency_key_at_once_is_one_batch(
    postgresql: Databases, postgresql_url: URL, store: SqlActivityRepository
) -> None:
    """
    The second waits for the first, and is given its batch.
    """
    with _another(postgresql_url) as other:
        first = opening.accept(other, batch_of(1, idempotency_key="key"))
        second = await _meanwhile(
            postgresql, other, postgresql_url, lambda: store.accept(batch_of(1, idempotency_key="key"))
        )

    assert not isinstance(second, Exception)
    assert (first.batch_id, False) == (second.batch_id, second.created)


@pytest.mark.parametrize("atomic", [False, True])
async def test_a_record_voided_before_it_is_read_back_leaves_the_way_free(
    postgresql: Databases, postgresql_url: URL, store: SqlActivityRepository, *, atomic: bool
) -> None:
    """
    The insert found it in the way, the look-up does not find it any more: the new record is stored.
    """
    await store.add_activities([activity_record(1, key="a day")], atomic=False)
    void = text("UPDATE activities SET voided_at = now() WHERE activity_id = 'activity-1'")

    @event.listens_for(store.engine, "after_cursor_execute")
    def interfere(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO activities"):
            with _another(postgresql_url) as other:
                other.execute(void)
                other.commit()

    new = activity_record(2, "mentor-2", "batch-2", key="a day")
    fine = activity_record(3, "mentor-3", "batch-2", key="another day")

    assert [new, fine] == await store.add_activities([new, fine], atomic=atomic)
    assert [new, fine] == sorted(await store.activities_of_batch("batch-2"), key=lambda one: one.activity_id)


async def test_a_record_under_another_s_id_is_refused_still(store: SqlActivityRepository) -> None:
    """
    However often it is looked for.
    """
    await store.add_activities([activity_record(1)], atomic=False)

    with pytest.raises(RecordRefusedError):
        await store.add_activities([activity_record(1, "mentor-2", "batch-2")], atomic=False)


async def test_calls_with_the_same_duplicates_wait_for_each_other_in_one_order(
    postgresql: Databases, postgresql_url: URL, store: SqlActivityRepository
) -> None:
    """
    Whatever order their records come in; a deadlock would cost one of them its work.
    """
    days = [f"day {number}" for number in range(9)]
    first = [activity_record(n, f"mentor-{n}", "batch-1", key=day) for n, day in enumerate(days)]
    second = [activity_record(n + 99, f"mentor-{n}", "batch-2", key=day) for n, day in enumerate(days)]
    with _another(postgresql_url) as other:
        other.exec_driver_sql("SET LOCAL deadlock_timeout = 1")  # it would notice, and fail, first
        activity_rows.add_activities(other, first[:5], atomic=False)
        answer = await _meanwhile(
            postgresql,
            other,
            postgresql_url,
            lambda: store.add_activities(second[::-1], atomic=False),
            then=lambda: activity_rows.add_activities(other, first[5:], atomic=False),
        )

    assert not isinstance(answer, Exception)
    assert first[::-1] == list(answer)


async def test_a_mentor_of_two_types_is_suppressed_once(
    postgresql: Databases, postgresql_url: URL, store: SqlActivityRepository
) -> None:
    """
    Of two calls at once about different certificates one counts the mentor.
    """
    first, second = (
        CertificateEnd(mentor_id="mentor-1", certificate_type=kind, ends_at=ENDS) for kind in ("a", "b")
    )
    registry = SqlVisibilityRegistry(store.engine)
    with _another(postgresql_url) as other:
        counted = visibility.track(other, [first], at=ENDS)
        then = await _meanwhile(postgresql, other, postgresql_url, lambda: registry.track([second], at=ENDS))

    assert (1, 0) == (counted, then)


async def test_of_two_ends_at_once_the_one_that_comes_last_counts(
    postgresql: Databases, postgresql_url: URL, store: SqlActivityRepository
) -> None:
    """
    It waits for the other, and hides whom that one showed.
    """
    renewed, lapsed = (
        CertificateEnd(mentor_id="mentor-1", certificate_type="a", ends_at=moment)
        for moment in (later(3600), NOON)
    )
    registry = SqlVisibilityRegistry(store.engine)
    with _another(postgresql_url) as other:
        visibility.track(other, [renewed], at=later(1))
        then = await _meanwhile(
            postgresql, other, postgresql_url, lambda: registry.track([lapsed], at=later(1))
        )

    assert 1 == then
    assert {"mentor-1"} == set(await registry.hidden(["mentor-1"], at=later(2)))


async def test_what_a_renewal_cancels_while_it_is_completed_ends_as_it_was_sent(
    postgresql: Databases, postgresql_url: URL, store: SqlActivityRepository
) -> None:
    """
    The completion waits for the renewal, and each message of it ends by what that one left.
    """
    outbox = SqlNotificationRepository(store.engine)
    names = ["mentor-1", "mentor-2", "mentor-3"]
    await run_with(outbox, chunk_of(*map(draft_of, names)))
    leased = {push.message.recipient_id: push for push in await claimed(outbox)}
    sent, again, other_sent = (leased[name] for name in names)
    completions = [push_ended(sent), retried(again, MORNING), push_ended(other_sent)]
    with _another(postgresql_url) as other:
        notices.renew(other, [end_of("mentor-1"), end_of("mentor-2")], at=MORNING)
        held = await _meanwhile(
            postgresql, other, postgresql_url, lambda: outbox.complete_pushes(completions)
        )

    assert 2 == held
    assert {PushState.SENT: 2, PushState.CANCELLED: 1} == await outbox.count_pushes()


async def test_a_claim_takes_what_is_free_and_waits_for_nobody(
    postgresql_url: URL, store: SqlActivityRepository
) -> None:
    """
    What another claim or a renewal has in hand is passed over.
    """
    outbox = SqlNotificationRepository(store.engine)
    await run_with(outbox, chunk_of(*[draft_of(f"mentor-{number}") for number in range(5)]))
    with _another(postgresql_url) as other:
        notices.renew(other, [end_of("mentor-0")], at=MORNING)
        theirs = push_rows.claim_pushes(other, now=MORNING, limit=2, hold=LONG)
        with anyio.fail_after(LONGEST_WAIT):
            ours = await claimed(outbox)
        other.commit()

    told = [push.message.recipient_id for push in (*theirs, *ours)]
    assert (2, 2) == (len(theirs), len(ours))
    assert ["mentor-1", "mentor-2", "mentor-3", "mentor-4"] == sorted(told)


async def test_drivers_commit_beside_each_other(store: SqlActivityRepository) -> None:
    """
    Many writes of one process at once all arrive.
    """
    async with anyio.create_task_group() as crew:
        for _ in range(20):
            crew.start_soon(accepted, store, batch_of(2))

    assert 20 == len(await store.find_drivable(limit=99))


async def test_runs_that_another_server_takes_at_this_moment_are_passed_over(
    postgresql_url: URL, store: SqlActivityRepository
) -> None:
    """
    Nobody waits, nobody gets more than was asked for, and together they get each run once.
    """
    batch_ids = [await accepted(store, batch_of(2)) for _ in range(50)]
    wanted = {"ttl": LONG, "claim": 2, "called": 1}
    with _another(postgresql_url) as other:
        names = [lease.batch_id for lease in free_runs.take_free_runs(other, limit=20, **wanted)]
        with anyio.fail_after(LONGEST_WAIT):
            names += [lease.batch_id for lease in await store.take_free_runs(limit=20, **wanted)]
        other.commit()
    names += [lease.batch_id for lease in await store.take_free_runs(limit=20, **wanted)]

    assert batch_ids == names


@pytest.mark.parametrize("verb", ["settle", "finish"])
async def test_a_run_settles_behind_whoever_has_the_batch(
    postgresql: Databases, postgresql_url: URL, store: SqlActivityRepository, verb: str
) -> None:
    """
    A cancel takes the batch, and then the run: a driver that had its run first would end in a deadlock.
    """
    batch_id = await accepted(store, batch_of(1))
    lease = await lease_of(store, batch_id)
    last = Commit(outcomes=tuple(map(ended, await claim(store, lease, 1))), ttl=LONG)
    if verb == "settle":
        await store.commit(lease, last)

    async def end() -> object:
        if verb == "settle":
            return await store.settle(lease, settled_at=later(1), audit_hold=LONG)
        return await store.finish(lease, last, settled_at=later(1), audit_hold=LONG)

    with _another(postgresql_url) as other:
        other.execute(text("SELECT id FROM batches FOR UPDATE"))
        free = text("SELECT run FROM runs FOR UPDATE NOWAIT")
        answer = await _meanwhile(postgresql, other, postgresql_url, end, then=lambda: other.execute(free))

    assert isinstance(answer, AuditEvent)
    assert later(1) == (await record_of(store, batch_id)).settled_at
