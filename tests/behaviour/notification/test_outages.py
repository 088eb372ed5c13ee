"""
A provider that is down, a connection that breaks, a message that kills: nobody is left untold for it.
"""

from datetime import timedelta

import anyio
import attrs
import pytest

from proxy_orchestration._backoff import RetryPolicy
from proxy_orchestration.errors import MisconfiguredError
from proxy_orchestration.notification.notices import PushOutcome, PushState, PushTarget
from proxy_orchestration.notification.results import DispatchResult
from proxy_orchestration.notification.settings import DispatchSettings
from proxy_orchestration.testing import hang

PHONE = PushTarget(kind="token", value="phone")
TABLET = PushTarget(kind="token", value="tablet")
MANY = 50


async def queued(scene, mentors=1, **rest):
    """
    Queue a push for each mentor, and none for a coordinator.
    """
    scene.directory = None
    await scene.run(*(scene.certificate(number, 30, **rest) for number in range(mentors)))


async def drained_until_empty(scene):
    """
    Drain whenever something is due, until nothing is left; return all counts together.
    """
    total = DispatchResult()
    while (wait := await scene.repository.push_wait(now=scene.clock.now())) is not None:
        scene.clock.advance(wait)
        found = await scene.dispatcher().drain()
        total = DispatchResult(
            **{name: number + getattr(found, name) for name, number in total.to_dict().items()}
        )
    return total


@pytest.mark.parametrize("minutes", [15, 6 * 60, 10 * 24 * 60])
async def test_an_outage_leaves_nobody_untold(scene, minutes):
    """
    A quarter of an hour made a night's pushes dead; six hours and ten days make none.
    """
    over = scene.clock.now() + timedelta(minutes=minutes)
    scene.sender.script = lambda message, _: (
        PushOutcome.retry(message) if scene.clock.now() < over else PushOutcome.delivered(message)
    )
    await scene.run(*(scene.certificate(number, 30) for number in range(20)))

    result = await drained_until_empty(scene)

    assert (21, 0, 0) == (result.sent, result.dead, result.expired)  # a coordinator's digest is one of them
    assert {PushState.SENT: 21} == dict(await scene.repository.count_pushes())
    # Told within an hour, the longest wait, of the outage's end; and not asked for all the time.
    assert scene.clock.now() - over <= timedelta(hours=1)
    assert result.retried < 21 * (12 + minutes / 30)


async def test_the_waits_of_many_messages_are_spread(scene):
    """
    They were refused together, and do not come back together.
    """
    scene.sender.script = lambda message, _: PushOutcome.retry(message)
    await queued(scene, MANY)

    await scene.dispatcher().drain()

    assert 40 < len({push.due_at for push in scene.repository._pushes.values()})


async def test_a_digest_that_is_refused_waits_although_its_first_hour_is_over(scene):
    """
    It never expires, and is not sent again and again in one drain either.
    """
    scene.sender.script = lambda message, _: PushOutcome.retry(message, 60.0)
    await scene.run(scene.certificate(1, 30))
    scene.clock.advance(7200.0)

    assert DispatchResult(retried=2) == await scene.dispatcher().drain()
    assert 60.0 == await scene.repository.push_wait(now=scene.clock.now())


async def test_a_digest_waits_a_day_at_the_most_whatever_it_is_told(scene):
    """
    A provider may name any number of seconds.
    """
    scene.sender.script = lambda message, _: PushOutcome.retry(message, 1e300)
    await scene.run(scene.certificate(1, 30))

    await scene.dispatcher().drain()

    (wait,) = [push.due_at for push in scene.repository._pushes.values() if push.opened_at is not None]
    assert scene.clock.now() + timedelta(days=1) == wait


async def test_a_message_that_may_have_been_taken_is_counted_so(scene):
    """
    And repeated as the same message.
    """
    scene.sender.script = lambda message, attempt: (
        PushOutcome.retry(message, in_doubt=True) if attempt == 1 else PushOutcome.delivered(message)
    )
    await queued(scene)

    assert DispatchResult(retried=1, in_doubt=1) == await scene.dispatcher().drain()
    assert ["in_doubt"] == [push.code for push in scene.repository._pushes.values()]
    scene.clock.advance(60.0)
    assert DispatchResult(sent=1) == await scene.dispatcher().drain()
    first, second = scene.sender.sent
    assert first == second


class PoisonedSender:
    """
    A host's own sender, whose call for all ends with the first message that it cannot bear.
    """

    def __init__(self, poisonous, failure):
        self.poisonous = poisonous
        self.failure = failure
        self.told = []

    async def send(self, messages, /):
        """
        Send until one fails.
        """
        if any(message.recipient_id == self.poisonous for message in messages):
            await self.failure()
        self.told += [message.recipient_id for message in messages]
        return list(map(PushOutcome.delivered, messages))


async def fails():
    """
    Fail.
    """
    raise LookupError


@pytest.mark.parametrize("failure", [fails, hang().finish])
async def test_one_message_that_its_sender_cannot_bear_costs_no_other_its_answer(scene, failure):
    """
    What had no answer is handed over alone the next time.
    """
    scene.sender = PoisonedSender("mentor-7", failure)
    await queued(scene, MANY)
    told = [f"mentor-{number}" for number in range(MANY) if number != 7]

    first = await scene.while_time_passes(lambda: scene.dispatcher().drain())
    scene.clock.advance(60.0)
    second = await scene.while_time_passes(lambda: scene.dispatcher().drain())

    assert DispatchResult(retried=MANY, in_doubt=MANY) == first
    assert DispatchResult(sent=MANY - 1, retried=1, in_doubt=1) == second
    assert sorted(told) == sorted(scene.sender.told)


async def test_a_message_that_kills_its_dispatcher_takes_no_other_along(scene):
    """
    What was under lease when a process died is tried one at a time; the rest is given back meanwhile.
    """
    scene.dispatching = DispatchSettings(retry=RetryPolicy(max_attempts=3))
    await queued(scene, MANY)
    told = []

    class Deadly:
        async def send(self, messages, /):
            if any(message.recipient_id == "mentor-7" for message in messages):
                scopes[-1].cancel()
                await anyio.sleep_forever()
            told.extend(message.recipient_id for message in messages)
            return list(map(PushOutcome.delivered, messages))

    scene.sender, scopes = Deadly(), []
    for _ in range(4):
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await scene.dispatcher().drain()
        scene.clock.advance(scene.dispatching.hold)

    assert MANY - 1 == len(told) == len(set(told))
    assert {PushState.SENT: MANY - 1, PushState.DEAD: 1} == dict(await scene.repository.count_pushes())
    (dead,) = await scene.repository.dead_pushes(organization_id=None, after=None, limit=9)
    assert ("mentor-7", "attempts_exhausted") == (dead.mentor_id, dead.code)


async def test_new_messages_go_before_those_that_a_dispatcher_died_with(scene):
    """
    None of those is under lease meanwhile.
    """
    await queued(scene, 3)
    await scene.repository.claim_pushes(now=scene.clock.now(), limit=9, hold=10.0)
    scene.clock.advance(10.0)
    await scene.run(scene.certificate(9, 30))

    assert DispatchResult(sent=4) == await scene.dispatcher().drain()
    assert "mentor-9" == scene.sender.sent[0].recipient_id


async def test_devices_that_are_owed_are_kept_over_restarts_and_the_others_left_alone(scene):
    """
    One took it, one was not to be reached: only that one is sent it again.
    """
    scene.sender.script = lambda message, attempt: (
        PushOutcome.retry(message, targets=[TABLET]) if attempt < 3 else PushOutcome.delivered(message)
    )
    await queued(scene)

    assert DispatchResult(retried=1) == await scene.dispatcher().drain()
    for _ in range(2):
        scene.clock.advance(60.0)
        await scene.dispatcher().drain()

    assert [None, (TABLET.fingerprint,), (TABLET.fingerprint,)] == [each.owed for each in scene.sender.sent]
    assert {PushState.SENT: 1} == dict(await scene.repository.count_pushes())


@pytest.mark.parametrize(
    "outcome",
    [
        lambda message: PushOutcome.dead(message, "target_invalid"),
        PushOutcome.no_target,
        lambda message: PushOutcome.retry(message, targets=[]),
        lambda message: PushOutcome.retry(message, 1e9, targets=[TABLET]),
    ],
)
async def test_a_message_that_some_device_has_was_sent_whatever_becomes_of_the_others(scene, outcome):
    """
    It is neither dead nor too late.
    """
    scene.sender.script = lambda message, attempt: (
        PushOutcome.retry(message, targets=[TABLET]) if attempt == 1 else outcome(message)
    )
    await queued(scene)

    result = await drained_until_empty(scene)

    assert (1, 0, 0) == (result.sent, result.dead, result.expired)


async def test_a_digest_that_one_device_has_is_told(scene):
    """
    Sent again it would tell more, and to the other device only.
    """
    scene.sender.script = lambda message, _: PushOutcome.retry(message, targets=[TABLET])
    await scene.run(scene.certificate(1, 30))

    assert DispatchResult(sent=1, retried=1) == await scene.dispatcher().drain()
    assert {"coord-1"} == {
        push.message.recipient_id
        for push in scene.repository._pushes.values()
        if push.state is PushState.SENT
    }


def test_a_fingerprint_tells_addresses_apart_and_shows_none():
    """
    Also of what is no text that could be sent.
    """
    odd = attrs.evolve(PHONE, value="\ud800")
    fid = attrs.evolve(PHONE, kind="fid")

    assert 4 == len({each.fingerprint for each in (PHONE, TABLET, fid, odd)})
    assert PHONE.fingerprint == attrs.evolve(PHONE, platform="ios").fingerprint
    assert "phone" not in PHONE.fingerprint


@pytest.mark.parametrize(("limit", "fits"), [(59.0, True), (60.0, False), (80, False), (None, True)])
def test_a_sender_that_takes_longer_than_it_is_given_is_refused(scene, limit, fits):
    """
    Its answers would be lost, and its messages sent again and again.
    """
    scene.sender = PoisonedSender("", fails)
    scene.sender.send_limit = limit

    if fits:
        assert scene.dispatcher().sender is scene.sender
    else:
        with pytest.raises(MisconfiguredError, match=r"Raise send_timeout"):
            scene.dispatcher()
