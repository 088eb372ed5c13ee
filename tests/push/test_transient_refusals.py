"""
The error table over real HTTP, its rows about quota, failures of FCM's own, and answers nobody knows.
"""

from __future__ import annotations

import pytest

pytest.importorskip("httpx")
pytest.importorskip("google.auth")

from proxy_orchestration.notification.notices import PushOutcome

pytestmark = pytest.mark.dateless

BAD_ADDRESS = "The registration token is not a valid FCM registration token"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), ("1", 10.0), ("99999", 3600.0), ("Thu, 01 Jan 2026 00:02:00 GMT", 120.0), (None, 60.0)],
)
async def test_a_refusal_for_quota_pauses_the_whole_project(world, header, seconds) -> None:
    """
    For as long as FCM asks, within bounds, else for a minute; the refused attempt counts, the others do not.
    """
    world.devices.add("mentor-1", "token-1")
    world.devices.add("mentor-2", "token-2")
    world.fcm.script("token-1", world.fake.failure(429, "QUOTA_EXCEEDED", retry_after=header))
    second = world.push(2, recipient_id="mentor-2")

    assert [PushOutcome.retry(world.push(), seconds)] == await world.sender.send([world.push()])
    assert [PushOutcome.retry(second, seconds, counted=False)] == await world.sender.send([second])
    assert 1 == len(world.fcm.calls)
    world.clock.advance(seconds)
    assert [PushOutcome.delivered(second)] == await world.sender.send([second])


async def test_refusals_for_quota_in_a_row_pause_ever_longer(world) -> None:
    """
    Exponentially from a minute.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.script("token-1", *[world.fake.failure(429) for _ in range(3)])
    waits = []

    for _ in range(3):
        [outcome] = await world.sender.send([world.push()])
        waits.append(outcome.after)
        world.clock.advance(outcome.after)

    assert [60.0, 120.0, 240.0] == waits


@pytest.mark.parametrize(
    ("status", "code", "header", "seconds"),
    [
        (500, "INTERNAL", None, 10.0),
        (503, "UNAVAILABLE", "45", 45.0),
        (503, None, "2", 10.0),
        (502, "UNSPECIFIED_ERROR", None, 10.0),
        (504, "INVENTED_CODE", None, 10.0),
        (408, None, None, 10.0),
    ],
)
async def test_a_failure_of_fcms_own_is_tried_again_after_ten_seconds_or_what_it_asks(
    world, status, code, header, seconds
) -> None:
    """
    The dispatcher's backoff goes on top.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.script("token-1", world.fake.failure(status, code, retry_after=header))

    assert [PushOutcome.retry(world.push(), seconds)] == await world.sender.send([world.push()])


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *[(status, body) for status in (200, 302, 400, 502, 503) for body in (b"", b"<html>", b"[]", b"{")],
        (200, b'{"name": 3}'),
        (500, b'{"error": {"details": [3, {"@type": 4}]}}'),
        (409, b"[" * 100_000),
    ],
)
async def test_an_answer_that_cannot_be_read_is_tried_again(world, status, body) -> None:
    """
    Something between us and FCM answered, or half of the answer is lost.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.script("token-1", world.fake.Reply(status, body))
    outcome = PushOutcome.retry(world.push(), 10.0, in_doubt=status in {200, 502})

    assert [outcome] == await world.sender.send([world.push()])


@pytest.mark.parametrize(
    ("status", "code", "dead"),
    [
        (409, "INVENTED_CODE", "refused"),
        (404, "UNSPECIFIED_ERROR", "refused"),
        (400, "UNSPECIFIED_ERROR", "payload_invalid"),
        (400, None, "payload_invalid"),
    ],
)
async def test_an_unknown_refusal_is_read_by_its_status(world, status, code, dead) -> None:
    """
    It is dead, and forgets no device.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.script("token-1", world.fake.failure(status, code, text=BAD_ADDRESS))

    assert [PushOutcome.dead(world.push(), dead)] == await world.sender.send([world.push()])
    assert [] == world.devices.pruned
