"""
The outbox's other end: what is due is sent, once as a rule, and never for nothing.
"""

from datetime import UTC, date, datetime, time, timedelta

import anyio
import pytest

from proxy_orchestration._backoff import RetryPolicy
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.notification.notices import PushOutcome, PushState
from proxy_orchestration.notification.records import Eligibility
from proxy_orchestration.notification.results import DispatchResult
from proxy_orchestration.notification.settings import DispatchSettings, QuietHours
from proxy_orchestration.testing import fail, hang
from proxy_orchestration.testing.notification import ScriptedPushEligibility


async def queued(scene, mentors=1, days=30):
    """
    Queue a push for each mentor, and none for a coordinator.
    """
    scene.directory = None
    await scene.run(*(scene.certificate(number, days) for number in range(mentors)))


async def states(scene):
    """
    Return the messages by state.
    """
    return dict(await scene.repository.count_pushes())


async def test_what_is_queued_is_sent_once(scene):
    """
    In batches; a second drain finds nothing.
    """
    scene.dispatching = DispatchSettings(batch_size=4)
    await queued(scene, 10)

    assert DispatchResult(sent=10) == await scene.dispatcher().drain()
    assert DispatchResult() == await scene.dispatcher().drain()
    assert 10 == len({message.message_id for message in scene.sender.sent})


async def test_a_digest_counts_what_is_there_when_it_is_sent(scene):
    """
    One push for a coordinator and day, also when a crash lay between the chunks.
    """
    await scene.run(scene.certificate(1, 30))
    await scene.run(scene.certificate(2, 7))

    await scene.dispatcher().drain()

    (digest,) = [message for message in scene.sender.sent if message.recipient_id == "coord-1"]
    assert "urgent_7" == digest.tier.value
    counts, nearest = digest.body.splitlines()[:2], digest.body.splitlines()[2:]
    assert ["Utløper innen 7 dager: 1", "Utløper innen 30 dager: 1"] == counts
    assert ["2026-01-08: first_aid, mentor-2", "2026-01-31: first_aid, mentor-1"] == nearest


async def test_a_digest_with_nothing_left_is_cancelled(scene):
    """
    All of it was renewed since.
    """
    await scene.run(scene.certificate(1, 30))
    await scene.orchestrator().record_renewals([scene.certificate(1, 700)])

    assert DispatchResult(cancelled=1) == await scene.dispatcher().drain()


async def test_a_retry_waits_longer_each_time_and_ends_with_the_message(scene):
    """
    However many attempts that takes: it waits up to the longest wait, and not beyond its end.
    """
    retry = RetryPolicy(max_attempts=3, initial=10.0, jitter=0.0, max_delay=86_400.0)
    scene.dispatching = DispatchSettings(retry=retry)
    scene.sender.script = lambda message, _: PushOutcome.retry(message)
    await queued(scene)

    results, waits = [], []
    while not results or results[-1].retried:
        results.append(await scene.dispatcher().drain())
        waits.append(await scene.repository.push_wait(now=scene.clock.now()))
        scene.clock.advance(waits[-1] or 0.0)

    ends = timedelta(days=23) - timedelta(minutes=5)
    assert [DispatchResult(retried=1)] * (len(results) - 1) + [DispatchResult(expired=1)] == results
    assert [10.0 * 2**place for place in range(14)] + [86_400.0] * 20 == waits[:34]
    assert ends.total_seconds() == sum(waits[:-1])


async def test_a_dead_message_can_be_replayed(scene):
    """
    It blocks nobody meanwhile.
    """
    scene.sender.script = lambda message, _: PushOutcome.dead(message, "payload_invalid")
    await queued(scene)
    assert DispatchResult(dead=1) == await scene.dispatcher().drain()

    scene.sender.script = lambda message, _: PushOutcome.delivered(message)
    assert 1 == await scene.dispatcher().replay_dead()
    assert DispatchResult(sent=1) == await scene.dispatcher().drain()


async def test_the_provider_says_when_to_come_back(scene):
    """
    And an attempt that it does not count is given back.
    """
    scene.dispatching = DispatchSettings(retry=RetryPolicy(max_attempts=1))
    scene.sender.script = lambda message, attempt: (
        PushOutcome.retry(message, 600.0, counted=False) if attempt < 4 else PushOutcome.delivered(message)
    )
    await queued(scene)

    for _ in range(3):
        assert DispatchResult(retried=1) == await scene.dispatcher().drain()
        assert 600.0 == await scene.repository.push_wait(now=scene.clock.now())
        scene.clock.advance(600.0)

    assert DispatchResult(sent=1) == await scene.dispatcher().drain()


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (lambda message: PushOutcome.dead(message, "payload_invalid"), "payload_invalid"),
        (PushOutcome.no_target, "no_target"),
    ],
)
async def test_what_can_never_be_sent_is_dead(scene, outcome, code):
    """
    With the reason.
    """
    scene.sender.script = lambda message, _: outcome(message)
    await queued(scene)

    assert DispatchResult(dead=1) == await scene.dispatcher().drain()
    assert [code] == [push.code for push in scene.repository._pushes.values()]


@pytest.mark.parametrize("failure", [fail(RuntimeError("secret")), fail(OSError()), hang()])
async def test_a_sender_that_fails_or_hangs_loses_nothing(scene, failure, caplog):
    """
    Its messages are sent again later, under the same id.
    """
    reply, scene.sender.reply = scene.sender.reply, failure
    await queued(scene, 2)

    result = await scene.while_time_passes(lambda: scene.dispatcher().drain())

    assert DispatchResult(retried=2, in_doubt=2) == result
    assert "secret" not in caplog.text
    scene.sender.reply = reply
    scene.clock.advance(3600.0)
    assert DispatchResult(sent=2) == await scene.dispatcher().drain()
    assert 2 == len({message.message_id for message in scene.sender.sent})


async def test_answers_that_make_no_sense_count_for_nothing(scene):
    """
    A message without an answer is sent again; a stranger's answer is nobody's.
    """

    class Confused:
        async def send(self, messages, /):
            return ["delivered", PushOutcome("message-x", PushOutcome.delivered(messages[0]).verdict)]

    scene.sender = Confused()
    await queued(scene)

    assert DispatchResult(retried=1, in_doubt=1) == await scene.dispatcher().drain()


async def test_too_late_is_expired(scene):
    """
    The next tier has begun: its own notice tells better.
    """
    await queued(scene, days=30)
    scene.clock.advance(timedelta(days=23).total_seconds())

    assert DispatchResult(expired=1) == await scene.dispatcher().drain()
    assert [] == scene.sender.sent


async def test_who_opted_out_is_not_pushed(scene):
    """
    Asked just before sending.
    """
    scene.eligibility = ScriptedPushEligibility({"mentor-0": Eligibility(opted_out=True)})
    await queued(scene, 2)

    assert DispatchResult(sent=1, cancelled=1) == await scene.dispatcher().drain()


async def test_when_nobody_knows_who_opted_out_nobody_is_pushed(scene):
    """
    The attempt is not counted; later it is known.
    """
    scene.eligibility = ScriptedPushEligibility(reply=fail(ConnectionError()))
    scene.dispatching = DispatchSettings(retry=RetryPolicy(max_attempts=1, initial=10.0))
    await queued(scene)

    assert DispatchResult(retried=1) == await scene.dispatcher().drain()
    assert [] == scene.sender.sent
    scene.eligibility = None
    scene.clock.advance(60.0)
    assert DispatchResult(sent=1) == await scene.dispatcher().drain()


async def test_who_keeps_silent_about_pushes_holds_up_nobody(scene):
    """
    The lease outlives the question, so that no second dispatcher sends beside this one.
    """
    scene.eligibility = ScriptedPushEligibility(reply=hang())
    await queued(scene)

    drained = await scene.while_time_passes(lambda: scene.dispatcher().drain())

    assert DispatchResult(retried=1) == drained
    assert [] == scene.sender.sent
    assert scene.clock.monotonic() + scene.dispatching.send_timeout < scene.dispatching.hold


@pytest.mark.parametrize(("hold", "sending"), [(120.0, 60.0), (600.0, 10.0), (60.0, 59.0)])
def test_the_question_who_wants_pushes_leaves_time_to_send(hold, sending):
    """
    However the two were set: asking and sending end within the lease.
    """
    settings = DispatchSettings(hold=hold, send_timeout=sending)

    assert 0 < settings.eligibility_timeout <= hold / 2
    assert settings.eligibility_timeout + sending < hold


async def test_a_dispatcher_that_was_killed_is_followed_by_another(scene):
    """
    The lease ends; the message is sent again under the same id and collapse key.
    """
    scene.sender.reply = hang()
    await queued(scene)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.dispatcher().drain)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    scene.sender.reply = fail(RuntimeError())

    assert DispatchResult() == await scene.dispatcher().drain()
    scene.clock.advance(scene.dispatching.hold)
    await scene.dispatcher().drain()

    first, second = scene.sender.sent
    assert (first.message_id, first.collapse_key) == (second.message_id, second.collapse_key)


async def test_a_message_that_kills_every_dispatcher_ends_dead(scene):
    """
    Attempts count at the claim.
    """
    scene.dispatching = DispatchSettings(retry=RetryPolicy(max_attempts=2), hold=10.0, send_timeout=5.0)
    await queued(scene)
    for _ in range(2):
        await scene.repository.claim_pushes(now=scene.clock.now(), limit=1, hold=10.0)
        scene.clock.advance(10.0)

    assert DispatchResult(dead=1) == await scene.dispatcher().drain()
    assert [] == scene.sender.sent


@pytest.mark.parametrize(
    ("zone", "hour", "sent"),
    [(None, 23, False), (None, 12, True), ("Asia/Tokyo", 23, True), ("no/zone", 23, False)],
)
async def test_quiet_hours_are_the_recipients_own(scene, zone, hour, sent):
    """
    What comes in them waits for their end; an unknown zone is the policy's.
    """
    scene.dispatching = DispatchSettings(quiet_hours=QuietHours(start=time(22), end=time(7)))
    scene.eligibility = ScriptedPushEligibility({"mentor-0": Eligibility(timezone=zone)})
    await queued(scene)
    scene.clock.set_now(datetime(2026, 1, 1, hour, 0, tzinfo=UTC))

    result = await scene.dispatcher().drain()

    assert DispatchResult(sent=1) if sent else DispatchResult(retried=1) == result
    if not sent:
        assert 8 * 3600.0 == await scene.repository.push_wait(now=scene.clock.now())


def test_quiet_hours_within_a_day():
    """
    Before, in, and after them; a moment on the edge belongs to what begins.
    """
    noon = QuietHours(start=time(12), end=time(14))
    day = datetime(2026, 1, 1, tzinfo=UTC)

    assert [None, day.replace(hour=14), None] == [
        noon.over_at(day.replace(hour=hour), None) for hour in (11, 12, 14)
    ]


@pytest.mark.parametrize(
    ("start", "end", "zone", "moment", "over"),
    [
        # 02:00 to 03:00 comes twice in Oslo: first in summer time, then an hour later in winter time.
        ((22, 0), (2, 30), "Europe/Oslo", "2026-10-25T00:10Z", "2026-10-25T00:30Z"),
        ((22, 0), (2, 30), "Europe/Oslo", "2026-10-25T01:10Z", "2026-10-25T01:30Z"),
        ((22, 0), (2, 30), "Europe/Oslo", "2026-10-25T00:45Z", None),
        ((2, 15), (2, 45), "Europe/Oslo", "2026-10-25T01:20Z", "2026-10-25T01:45Z"),
        ((2, 30), (2, 10), "Europe/Oslo", "2026-10-25T00:40Z", "2026-10-25T01:10Z"),
        # 02:00 to 03:00 never comes on that day of March.
        ((22, 0), (2, 30), "Europe/Oslo", "2026-03-29T00:45Z", "2026-03-29T01:30Z"),
        ((22, 0), (7, 0), "UTC", "9999-12-31T23:00Z", None),
        ((22, 0), (7, 0), "Pacific/Kiritimati", "9999-12-31T23:00Z", None),
        ((0, 0), (7, 0), "Etc/GMT+12", "0001-01-01T06:00Z", "0001-01-01T19:00Z"),
    ],
)
def test_quiet_hours_end_after_they_began(start, end, zone, moment, over):
    """
    On the nights that have an hour too many or too few, and where the calendar ends.
    """
    quiet = QuietHours(start=time(*start), end=time(*end), timezone=zone)

    found = quiet.over_at(datetime.fromisoformat(moment), None)

    assert (None if over is None else datetime.fromisoformat(over)) == found


async def test_a_message_in_the_repeated_hour_is_claimed_once(scene):
    """
    Not again and again until the hour is over.
    """
    scene.dispatching = DispatchSettings(
        quiet_hours=QuietHours(start=time(22), end=time(2, 30), timezone="Europe/Oslo")
    )
    scene.clock.set_now(datetime(2026, 10, 25, 1, 10, tzinfo=UTC))
    scene.directory = None
    await scene.orchestrator().run([scene.certificate(1, expires=date(2026, 11, 20))])

    assert DispatchResult(retried=1) == await scene.dispatcher().drain()
    assert 20 * 60.0 == await scene.repository.push_wait(now=scene.clock.now())


async def test_serve_sends_what_becomes_due_and_outlives_a_failing_store(scene):
    """
    Until it is cancelled.
    """
    await queued(scene)
    claim, failures = scene.repository.claim_pushes, [RepositoryUnavailableError("Gone.", advice="Wait.")]

    async def claim_pushes(**rest):
        if failures:
            raise failures.pop()
        return await claim(**rest)

    scene.repository.claim_pushes = claim_pushes

    async def serve():
        async with anyio.create_task_group() as tasks:
            await tasks.start(lambda task_status: scene.dispatcher().serve(task_status=task_status))
            while not scene.sender.sent:
                await scene.clock.sleep(1.0)
            await scene.clock.sleep(20.0)
            tasks.cancel_scope.cancel()

    await scene.while_time_passes(serve)

    assert {PushState.SENT: 1} == await states(scene)


async def test_serve_outlives_every_error_and_says_it_once_and_when_it_is_over(scene, caplog):
    """
    A bug in a host's own store is none of this library's errors, and ends nothing either.
    """
    await queued(scene)
    claim, failures = scene.repository.claim_pushes, [KeyError("a bug")] * 3

    async def claim_pushes(**rest):
        if failures:
            raise failures.pop()
        return await claim(**rest)

    scene.repository.claim_pushes = claim_pushes

    async def serve():
        async with anyio.create_task_group() as tasks:
            await tasks.start(lambda task_status: scene.dispatcher().serve(task_status=task_status))
            while not scene.sender.sent:
                await scene.clock.sleep(1.0)
            tasks.cancel_scope.cancel()

    await scene.while_time_passes(serve)

    said = [record.getMessage().partition(" after")[0] for record in caplog.records]
    assert ["pushes could not be dispatched: KeyError", "dispatching is tried again"] == said
