"""
What FCM is handed.
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("httpx")
pytest.importorskip("google.auth")

from proxy_orchestration.notification.notices import PushTarget
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.push.fcm.messages import content_digest, encode, problem_of, size_of

TARGET = PushTarget(kind="token", value="token-1")


def _sent(message, now):
    """
    Return what a device's call says.
    """
    return json.loads(encode(message, TARGET, now=now))["message"]


@pytest.mark.parametrize(
    ("tier", "android", "apple"),
    [
        (NotificationThresholdTier.ADVANCE_60, "NORMAL", "5"),
        (NotificationThresholdTier.WARNING_30, "NORMAL", "5"),
        (NotificationThresholdTier.URGENT_7, "HIGH", "10"),
        (NotificationThresholdTier.LAPSED, "HIGH", "10"),
    ],
)
def test_what_is_pressing_goes_out_with_high_priority(push, clock, tier, android, apple) -> None:
    """
    The rest may wait until the device is awake.
    """
    sent = _sent(push(tier=tier), clock.now())

    assert (android, apple) == (sent["android"]["priority"], sent["apns"]["headers"]["apns-priority"])


@pytest.mark.parametrize(("seconds", "ttl"), [(-1, "0s"), (0, "0s"), (90, "90s"), (10**7, "2419200s")])
def test_a_message_lives_until_its_end_and_four_weeks_at_most(push, clock, seconds, ttl) -> None:
    """
    FCM takes no longer time to live.
    """
    message = push(expires_at=clock.now() + timedelta(seconds=seconds))

    assert ttl == _sent(message, clock.now())["android"]["ttl"]


def test_a_collapse_key_that_is_too_long_for_apple_is_hashed(push, clock) -> None:
    """
    Sixty-four bytes are allowed, not characters; the same key has the same hash.
    """
    longest, longer = "k" * 64, "å" * 33

    ids = [
        _sent(push(collapse_key=key), clock.now())["apns"]["headers"]["apns-collapse-id"]
        for key in (longest, longer, longer)
    ]

    assert longest == ids[0]
    assert ids[1] == ids[2] != longer
    assert 64 == len(ids[1].encode())


def test_a_message_without_a_text_is_a_quiet_one(push, clock) -> None:
    """
    Apple asks for a low priority then, and for a flag; there is nothing to replace on the screen.
    """
    sent = _sent(push(title="", body=""), clock.now())

    assert "notification" not in sent
    assert "notification" not in sent["android"]
    assert "5" == sent["apns"]["headers"]["apns-priority"]
    assert {"aps": {"content-available": 1}} == sent["apns"]["payload"]


def test_4096_bytes_are_taken_and_one_more_is_too_large(push) -> None:
    """
    Bytes of UTF-8, of keys and values.
    """
    room = 4096 - size_of(push(body="", data={"å": ""})) - len("body")

    assert "" == problem_of(push(body="x" * room, data={"å": ""}))
    assert "payload_too_large" == problem_of(push(body="x" * room, data={"å": "x"}))


@given(data=st.dictionaries(st.text(), st.text()), texts=st.tuples(st.text(), st.text(), st.text()))
def test_what_passes_the_check_satisfies_the_service(push, fake, data, texts) -> None:
    """
    The fake's own rules find no fault with it.
    """
    title, body, key = texts
    message = push(data=data, title=title, body=body, collapse_key=key)

    if not problem_of(message):
        sent = json.loads(encode(message, TARGET, now=message.expires_at))
        assert [] == fake.problems_of(sent)


def test_messages_are_distinct_by_content_alone(push) -> None:
    """
    Another recipient of the same text proves nothing new about an address.
    """
    assert content_digest(push(1)) == content_digest(push(1, message_id="other"))
    assert content_digest(push(1)) != content_digest(push(2))
