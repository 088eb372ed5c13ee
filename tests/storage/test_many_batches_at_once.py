"""
Fifty batches at once, whose writes share transactions: cancelled, out of space, and whole in the end.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from anyio.lowlevel import checkpoint

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import create_engine, event

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    ItemState,
    ProxyActivity,
    RepositoryUnavailableError,
)
from proxy_orchestration.ports import ProxyRegistration, RegistrationReceipt
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing import RecordingAuditLogger
from proxy_orchestration.testing.contracts.registration.samples import COORDINATOR, NOON

pytestmark = pytest.mark.dateless

_VISIT: Final = ProxyActivity(activity_type="visit", activity_date=NOON.date(), duration_minutes=30)
_DRIVERS: Final = 50


class _Register:
    """
    A register in memory that outlives its callers, and writes one record for one registration.
    """

    def __init__(self) -> None:
        self.records: dict[str, str] = {}

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        await checkpoint()
        number = self.records.setdefault(registration.registration_id, f"record-{len(self.records)}")
        await checkpoint()
        return RegistrationReceipt(registration_id=registration.registration_id, activity_id=number)


def _requests(size: int) -> list[BulkRegistrationRequest]:
    return [
        BulkRegistrationRequest.for_mentors(
            [f"mentor-{place}" for place in range(size)], _VISIT, idempotency_key=f"batch {number}"
        )
        for number in range(_DRIVERS)
    ]


async def _submit_all(
    orchestrator: BulkRegistrationOrchestrator, requests: list[BulkRegistrationRequest]
) -> list[str]:
    """
    Submit all at once; return why some were not driven to their end.
    """
    errors: list[str] = []

    async def submit(request: BulkRegistrationRequest) -> None:
        try:
            await orchestrator.submit_bulk_registration(request, actor=COORDINATOR)
        except RepositoryUnavailableError as error:
            errors.append(error.reason)

    async with anyio.create_task_group() as crew:
        for request in requests:
            crew.start_soon(submit, request)
    return errors


async def _check_ends(
    store: SqlActivityRepository, register: _Register, requests: list[BulkRegistrationRequest]
) -> None:
    """
    Take up what was left, submit anew as hosts do, and look whether all is there once.
    """
    audit = RecordingAuditLogger()
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=register, repository=store, audit_logger=audit
    )
    assert [] == [run for run in await store.find_drivable(limit=99) if run.lease_remaining > 0]
    await orchestrator.resume_interrupted()
    results = [
        await orchestrator.submit_bulk_registration(request, actor=COORDINATOR) for request in requests
    ]

    assert {ItemState.SUCCEEDED} == {outcome.state for each in results for outcome in each.outcomes}
    assert sorted(register.records.values()) == sorted(
        str(outcome.activity_id) for each in results for outcome in each.outcomes
    )
    assert {1} == set(Counter(each.batch_id for each in results).values())
    assert await store.audit_wait() is None


@pytest.mark.parametrize("size", [1, 10, pytest.param(50, marks=pytest.mark.full)])
async def test_who_is_cancelled_among_many_leaves_each_batch_whole(tmp_path: Path, size: int) -> None:
    """
    At whatever moment: nobody holds a lease then, and whoever comes next finds all of it.
    """
    draw = random.Random(size)  # noqa: S311 - has to be repeatable, not secret
    requests, register = _requests(size), _Register()
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        for turns in [draw.randint(1, 150) for _ in range(4)]:
            orchestrator = BulkRegistrationOrchestrator(registration_service=register, repository=store)
            async with anyio.create_task_group() as crew:
                crew.start_soon(_submit_all, orchestrator, requests)
                for _ in range(turns):
                    await checkpoint()
                crew.cancel_scope.cancel()

        await _check_ends(store, register, requests)


@pytest.mark.parametrize("size", [1, 10, pytest.param(50, marks=pytest.mark.full)])
async def test_a_disk_that_fills_up_among_many_loses_nothing(tmp_path: Path, size: int) -> None:
    """
    Each is told that the store is full; what was stored before is there once there is space.
    """
    file = tmp_path / "store.db"
    requests, register = _requests(size), _Register()
    async with SqlActivityRepository.open(f"sqlite:///{file}"):
        pass
    with closing(sqlite3.connect(file)) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0] + 2 + size // 2
    engine = create_engine(f"sqlite:///{file}")

    @event.listens_for(engine, "connect")
    def limit(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}").close()

    orchestrator = BulkRegistrationOrchestrator(
        registration_service=register, repository=SqlActivityRepository(engine)
    )
    errors = await _submit_all(orchestrator, requests)
    engine.dispose()

    assert errors
    assert [] == [reason for reason in errors if "full" not in reason]
    async with SqlActivityRepository.open(f"sqlite:///{file}") as store:
        with closing(sqlite3.connect(file)) as connection:  # nobody waits for leases of those who left
            connection.execute("UPDATE runs SET lease_until = 0 WHERE settled_at IS NULL")
            connection.execute("UPDATE audit_events SET held_until = 0")
            connection.commit()
        await _check_ends(store, register, requests)
