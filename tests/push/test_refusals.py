"""
The error table over real HTTP, its rows about messages, devices, keys and permissions.
"""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("httpx")
pytest.importorskip("google.auth")

from proxy_orchestration.notification.notices import PushOutcome

BAD_ADDRESS = "The registration token is not a valid FCM registration token"


async def test_fields_found_fault_with_make_a_message_dead_and_forget_no_device(world) -> None:
    """
    A payload bug is ours, whatever else the answer says.
    """
    world.devices.add("mentor-1", "token-1")
    for number in range(3):
        reply = world.fake.failure(400, "INVALID_ARGUMENT", text=BAD_ADDRESS, violations=["message.token"])
        world.fcm.script("token-1", reply)
        assert [PushOutcome.dead(world.push(number), "payload_invalid")] == await world.sender.send(
            [world.push(number)]
        )

    assert [] == world.devices.pruned


async def test_an_invalid_argument_that_is_not_about_the_address_is_a_payload_bug(world) -> None:
    """
    The same code is used for both; the words tell them apart.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.script(
        "token-1", world.fake.failure(400, "INVALID_ARGUMENT", text="Invented fault in the message")
    )

    assert [PushOutcome.dead(world.push(), "payload_invalid")] == await world.sender.send([world.push()])


async def test_a_refused_payload_is_told_once_for_each_tier(world, caplog) -> None:
    """
    One text that is wrong is wrong for all its recipients.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.script("token-1", *[world.fake.failure(400, violations=["message.data"]) for _ in range(3)])

    for number in range(3):
        await world.sender.send([world.push(number)])

    told = [record for record in caplog.records if record.getMessage().startswith("FCM refused a push")]
    assert [("payload_invalid", "urgent_7")] == [(record.code, record.tier) for record in told]


async def test_an_invalid_address_is_forgotten_after_two_messages_of_different_content(world) -> None:
    """
    The same message twice proves nothing more than once.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.script(
        "token-1", *[world.fake.failure(400, "INVALID_ARGUMENT", text=BAD_ADDRESS) for _ in range(3)]
    )

    assert [PushOutcome.dead(world.push(1), "target_invalid")] == await world.sender.send([world.push(1)])
    await world.sender.send([world.push(1)])
    assert [] == world.devices.pruned
    await world.sender.send([world.push(2)])

    assert [("mentor-1", "token-1")] == world.devices.pruned


async def test_an_access_token_that_fcm_does_not_accept_is_renewed_once(world) -> None:
    """
    The message is delivered within the same call of ours.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.revoked.add("access-1")

    assert [PushOutcome.delivered(world.push())] == await world.sender.send([world.push()])
    assert ["access-2"] == [call.bearer for call in world.fcm.calls]


async def test_tokens_refused_twice_close_the_channel_and_count_no_attempt(world) -> None:
    """
    No further call is made for a minute, then for two, for ever longer; a success ends that.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.revoked.update({"access-1", "access-2", "access-3"})

    assert [PushOutcome.retry(world.push(), 60.0, counted=False)] == await world.sender.send([world.push()])
    world.clock.advance(20)
    assert [PushOutcome.retry(world.push(), 40.0, counted=False)] == await world.sender.send([world.push()])
    assert 2 == len(world.fcm.assertions)
    world.clock.advance(40)
    assert [PushOutcome.retry(world.push(), 120.0, counted=False)] == await world.sender.send([world.push()])
    world.clock.advance(120)
    assert [PushOutcome.delivered(world.push())] == await world.sender.send([world.push()])
    world.fcm.revoked.update({"access-4", "access-5"})
    assert [PushOutcome.retry(world.push(), 60.0, counted=False)] == await world.sender.send([world.push()])


@pytest.mark.parametrize("code", ["THIRD_PARTY_AUTH_ERROR", "APNS_AUTH_ERROR"])
async def test_a_platforms_own_key_that_is_refused_pauses_that_platform_only(world, code) -> None:
    """
    Android devices are served meanwhile; nobody is forgotten, and our access token is not renewed.
    """
    world.devices.add("mentor-1", "iphone", platform="ios")
    world.devices.add("mentor-2", "ipad", platform="ios")
    world.devices.add("mentor-3", "pixel", platform="android")
    world.fcm.script("iphone", world.fake.failure(401, code))
    first, second, third = (world.push(n, recipient_id=f"mentor-{n}") for n in (1, 2, 3))

    assert [PushOutcome.retry(first, 60.0, counted=False)] == await world.sender.send([first])
    assert [
        PushOutcome.retry(second, 60.0, counted=False),
        PushOutcome.delivered(third),
    ] == await world.sender.send([second, third])
    world.clock.advance(60)
    assert [PushOutcome.delivered(second)] == await world.sender.send([second])
    assert (1, []) == (len({call.bearer for call in world.fcm.calls}), world.devices.pruned)


async def test_a_platform_that_is_not_known_pauses_no_other_device(world) -> None:
    """
    Devices without a platform have nothing in common.
    """
    world.devices.add("mentor-1", "token-1")
    world.devices.add("mentor-2", "token-2")
    world.fcm.script("token-1", world.fake.failure(401, "THIRD_PARTY_AUTH_ERROR"))
    second = world.push(2, recipient_id="mentor-2")

    assert [PushOutcome.retry(world.push(), 60.0, counted=False)] == await world.sender.send([world.push()])
    assert [PushOutcome.delivered(second)] == await world.sender.send([second])


async def test_a_device_of_another_sender_is_left_alone_for_an_hour_and_not_forgotten(world) -> None:
    """
    It is our project that may be the wrong one.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.script("token-1", world.fake.failure(403, "SENDER_ID_MISMATCH"))
    dead = [PushOutcome.dead(world.push(), "sender_id_mismatch")]

    assert dead == await world.sender.send([world.push()])
    assert dead == await world.sender.send([world.push()])
    assert 1 == len(world.fcm.calls)
    world.clock.advance(3600)
    assert [PushOutcome.delivered(world.push())] == await world.sender.send([world.push()])
    assert [] == world.devices.pruned


async def test_a_quarantined_device_that_tells_its_address_again_is_tried_again(world) -> None:
    """
    It may have been registered with our project since.
    """
    world.devices.add("mentor-1", "token-1", updated_at=world.clock.now() - timedelta(days=1))
    world.fcm.script("token-1", world.fake.failure(403, "SENDER_ID_MISMATCH"))
    await world.sender.send([world.push()])
    world.devices.known.clear()
    world.devices.add("mentor-1", "token-1", updated_at=world.clock.now())

    assert [PushOutcome.delivered(world.push())] == await world.sender.send([world.push()])


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, None), (403, "UNSPECIFIED_ERROR"), (404, None)],
    ids=["no permission", "another code", "no such project"],
)
async def test_refusals_that_no_message_is_to_blame_for_close_the_channel(world, status, code) -> None:
    """
    Nothing else is sent, no attempt counts, nobody is forgotten.
    """
    world.devices.add("mentor-1", "token-1")
    world.devices.add("mentor-2", "token-2")
    world.fcm.script("token-1", world.fake.failure(status, code))
    second = world.push(2, recipient_id="mentor-2")

    assert [PushOutcome.retry(world.push(), 60.0, counted=False)] == await world.sender.send([world.push()])
    assert [PushOutcome.retry(second, 60.0, counted=False)] == await world.sender.send([second])
    assert (1, []) == (len(world.fcm.calls), world.devices.pruned)


async def test_a_wrong_address_of_fcm_itself_closes_the_channel(world) -> None:
    """
    A page that is not found is no device that is gone.
    """
    world.devices.add("mentor-1", "token-1")

    outcomes = await world.sender_with(base_url=f"{world.fcm.url}/elsewhere").send([world.push()])

    assert [PushOutcome.retry(world.push(), 60.0, counted=False)] == outcomes
    assert [] == world.devices.pruned


async def test_a_device_that_is_gone_is_forgotten(world) -> None:
    """
    Its recipient has no device then.
    """
    world.devices.add("mentor-1", "token-1", updated_at=world.clock.now())
    world.fcm.script("token-1", world.fake.failure(404, "UNREGISTERED"))

    assert [PushOutcome.no_target(world.push())] == await world.sender.send([world.push()])
    assert [("mentor-1", "token-1")] == world.devices.pruned


@pytest.mark.parametrize("aware", [True, False])
async def test_a_device_that_told_its_address_after_the_call_is_kept_and_tried_again(world, aware) -> None:
    """
    The answer is about an older state of it; a time without a zone counts as UTC.
    """
    told = world.clock.now() + timedelta(seconds=1)
    world.devices.add("mentor-1", "token-1", updated_at=told if aware else told.replace(tzinfo=None))
    world.fcm.script("token-1", world.fake.failure(404, "UNREGISTERED"))

    assert [PushOutcome.retry(world.push(), 10.0)] == await world.sender.send([world.push()])
    assert [] == world.devices.pruned


async def test_a_directory_that_cannot_forget_does_no_harm(world, caplog) -> None:
    """
    The answer stands; the next message forgets the device.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.script("token-1", world.fake.failure(404, "UNREGISTERED"))

    async def prune(*_: object) -> None:
        raise OSError

    world.devices.prune = prune
    assert [PushOutcome.no_target(world.push())] == await world.sender.send([world.push()])
    assert "an unregistered device could not be removed: OSError" in caplog.messages


async def test_a_directory_that_never_answers_is_not_waited_for_when_a_device_is_forgotten(
    world, caplog
) -> None:
    """
    It is cut like a call.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.script("token-1", world.fake.failure(404, "UNREGISTERED"))
    asked = anyio.Event()

    async def prune(*_: object) -> None:
        asked.set()
        await anyio.sleep_forever()

    world.devices.prune = prune
    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.sender.send, [world.push()])
            await asked.wait()
            await world.clock.wait_for_sleepers()
            world.clock.advance(15)

    assert "an unregistered device could not be removed: TimeoutError" in caplog.messages


async def test_mass_pruning_is_stopped_and_told_once(world, caplog) -> None:
    """
    When a third of all devices is called gone, the mistake is somewhere else.
    """
    sender = world.sender_with(prune_minimum=3, prune_share=0.3, max_concurrency=1)
    messages = [world.push(number, recipient_id=f"mentor-{number}") for number in range(10)]
    for number in range(10):
        world.devices.add(f"mentor-{number}", f"token-{number}")
        world.fcm.script(f"token-{number}", world.fake.failure(404, "UNREGISTERED"))

    outcomes = await sender.send(messages)

    assert [PushOutcome.no_target(message) for message in messages] == outcomes
    assert 2 == len(world.devices.pruned)
    assert 1 == sum(message.startswith("pruning of devices is stopped") for message in caplog.messages)
