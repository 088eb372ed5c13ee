"""
What the sender does over real HTTP when all goes well, and how much at once.
"""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from waits import LONGEST_WAIT

pytest.importorskip("httpx")
pytest.importorskip("google.auth")

from proxy_orchestration.notification.notices import PushOutcome
from proxy_orchestration.push import fcm as fcm_module
from proxy_orchestration.push.fcm import FcmCredentials, FcmPushSender, FcmSettings


async def test_a_message_is_delivered_to_a_token_with_all_that_devices_need(world) -> None:
    """
    One call, in the service account's project, under an access token of its own.
    """
    world.devices.add("mentor-1", "token-1")
    message = world.push()

    outcomes = await world.sender.send([message])

    assert [PushOutcome.delivered(message)] == outcomes
    assert [world.fake.PROJECT] == [call.project for call in world.fcm.calls]
    assert {
        "token": "token-1",
        "notification": {"title": "Invented title", "body": "Invented text 1"},
        "data": {"route": "/certificate/renew/1", "push_id": "push-1"},
        "android": {
            "collapse_key": "mentor-1:first_aid",
            "priority": "HIGH",
            "ttl": "604800s",
            "notification": {"tag": "mentor-1:first_aid"},
        },
        "apns": {
            "headers": {
                "apns-collapse-id": "mentor-1:first_aid",
                "apns-expiration": "1767830400",
                "apns-priority": "10",
            }
        },
    } == world.fcm.calls[0].message
    assert [] == world.fcm.refused


async def test_an_installation_is_addressed_by_its_fid(world) -> None:
    """
    The two kinds of address have fields of their own.
    """
    world.devices.add("mentor-1", "installation-1", kind="fid")

    await world.sender.send([world.push()])

    assert "installation-1" == world.fcm.calls[0].message["fid"]
    assert "token" not in world.fcm.calls[0].message


async def test_each_device_of_a_recipient_gets_a_call_of_its_own_and_no_device_two(world) -> None:
    """
    A device that the directory names twice is one device.
    """
    for value in ("phone", "tablet", "phone"):
        world.devices.add("mentor-1", value)

    await world.sender.send([world.push()])

    assert ["phone", "tablet"] == sorted(call.address for call in world.fcm.calls)


async def test_a_recipient_without_a_device_has_no_target(fcm, sender, push) -> None:
    """
    FCM is not called at all, not even for an access token.
    """
    outcomes = await sender.send([push()])

    assert [PushOutcome.no_target(push())] == outcomes
    assert ([], []) == (fcm.calls, fcm.assertions)


async def test_nothing_to_send_is_nothing_to_do(fcm, sender) -> None:
    """
    An empty batch asks nobody.
    """
    assert [] == await sender.send([])
    assert [] == fcm.assertions


async def test_outcomes_come_in_the_order_of_the_messages_one_each(world) -> None:
    """
    One message's refusal leaves the others alone.
    """
    for number in range(3):
        world.devices.add(f"mentor-{number}", f"token-{number}")
    world.fcm.script("token-1", world.fake.failure(400, violations=["message.data[0].value"]))
    messages = [world.push(number, recipient_id=f"mentor-{number}") for number in range(3)]

    outcomes = await world.sender.send(messages)

    assert [
        PushOutcome.delivered(messages[0]),
        PushOutcome.dead(messages[1], "payload_invalid"),
        PushOutcome.delivered(messages[2]),
    ] == outcomes


async def test_no_more_calls_are_in_flight_than_allowed(world) -> None:
    """
    Four may be; with all four kept waiting no fifth begins.
    """
    messages = [world.push(number, recipient_id=f"mentor-{number}") for number in range(12)]
    for number in range(12):
        world.devices.add(f"mentor-{number}", f"token-{number}")
        world.fcm.script(f"token-{number}", world.fake.HANG)

    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.sender_with(max_concurrency=4).send, messages)
            for _ in range(4):
                await to_thread.run_sync(world.fcm.hanging.acquire)
            world.fcm.release()

    assert 12 == len(world.fcm.calls)
    assert 4 == world.fcm.most_in_flight


async def test_one_access_token_serves_many_calls_until_shortly_before_its_end(world) -> None:
    """
    It is good for an hour; five minutes before that a new one is asked for.
    """
    world.devices.add("mentor-1", "token-1")

    async with world.sender:
        for seconds in (0, 3298, 1):
            world.clock.advance(seconds)
            await world.sender.send([world.push()])

    assert ["access-1", "access-1", "access-2"] == [call.bearer for call in world.fcm.calls]


async def test_tasks_that_send_at_once_share_one_access_token(world) -> None:
    """
    Only one of them asks for it.
    """
    world.devices.add("mentor-1", "token-1")

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(world.sender.send, [world.push(number)])

    assert 1 == len(world.fcm.assertions)
    assert 5 == len(world.fcm.calls)


async def test_a_key_that_was_replaced_is_used_from_the_next_access_token_on(
    world, account, account_file: Path
) -> None:
    """
    The file is read whenever a token is due, never kept.
    """
    world.devices.add("mentor-1", "token-1")
    sender = FcmPushSender(
        targets=world.devices,
        credentials=FcmCredentials(path=str(account_file)),
        clock=world.clock,
        settings=FcmSettings(base_url=world.fcm.url),
    )
    await sender.send([world.push()])
    account["client_email"] = "other@invented-project.example"
    await anyio.Path(account_file).write_text(json.dumps(account), encoding="utf-8")
    world.clock.advance(3600)

    await sender.send([world.push()])

    assert ["sender@invented-project.example", "other@invented-project.example"] == [
        claims["iss"] for claims in world.fcm.assertions
    ]


async def test_the_project_may_be_another_than_the_service_accounts(world) -> None:
    """
    A setting goes before the key's own project.
    """
    world.devices.add("mentor-1", "token-1")

    await world.sender_with(project_id="other-project").send([world.push()])

    assert ["other-project"] == [call.project for call in world.fcm.calls]


async def test_the_client_speaks_http_2_where_the_server_does(sender) -> None:
    """
    Many calls share one connection then; over plain TCP it speaks HTTP/1.1.
    """
    async with sender:
        assert sender._client._transport._pool._http2

    assert sender._client is None


async def test_an_address_that_is_none_is_not_called(world) -> None:
    """
    Another kind than FCM knows, nothing, or what no header and no JSON may hold.
    """
    world.devices.add("mentor-1", "topic-1", kind="topic")
    world.devices.add("mentor-1", "")
    world.devices.add("mentor-1", "\ud800")

    outcomes = await world.sender.send([world.push()])

    assert [PushOutcome.dead(world.push(), "target_invalid")] == outcomes
    assert [] == world.fcm.calls


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"data": {"from": "x"}}, "payload_reserved_key"),
        ({"data": {"message_type": "x"}}, "payload_reserved_key"),
        ({"data": {"google.x": "x"}}, "payload_reserved_key"),
        ({"data": {"gcm_x": "x"}}, "payload_reserved_key"),
        ({"body": "å" * 2048}, "payload_too_large"),
        ({"data": {"count": 3}}, "payload_invalid"),
        ({"data": {"text": "\ud800"}}, "payload_invalid"),
        ({"collapse_key": "\ud800"}, "payload_invalid"),
    ],
)
async def test_what_fcm_would_not_take_is_never_sent(world, change, code) -> None:
    """
    It is dead before a call, with a code that says why.
    """
    world.devices.add("mentor-1", "token-1")
    message = world.push(**change)

    outcomes = await world.sender.send([message])

    assert [PushOutcome.dead(message, code)] == outcomes
    assert ([], []) == (world.fcm.calls, world.fcm.assertions)


def test_the_module_offers_the_sender_and_what_it_is_configured_with() -> None:
    """
    Five names, sorted.
    """
    expected = ["FcmCredentials", "FcmCredentialsError", "FcmOptions", "FcmPushSender", "FcmSettings"]

    assert expected == fcm_module.__all__
