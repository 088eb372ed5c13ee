from __future__ import annotations

from datetime import UTC, datetime

import anyio
import pytest

from proxy_orchestration.audit import AuditEvent, RegistrationAuditEvent
from proxy_orchestration.testing import RecordingAuditLogger, fail, hang, lose_reply, succeed


def event(run: int = 1) -> AuditEvent:
    """
    Return the invented batch's event of that run.
    """
    return AuditEvent(
        event_id=f"batch-1:run-{run}",
        batch_id="batch-1",
        run=run,
        coordinator_id="c-1",
        actor_id="c-1",
        organization_id="org-1",
        status="success",
        total=1,
        counts={"succeeded": 1},
        settled_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def registration_event(number: int = 1) -> RegistrationAuditEvent:
    """
    Return the event of an invented single registration.
    """
    return RegistrationAuditEvent(
        event_id=f"single-{number}:registered",
        activity_id=f"activity-{number}",
        mentor_id="m-1",
        actor_id="c-1",
        organization_id="org-1",
        activity_type="visit",
        override_of=None,
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


async def test_events_are_kept_in_order() -> None:
    """
    What was taken can be looked at.
    """
    logger = RecordingAuditLogger()
    for run in (1, 2):
        await logger.log_bulk_submission(event(run))

    assert [event(1), event(2)] == logger.events


async def test_a_script_decides_each_delivery() -> None:
    """
    An event may be refused, taken with the answer lost, and taken; the attempts count per event.
    """
    replies = [fail(OSError("full")), lose_reply(), succeed()]
    logger = RecordingAuditLogger(lambda _event, attempt: replies[attempt - 1])

    with pytest.raises(OSError, match="full"):
        await logger.log_bulk_submission(event())
    assert [] == logger.events
    with pytest.raises(TimeoutError):
        await logger.log_bulk_submission(event())
    await logger.log_bulk_submission(event())
    assert ([event()] * 2, [event()] * 3) == (logger.events, logger.deliveries)


async def test_a_logger_can_hang() -> None:
    """
    Only cancelling ends the delivery.
    """
    logger = RecordingAuditLogger(lambda _event, _attempt: hang(written=True))
    ended = False

    async def deliver() -> None:
        nonlocal ended
        await logger.log_bulk_submission(event())
        ended = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert not ended
    assert [event()] == logger.events


async def test_single_registrations_are_kept_apart() -> None:
    """
    They are no runs, and each kind keeps its own order.
    """
    logger = RecordingAuditLogger()
    await logger.log_proxy_registration(registration_event(1))
    await logger.log_bulk_submission(event())
    await logger.log_proxy_registration(registration_event(2))

    assert [registration_event(1), registration_event(2)] == logger.registrations
    assert [event()] == logger.events == logger.deliveries


async def test_a_script_decides_each_delivery_of_a_single_registration() -> None:
    """
    The attempts count per event, and what fails is not kept.
    """
    replies = [fail(OSError("full")), lose_reply()]
    logger = RecordingAuditLogger(registration_script=lambda _event, attempt: replies[attempt - 1])

    with pytest.raises(OSError, match="full"):
        await logger.log_proxy_registration(registration_event())
    assert [] == logger.registrations
    with pytest.raises(TimeoutError):
        await logger.log_proxy_registration(registration_event())
    assert [registration_event()] == logger.registrations
