"""
Every store is what its port asks for, for mypy and for pyright.
"""

from __future__ import annotations

from typing import assert_type

from sqlalchemy import Engine

from proxy_orchestration.ports import ActivityRepository, NotificationRepository, VisibilityRegistry
from proxy_orchestration.storage.memory import (
    MemoryActivityRepository,
    MemoryNotificationRepository,
    MemoryVisibilityRegistry,
)
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
)
from proxy_orchestration.telemetry import Telemetry
from proxy_orchestration.testing import FaultyActivityRepository
from proxy_orchestration.testing.notification_faults import FaultyNotificationRepository


def activity_repositories(engine: Engine) -> list[ActivityRepository]:
    """
    Return a store of each kind.
    """
    memory = MemoryActivityRepository()
    return [memory, SqlActivityRepository(engine), FaultyActivityRepository(memory)]


def notification_repositories(engine: Engine) -> list[NotificationRepository]:
    """
    Return a store of each kind.
    """
    memory = MemoryNotificationRepository()
    return [memory, SqlNotificationRepository(engine), FaultyNotificationRepository(memory)]


def visibility_registries(engine: Engine) -> list[VisibilityRegistry]:
    """
    Return a registry of each kind.
    """
    return [MemoryVisibilityRegistry(), SqlVisibilityRegistry(engine)]


def watched_parts_keep_their_types(
    batches: SqlActivityRepository, notices: SqlNotificationRepository
) -> None:
    """
    A host goes on with what it has wrapped as with what it had.
    """
    telemetry = Telemetry(spans=False)
    assert_type(telemetry.repository(batches), SqlActivityRepository)
    assert_type(telemetry.notices(notices), SqlNotificationRepository)
    telemetry.sender(batches)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]  # it sends nothing


async def arguments_and_answers_are_known(store: SqlActivityRepository) -> str | None:
    """
    A declared method is checked like a written one.
    """
    await store.acquire("batch", 1, ttl="soon")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # seconds are a number
    await store.get()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # which one?
    record = await store.get("batch")
    return None if record is None else record.label
