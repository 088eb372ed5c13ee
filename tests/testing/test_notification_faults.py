"""
Faults of a store of notices hit the write they are meant for, and no other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.notification.run_log import RunRecord
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.testing import WritePoint, fail_at
from proxy_orchestration.testing.contracts import Check, notice_book, push_outbox
from proxy_orchestration.testing.contracts.notification.samples import (
    HOLD,
    LONG,
    MORNING,
    acknowledgement,
    chunk_of,
    draft_of,
    end_of,
    ended,
    notice_of,
)
from proxy_orchestration.testing.notification_faults import FaultyNotificationRepository

LOST = RepositoryUnavailableError("The disk is full.", advice="Make room.")
RUN = RunRecord(
    run_id="run-1",
    as_of=MORNING,
    started_at=MORNING + timedelta(seconds=1),
    duration=2.5,
    by_tier={},
    processed=0,
    created=0,
    skipped=0,
    failed=0,
    error_codes={},
)


@asynccontextmanager
async def _open_wrapped() -> AsyncIterator[FaultyNotificationRepository]:
    yield FaultyNotificationRepository(MemoryNotificationRepository())


async def test_a_fault_before_a_chunk_prevents_it() -> None:
    """
    No notice and no message is stored, and the next attempt goes through.
    """
    inner = MemoryNotificationRepository()
    store = FaultyNotificationRepository(inner, before=fail_at(1, LOST))

    with pytest.raises(RepositoryUnavailableError):
        await store.record(chunk_of(draft_of()))
    assert ([], {}) == (list(await inner.notifications_for("mentor-1")), dict(await inner.count_pushes()))
    await store.record(chunk_of(draft_of()))
    assert 1 == len(await inner.notifications_for("mentor-1"))


async def test_a_fault_after_a_chunk_loses_only_the_answer() -> None:
    """
    Notice and message are stored, though the caller does not know.
    """
    inner = MemoryNotificationRepository()
    store = FaultyNotificationRepository(inner, after=fail_at(1, LOST))

    with pytest.raises(RepositoryUnavailableError):
        await store.record(chunk_of(draft_of()))
    assert 1 == len(await inner.notifications_for("mentor-1"))
    assert [1] == list((await inner.count_pushes()).values())


async def test_writes_are_numbered_and_questions_are_not() -> None:
    """
    Both hooks see every write, in order; nothing is seen of what only reads.
    """
    seen: list[WritePoint] = []
    store = FaultyNotificationRepository(
        MemoryNotificationRepository(), before=seen.append, after=seen.append
    )
    await store.weigh(chunk_of(draft_of()))
    await store.record(chunk_of(draft_of()))
    (push,) = await store.claim_pushes(now=MORNING + HOLD, limit=9, hold=LONG)
    await store.complete_pushes([ended(push)])
    await store.replay_dead(None, now=MORNING)
    await store.acknowledge(acknowledgement(notice_of()))
    await store.renew([end_of()], at=MORNING)
    await store.log_run(RUN)
    await store.push_wait(now=MORNING)
    methods = [
        "record",
        "claim_pushes",
        "complete_pushes",
        "replay_dead",
        "acknowledge",
        "renew",
        "log_run",
    ]
    expected = [WritePoint(number, method) for number, method in enumerate(methods, 1)]

    assert expected == store.writes
    assert [point for point in expected for _ in range(2)] == seen


@pytest.mark.parametrize("check", [*notice_book, *push_outbox], ids=str)
async def test_without_faults_it_is_the_store_it_wraps(check: Check[FaultyNotificationRepository]) -> None:
    """
    Every promise of both ports goes through it unchanged.
    """
    await check(_open_wrapped)
