from __future__ import annotations

import inspect
from datetime import UTC, date, datetime

import pytest

from proxy_orchestration.access import Actor, Role, Visibility
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.ledger import NewBatch
from proxy_orchestration.registration.ports import ActivityRepository
from proxy_orchestration.registration.requests import RegistrationEntry
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FaultyActivityRepository, WritePoint, fail_at
from proxy_orchestration.testing.contracts.registration.samples import activity_record
from proxy_orchestration.testing.notification_faults import FaultyNotificationRepository

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BATCH = NewBatch(
    actor=Actor(user_id="c-1", roles={Role.COORDINATOR}, organization_id="org-1"),
    entries=(
        RegistrationEntry(
            "mentor-1",
            ProxyActivity(activity_type="visit", activity_date=date(2026, 1, 1), duration_minutes=30),
        ),
    ),
    idempotency_key="key-1",
    fingerprint="0" * 64,
    label=None,
    submitted_at=NOON,
)
LOST = RepositoryUnavailableError("The disk is full.", advice="Make room.")


async def _stored(repository: MemoryActivityRepository) -> int:
    page = await repository.list_batches(Visibility(organization_id="org-1"), page=1, limit=1, statuses=None)
    return page.total


async def test_a_fault_before_a_write_prevents_it() -> None:
    """
    Nothing is stored, and the next write goes through.
    """
    inner = MemoryActivityRepository()
    repository = FaultyActivityRepository(inner, before=fail_at(1, LOST))

    with pytest.raises(RepositoryUnavailableError):
        await repository.accept(BATCH)
    assert 0 == await _stored(inner)
    assert (await repository.accept(BATCH)).created


async def test_a_fault_after_a_write_loses_only_the_answer() -> None:
    """
    The batch is stored, though the caller does not know.
    """
    inner = MemoryActivityRepository()
    repository = FaultyActivityRepository(inner, after=fail_at(1, LOST))

    with pytest.raises(RepositoryUnavailableError):
        await repository.accept(BATCH)
    assert 1 == await _stored(inner)
    assert not (await repository.accept(BATCH)).created


async def test_writes_are_numbered_and_reads_are_not() -> None:
    """
    Both hooks see every durable write, under one number.
    """
    seen: list[WritePoint] = []
    repository = FaultyActivityRepository(MemoryActivityRepository(), before=seen.append, after=seen.append)
    batch_id = (await repository.accept(BATCH)).batch_id
    await repository.get(batch_id)
    await repository.acquire(batch_id, 1, ttl=1)
    await repository.relabel(batch_id, "Spring")

    assert [WritePoint(1, "accept"), WritePoint(2, "relabel")] == repository.writes
    assert [point for point in repository.writes for _ in range(2)] == seen


async def test_writes_of_records_are_numbered_too() -> None:
    """
    Adding and voiding are writes; looking for records and duplicates is not.
    """
    repository = FaultyActivityRepository(MemoryActivityRepository(), before=fail_at(2, LOST))
    record = activity_record(1, key="a day")
    await repository.add_activities([record], atomic=True)
    await repository.find_duplicates("org-1", ["a day"])
    with pytest.raises(RepositoryUnavailableError):
        await repository.void_activity("activity-1", voided_at=NOON)

    assert [WritePoint(1, "add_activities"), WritePoint(2, "void_activity")] == repository.writes
    assert [record] == await repository.find_activities([record.registration.registration_id])


@pytest.mark.parametrize(
    ("store", "port"),
    [
        (FaultyActivityRepository, ActivityRepository),
        (FaultyNotificationRepository, NotificationRepository),
    ],
)
def test_each_method_of_the_port_is_declared_with_its_signature_and_docstring(
    store: type, port: type
) -> None:
    """
    Help, documentation pages and type checkers see methods like any other.
    """
    for name in (name for name in dir(port) if not name.startswith("_")):
        asked, declared = getattr(port, name), vars(store)[name]

        assert inspect.iscoroutinefunction(declared), name
        assert inspect.signature(asked) == inspect.signature(declared), name
        assert asked.__doc__ == declared.__doc__, name
