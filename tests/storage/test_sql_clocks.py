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
from proxy_orchestration.registration.runs import Commit, Lease, LeaseHeld
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing.contracts.registration.samples import accepted, batch_of, lease_of


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
