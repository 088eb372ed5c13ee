"""
What becomes of messages when calls are lost or hang, directories fail, and devices disagree.
"""

from __future__ import annotations

import anyio
import pytest
from anyio import to_thread
from waits import LONGEST_WAIT

pytest.importorskip("httpx")
pytest.importorskip("google.auth")

from proxy_orchestration.notification.notices import PushOutcome

BAD_ADDRESS = "The registration token is not a valid FCM registration token"


async def test_a_connection_that_is_reset_is_tried_again_under_the_same_collapse_key(world) -> None:
    """
    Whether FCM took the message is not known; a device shows it once.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.script("token-1", world.fake.RESET)

    doubt = PushOutcome.retry(world.push(), 10.0, in_doubt=True)
    assert [doubt] == await world.sender.send([world.push()])
    assert [PushOutcome.delivered(world.push())] == await world.sender.send([world.push()])
    first, second = world.fcm.calls
    assert first.message == second.message


async def test_fcm_that_is_not_there_is_tried_again(world) -> None:
    """
    Nothing listens at that port.
    """
    world.devices.add("mentor-1", "token-1")

    outcomes = await world.sender_with(base_url="http://127.0.0.1:1").send([world.push()])

    assert [PushOutcome.retry(world.push(), 10.0)] == outcomes


async def test_a_call_that_hangs_is_cut_and_tried_again(world) -> None:
    """
    After fifteen seconds of the clock; then it is the next message's turn.
    """
    world.devices.add("mentor-1", "token-1")
    world.devices.add("mentor-2", "token-2")
    world.fcm.script("token-1", world.fake.HANG)
    messages = [world.push(), world.push(2, recipient_id="mentor-2")]
    outcomes: list[PushOutcome] = []

    async def send() -> None:
        outcomes.extend(await world.sender_with(max_concurrency=1).send(messages))

    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await to_thread.run_sync(world.fcm.hanging.acquire)
            world.clock.advance(15)

    assert [
        PushOutcome.retry(messages[0], 10.0, in_doubt=True),
        PushOutcome.delivered(messages[1]),
    ] == outcomes


async def test_no_call_begins_when_the_time_budget_is_spent(world) -> None:
    """
    What is left is sent another time, without an attempt being counted.
    """
    sender = world.sender_with(max_concurrency=1, time_budget=5.0)
    for number in (1, 2):
        world.devices.add(f"mentor-{number}", f"token-{number}")
    world.fcm.script("token-1", world.fake.HANG)
    messages = [world.push(number, recipient_id=f"mentor-{number}") for number in (1, 2)]
    outcomes: list[PushOutcome] = []

    async def send() -> None:
        outcomes.extend(await sender.send(messages))

    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await to_thread.run_sync(world.fcm.hanging.acquire)
            world.clock.advance(5)
            world.fcm.release()

    assert [PushOutcome.delivered(messages[0]), PushOutcome.retry(messages[1], counted=False)] == outcomes


async def test_a_directory_that_fails_sends_nothing_and_counts_no_attempt(world, caplog) -> None:
    """
    A payload that could not be sent anyhow is dead all the same.
    """
    world.devices.broken = OSError("invented")
    bad = world.push(2, data={"from": "x"})

    outcomes = await world.sender.send([world.push(), bad])

    assert [
        PushOutcome.retry(world.push(), counted=False),
        PushOutcome.dead(bad, "payload_reserved_key"),
    ] == outcomes
    assert "the devices could not be looked up: OSError" in caplog.messages
    assert [] == world.fcm.calls


async def test_a_directory_that_hangs_is_cut(world, caplog) -> None:
    """
    After the time of a call.
    """
    asked = anyio.Event()

    async def targets_of(*_: object) -> None:
        asked.set()
        await anyio.sleep_forever()

    world.devices.targets_of = targets_of
    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.sender.send, [world.push()])
            await asked.wait()
            await world.clock.wait_for_sleepers()
            world.clock.advance(15)

    assert "the devices could not be looked up: TimeoutError" in caplog.messages


async def test_a_failure_that_nobody_thought_of_concerns_one_message_only(world, caplog) -> None:
    """
    An end without a zone, which no model of ours makes, is tried again and then dead.
    """
    world.devices.add("mentor-1", "token-1")
    broken = world.push(1, expires_at=world.push().expires_at.replace(tzinfo=None))

    outcomes = await world.sender.send([broken, world.push(2)])

    assert [PushOutcome.retry(broken, 10.0), PushOutcome.delivered(world.push(2))] == outcomes
    assert "a push could not be sent: TypeError" in caplog.messages


async def test_of_several_devices_trouble_the_most_hopeful_counts(world) -> None:
    """
    Another attempt before a dead payload, a dead payload before a dead address, that before none.
    """
    for value in ("gone", "alien", "faulty", "slow"):
        world.devices.add("mentor-1", value)

    def refuse(*, slow: bool, faulty: bool) -> None:
        world.fcm.script("gone", world.fake.failure(404, "UNREGISTERED"))
        world.fcm.script("alien", world.fake.failure(400, "INVALID_ARGUMENT", text=BAD_ADDRESS))
        world.fcm.script(
            "faulty", world.fake.failure(400 if faulty else 404, None if faulty else "UNREGISTERED")
        )
        world.fcm.script("slow", world.fake.failure(503) if slow else world.fake.failure(404, "UNREGISTERED"))

    refuse(slow=True, faulty=True)
    assert [PushOutcome.retry(world.push(), 10.0)] == await world.sender.send([world.push()])
    refuse(slow=False, faulty=True)
    assert [PushOutcome.dead(world.push(), "payload_invalid")] == await world.sender.send([world.push()])
    refuse(slow=False, faulty=False)
    assert [PushOutcome.dead(world.push(), "target_invalid")] == await world.sender.send([world.push()])


async def test_an_attempt_counts_where_one_device_says_so(world) -> None:
    """
    One on a platform that is paused, one with a failure of its own: the longer wait, and it counts.
    """
    world.devices.add("mentor-1", "iphone", platform="ios")
    world.devices.add("mentor-1", "pixel", platform="android")
    world.fcm.script("iphone", world.fake.failure(401, "THIRD_PARTY_AUTH_ERROR"))
    world.fcm.script("pixel", world.fake.failure(503))

    assert [PushOutcome.retry(world.push(), 60.0)] == await world.sender.send([world.push()])


async def test_a_sender_that_is_cancelled_lets_go(world) -> None:
    """
    The host's own cancellation is not taken for an answer.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.script("token-1", world.fake.HANG)

    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.sender.send, [world.push()])
            await to_thread.run_sync(world.fcm.hanging.acquire)
            tasks.cancel_scope.cancel()
