"""
Temporal begins the nights; who was told, and that a night was missed, the store says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta

import anyio
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("temporalio")

from temporal_world import TemporalWorld
from temporalio.client import Client, WorkflowFailureError

from proxy_orchestration import (
    InvalidTypeError,
    InvalidValueError,
    MisconfiguredError,
    NotificationOrchestrator,
    PeerMentorCertificate,
    PushDispatcher,
)
from proxy_orchestration.engines.temporal import TemporalExpiry
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.testing import FakeClock, ScriptedPushSender

pytestmark = pytest.mark.dateless

NOW = datetime(2026, 11, 3, 0, 5, tzinfo=UTC)
DUE = PeerMentorCertificate(
    certificate_id="certificate-1",
    mentor_id="mentor-1",
    certificate_type="basic",
    expires=(NOW + timedelta(days=5)).date(),
)


class Night:
    """
    One store of notices, its night, and what was sent.
    """

    def __init__(self, world: TemporalWorld, certificates: object = lambda: [DUE]) -> None:
        clock = FakeClock(NOW)
        self.repository = MemoryNotificationRepository()
        self.sender = ScriptedPushSender()
        self.engine = TemporalExpiry(
            client=world.client,
            task_queue=world.name,
            prefix=world.name,
            notifications=NotificationOrchestrator(repository=self.repository, clock=clock),
            certificates=certificates,
            dispatcher=PushDispatcher(repository=self.repository, sender=self.sender, clock=clock),
        )


async def _play(world: TemporalWorld, *steps: str) -> object:
    payload = {"version": 1, "heartbeat": 10.0, "steps": list(steps)}
    with anyio.fail_after(LONGEST_WAIT):
        return await world.client.execute_workflow(
            "proxy_orchestration.expiry", payload, id=f"{world.name}-played", task_queue=world.name
        )


async def test_a_night_that_runs_twice_tells_nobody_twice(world: TemporalWorld) -> None:
    """
    Certificates first, then their pushes; both runs stand in the log.
    """
    night = Night(world)

    async with world.worker(night.engine):
        first = await _play(world, "certificates", "pushes")
        second = await _play(world, "certificates", "pushes")

    runs = await night.repository.list_runs(None, after=None, limit=10)
    assert {"processed": 1, "created": 1, "skipped": 0, "failed": 0} == first["certificates"]
    assert 1 == first["pushes"]["sent"]
    assert {"processed": 1, "created": 0, "skipped": 1, "failed": 0} == second["certificates"]
    assert 0 == second["pushes"]["sent"]
    assert 2 == len(runs)


async def test_certificates_that_cannot_be_read_keep_no_push_back_and_their_text_to_themselves(
    world: TemporalWorld,
) -> None:
    """
    What was queued before is sent; the night is shown as failed, by the error's type.
    """

    async def unreadable() -> AsyncIterator[PeerMentorCertificate]:
        yield DUE
        raise InvalidValueError(DUE.certificate_id, "is not what it was")

    night = Night(world, unreadable)

    async with world.worker(night.engine):
        with pytest.raises(WorkflowFailureError) as caught:
            await _play(world, "certificates", "pushes")

    assert "InvalidValueError" == caught.value.cause.cause.type
    assert 1 == len(night.sender.sent)


async def test_the_night_is_at_five_past_midnight_and_a_missed_one_is_made_up_for_once(
    world: TemporalWorld,
) -> None:
    """
    Every process may say so; the later one changes it, and pushes are sent by day as well.
    """
    night = Night(world)
    await night.engine.schedule_expiry()
    await night.engine.schedule_expiry()

    handles = [world.client.get_schedule_handle(f"{world.name}-{name}") for name in ("night", "pushes")]
    nights, pushes = [await handle.describe() for handle in handles]
    for handle in handles:
        await handle.delete()

    assert {time(0, 5)} == {at.timetz().replace(tzinfo=None) for at in nights.info.next_action_times}
    assert {timedelta(0)} == {at.utcoffset() for at in nights.info.next_action_times}
    assert timedelta(hours=20) < nights.schedule.policy.catchup_window < timedelta(days=1)
    assert [timedelta(minutes=1)] == [each.every for each in pushes.schedule.spec.intervals]


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ({"certificates": [DUE]}, MisconfiguredError),
        ({"at": "00:05"}, InvalidTypeError),
        ({"at": time(0, 5, tzinfo=UTC)}, InvalidValueError),
        ({"send_every": 0.5}, InvalidValueError),
    ],
)
def test_a_part_that_does_not_fit_is_refused_at_once(part, problem) -> None:
    """
    And not in the first night.
    """
    repository = MemoryNotificationRepository()
    parts = {
        "client": Client.__new__(Client),
        "task_queue": "nights",
        "notifications": NotificationOrchestrator(repository=repository),
        "certificates": list,
        "dispatcher": PushDispatcher(repository=repository, sender=ScriptedPushSender()),
    }

    with pytest.raises(problem):
        TemporalExpiry(**{**parts, **part})
