"""
How much of a table PostgreSQL reads for a call, whatever its statistics say.

The tables are large and their statistics are those of empty tables, or of
tables that held a batch of two: that is when the planner takes a whole batch,
or a whole table, for a few rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, LiteralString

import anyio
import attrs
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("psycopg")

from small_batches import (
    accept_together,
    commit_together,
    ending_of,
    finish_together,
    new_batch,
    parts_of,
)
from sqlalchemy import URL, Connection, Engine, create_engine, event

from proxy_orchestration.access import Visibility
from proxy_orchestration.notification.notices import PushState
from proxy_orchestration.notification.records import WholeFeed
from proxy_orchestration.registration.batches import BatchFilter
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
    metadata,
)
from proxy_orchestration.testing.contracts.notification.samples import (
    ENDS,
    MORNING,
    acknowledgement,
    chunk_of,
    coordinator,
    draft_of,
    end_of,
)
from proxy_orchestration.testing.contracts.notification.samples import ended as push_ended
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    NOON,
    OVER,
    activity_record,
    batch_of,
    claim,
    ended,
    lease_of,
    override,
    rerun,
    settled_batch,
)

if TYPE_CHECKING:
    from postgres_server.databases import Databases

pytestmark = pytest.mark.postgresql(asyncio_only=True)

_MANY: Final = 100_000
_OTHERS: Final = 2_000
_ASKED: Final = 20
_READ_AT_MOST: Final = 200

_FILL: Final = (
    "INSERT INTO batches (id, batch_id, organization_id, coordinator_id, total, submitted_at, run)"
    " SELECT n, 'other-' || n, 'org-1', 'coordinator-1', 1, now(), 1"
    " FROM generate_series({first}, {others}) n;"
    "INSERT INTO runs (batch, run, actor, opened_at, run_items, base, tail, settled_at, status, counts)"
    ' SELECT n, 1, \'{"user_id": "c", "roles": [], "organization_id": "org-1"}\', now(), 1, 0, 1, now(),'
    " 'success', '{}'"
    " FROM generate_series({first}, {others}) n;"
    "INSERT INTO items SELECT 1, n, 'mentor-' || n, '{}' FROM generate_series({first}, {last}) n;"
    "INSERT INTO activities SELECT 'a-' || n, 'r-' || n, 'k-' || n, 'batch-x', 'org-1', 'c', '',"
    " 'mentor-' || n, 'visit', '2026-03-03', 45, '', '{}', CASE WHEN n % 9 = 0 THEN 'x' END, now(),"
    " 'day ' || n FROM generate_series({first}, {last}) n;"
    "INSERT INTO notifications SELECT 'n-' || n, 'mentor-' || n, 'first_aid', 'warning_30', '2026-03-03',"
    " 'mentor', 'mentor-' || n, 'pending', '', '', NULL, now(), now(), NULL, NULL, '', 'org-1', NULL"
    " FROM generate_series({first}, {last}) n;"
    "INSERT INTO notifications SELECT 'd-' || n, 'mentor-' || n, 'first_aid', 'warning_30', '2026-03-03',"
    " 'coordinator', 'coordinator-' || n, 'pending', '', '', NULL, now(), now(), NULL, NULL, '', 'org',"
    " '2026-03-03' FROM generate_series({first}, {last}) n;"
    "INSERT INTO push_outbox SELECT 'p-' || n, 'mentor-' || n, 'first_aid', now(), 'mentor', 'sent',"
    " now(), NULL, 1, 1, '[]', now(), '', NULL FROM generate_series({first}, {last}) n;"
    "INSERT INTO expiry_guards SELECT 'mentor-' || n, 'first_aid', now(), now()"
    " FROM generate_series({first}, {last}) n;"
    "INSERT INTO certificate_ends SELECT 'mentor-' || n, 'first_aid', 'k-' || n, 'org-1', 'c-' || n,"
    " now(), now()"
    " FROM generate_series({first}, {last}) n;"
    "INSERT INTO mentor_visibility SELECT 'mentor-' || n, 'first_aid', now(), NULL, NULL"
    " FROM generate_series({first}, {last}) n;"
    "INSERT INTO audit_events (event_id, payload, held_until, delivered)"
    " SELECT 'e-' || n, '{}', 0, true FROM generate_series({first}, {last}) n;"
    "SELECT setval('batches_id_seq', 100000 + {last})"
)


def _filling(first: int, last: int, *, others: int) -> LiteralString:
    """
    Return what puts these rows into the tables, and that many batches.
    """
    statement = _FILL.replace("{first}", f"{first}").replace("{last}", f"{last}")
    return statement.replace("{others}", f"{others}")


async def _settle_two(url: URL) -> None:
    async with SqlActivityRepository.open(url) as store:
        await settled_batch(store, ItemState.SUCCEEDED, ItemState.FAILED)


@pytest.fixture(scope="module", params=[0, pytest.param(2, marks=pytest.mark.full)])
def engine(postgresql: Databases, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """
    A host's own engine over large tables that were analysed while they held that many rows.
    """
    url = postgresql.new()
    held: int = request.param
    if held:
        postgresql.execute(url.database, _filling(1, held, others=held))
        anyio.run(_settle_two, url)
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    filling = _filling(held + 1, _MANY, others=_OTHERS)
    postgresql.execute(url.database, f"ANALYZE {tables}", filling)
    engine = create_engine(url)
    yield engine
    engine.dispose()


def _rows_read(plan: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """
    Yield each table that a plan reads, and how many rows of it, those thrown away too.
    """
    if "Relation Name" in plan and plan["Node Type"] != "ModifyTable":
        thrown = sum(value for key, value in plan.items() if key.startswith("Rows Removed by"))
        yield plan["Relation Name"], (plan["Actual Rows"] + thrown) * plan["Actual Loops"]
    for part in plan.get("Plans", ()):
        yield from _rows_read(part)


def _rows_compared(plan: dict[str, Any]) -> float:
    """
    Return how many pairs of rows a plan looked at and did not join.
    """
    own = plan.get("Rows Removed by Join Filter", 0) * plan["Actual Loops"]
    return own + sum(map(_rows_compared, plan.get("Plans", ())))


class _Watch:
    """
    Explains each statement just before it runs, and keeps what it read.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.greedy: list[tuple[str, str, float]] = []
        self.compared = 0.0
        self.seen = 0
        event.listen(engine, "before_cursor_execute", self.explain)

    def stop(self) -> None:
        """
        Let statements run by themselves again.
        """
        event.remove(self.engine, "before_cursor_execute", self.explain)

    def explain(
        self, connection: Connection, _cursor: Any, statement: str, values: Any, _context: Any, many: Any
    ) -> None:
        """
        Run the statement once under EXPLAIN, and take that back.
        """
        if (
            not statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH"))
            or "pg_catalog" in statement
        ):
            return
        self.seen += 1
        raw = connection.connection.cursor()
        raw.execute("SAVEPOINT explained")
        raw.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values[0] if many else values)
        (answer,) = raw.fetchone()
        raw.execute("ROLLBACK TO SAVEPOINT explained")
        plan = answer if isinstance(answer, list) else json.loads(answer)
        self.compared += _rows_compared(plan[0]["Plan"])
        self.greedy += [
            (" ".join(statement.split())[:300], table, rows)
            for table, rows in _rows_read(plan[0]["Plan"])
            if rows > _READ_AT_MOST
        ]
        raw.close()


@pytest.fixture
def watch(engine: Engine) -> Iterator[_Watch]:
    """
    Watch every statement of the test.
    """
    watch = _Watch(engine)
    yield watch
    watch.stop()


async def test_a_run_reads_what_it_works_on(engine: Engine, watch: _Watch) -> None:
    """
    Claims, commits and further runs of a large batch, page by page.
    """
    store = SqlActivityRepository(engine)
    watch.stop()
    batch_id = (await store.accept(batch_of(5_000, idempotency_key="k"))).batch_id
    lease = await lease_of(store, batch_id)
    work = await claim(store, lease, 5_000)
    await store.commit(lease, Commit(outcomes=tuple(map(ended, work[:4_900])), ttl=LONG))
    event.listen(engine, "before_cursor_execute", watch.explain)
    await store.accept(batch_of(1, idempotency_key="k2"))
    await store.commit(lease, Commit(outcomes=tuple(map(ended, work[4_900:4_920])), ttl=LONG, claim=0))
    for after in (0, 4_800):
        await store.read_updates(batch_id, after=after, limit=_ASKED)
    await store.get(batch_id)
    await store.find_drivable(limit=9)
    await store.claim_audit_events(limit=9, hold=OVER)
    await store.audit_wait()
    await store.relabel(batch_id, "label")
    await store.release(lease)

    assert watch.seen > 9
    assert [] == watch.greedy


async def test_a_claimed_page_is_all_that_is_read(engine: Engine, watch: _Watch) -> None:
    """
    Not the batch before it or behind it.
    """
    store = SqlActivityRepository(engine)
    batch_id = (await store.accept(batch_of(1))).batch_id
    watch.stop()
    batch_id = (await store.accept(batch_of(5_000))).batch_id
    lease = await lease_of(store, batch_id)
    await claim(store, lease, 2_000)
    event.listen(engine, "before_cursor_execute", watch.explain)
    await claim(store, lease, _ASKED)

    assert [] == watch.greedy


async def test_a_further_run_reads_the_outcomes_of_the_items_it_names(engine: Engine, watch: _Watch) -> None:
    """
    The log of a large batch is not read for a few retries; its mentors are.
    """
    store = SqlActivityRepository(engine)
    watch.stop()
    batch_id = (await store.accept(batch_of(5_000))).batch_id
    lease = await lease_of(store, batch_id)
    work = await claim(store, lease, 5_000)
    outcomes = tuple(ended(one, ItemState.FAILED) for one in work)
    await store.commit(lease, Commit(outcomes=outcomes, ttl=LONG))
    await store.settle(lease, settled_at=NOON, audit_hold=LONG)
    event.listen(engine, "before_cursor_execute", watch.explain)
    await store.open_run(rerun(batch_id, [one.mentor_id for one in work[:_ASKED]]))

    assert {"items"} >= {table for _, table, _ in watch.greedy}


async def test_a_large_batch_is_read_whole_without_comparing_each_row_with_every_other(
    engine: Engine, watch: _Watch
) -> None:
    """
    Status, take-over, cancel and the counts of a retry take as long as there are items, not their square.
    """
    store = SqlActivityRepository(engine)
    watch.stop()
    batch_id = (await store.accept(batch_of(2_000))).batch_id
    lease = await lease_of(store, batch_id, ttl=OVER)
    work = await claim(store, lease, 1_500, ttl=OVER)
    outcomes = tuple(ended(one, ItemState.FAILED) for one in work[:1_000])
    await store.commit(lease, Commit(outcomes=outcomes, ttl=OVER))
    event.listen(engine, "before_cursor_execute", watch.explain)
    await store.get(batch_id)
    await store.read_result(batch_id)
    await store.read_items(batch_id)
    await store.acquire(batch_id, 1, ttl=OVER)
    await store.cancel_run(batch_id, reason=None, wished_at=NOON)
    await store.read_result(batch_id)

    assert watch.seen > 9
    assert watch.compared < 2_000


async def test_the_audit_of_many_overrides_looks_for_each_mentor_by_its_place(
    engine: Engine, watch: _Watch
) -> None:
    """
    Not for every override through the batch.
    """
    store = SqlActivityRepository(engine)
    watch.stop()
    batch = batch_of(1_000)
    overrides = {entry.mentor_id: override("in-the-way") for entry in batch.entries}
    batch_id = (await store.accept(attrs.evolve(batch, overrides=overrides))).batch_id
    lease = await lease_of(store, batch_id)
    work = await claim(store, lease, 1_000)
    await store.commit(lease, Commit(outcomes=tuple(map(ended, work)), ttl=LONG))
    event.listen(engine, "before_cursor_execute", watch.explain)
    audited = await store.settle(lease, settled_at=NOON, audit_hold=LONG)

    assert 1_000 == len(audited.overrides)
    assert watch.compared < 1_000


async def test_records_and_duplicates_are_found_by_their_keys(engine: Engine, watch: _Watch) -> None:
    """
    Of many thousand, twenty.
    """
    store = SqlActivityRepository(engine)
    keys = [f"day {number}" for number in range(1, _ASKED)]
    await store.find_duplicates("org-1", keys)
    await store.find_activities([f"r-{number}" for number in range(1, _ASKED)])
    records = [activity_record(number, f"mentor-{number}", key=f"day {number}") for number in range(1, 9)]
    await store.add_activities(records, atomic=False)
    await store.activities_of_batch("batch-1")
    await store.void_activity("a-1", voided_at=NOON)

    assert watch.seen > 5
    assert [] == watch.greedy


async def test_notices_and_messages_are_found_by_their_keys(engine: Engine, watch: _Watch) -> None:
    """
    A chunk, an inbox and a claim each read what they are about.
    """
    store, registry = SqlNotificationRepository(engine), SqlVisibilityRegistry(engine)
    names = [f"mentor-{number}" for number in range(1, _ASKED)]
    drafts = [draft_of(f"new-{name}", draft_of().notice.tier, coordinator()) for name in names]
    await store.record(chunk_of(*drafts))
    await store.record(chunk_of(*drafts))
    await store.weigh(chunk_of(*(draft_of(name) for name in names)))
    await store.notifications_for("mentor-7")
    await store.notification("n-7")
    await store.acknowledge(acknowledgement(drafts[0].notice))
    await store.acknowledgements("org-1", limit=9)
    await store.push_wait(now=MORNING)
    pushes = await store.claim_pushes(now=ENDS, limit=9, hold=LONG)
    await store.complete_pushes([push_ended(push, PushState.SENT) for push in pushes])
    await store.renew([end_of(name) for name in names], at=MORNING)
    feed = WholeFeed(scope=frozenset({("org-9", "first_aid")}), since=MORNING)
    await store.count_unseen(feed)
    await store.withdraw(feed, limit=9)
    await store.counted_in(feed.scope, after=None, limit=9)
    await store.forget_ends(before=MORNING)
    await registry.track([end_of(name) for name in names], at=MORNING)
    await registry.hidden(names, at=MORNING)

    # A sub-select with a limit may be evaluated once for each row.
    assert 9 == len(pushes)
    assert watch.seen > 15
    assert [] == watch.greedy


async def test_a_list_of_batches_reads_a_page(engine: Engine, watch: _Watch) -> None:
    """
    The rows of a page come by the index of their order; only their number is counted whole.
    """
    store = SqlActivityRepository(engine)
    visibility = Visibility(organization_id="org-1", coordinator_id="coordinator-1")
    await store.list_batches(visibility, page=1, limit=9, statuses=None)

    assert all("count(*)" in statement for statement, _, _ in watch.greedy)


_SETTLED: Final = (
    "INSERT INTO batches (batch_id, organization_id, coordinator_id, label, total, submitted_at, run,"
    " settled_run, settled_status, needs_review)"
    " SELECT 'b-' || n, 'org-1', 'coordinator-' || n % 2, 'label ' || n % 100, 1, now() + n * interval '1 s',"
    " 1, (n % 100 > 0)::int, (ARRAY['success', 'partial_success', 'cancelled'])[1 + n % 3], n % 7 = 0"
    " FROM generate_series(1, 20000) n;"
    "INSERT INTO runs (batch, run, actor, opened_at, run_items, base, tail, settled_at, status, counts)"
    ' SELECT id, 1, \'{"user_id": "c", "roles": [], "organization_id": "org-1"}\', now(), 1, 0, settled_run,'
    " CASE WHEN settled_run = 1 THEN now() END, settled_status,"
    " CASE WHEN settled_run = 1 THEN '{}' END FROM batches"
)


# What a server that looks after itself knows in the end: autovacuum would come when it likes.
@pytest.fixture(scope="module")
def settled(postgresql: Databases) -> Iterator[Engine]:
    """
    Yield a host's own engine over 20 000 batches, of which 200 are open.
    """
    url = postgresql.new()
    by_hand = tuple(f"ALTER TABLE {table} SET (autovacuum_enabled = false)" for table in ("batches", "runs"))
    postgresql.execute(url.database, *by_hand, _SETTLED, "ANALYZE batches, runs")
    engine = create_engine(url)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("coordinator_id", [None, "coordinator-1"])
async def test_a_list_of_batches_reads_a_page_by_any_filter(
    settled: Engine, coordinator_id: str | None
) -> None:
    """
    Of each status, of reviews, a label or a day; what is open is looked up as far as the page goes.
    """
    store = SqlActivityRepository(settled)
    visibility = Visibility(organization_id="org-1", coordinator_id=coordinator_id)
    first = await store.list_batches(visibility, page=1, limit=9, statuses=None)
    watch = _Watch(settled)
    for statuses in (
        None,
        [BulkStatus.SUCCESS],
        [BulkStatus.CANCELLED, BulkStatus.PENDING],
        list(BulkStatus),
    ):
        for found_by in (
            BatchFilter(),
            BatchFilter(needs_review=True),
            BatchFilter(needs_review=False),
            BatchFilter(cursor=first.next_cursor),
        ):
            await store.list_batches(visibility, page=1, limit=9, statuses=statuses, found_by=found_by)
    await store.list_batches(
        visibility, page=1, limit=9, statuses=None, found_by=BatchFilter(label="label 51")
    )
    watch.stop()

    assert 2 * 17 == watch.seen
    assert [] == [one for one in watch.greedy if not one[0].startswith("SELECT (SELECT count(*)")]


_OPEN: Final = (
    "INSERT INTO batches (id, batch_id, organization_id, coordinator_id, total, submitted_at, run)"
    " SELECT n, 'open-' || n, 'org-1', 'coordinator-1', 1, now(), 1 FROM generate_series(1, 20000) n;"
    'INSERT INTO items SELECT n, 0, \'mentor-1\', \'{"activity_type": "visit",'
    ' "activity_date": "2026-03-03", "duration_minutes": 45, "notes": "", "details": {}}\''
    " FROM generate_series(1, 20000) n;"
    "INSERT INTO work SELECT n, 1, 1, 0, 0 FROM generate_series(1, 20000) n;"
    "INSERT INTO runs (batch, run, actor, opened_at, run_items, base, tail, due_at, waits, lease_until)"
    ' SELECT n, 1, \'{"user_id": "c", "roles": [], "organization_id": "org-1"}\', now(), 1, 0, 0,'
    " CASE WHEN n % 2 = 0 THEN extract(epoch FROM now()) + 6000 ELSE 0 END, 6000,"
    " CASE WHEN n % 1000 = 0 THEN 1 ELSE 0 END FROM generate_series(1, 20000) n;"
    "SELECT setval('batches_id_seq', 20000)"
)


@pytest.fixture(scope="module", params=["known", "empty"])
def waiting(postgresql: Databases, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """
    Yield a host's own engine over 20 000 open runs, half of which wait, with statistics of these or of none.
    """
    url = postgresql.new()
    tables = "batches, runs, items, work"
    by_hand = tuple(f"ALTER TABLE {table} SET (autovacuum_enabled = false)" for table in tables.split(", "))
    steps = (_OPEN, f"ANALYZE {tables}") if request.param == "known" else (f"ANALYZE {tables}", _OPEN)
    postgresql.execute(url.database, *by_hand, *steps)
    engine = create_engine(url)
    yield engine
    engine.dispose()


async def test_free_runs_are_taken_without_reading_the_others(waiting: Engine) -> None:
    """
    By the index, however many are open, wait or are left out; what was accepted first comes first.
    """
    store = SqlActivityRepository(waiting)
    watch = _Watch(waiting)
    taken = [
        await store.take_free_runs(
            limit=_ASKED, ttl=LONG, claim=9, called=5, except_for=["open-1", "open-3"], service_name=name
        )
        for name in (None, "a")
    ]
    watch.stop()

    assert 2 * 3 + 1 == watch.seen  # and a look at the version
    assert [] == watch.greedy
    assert [f"open-{number}" for number in range(5, 41, 2)] == [one.batch_id for one in taken[0][:18]]
    assert {_ASKED} == {sum(len(one.claimed_now) for one in leases) for leases in taken}


async def test_small_batches_that_begin_and_end_together_read_their_own_rows(waiting: Engine) -> None:
    """
    And those of no other batch, whether they end at once or in parts.
    """
    new = [new_batch(number, idempotency_key=f"small-{number}") for number in range(2 * _ASKED)]
    parts = [parts_of(ending_of(each), 4) for each in new[_ASKED:]]
    watch = _Watch(waiting)
    accept_together(waiting, new)
    finish_together(waiting, list(map(ending_of, new[:_ASKED])))
    commit_together(waiting, [begun for begun, _ in parts])
    finish_together(waiting, [end for _, end in parts])
    watch.stop()

    assert 5 + 5 + 3 + 7 == watch.seen
    assert [] == watch.greedy
