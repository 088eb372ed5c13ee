"""
Fifty pushes, one of which every dependency answers badly for: the other forty-nine are told once.
"""

from datetime import time
from zoneinfo import ZoneInfo

import anyio
import pytest

from proxy_orchestration.notification.digests import DigestTexts
from proxy_orchestration.notification.notices import PushOutcome, PushState, PushTarget, PushVerdict
from proxy_orchestration.notification.records import Eligibility, MentorRecipients
from proxy_orchestration.notification.settings import DispatchSettings, QuietHours

MANY = 50
ODD = "mentor-7"
OTHERS = sorted(f"mentor-{number}" for number in range(MANY) if f"mentor-{number}" != ODD)


class Directory:
    """
    Who wants pushes: everybody as usual but one.
    """

    def __init__(self, answer):
        self.answer = answer

    async def check(self, recipient_ids, /):
        """
        Answer, also about who was not asked about.
        """
        return {each: Eligibility() for each in recipient_ids} | {ODD: self.answer}


class Sender:
    """
    Delivers to everybody but one, about whom it says something odd.
    """

    def __init__(self, answer):
        self.answer = answer
        self.told = []

    async def send(self, messages, /):
        """
        Answer each.
        """
        outcomes = []
        for message in messages:
            if message.recipient_id == ODD:
                outcomes.extend(self.answer(message))
            else:
                self.told.append(message.recipient_id)
                outcomes.append(PushOutcome.delivered(message))
        return outcomes


class Lazy(dict):
    """
    A mapping that fails for one key.
    """

    def get(self, key, default=None):
        """
        Fail, or not.
        """
        if key == ODD:
            raise OSError
        return super().get(key, default)


class RaisingZone(str):
    """
    A zone's name that cannot be used as one.
    """

    __slots__ = ()

    def __hash__(self):
        raise OSError

    def __eq__(self, _other):
        raise OSError


WISHES = [
    None,
    [],
    "Europe/Oslo",
    {"opted_out": False},
    Eligibility(opted_out=None),
    Eligibility(timezone=ZoneInfo("Europe/Oslo")),
    Eligibility(timezone=b"UTC"),
    Eligibility(timezone=["UTC"]),
    Eligibility(timezone=RaisingZone("UTC")),
]
HARMLESS = [
    Eligibility(timezone="no/zone"),
    Eligibility(timezone=""),
    Eligibility(timezone="../../etc/passwd"),
]

OUTCOMES = [
    lambda _message: [],
    lambda _message: [None],
    lambda _message: [{}],
    lambda message: [message],
    lambda message: [PushOutcome(message.message_id, None)],
    lambda message: [PushOutcome(message.message_id, PushVerdict.RETRY, object())],
    lambda message: [PushOutcome(message.message_id, PushVerdict.RETRY, targets=7)],
    lambda message: [PushOutcome.retry(message, targets=[PushTarget(kind="token", value=None)])],
    lambda message: [PushOutcome.retry(message, counted=None)],
    lambda message: [PushOutcome([], PushVerdict.DELIVERED), PushOutcome.retry(message)],
]


async def drained(scene):
    """
    Drain at several hours of the day.
    """
    for _ in range(12):
        await scene.dispatcher().drain()
        scene.clock.advance(3600.0)


async def served(scene):
    """
    Serve for an hour.
    """

    async def serve():
        async with anyio.create_task_group() as tasks:
            await tasks.start(lambda task_status: scene.dispatcher().serve(task_status=task_status))
            await scene.clock.sleep(3600.0)
            tasks.cancel_scope.cancel()

    await scene.while_time_passes(serve)


async def queued(scene):
    """
    Queue a push for each mentor, and none for a coordinator.
    """
    scene.directory = None
    scene.dispatching = DispatchSettings(
        quiet_hours=QuietHours(start=time(22), end=time(23)), digest_at=time(1), poll_interval=1800.0
    )
    await scene.run(*(scene.certificate(number, 30) for number in range(MANY)))


async def left(scene):
    """
    Return what is not sent, by recipient.
    """
    return {
        push.message.recipient_id: push.state
        for push in scene.repository._pushes.values()
        if push.state is not PushState.SENT
    }


@pytest.mark.parametrize(
    ("wish", "run"), [*((wish, drained) for wish in WISHES), (None, served), (WISHES[-1], served)]
)
async def test_a_wish_that_makes_no_sense_takes_nobody_along(scene, wish, run):
    """
    Its message waits, and goes out once the entry is right.
    """
    scene.eligibility, scene.sender = Directory(wish), Sender(lambda _: [])
    await queued(scene)

    await run(scene)

    assert OTHERS == sorted(scene.sender.told)
    assert {ODD: PushState.QUEUED} == await left(scene)
    scene.eligibility, scene.sender = (
        Directory(Eligibility()),
        Sender(lambda one: [PushOutcome.delivered(one)]),
    )
    scene.clock.advance(3600.0)
    await drained(scene)
    assert {} == await left(scene)


async def test_a_mapping_that_fails_for_one_takes_nobody_along(scene):
    """
    As one that reads from somewhere may.
    """

    class Eligible:
        async def check(self, _recipient_ids, /):
            return Lazy()

    scene.eligibility, scene.sender = Eligible(), Sender(lambda _: [])
    await queued(scene)

    await drained(scene)

    assert OTHERS == sorted(scene.sender.told)


@pytest.mark.parametrize("wish", HARMLESS, ids=repr)
async def test_a_zone_that_nobody_knows_holds_up_nobody(scene, wish):
    """
    The settings' own counts.
    """
    scene.eligibility = Directory(wish)
    scene.sender = Sender(lambda message: [PushOutcome.delivered(message)])
    await queued(scene)

    await drained(scene)

    assert {} == await left(scene)


@pytest.mark.parametrize(
    ("outcome", "run"), [*((outcome, drained) for outcome in OUTCOMES), (OUTCOMES[0], served)]
)
async def test_an_outcome_that_makes_no_sense_takes_nobody_along(scene, outcome, run):
    """
    Its message is repeated, and the others are not.
    """
    scene.sender = Sender(outcome)
    await queued(scene)

    await run(scene)

    assert OTHERS == sorted(scene.sender.told)
    assert {ODD: PushState.QUEUED} == await left(scene)


class Words(DigestTexts):
    """
    Words that fail for who has two certificates to hear of.
    """

    def body(self, counts, nearest=()):
        """
        Fail, or not.
        """
        if sum(counts.values()) > 1:
            raise LookupError
        return super().body(counts, nearest)


@pytest.mark.parametrize("run", [drained, served])
async def test_words_that_raise_take_no_other_digest_along(scene, run, monkeypatch):
    """
    Forty-nine coordinators hear of their mentors once.
    """
    scene.directory.recipients = {
        f"mentor-{number}": MentorRecipients(coordinator_id=f"coord-{number % MANY}")
        for number in range(MANY + 1)
    }
    await scene.run(*(scene.certificate(number, 30) for number in range(MANY + 1)))
    make = type(scene).dispatcher

    def dispatcher(scene):
        found = make(scene)
        found.digests = Words()
        return found

    monkeypatch.setattr(type(scene), "dispatcher", dispatcher)
    await run(scene)

    told = [each.recipient_id for each in scene.sender.sent if each.recipient_id.startswith("coord")]
    assert sorted(f"coord-{number}" for number in range(1, MANY)) == sorted(told)
    assert {"coord-0": PushState.QUEUED} == await left(scene)
