"""
Canaries fed through every path: none of them comes out in a log, an exception or a repr.
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import timedelta

import anyio
import pytest
from anyio import to_thread
from waits import LONGEST_WAIT

pytest.importorskip("httpx")
pytest.importorskip("google.auth")

from proxy_orchestration.push.fcm import FcmCredentials, FcmCredentialsError, FcmPushSender

pytestmark = pytest.mark.dateless

NAME, MAIL, DEVICE, ROUTE = "Canary-Kari", "canary@person.example", "canary-device", "canary-route"
BAD_ADDRESS = "The registration token is not a valid FCM registration token"


def _replies(fake):
    """
    Return an answer of each kind, with canaries in what it says.
    """
    text = f"{NAME} {MAIL} {DEVICE}"
    return [
        fake.failure(400, violations=[f"message.data.{DEVICE}"], text=text),
        fake.failure(400, "INVALID_ARGUMENT", text=f"{BAD_ADDRESS}: {DEVICE}"),
        fake.failure(400, "INVALID_ARGUMENT", text=text),
        fake.failure(401, text=text),
        fake.failure(401, "THIRD_PARTY_AUTH_ERROR", text=text),
        fake.failure(403, "SENDER_ID_MISMATCH", text=text),
        fake.failure(403, text=text),
        fake.failure(404, "UNREGISTERED", text=text),
        fake.failure(404, text=text),
        fake.failure(429, text=text),
        fake.failure(503, text=text),
        fake.failure(409, "OTHER", text=text),
        fake.Reply(200, text.encode()),
        fake.RESET,
    ]


def _canaries(account):
    """
    Return what must not come out.
    """
    key = account["private_key"].splitlines()
    return [NAME, MAIL, DEVICE, ROUTE, "access-", *key[1:3], "sender@invented-project.example"]


async def test_no_path_of_the_sender_tells_a_name_a_text_a_token_or_a_key(world, account, caplog) -> None:
    """
    At any level, other libraries' own records included.
    """
    caplog.set_level(logging.DEBUG)
    texts = {"title": NAME, "body": f"{NAME} {MAIL}", "data": {"route": ROUTE}}
    seen: list[object] = [world.sender]

    for number, reply in enumerate(_replies(world.fake)):
        target = world.devices.add(f"person-{number}", f"{DEVICE}-{number}", platform="ios")
        world.fcm.script(target.value, reply)
        message = world.push(number, recipient_id=f"person-{number}", **texts)
        seen += [target, message, *await world.sender.send([message]), world.sender]
        world.clock.advance(7200)
    world.devices.broken = OSError(f"{MAIL} {DEVICE}")
    seen += await world.sender.send([world.push(**texts), world.push(**{**texts, "data": {"google": ROUTE}})])

    said = "\n".join([*map(_everything_of, caplog.records), *map(repr, seen)])
    assert [] == [canary for canary in _canaries(account) if canary in said]


async def test_a_call_that_is_cut_or_cancelled_tells_nothing_either(world, account, caplog) -> None:
    """
    The same for a hanging call.
    """
    caplog.set_level(logging.DEBUG)
    world.devices.add("mentor-1", DEVICE)
    world.fcm.script(DEVICE, world.fake.HANG, world.fake.HANG)

    with anyio.fail_after(LONGEST_WAIT):
        for cut in (lambda _: world.clock.advance(15), lambda tasks: tasks.cancel_scope.cancel()):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(world.sender.send, [world.push(title=NAME, data={"route": ROUTE})])
                await to_thread.run_sync(world.fcm.hanging.acquire)
                cut(tasks)

    said = "\n".join(map(_everything_of, caplog.records))
    assert [] == [canary for canary in _canaries(account) if canary in said]


async def test_credentials_and_their_errors_show_nothing_of_the_key(
    account, devices, clock, push, caplog
) -> None:
    """
    Not the object, not what it loads, not the error and what led to it.
    """
    caplog.set_level(logging.DEBUG)
    devices.add("mentor-1", DEVICE, updated_at=clock.now() - timedelta(days=1))
    good = FcmCredentials(environ={"FCM_SERVICE_ACCOUNT_JSON": json.dumps(account)})
    seen = [repr(good), repr(await good.load())]

    for text in (
        json.dumps(account)[:-5],
        json.dumps({**account, "private_key": account["private_key"][:-60]}),
    ):
        bad = FcmCredentials(environ={"FCM_SERVICE_ACCOUNT_JSON": text})
        await FcmPushSender(targets=devices, credentials=bad, clock=clock).send([push()])
        try:
            await bad.load()
        except FcmCredentialsError as error:
            seen += [*traceback.format_exception(error), repr(vars(error)), repr(error.__context__)]

    said = "\n".join([*seen, *map(_everything_of, caplog.records)])
    assert "FcmCredentialsError" in said
    assert [] == [canary for canary in _canaries(account) if canary in said]


def _everything_of(record: logging.LogRecord) -> str:
    """
    Return all that any formatter could show of a record.
    """
    return f"{record.getMessage()} {vars(record)!r}"
