"""
How pushes show on devices, how they are counted, and how they are checked without being sent.
"""

from __future__ import annotations

import json

import pytest

pytest.importorskip("httpx")
pytest.importorskip("google.auth")

from proxy_orchestration.errors import InvalidInputError
from proxy_orchestration.notification.notices import PushOutcome, PushTarget
from proxy_orchestration.push.fcm import FcmOptions, FcmPushSender
from proxy_orchestration.push.fcm.messages import encode

TARGET = PushTarget(kind="token", value="token-1")


def _sent(message, now, fake, **options):
    """
    Return what a device's call says, which the fake finds no fault with.
    """
    body = json.loads(encode(message, TARGET, now=now, options=FcmOptions(**options)))
    assert [] == fake.problems_of(body)
    return body


def test_each_option_has_its_place(push, clock, fake) -> None:
    """
    As FCM names them; what is not asked for is not there.
    """
    chosen = _sent(
        push(),
        clock.now(),
        fake,
        android_channel="certificates",
        ios_sound="default",
        ios_badge=0,
        analytics_label="expiry-2026",
    )["message"]
    plain = _sent(push(), clock.now(), fake)["message"]

    assert {"tag": "mentor-1:first_aid", "channel_id": "certificates"} == chosen["android"]["notification"]
    assert {"aps": {"sound": "default", "badge": 0}} == chosen["apns"]["payload"]
    assert {"analytics_label": "expiry-2026"} == chosen["fcm_options"]
    assert {"tag": "mentor-1:first_aid"} == plain["android"]["notification"]
    assert "payload" not in plain["apns"]
    assert "fcm_options" not in plain


def test_a_quiet_message_makes_no_sound(push, clock, fake) -> None:
    """
    Apple would refuse one that does.
    """
    message = push(title="", body="")
    sent = _sent(message, clock.now(), fake, ios_sound="default", ios_badge=3, android_channel="c")["message"]

    assert {"aps": {"content-available": 1}} == sent["apns"]["payload"]
    assert "notification" not in sent["android"]


def test_one_collapse_key_for_all_leaves_what_is_shown_apart(push, clock, fake) -> None:
    """
    FCM keeps four keys for a device that is off; tags and Apple's ids have no such bound.
    """
    keys = {
        (
            sent["android"]["collapse_key"],
            sent["android"]["notification"]["tag"],
            sent["apns"]["headers"]["apns-collapse-id"],
        )
        for number in range(5)
        for sent in [
            _sent(push(collapse_key=f"type-{number}"), clock.now(), fake, one_collapse_key=True)["message"]
        ]
    }

    assert {("certificate-expiry", f"type-{number}", f"type-{number}") for number in range(5)} == keys


@pytest.mark.parametrize(
    "wrong",
    [
        {"analytics_label": "has spaces"},
        {"analytics_label": "x" * 51},
        {"analytics_label": "å"},
        {"analytics_label": None},
        {"ios_badge": -1},
        {"ios_badge": 100_000},
        {"ios_badge": "1"},
        {"ios_sound": 1},
        {"android_channel": None},
        {"validate_only": "no"},
        {"one_collapse_key": 1},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong) -> None:
    """
    The error names the field.
    """
    with pytest.raises(InvalidInputError, match=rf"FcmOptions\.{next(iter(wrong))}"):
        FcmOptions(**wrong)


async def test_a_check_sends_nothing_and_leaves_everything_as_it_is(world) -> None:
    """
    Everything stays queued, with what FCM says of it; no device is forgotten, suspected or left alone.
    """
    sender = FcmPushSender(
        targets=world.devices,
        credentials=world.sender.credentials,
        clock=world.clock,
        settings=world.sender.settings,
        options=FcmOptions(validate_only=True),
    )
    replies = {
        "accepted": world.fake.Reply(200, b'{"name": "projects/p/messages/fake_message_id"}'),
        "payload_invalid": world.fake.failure(400, violations=["message.data"]),
        "target_gone": world.fake.failure(404, "UNREGISTERED"),
        "sender_mismatch": world.fake.failure(403, "SENDER_ID_MISMATCH"),
    }
    messages = [world.push(number, recipient_id=code) for number, code in enumerate(replies)]
    for code, reply in replies.items():
        world.devices.add(code, code)
        world.fcm.script(code, reply, reply)
    messages.append(world.push(9, recipient_id="nobody"))
    messages.append(world.push(10, data={"from": "x"}))

    outcomes = [await sender.send(messages) for _ in range(2)]

    found = [(each.verdict, each.after, each.code, each.counted) for each in outcomes[0]]
    retry = PushOutcome.retry(messages[0]).verdict
    codes = [*replies, "no_target", "payload_reserved_key"]
    assert [(retry, 60.0, code, False) for code in codes] == found
    assert outcomes[0] == outcomes[1]
    assert {True} == {call.validate_only for call in world.fcm.calls}
    assert [] == world.devices.pruned
