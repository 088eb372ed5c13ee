"""
A token service that is down, connections that close, devices out of reach, processes that come and go.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest
from anyio import to_thread
from waits import LONGEST_WAIT

pytest.importorskip("httpx")
pytest.importorskip("h2")
pytest.importorskip("google.auth")

import httpx

from proxy_orchestration.errors import MisconfiguredError
from proxy_orchestration.notification.notices import PushOutcome, PushVerdict
from proxy_orchestration.push.fcm import FcmCredentials, FcmPushSender, FcmSettings
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.testing import FakeClock

MANY = 20


@pytest.fixture(scope="session")
def closing() -> ModuleType:
    """
    Load the module of the server that closes connections.
    """
    spec = importlib.util.spec_from_file_location("closing_fcm", Path(__file__).with_name("closing_fcm.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def leaving(closing: ModuleType) -> Iterator[Any]:
    """
    Run an FCM that closes its first connection after twenty messages.
    """
    with closing.ClosingFcm(MANY) as server:
        yield server


async def test_messages_of_a_connection_that_fcm_closes_in_good_order_are_in_doubt(
    leaving, account, devices, push, monkeypatch
) -> None:
    """
    It took all twenty and answered ten. The others are repeated under keys that replace the first.
    """
    monkeypatch.setattr(
        FcmPushSender,
        "_new_client",
        lambda _: httpx.AsyncClient(http1=False, http2=True, timeout=LONGEST_WAIT),
    )
    key = json.dumps({**account, "token_uri": f"{leaving.url}/token"})
    sender = FcmPushSender(
        targets=devices,
        credentials=FcmCredentials(environ={"FCM_SERVICE_ACCOUNT_JSON": key}),
        clock=FakeClock(),
        settings=FcmSettings(base_url=leaving.url, max_concurrency=MANY),
    )
    messages = [push(number, recipient_id=f"mentor-{number}") for number in range(MANY)]
    for message in messages:
        devices.add(message.recipient_id, f"token-of-{message.recipient_id}")

    with anyio.fail_after(LONGEST_WAIT):
        async with sender:
            outcomes = await sender.send(messages)
            again = [
                message
                for message, outcome in zip(messages, outcomes, strict=True)
                if outcome.verdict is PushVerdict.RETRY
            ]
            second = await sender.send(again)

    assert MANY + len(again) == len(leaving.messages)
    assert again
    assert [True] * len(again) == [each.in_doubt for each in outcomes if each.verdict is PushVerdict.RETRY]
    assert list(map(PushOutcome.delivered, again)) == second
    first = {each["token"]: _keys_of(each) for each in leaving.messages[:MANY]}
    assert [first[each["token"]] for each in leaving.messages[MANY:]] == [
        _keys_of(each) for each in leaving.messages[MANY:]
    ]


def _keys_of(message: Any) -> tuple[str, str, str]:
    """
    Return all by which a device knows a repetition.
    """
    android, headers = message["android"], message["apns"]["headers"]
    assert all((android["collapse_key"], android["notification"]["tag"], headers["apns-collapse-id"]))
    return android["collapse_key"], android["notification"]["tag"], headers["apns-collapse-id"]


async def test_a_message_without_a_collapse_key_has_one_all_the_same(world) -> None:
    """
    Its id: without any a repetition would be shown beside the first.
    """
    world.devices.add("mentor-1", "token-1")

    await world.sender.send([world.push(collapse_key="")])

    assert ("push-1",) * 3 == _keys_of(world.fcm.calls[0].message)


def _token(fake: ModuleType, name: str, life: float) -> Any:
    return fake.Reply(200, json.dumps({"access_token": f"access-{name}", "expires_in": life}).encode())


async def test_a_token_that_is_still_good_is_used_while_the_token_service_is_down(world, caplog) -> None:
    """
    Five minutes of sending were lost otherwise; it is asked again every ten seconds, or when it says.
    """
    world.devices.add("mentor-1", "token-1")
    down = [world.fake.Reply(503), world.fake.Reply(503, headers={"Retry-After": "60"})]
    world.fcm.token_replies.extend([_token(world.fake, "old", 3600), *down, _token(world.fake, "new", 3600)])
    asked = []

    for seconds in (0, 3301, 5, 5, 50, 10, 0):
        world.clock.advance(seconds)
        assert [PushOutcome.delivered(world.push())] == await world.sender.send([world.push()])
        asked.append(len(world.fcm.assertions))

    assert [1, 2, 2, 3, 3, 4, 4] == asked
    assert ["access-old"] * 5 + ["access-new"] * 2 == [call.bearer for call in world.fcm.calls]
    said = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert ["no new access token was obtained; the current one is valid for 299 s more"] == said[:1]


async def test_a_token_service_that_hangs_holds_up_nobody_whose_token_is_good(world) -> None:
    """
    Only the one who asks waits, for half of a call's time.
    """
    world.devices.add("mentor-1", "token-1")
    world.devices.add("mentor-2", "token-2")
    await world.sender.send([world.push()])
    world.clock.advance(3400)
    world.fcm.token_replies.append(world.fake.HANG)
    outcomes: list[PushOutcome] = []

    async def send() -> None:
        outcomes.extend(await world.sender.send([world.push()]))

    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await to_thread.run_sync(world.fcm.hanging.acquire)
            other = world.push(2, recipient_id="mentor-2")
            assert [PushOutcome.delivered(other)] == await world.sender.send([other])
            assert [] == outcomes
            world.clock.advance(7.5)

    assert [PushOutcome.delivered(world.push())] == outcomes


async def test_a_token_that_is_over_is_used_by_nobody(world) -> None:
    """
    With the token service down the messages wait.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.token_replies.extend([_token(world.fake, "old", 3600), world.fake.Reply(503)])
    await world.sender.send([world.push()])
    world.clock.advance(3600)

    assert [PushOutcome.retry(world.push(), 10.0, counted=False)] == await world.sender.send([world.push()])


async def test_tokens_that_live_for_five_minutes_are_asked_for_twice_in_five(world) -> None:
    """
    The margin before a token's end is half its life at most.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.token_replies.extend(_token(world.fake, str(number), 300) for number in range(9))

    for _ in range(10):
        await world.sender.send([world.push()])
        world.clock.advance(30)

    assert 2 == len(world.fcm.assertions)


async def test_a_token_that_fcm_refused_is_not_used_again(world) -> None:
    """
    Although it would be good by its own word.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.revoked.add("access-1")
    world.fcm.token_replies.extend([_token(world.fake, "1", 3600), world.fake.Reply(503)])
    await world.sender.send([world.push()])
    world.clock.advance(60)

    assert [PushOutcome.delivered(world.push())] == await world.sender.send([world.push()])
    assert ["access-3"] == [call.bearer for call in world.fcm.calls]


async def test_only_the_devices_that_are_owed_a_message_get_it_again(world) -> None:
    """
    One was out of reach; a device that is owed it and is gone since is no reason to tell the other twice.
    """
    phone = world.devices.add("mentor-1", "phone")
    tablet = world.devices.add("mentor-1", "tablet")
    world.fcm.script("tablet", world.fake.failure(503))

    [outcome] = await world.sender.send([world.push()])
    assert PushOutcome.retry(world.push(), 10.0, targets=[tablet]) == outcome
    owed = world.push(owed=(tablet.fingerprint,))
    world.fcm.script("tablet", world.fake.failure(503))
    assert [PushOutcome.retry(owed, 10.0, targets=[tablet])] == await world.sender.send([owed])
    assert [PushOutcome.delivered(owed)] == await world.sender.send([owed])
    assert ["phone"] + ["tablet"] * 3 == sorted(call.address for call in world.fcm.calls)
    world.devices.known["mentor-1"] = [phone]
    assert [PushOutcome.delivered(owed)] == await world.sender.send([owed])
    assert 4 == len(world.fcm.calls)


async def test_five_fresh_senders_prune_no_more_than_one_would(world) -> None:
    """
    Each found nineteen devices gone and pruned them: ninety-five of ninety-five.
    """
    counts = MemoryNotificationRepository()
    for number in range(95):
        world.devices.add(f"mentor-{number}", f"token-{number}")
        world.fcm.script(f"token-{number}", world.fake.failure(404, "UNREGISTERED"))

    for place in range(5):
        fresh = world.sender_with()
        sender = FcmPushSender(
            targets=world.devices,
            credentials=fresh.credentials,
            clock=world.clock,
            settings=fresh.settings,
            device_answers=counts,
        )
        await sender.send(
            [world.push(n, recipient_id=f"mentor-{n}") for n in range(19 * place, 19 * place + 19)]
        )

    assert 19 == len(world.devices.pruned)


class BrokenCounts:
    """
    A store that fails.
    """

    async def count_device_answers(self, channel, /, *, answered, gone, window):
        """
        Fail.
        """
        raise OSError(channel, answered, gone, window)


async def test_without_counts_no_device_is_forgotten(world, caplog) -> None:
    """
    The messages are sent all the same.
    """
    world.devices.add("mentor-1", "gone")
    world.devices.add("mentor-2", "here")
    world.fcm.script("gone", world.fake.failure(404, "UNREGISTERED"))
    sender = FcmPushSender(
        targets=world.devices,
        credentials=world.sender.credentials,
        clock=world.clock,
        settings=world.sender.settings,
        device_answers=BrokenCounts(),
    )
    second = world.push(2, recipient_id="mentor-2")

    assert [PushOutcome.no_target(world.push()), PushOutcome.delivered(second)] == await sender.send(
        [world.push(), second]
    )
    assert [] == world.devices.pruned
    said = {each.getMessage() for each in caplog.records if each.levelname == "ERROR"}
    assert {
        "an unregistered device could not be removed: OSError",
        "devices could not be counted: OSError",
    } == said


def test_a_part_that_does_not_fit_is_refused(world) -> None:
    """
    When the sender is made.
    """
    with pytest.raises(MisconfiguredError, match="count_device_answers"):
        FcmPushSender(targets=world.devices, device_answers=object())
    with pytest.raises(MisconfiguredError, match="FcmOptions"):
        FcmPushSender(targets=world.devices, options={})


def test_the_sender_says_how_long_it_takes(sender_with) -> None:
    """
    Below the minute that a dispatcher gives it by default.
    """
    assert 59.0 == sender_with().send_limit
    assert 34.0 == sender_with(time_budget=20.0, call_timeout=10.0).send_limit
