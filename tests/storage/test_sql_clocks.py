"""
A database whose wall clock was set back: what was written before it does not last for ever.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import create_engine

from proxy_orchestration.errors import LeaseLostError
from proxy_orchestration.registration.runs import Commit, Lease, LeaseHeld, UnfinishedItem
from proxy_orchestration.storage.sql import SqlActivityRepository, SqlNotificationRepository
from proxy_orchestration.testing.contracts.notification.samples import HOLD, MORNING, chunk_of, draft_of
from proxy_orchestration.testing.contracts.registration.samples import (
    accepted,
    batch_of,
    ended,
    later,
    lease_of,
)


def _set_back(url: str, seconds: float) -> None:
    """
    Leave the store as it is after its clock was set back by so much.
    """
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE runs SET lease_until = lease_until + {seconds}")  # noqa: S608 - a number
    engine.dispose()


@pytest.mark.parametrize("is_renewed", [False, True], ids=["taken", "renewed"])
async def test_a_lease_of_a_clock_that_was_set_back_is_over(tmp_path: Path, is_renewed: bool) -> None:
    """
    It would outlive its ttl by an hour; the fence keeps its driver out.
    """
    url = f"sqlite:///{tmp_path / 'clock.db'}"
    async with SqlActivityRepository.open(url) as store:
        batch_id = await accepted(store, batch_of(2))
        stale = await lease_of(store, batch_id, ttl=30.0)
        if is_renewed:
            await store.commit(stale, Commit(ttl=40.0))
        _set_back(url, 3600.0)
        (found,) = await store.find_drivable(limit=9)
        lease = await store.acquire(batch_id, 1, ttl=300.0)

        assert 0.0 == found.lease_remaining
        assert isinstance(lease, Lease)
        with pytest.raises(LeaseLostError):
            await store.commit(stale, Commit(ttl=30.0))


async def test_a_clock_that_is_set_back_a_little_ends_no_lease(tmp_path: Path) -> None:
    """
    As clocks are that keep in step with others.
    """
    url = f"sqlite:///{tmp_path / 'clock.db'}"
    async with SqlActivityRepository.open(url) as store:
        batch_id = await accepted(store, batch_of(1))
        await lease_of(store, batch_id, ttl=30.0)
        _set_back(url, 0.5)

        assert isinstance(await store.acquire(batch_id, 1, ttl=1.0), LeaseHeld)


async def test_a_lease_of_older_code_is_not_judged_by_the_ttl_of_newer_code(tmp_path: Path) -> None:
    """
    Code of revision 0005 raises the fence and keeps no ttl; its lease may be longer.
    """
    url = f"sqlite:///{tmp_path / 'clock.db'}"
    async with SqlActivityRepository.open(url) as store:
        batch_id = await accepted(store, batch_of(1))
        lease = await lease_of(store, batch_id, ttl=5.0)
        await store.commit(lease, Commit(ttl=5.0))
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE runs SET fence = fence + 1, lease_until = lease_until + 55")
        engine.dispose()

        assert isinstance(await store.acquire(batch_id, 1, ttl=5.0), LeaseHeld)


def _set_all_back(url: str, seconds: float) -> None:
    """
    The same for whatever else lies ahead on the store's clock.
    """
    engine = create_engine(url)
    with engine.begin() as connection:
        for table, column in (
            ("runs", "due_at"),
            ("runs", "first_call_at"),
            ("unfinished", "due_at"),
            ("audit_events", "held_until"),
            ("push_outbox", "lease_until"),
        ):
            statement = f"UPDATE {table} SET {column} = {column} + {seconds} WHERE {column} > 0"  # noqa: S608 - ours
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.mark.parametrize(("seconds", "is_over"), [(3600.0, True), (0.5, False)])
async def test_what_waits_by_a_clock_that_was_set_back_is_due(
    tmp_path: Path, seconds: float, is_over: bool
) -> None:
    """
    Its item and its run; and no run's first call lies ahead.
    """
    url = f"sqlite:///{tmp_path / 'clock.db'}"
    async with SqlActivityRepository.open(url) as store:
        batch_id = await accepted(store, batch_of(2))
        lease = await lease_of(store, batch_id, ttl=30.0)
        (work,) = (await store.commit(lease, Commit(claim=1, called=1, ttl=30.0))).claimed
        known = UnfinishedItem(work=work, due_in=60.0, calls=1, rounds=1)
        await store.commit(lease, Commit(unfinished=(known,), since_first_call=0.0, ttl=30.0))
        await store.release(lease, due_in=60.0)
        _set_all_back(url, seconds)

        due = await store.find_drivable(limit=9, due_only=True)
        (found,) = await store.find_drivable(limit=9)
        taken = await lease_of(store, batch_id)

    assert is_over is bool(due)
    assert is_over is (found.due_in == 0.0)
    assert is_over is (taken.unfinished[0].due_in == 0.0)
    assert taken.since_first_call is not None
    assert 0.0 <= taken.since_first_call < 30.0


@pytest.mark.parametrize(("seconds", "is_over"), [(3600.0, True), (0.5, False)])
async def test_an_audit_event_is_not_held_by_a_clock_that_was_set_back(
    tmp_path: Path, seconds: float, is_over: bool
) -> None:
    """
    Whoever held it had a few seconds; it is delivered, and held again.
    """
    url = f"sqlite:///{tmp_path / 'clock.db'}"
    async with SqlActivityRepository.open(url) as store:
        batch_id = await accepted(store, batch_of(1))
        lease = await lease_of(store, batch_id, ttl=30.0)
        (work,) = (await store.commit(lease, Commit(claim=1, ttl=30.0))).claimed
        await store.commit(lease, Commit(outcomes=(ended(work),), ttl=30.0))
        await store.settle(lease, settled_at=later(1), audit_hold=4.0)
        _set_all_back(url, seconds)
        wait = await store.audit_wait()
        claimed = await store.claim_audit_events(limit=9, hold=4.0)
        _set_all_back(url, seconds)
        again = await store.claim_audit_events(limit=9, hold=4.0)

    assert is_over is (wait == 0.0)
    assert [is_over, is_over] == [bool(claimed), bool(again)]


@pytest.mark.parametrize(("seconds", "is_over"), [(3600.0, True), (0.5, False)])
async def test_a_push_is_not_leased_by_a_clock_that_was_set_back(
    tmp_path: Path, seconds: float, is_over: bool
) -> None:
    """
    A dead dispatcher's message is sent by the next one.
    """
    url = f"sqlite:///{tmp_path / 'clock.db'}"
    async with SqlNotificationRepository.open(url) as store:
        await store.record(chunk_of(draft_of("mentor-1")))
        now = MORNING + HOLD
        first = await store.claim_pushes(now=now, limit=9, hold=30.0)
        _set_all_back(url, seconds)
        wait = await store.push_wait(now=now)
        second = await store.claim_pushes(now=now, limit=9, hold=30.0)

    assert first
    assert is_over is (wait == 0.0)
    assert is_over is bool(second)
