"""
A coordinator is told of every mentor once, whatever came between the run and the push.
"""

import random
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest

from proxy_orchestration._backoff import RetryPolicy
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.digests import DigestTexts, waits_until
from proxy_orchestration.notification.notices import PushOutcome
from proxy_orchestration.notification.records import CertificateEnd, Digest, Eligibility, MentorRecipients
from proxy_orchestration.notification.results import DispatchResult
from proxy_orchestration.notification.settings import DispatchSettings, NotificationSettings, QuietHours
from proxy_orchestration.notification.tiers import ExpiryPolicy
from proxy_orchestration.notification.tiers import NotificationThresholdTier as Tier
from proxy_orchestration.testing.notification import ScriptedPushEligibility

OSLO = ZoneInfo("Europe/Oslo")
DAY = timedelta(days=1)


async def run(scene, *numbers):
    """
    Run at the clock's moment for those mentors, whose certificates end thirty days later.
    """
    ends = scene.clock.now().date() + timedelta(days=30)
    certificates = [scene.certificate(number, expires=ends) for number in numbers]
    return await scene.orchestrator().run(certificates)


async def digests(scene):
    """
    Send what is due and return the first lines of the digests, without what stands before the number.
    """
    scene.sender.sent.clear()
    await scene.dispatcher().drain()
    return [
        int(message.body.splitlines()[0].rpartition(" ")[2])
        for message in scene.sender.sent
        if message.recipient_id == "coord-1"
    ]


async def test_a_dispatcher_beside_a_run_tells_of_the_whole_run(scene):
    """
    Nothing is told before the run has ended, and then all of it.
    """
    scene.settings = attrs.evolve(scene.settings, chunk_size=2)
    seen = []
    async with scene.orchestrator().stream([scene.certificate(number) for number in range(7)]) as outcomes:
        async for _ in outcomes:
            seen += await digests(scene)

    assert [] == seen
    assert [7] == await digests(scene)


async def test_a_run_that_was_cut_and_repeated_tells_of_both_parts(scene):
    """
    The first part's digest waits for the second part.
    """
    scene.settings = attrs.evolve(scene.settings, chunk_size=2)
    certificates = [scene.certificate(number) for number in range(4)]
    book = scene.repository
    log_run, book.log_run = book.log_run, never_logged
    await scene.orchestrator().run(certificates[:2])
    book.log_run = log_run

    assert [] == await digests(scene)
    await scene.orchestrator().run(certificates)

    assert [4] == await digests(scene)


async def never_logged(_run):
    """
    Stand for the end of a run that was killed.
    """


async def test_a_killed_run_s_digest_is_sent_within_an_hour(scene):
    """
    Though nobody says that it ended.
    """
    scene.repository.log_run = never_logged
    await run(scene, 1)
    scene.clock.advance(3599.0)
    assert [] == await digests(scene)

    scene.clock.advance(1.0)

    assert [1] == await digests(scene)


async def test_a_second_file_of_a_day_is_told_the_next_day(scene):
    """
    One digest a day; the next day's run takes what waited along.
    """
    await run(scene, 1)
    assert [1] == await digests(scene)
    scene.clock.advance(3600.0)
    await run(scene, 2, 3)
    assert [] == await digests(scene)
    scene.clock.advance(DAY.total_seconds() - 3600.0)
    await run(scene, 4)

    assert [3] == await digests(scene)


async def test_what_waits_is_told_without_another_run(scene):
    """
    A day after the last digest, at its hour.
    """
    await run(scene, 1)
    await digests(scene)
    await run(scene, 2)
    await digests(scene)

    scene.clock.advance(DAY.total_seconds() - 1.0)
    assert [] == await digests(scene)
    scene.clock.advance(1.0)
    assert [1] == await digests(scene)


async def test_several_digests_a_day_are_sent_where_that_is_wanted(scene):
    """
    Each tells what came since.
    """
    scene.dispatching = DispatchSettings(one_digest_a_day=False)
    await run(scene, 1)
    first = await digests(scene)
    await run(scene, 2, 3)

    assert ([1], [2]) == (first, await digests(scene))


async def test_a_run_before_midnight_is_told_after_it(scene):
    """
    The dispatcher was down, or the hours were quiet.
    """
    scene.dispatching = DispatchSettings(quiet_hours=QuietHours(start=time(22), end=time(7)))
    scene.clock.advance(timedelta(hours=23, minutes=50).total_seconds())
    await run(scene, 1, 2)
    assert [] == await digests(scene)

    scene.clock.advance(timedelta(hours=7, minutes=10).total_seconds())

    assert [2] == await digests(scene)


async def test_a_digest_is_sent_however_late(scene):
    """
    Its notices still wait, and so it has not expired.
    """
    await run(scene, 1)
    scene.clock.advance(timedelta(days=40).total_seconds())

    assert [1] == await digests(scene)
    assert all(message.expires_at > scene.clock.now() for message in scene.sender.sent)


async def test_a_digest_comes_at_the_recipient_s_hour(scene):
    """
    Seven in the morning there, which was not yet when the run ended.
    """
    scene.dispatching = DispatchSettings(digest_at=time(7), digest_timezone="Europe/Oslo")
    scene.eligibility = ScriptedPushEligibility({"coord-1": Eligibility(timezone="America/New_York")})
    await run(scene, 1)
    hours = []
    for hour in range(24):
        hours += [hour] * len(await digests(scene))
        scene.clock.advance(3600.0)

    assert [12] == hours  # 00:05 and twelve hours are 07:05 in New York


async def test_a_dead_digest_s_notices_are_in_the_next(scene):
    """
    The provider was away for longer than attempts are made.
    """
    scene.dispatching = DispatchSettings(retry=RetryPolicy(max_attempts=1))
    script, scene.sender.script = scene.sender.script, lambda message, _: PushOutcome.dead(message, "no")
    await run(scene, 1)
    await digests(scene)
    scene.sender.script = script
    assert [] == await digests(scene)
    scene.clock.advance(DAY.total_seconds())
    await run(scene, 2)

    assert [2] == await digests(scene)


async def test_a_coordinator_without_a_device_is_not_told_of_old_ones_later(scene):
    """
    They stand in the inbox; the next digest is about the next notices.
    """
    script, scene.sender.script = scene.sender.script, lambda message, _: PushOutcome.no_target(message)
    await run(scene, 1)
    await digests(scene)
    scene.sender.script = script
    await run(scene, 2)

    assert [1] == await digests(scene)


async def test_a_renewal_that_a_run_saw_is_not_named(scene):
    """
    What was due is over, for the coordinator too.
    """
    scene.repository.log_run, log_run = never_logged, scene.repository.log_run
    await run(scene, 1, 2)
    scene.repository.log_run = log_run
    await scene.orchestrator().run([scene.certificate(1, 900), scene.certificate(2, 30)])
    scene.clock.advance(3600.0)

    assert [1] == await digests(scene)
    (digest,) = [message for message in scene.sender.sent if message.recipient_id == "coord-1"]
    assert "mentor-2" in digest.body
    assert "mentor-1" not in digest.body
    assert DispatchResult() == await scene.dispatcher().drain()


@pytest.mark.parametrize("seed", range(10))
async def test_every_notice_is_in_one_digest(scene, seed):
    """
    Whatever order runs, cuts, second files, outages and quiet hours come in.
    """
    chance = random.Random(seed)  # noqa: S311 - plays nights, keeps no secret
    scene.dispatching = DispatchSettings(
        quiet_hours=QuietHours(start=time(22), end=time(7), timezone="Europe/Oslo"),
        digest_at=chance.choice([None, time(7), time(0, 30)]),
        retry=RetryPolicy(max_attempts=2),
    )
    scene.directory.recipients = {
        f"mentor-{n}": MentorRecipients(coordinator_id=f"coord-{n % 3}") for n in range(1000)
    }
    log_run = scene.repository.log_run
    told = Told(scene.clock)
    scene.sender.script = told.answer
    made = 0
    for _ in range(150):
        told.outage = chance.random() < 0.2
        scene.repository.log_run = never_logged if chance.random() < 0.2 else log_run
        size = chance.choice([0, 0, 1, 2, 5])
        await run(scene, *range(made, made + size))
        made += size
        if chance.random() < 0.7:
            await scene.dispatcher().drain()
        scene.clock.advance(chance.choice([60.0, 3600.0, 5 * 3600.0]))
    told.outage, scene.repository.log_run = False, log_run
    await run(scene, made, made + 1, made + 2)  # one for each, since a dead digest waits for the next
    for _ in range(100):
        scene.clock.advance(3600.0)
        await scene.dispatcher().drain()

    assert made + 3 == sum(told.mentors.values())
    assert 1 == max(told.days.values())


@attrs.define
class Told:
    """
    Adds up what coordinators were told, by coordinator, and how often on a day.
    """

    clock: Any
    mentors: Counter = attrs.field(factory=Counter)
    days: Counter = attrs.field(factory=Counter)
    outage: bool = False

    def answer(self, message, _attempt):
        """
        Take a message, unless there is an outage.
        """
        if self.outage:
            return PushOutcome.retry(message)
        if message.recipient_id.startswith("coord"):
            self.mentors[message.recipient_id] += int(message.body.splitlines()[0].rpartition(" ")[2])
            self.days[message.recipient_id, self.clock.now().date()] += 1
        return PushOutcome.delivered(message)


def digest(**rest):
    """
    Return a digest that was opened on a winter's noon.
    """
    return Digest(**{"opened_at": datetime(2026, 1, 1, 12, tzinfo=UTC), "counts": {}, **rest})


@pytest.mark.parametrize(
    ("told_at", "now", "digest_at", "expected"),
    [
        (None, "2026-01-01T12:00", None, None),
        ("2025-12-31T22:59", "2026-01-01T12:00", None, None),
        ("2025-12-31T23:00", "2026-01-01T12:00", None, "2026-01-01T23:00"),
        ("2026-01-01T11:00", "2026-01-01T12:00", None, "2026-01-02T11:00"),
        ("2026-01-01T11:00", "2026-01-02T11:00", None, None),
        (None, "2026-01-01T12:00", time(13), None),
        (None, "2026-01-01T12:00", time(14), "2026-01-01T13:00"),
        (None, "2026-01-01T12:00", time(7), "2026-01-02T06:00"),
        (None, "2026-01-02T05:59", time(7), "2026-01-02T06:00"),
        (None, "2026-01-02T06:00", time(7), None),
        ("2026-01-02T05:00", "2026-01-02T06:00", time(7), "2026-01-03T06:00"),
        ("2030-01-01T00:00", "2026-01-01T12:00", None, None),
    ],
)
def test_a_digest_waits_for_its_hour_and_its_day(told_at, now, digest_at, expected):
    """
    Days and hours are the recipient's, here in Oslo, an hour before Greenwich.
    """
    told = None if told_at is None else datetime.fromisoformat(told_at).replace(tzinfo=UTC)
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    actual = waits_until(digest(told_at=told), moment, OSLO, digest_at=digest_at, once_a_day=True)

    assert (None if expected is None else datetime.fromisoformat(expected).replace(tzinfo=UTC)) == actual


def test_the_hour_of_a_night_that_is_an_hour_longer_comes_once():
    """
    Half past two stands on the clock twice; a digest is not put off from one to the other for ever.
    """
    opened = datetime(2026, 10, 25, 0, 40, tzinfo=UTC)  # 02:40, for the first time
    waiting = digest(opened_at=opened)
    until = waits_until(waiting, opened, OSLO, digest_at=time(2, 30), once_a_day=True)

    assert datetime(2026, 10, 26, 1, 30, tzinfo=UTC) == until
    assert None is waits_until(waiting, until, OSLO, digest_at=time(2, 30), once_a_day=True)


def test_a_digest_names_the_last_day_in_the_policy_s_zone():
    """
    Not the midnight at which the certificate has ended.
    """
    texts = DigestTexts().for_policy(ExpiryPolicy(timezone=OSLO))
    ends = [
        CertificateEnd(mentor_id="m-1", certificate_type="driving", ends_at=moment)
        for moment in (datetime(2026, 3, 3, 23, tzinfo=UTC), datetime.min.replace(tzinfo=UTC), None)
    ]
    body = texts.body({Tier.LAPSED: 2}, ends)

    assert ["Utløpt: 2", "2026-03-03: driving, m-1", "0001-01-01: driving, m-1"] == body.splitlines()
    assert "Utløpt: 2" == attrs.evolve(texts, nearest="").body({Tier.LAPSED: 2}, ends)


def names(texts, *types):
    """
    Return what a digest with these texts says about the nearest ends of certificates of those types.
    """
    ends = [
        CertificateEnd(mentor_id="m-1", certificate_type=each, ends_at=datetime(2026, 3, 4, tzinfo=UTC))
        for each in types
    ]
    return texts.body({}, ends).splitlines()


def test_a_digest_names_a_type_as_the_host_does():
    """
    However the code is spelled; a type without a name, and one whose name is empty, by its code on one line.
    """
    labels = {" First_Aid": "Førstehjelp {1}", "driving": ""}

    told = names(DigestTexts(labels=labels), "first_aid", "driving", "one\ntwo" + 100 * "x")

    assert ["Førstehjelp {1}", "driving", "one two" + 93 * "x"] == [each[12:-5] for each in told]
    assert names(DigestTexts(), "first_aid") == ["2026-03-03: first_aid, m-1"]


def test_a_host_s_own_line_may_tell_the_code_or_the_name():
    """
    One that was written before there were names says what it said.
    """
    texts = DigestTexts(nearest="{certificate_type}={label} ({mentor_id})", labels={"first_aid": "Aid"})

    assert ["first_aid=Aid (m-1)"] == names(texts, "first_aid")
    assert ["first_aid m-1"] == names(
        attrs.evolve(texts, nearest="{certificate_type} {mentor_id}"), "first_aid"
    )


def test_names_of_a_digest_s_own_go_before_those_that_it_is_given():
    """
    An empty one is none.
    """
    texts = DigestTexts(labels={"first_aid": "Aid", "driving": ""})

    both = texts.with_labels({"First_Aid": "Other", "Driving": "Car"}).for_policy(ExpiryPolicy(timezone=OSLO))

    assert ["Aid", "Car"] == [each[12:-5] for each in names(both, "first_aid", "driving")]
    assert texts is texts.with_labels({})


@pytest.mark.parametrize("line", ["{name}", "{", "{0}", 5])
def test_a_line_that_cannot_name_a_certificate_is_refused_at_once(line):
    """
    And not in the night in which it would be filled.
    """
    with pytest.raises((InvalidValueError, TypeError)):
        DigestTexts(nearest=line)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 86_401.0, float("inf")])
def test_messages_are_held_for_a_day_at_the_most(seconds):
    """
    A host that means longer finds out at once.
    """
    assert 86_400.0 == NotificationSettings(push_hold=86_400.0).push_hold
    with pytest.raises(ValueError, match="push_hold"):
        NotificationSettings(push_hold=seconds)
