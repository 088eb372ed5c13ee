"""
Fifty messages, for one of which the directory of devices answers badly: the other forty-nine are sent once.
"""

from __future__ import annotations

import pytest

pytest.importorskip("httpx")
pytest.importorskip("google.auth")

from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.notices import PushState, PushTarget
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.testing.contracts.notification.samples import MORNING, chunk_of, draft_of

MANY = 50


class Raising(list):
    """
    Devices that cannot be read.
    """

    def __iter__(self):
        """
        Fail.
        """
        raise OSError


@pytest.mark.parametrize(
    "entry",
    [
        None,
        5,
        "token-7",
        {"token": None},
        [None],
        [PushTarget(kind="token", value=7)],
        [PushTarget(kind=None, value="x")],
        [PushTarget(kind="token", value="x", updated_at="now")],
        Raising([1]),
    ],
    ids=lambda entry: type(entry).__name__,
)
async def test_devices_that_make_no_sense_take_nobody_along(world, entry) -> None:
    """
    The message waits for an entry that does.
    """
    store = MemoryNotificationRepository(world.clock)
    await store.record(chunk_of(*(draft_of(f"mentor-{number}") for number in range(MANY))))
    for number in range(MANY):
        world.devices.add(f"mentor-{number}", f"token-{number}")
    right, world.devices.known["mentor-7"] = world.devices.known["mentor-7"], entry
    targets_of = world.devices.targets_of

    async def odd(recipient_ids, /):
        return {**await targets_of(set(recipient_ids) - {"mentor-7"}), "mentor-7": entry}

    world.devices.targets_of = odd
    world.clock.set_now(MORNING)
    dispatcher = PushDispatcher(repository=store, sender=world.sender, clock=world.clock)

    for _ in range(10):
        await dispatcher.drain()
        world.clock.advance(3600.0)

    sent = [call.address for call in world.fcm.calls]
    assert sorted(f"token-{number}" for number in range(MANY) if number != 7) == sorted(sent)
    assert {PushState.SENT: MANY - 1, PushState.QUEUED: 1} == dict(await store.count_pushes())
    world.devices.known["mentor-7"], world.devices.targets_of = right, targets_of
    await dispatcher.drain()
    assert {PushState.SENT: MANY} == dict(await store.count_pushes())
