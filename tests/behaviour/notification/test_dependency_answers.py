"""
One bad answer of a host's own part: its entry alone is dealt with, and everybody else is told.
"""

from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from fractions import Fraction

import anyio
import attrs
import pytest

from proxy_orchestration.notification.dependency_answers import devices_in, outcomes_in
from proxy_orchestration.notification.digests import DigestTexts
from proxy_orchestration.notification.enrollment import EnrollmentLinks
from proxy_orchestration.notification.messages import NoticeText
from proxy_orchestration.notification.notices import PushOutcome, PushState, PushTarget, PushVerdict
from proxy_orchestration.notification.records import Eligibility, MentorRecipients
from proxy_orchestration.notification.results import DispatchResult, RecordProblem
from proxy_orchestration.notification.settings import DispatchSettings, QuietHours
from proxy_orchestration.notification.tiers import ExpiryPolicy

MANY = 50
QUIET = DispatchSettings(quiet_hours=QuietHours(start=time(22), end=time(23)))


class Answering:
    """
    Answers every question with the same, whatever that is.
    """

    def __init__(self, answer):
        self.answer = answer

    async def check(self, _recipient_ids, /):
        """
        Answer who wants pushes.
        """
        return self.answer


class BrokenZone(tzinfo):
    """
    A zone that cannot be asked.
    """

    def utcoffset(self, moment):
        """
        Fail.
        """
        raise KeyError(moment)


class Nowhere(tzinfo):
    """
    A zone without an offset.
    """

    def utcoffset(self, _moment):
        """
        Say nothing.
        """


class BrokenList(Collection):
    """
    A collection that cannot be read.
    """

    def __iter__(self):
        raise OSError

    def __contains__(self, _each):
        return True

    def __len__(self):
        return 1


async def queued(scene, mentors=MANY):
    """
    Queue a push for each mentor, and none for a coordinator.
    """
    scene.directory = None
    await scene.run(*(scene.certificate(number, 30) for number in range(mentors)))


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "opted out",
        [],
        Eligibility(opted_out="no"),
        Eligibility(timezone=timezone(timedelta(hours=1))),
        Eligibility(timezone=7),
    ],
    ids=repr,
)
async def test_one_wish_that_makes_no_sense_holds_up_its_recipient_only(scene, entry, caplog):
    """
    It is no attempt of the message's, however often; once the entry is right it is sent.
    """
    scene.dispatching, scene.eligibility = QUIET, Answering({"mentor-7": entry})
    await queued(scene)

    assert DispatchResult(sent=MANY - 1, retried=1) == await scene.dispatcher().drain()
    for _ in range(10):
        scene.clock.advance(3600.0)
        assert DispatchResult(retried=1) == await scene.dispatcher().drain()
    assert "eligibility_unreadable" in {getattr(record, "code", "") for record in caplog.records}
    scene.eligibility = Answering({"mentor-7": Eligibility(timezone="no/zone")})
    scene.clock.advance(3600.0)
    assert DispatchResult(sent=1) == await scene.dispatcher().drain()


@pytest.mark.parametrize("answer", [None, [], "mentor-7", 5, {("mentor-7",): None}], ids=repr)
async def test_an_answer_about_nobody_is_no_attempt(scene, answer):
    """
    Nobody is pushed against their will, and no message is given up; a mapping without them wants pushes.
    """
    scene.eligibility = Answering(answer)
    await queued(scene, 3)

    drained = await scene.dispatcher().drain()

    assert (DispatchResult(sent=3) if isinstance(answer, dict) else DispatchResult(retried=3)) == drained


async def test_serve_lives_on_whatever_it_is_answered(scene):
    """
    And sends to the others.
    """
    scene.eligibility = Answering({"mentor-7": None})
    await queued(scene)

    async def serve():
        async with anyio.create_task_group() as tasks:
            await tasks.start(lambda task_status: scene.dispatcher().serve(task_status=task_status))
            await scene.clock.sleep(3600.0)
            tasks.cancel_scope.cancel()

    await scene.while_time_passes(serve)

    assert {PushState.SENT: MANY - 1, PushState.QUEUED: 1} == dict(await scene.repository.count_pushes())


async def test_a_wait_that_makes_no_sense_does_not_end_serve(scene):
    """
    A store of a host's own is a dependency too.
    """

    async def push_wait(*, now):
        return f"soon after {now}"

    scene.repository.push_wait = push_wait
    await queued(scene, 1)

    async def serve():
        async with anyio.create_task_group() as tasks:
            await tasks.start(lambda task_status: scene.dispatcher().serve(task_status=task_status))
            await scene.clock.sleep(60.0)
            tasks.cancel_scope.cancel()

    await scene.while_time_passes(serve)

    assert {PushState.SENT: 1} == dict(await scene.repository.count_pushes())


class BrokenTexts(DigestTexts):
    """
    Words of a host's own that fail.
    """

    def body(self, counts):
        """
        Fail.
        """
        raise KeyError(counts)


async def test_words_that_raise_hold_up_their_digest_only(scene):
    """
    The mentors are pushed; the digest is not given up, and goes out once there are words.
    """
    await scene.run(scene.certificate(1, 30), scene.certificate(2, 7))
    dispatcher = scene.dispatcher()
    dispatcher.digests = BrokenTexts()

    assert DispatchResult(sent=2, retried=1) == await dispatcher.drain()
    for _ in range(9):
        scene.clock.advance(60.0)
        assert DispatchResult(retried=1) == await dispatcher.drain()
    scene.clock.advance(60.0)
    assert DispatchResult(sent=1) == await scene.dispatcher().drain()


@pytest.mark.parametrize(
    "outcome",
    [
        lambda message: PushOutcome([message.message_id], PushVerdict.DELIVERED),
        lambda message: PushOutcome(message.message_id, "delivered"),
        lambda message: PushOutcome.retry(message, "soon"),
        lambda message: PushOutcome.retry(message, float("nan")),
        lambda message: PushOutcome.retry(message, float("inf")),
        lambda message: PushOutcome.retry(message, 10**400),
        lambda message: PushOutcome.retry(message, True),
        lambda message: PushOutcome.retry(message, Fraction(1)),
        lambda message: PushOutcome.retry(message, counted="no"),
        lambda message: PushOutcome.retry(message, in_doubt=None),
        lambda message: PushOutcome.retry(message, targets=["token-1"]),
        lambda message: PushOutcome.retry(message, targets=[PushTarget(kind="token", value=7)]),
        lambda message: attrs.evolve(PushOutcome.retry(message), targets=[DEVICE]),
        lambda _message: {"message_id": 1},
    ],
)
async def test_one_outcome_that_makes_no_sense_is_no_answer_for_its_message(scene, outcome):
    """
    The others' outcomes are stored.
    """

    class Sender:
        async def send(self, messages, /):
            first, *others = messages
            return [outcome(first), *map(PushOutcome.delivered, others)]

    scene.sender = Sender()
    await queued(scene, 3)

    assert DispatchResult(sent=2, retried=1, in_doubt=1) == await scene.dispatcher().drain()


async def test_a_wait_beyond_the_messages_end_is_its_end(scene):
    """
    A provider may name any number of seconds.
    """
    scene.sender.script = lambda message, _: PushOutcome.retry(message, 1e300)
    await queued(scene, 1)
    assert DispatchResult(retried=1) == await scene.dispatcher().drain()

    scene.clock.advance(await scene.repository.push_wait(now=scene.clock.now()))

    assert DispatchResult(expired=1) == await scene.dispatcher().drain()


def test_a_code_that_is_no_text_is_unreadable():
    """
    A sender that makes one is not stopped by it.
    """
    assert "unreadable_code" == PushOutcome("m", PushVerdict.DEAD, code=404).code


DEVICE = PushTarget(kind="token", value="token-1")


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ([DEVICE, DEVICE], (DEVICE,)),
        ([], ()),
        ([None, DEVICE, "token-2"], (DEVICE,)),
        ([PushTarget(kind="token", value=None), DEVICE], (DEVICE,)),
        ([PushTarget(kind="token", value="x", updated_at=[])], None),
        ("token-1", None),
        (None, None),
        (DEVICE, None),
    ],
    ids=repr,
)
def test_devices_that_make_no_sense_are_left_out(entry, found):
    """
    Where none is left, nobody knows the recipient's devices: that is not to have none.
    """
    assert {"m1": found, "m2": ()} == devices_in({"m1": entry}, ["m1", "m2"])


def test_a_list_is_no_directory_s_answer():
    """
    The message says what to answer with.
    """
    with pytest.raises(TypeError, match="PushTargetDirectory must return a mapping"):
        devices_in([DEVICE], ["m1"])


def test_no_messages_have_no_outcomes():
    """
    A stranger's outcome is nobody's, and no fault.
    """
    assert {} == outcomes_in([PushOutcome("stranger", PushVerdict.DELIVERED)], [])


@pytest.mark.parametrize(
    "entry", [None, MentorRecipients(chapter_admin_ids=BrokenList())], ids=["none", "broken"]
)
async def test_one_entry_of_the_directory_costs_its_mentor_the_others_only(scene, entry):
    """
    The mentor is told, and so are all others' coordinators.
    """
    scene.directory.recipients = {**scene.directory.recipients, "mentor-1": entry}

    result = await scene.run(scene.certificate(1), scene.certificate(2))

    assert (2, (RecordProblem("mentor-1", "recipients_unknown"),)) == (result.created, result.data_quality)
    assert 1 == len(await scene.repository.notifications_for("coord-1"))


async def test_a_record_that_cannot_even_be_read_fails_alone(scene):
    """
    A date whose zone raises, and an organization that is no text and cannot be one.
    """

    class Unsaid:
        def __str__(self):
            raise OSError

    broken = scene.certificate(1, expires=datetime(2026, 1, 20, tzinfo=BrokenZone()))

    result = await scene.run(broken, scene.certificate(2), scene.certificate(3, organization_id=Unsaid()))

    assert (1, 2) == (result.created, result.failed)
    assert {"unreadable_record"} == {failure.code for failure in result.failures}


async def test_a_store_that_answers_with_something_else_fails_those_records_only(scene):
    """
    As many answers as there are drafts, and one of them is none.
    """
    record = scene.repository.record

    async def odd(chunk, /):
        recorded = await record(chunk)
        fates = tuple(
            None if draft.notice.mentor_id == "mentor-1" else fate
            for draft, fate in zip(chunk.drafts, recorded.fates, strict=True)
        )
        return attrs.evolve(recorded, fates=fates)

    scene.repository.record = odd

    result = await scene.run(scene.certificate(1), scene.certificate(2))

    assert ["record_refused"] == [failure.code for failure in result.failures]


@pytest.mark.parametrize("failure", [OSError("down"), RuntimeError("a bug")])
async def test_a_log_that_fails_takes_no_result_away(scene, failure):
    """
    Whatever it raises.
    """

    async def log_run(_run, /):
        raise failure

    scene.repository.log_run = log_run

    assert 1 == (await scene.run(scene.certificate(1))).created


class Links(EnrollmentLinks):
    """
    Links of a host's own.
    """

    def link_for(self, tier, *, mentor_id, certificate_type):
        """
        Fail for one mentor, and answer nonsense for another.
        """
        if mentor_id == "mentor-1":
            raise LookupError(certificate_type)
        return 5 if mentor_id == "mentor-2" else f"https://courses.example.org/{tier.value}"


async def test_a_link_that_cannot_be_made_is_left_out_and_reported(scene):
    """
    The notice goes out without.
    """
    scene.rest["enrollment"] = Links(secret="s" * 32, base_url="https://courses.example.org")

    result = await scene.run(*(scene.certificate(number, 5) for number in (1, 2, 3)))

    assert (3, 0) == (result.created, result.failed)
    assert [RecordProblem(f"mentor-{number}", "link_failed") for number in (1, 2)] == list(
        result.data_quality
    )
    links = [(await scene.repository.notifications_for(f"mentor-{n}"))[0].deep_link for n in (1, 2, 3)]
    assert [None, None, "https://courses.example.org/urgent_7"] == links


@pytest.mark.parametrize("text", [NoticeText("", "body"), NoticeText("title", " \n"), NoticeText("", "")])
async def test_an_empty_text_fails_its_record(scene, text):
    """
    Nobody is told nothing; the others are told.
    """

    class Catalogue:
        def render(self, notice, /):
            return text if notice.mentor_id == "mentor-1" else NoticeText("title", "body")

    scene.rest["messages"] = Catalogue()

    result = await scene.run(scene.certificate(1), scene.certificate(2))

    assert (1, ["empty_text"]) == (result.created, [failure.code for failure in result.failures])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: ExpiryPolicy(timezone="Mars/Olympus"), "not a time zone"),
        (lambda: ExpiryPolicy(timezone=BrokenZone()), "must be a usable time zone"),
        (lambda: ExpiryPolicy(timezone=Nowhere()), "must be a usable time zone"),
        (lambda: ExpiryPolicy(resend_guard=72_000), "resend_guard"),
        (lambda: ExpiryPolicy(resend_guard=timedelta(hours=-1)), "resend_guard"),
        (lambda: QuietHours(start=time(22), end=time(7), timezone="Mars/Olympus"), "not a time zone"),
        (lambda: QuietHours(start=time(22, tzinfo=UTC), end=time(7)), "start"),
        (lambda: DispatchSettings(hold=60.0, send_timeout=60.0), "hold must be above send_timeout"),
        (lambda: DispatchSettings(hold=10.0), "hold must be above send_timeout"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_they_are_made(make, told):
    """
    Not by the first run at night.
    """
    with pytest.raises((TypeError, ValueError), match=told):
        make()
