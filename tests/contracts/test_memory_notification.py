from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest

from proxy_orchestration.notification.notices import PushState
from proxy_orchestration.notification.ports import (
    DeviceAnswerCounts,
    NotificationRepository,
)
from proxy_orchestration.notification.run_log import RunRecord
from proxy_orchestration.notification.visibility_port import VisibilityRegistry
from proxy_orchestration.storage.memory import MemoryNotificationRepository, MemoryVisibilityRegistry
from proxy_orchestration.testing import FakeClock
from proxy_orchestration.testing.contracts import (
    Check,
    device_answer_counts,
    notice_book,
    push_outbox,
    visibility_registry,
)
from proxy_orchestration.testing.contracts.notification.samples import (
    ENDS,
    HOLD,
    MORNING,
    chunk_of,
    draft_of,
    end_of,
    ended,
    run_that_ended,
    the_push,
)


@asynccontextmanager
async def _open_store() -> AsyncIterator[NotificationRepository]:
    yield MemoryNotificationRepository()


@asynccontextmanager
async def _open_registry() -> AsyncIterator[VisibilityRegistry]:
    yield MemoryVisibilityRegistry()


@pytest.mark.parametrize("check", [*notice_book, *push_outbox], ids=str)
async def test_the_memory_store_keeps_the_notification_contract(
    check: Check[NotificationRepository],
) -> None:
    """
    Notices, digests, acknowledgements and messages, in this process's memory.
    """
    await check(_open_store)


@pytest.mark.parametrize("check", device_answer_counts, ids=str)
async def test_the_memory_store_counts_what_is_said_about_devices(check: Check[DeviceAnswerCounts]) -> None:
    """
    In this process's memory.
    """

    @asynccontextmanager
    async def open_counts() -> AsyncIterator[DeviceAnswerCounts]:
        yield MemoryNotificationRepository()

    await check(open_counts)


@pytest.mark.parametrize("check", visibility_registry, ids=str)
async def test_the_memory_registry_keeps_the_visibility_contract(check: Check[VisibilityRegistry]) -> None:
    """
    Hiding and showing, in this process's memory.
    """
    await check(_open_registry)


async def test_the_leases_of_messages_end_by_the_clock_given() -> None:
    """
    Advancing the clock by the hold frees the message, whatever the caller's time is.
    """
    clock = FakeClock()
    store = MemoryNotificationRepository(clock)
    await store.record(chunk_of(draft_of()))
    await store.log_run(run_that_ended())
    await the_push(store, hold=30)
    waits = [await store.push_wait(now=MORNING)]
    clock.advance(30)
    waits.append(await store.push_wait(now=MORNING))

    assert [30.0, 0.0] == waits
    assert 2 == (await the_push(store)).attempts


async def test_a_message_that_is_dead_after_it_was_cancelled_stays_cancelled() -> None:
    """
    A replay of the dead does not tell about a certificate that was renewed.
    """
    store = MemoryNotificationRepository()
    await store.record(chunk_of(draft_of()))
    push = await the_push(store, at=MORNING + HOLD)
    await store.renew([end_of()], at=MORNING)

    assert 0 == await store.complete_pushes([ended(push, PushState.DEAD)])
    assert {PushState.CANCELLED: 1} == await store.count_pushes()


async def test_a_run_is_in_the_log_once() -> None:
    """
    The first of two with one id stands.
    """
    store = MemoryNotificationRepository()
    run = RunRecord(
        run_id="run-1",
        as_of=MORNING,
        started_at=MORNING,
        duration=0.25,
        by_tier={},
        processed=0,
        created=0,
        skipped=0,
        failed=0,
        error_codes={},
    )
    for each in (run, attrs.evolve(run, processed=1), attrs.evolve(run, run_id="run-2")):
        await store.log_run(each)

    assert ("run-1", "run-2") == tuple(logged.run_id for logged in store.runs)
    assert run == store.runs[0]


async def test_a_renewal_gives_back_the_status_that_was_kept() -> None:
    """
    A mentor on leave is suppressed, and on leave again afterwards.
    """
    registry = MemoryVisibilityRegistry({"mentor-1": "on_leave"})
    await registry.track([end_of("mentor-1", ENDS), end_of("mentor-2", ENDS)], at=ENDS)
    assert {"mentor-1": "suppressed", "mentor-2": "suppressed"} == registry.statuses
    await registry.track([end_of("mentor-1"), end_of("mentor-2")], at=ENDS)

    assert {"mentor-1": "on_leave", "mentor-2": "visible"} == registry.statuses


async def test_a_renewal_does_not_restore_whom_somebody_else_suppressed() -> None:
    """
    Who was suppressed before any certificate ended stays so.
    """
    registry = MemoryVisibilityRegistry({"mentor-1": "suppressed"})
    assert 0 == await registry.track([end_of("mentor-1", ENDS)], at=ENDS)
    await registry.track([end_of("mentor-1")], at=ENDS)

    assert {"mentor-1": "suppressed"} == registry.statuses


async def test_a_renewal_leaves_a_status_that_the_host_gave_meanwhile() -> None:
    """
    What is not suppressed any more needs no restoring.
    """
    registry = MemoryVisibilityRegistry()
    await registry.track([end_of("mentor-1", ENDS)], at=ENDS)
    registry.statuses["mentor-1"] = "on_leave"
    assert 0 == await registry.track([end_of("mentor-1", ENDS)], at=ENDS)
    await registry.track([end_of("mentor-1")], at=ENDS)

    assert {"mentor-1": "on_leave"} == registry.statuses


async def test_a_revocation_restores_the_status_of_before() -> None:
    """
    It hides nobody, and what it takes away hides nobody any more.
    """
    registry = MemoryVisibilityRegistry({"mentor-1": "on_leave"})
    assert 0 == await registry.track([end_of("mentor-1", None)], at=ENDS)
    await registry.track([end_of("mentor-1", ENDS)], at=ENDS)
    assert {"mentor-1": "suppressed"} == registry.statuses
    await registry.track([end_of("mentor-1", None)], at=ENDS)

    assert set() == await registry.hidden(["mentor-1", "mentor-2"], at=ENDS)
    assert {"mentor-1": "on_leave"} == registry.statuses
