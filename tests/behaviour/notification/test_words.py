"""
A notice's words are made for whoever reads it, on the day it is sent or read.
"""

import logging
from datetime import UTC, date, datetime, timedelta

import anyio
import attrs
import pytest

from proxy_orchestration.errors import MisconfiguredError
from proxy_orchestration.notification.digests import DigestTexts
from proxy_orchestration.notification.languages import LANGUAGES
from proxy_orchestration.notification.locales import find_locales
from proxy_orchestration.notification.messages import MessageCatalogue, NoticeText
from proxy_orchestration.notification.notices import NoticeStatus
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.records import MentorRecipients
from proxy_orchestration.notification.tiers import ExpiryPolicy
from proxy_orchestration.notification.words import NoticeWords
from proxy_orchestration.testing import FakeClock

NIGHT = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
WORDS = NoticeWords()


class Directory:
    """
    Knows who answers for everybody, and which language who reads.
    """

    def __init__(self, **locales):
        self.locales = {name.replace("_", "-"): locale for name, locale in locales.items()}
        self.asked = []

    async def resolve(self, mentor_ids, /):
        """
        Return one coordinator for all.
        """
        return {mentor_id: MentorRecipients(coordinator_id="coord-1") for mentor_id in mentor_ids}

    async def locales_of(self, recipient_ids, /):
        """
        Return what is known, of whomever.
        """
        self.asked.append(sorted(recipient_ids))
        return self.locales


@attrs.define
class Odd:
    """
    A catalogue that answers, or raises, whatever it is told to; sound words while a run writes.
    """

    answer: object = None

    def render(self, notice, /):
        """
        Return the answer.
        """
        if isinstance(self.answer, Exception):
            raise self.answer
        return NoticeText("Written", "on the day") if self.answer is None else self.answer


async def the_notice(scene, recipient="mentor-1"):
    """
    Return a recipient's only notice.
    """
    (notice,) = await scene.repository.notifications_for(recipient)
    return notice


async def sent_to(scene, recipient, *, days, **parts):
    """
    Return the message that the recipient gets so many days after the first night.
    """
    scene.clock.advance(days * 86_400)
    dispatcher = attrs.evolve(scene.dispatcher(), **parts)
    await dispatcher.drain()
    (message,) = [each for each in scene.sender.sent if each.recipient_id == recipient]
    return message


async def test_a_push_that_is_late_says_how_many_days_are_left_then(scene):
    """
    It was written with 60 days left, and is sent twenty days later.
    """
    await scene.run(scene.certificate(1, 60))

    message = await sent_to(scene, "mentor-1", days=20, words=WORDS)

    assert "om 60 dager" in (await the_notice(scene)).body
    assert "om 40 dager" in message.body
    assert "60 dager" not in message.body


async def test_without_words_what_was_written_is_sent(scene):
    """
    A dispatcher that was not given the host's catalogue invents none.
    """
    await scene.run(scene.certificate(1, 60))

    message = await sent_to(scene, "mentor-1", days=20)

    assert "om 60 dager" in message.body


async def test_a_push_is_in_the_language_that_its_reader_has_when_it_is_sent(scene):
    """
    The language was changed since the run.
    """
    scene.directory = Directory(mentor_1="nb")
    await scene.run(scene.certificate(1, 60))

    message = await sent_to(scene, "mentor-1", days=0, words=WORDS, locales=Directory(mentor_1="en-GB"))

    assert "(in 60 days)" in message.body


async def test_a_coordinator_reads_their_own_language_and_not_each_mentor_s(scene):
    """
    Two mentors of two languages; and whose language nobody knows reads the default one.
    """
    scene.directory = Directory(coord_1="en", mentor_2="en")
    await scene.run(scene.certificate(1, 60, locale="nb"), scene.certificate(2, 60, locale="nb"))
    scene.directory = Directory()
    await scene.run(scene.certificate(3, 60, locale="en"))
    told = {notice.mentor_id: notice.body for notice in await scene.repository.notifications_for("coord-1")}

    assert "expires on" in told["mentor-1"]
    assert "expires on" in told["mentor-2"]
    assert "utløper" in told["mentor-3"]
    assert "utløper" in (await the_notice(scene, "mentor-1")).body
    assert (
        "expires on" in (await the_notice(scene, "mentor-2")).body
    )  # the directory's word, not the register's
    assert "expires on" in (await the_notice(scene, "mentor-3")).body


async def test_the_directory_is_asked_for_languages_once_a_chunk(scene):
    """
    About mentors and whoever else is told, each once.
    """
    scene.directory = Directory()
    await scene.run(*(scene.certificate(number, 60) for number in range(3)), scene.certificate(9, 300))

    assert [["coord-1", "mentor-0", "mentor-1", "mentor-2"]] == scene.directory.asked


@pytest.mark.parametrize("locale", ["en", None])
async def test_a_digest_is_in_its_reader_s_language(scene, locale):
    """
    By the catalogue; whoever has none reads its default language, and not the library's.
    """
    scene.directory = Directory()
    await scene.run(scene.certificate(1, 30))
    words = NoticeWords(messages=MessageCatalogue(default="en"), policy=ExpiryPolicy(thresholds=(60, 30, 7)))

    locales = Directory(**({} if locale is None else {"coord_1": locale}))
    digest = await sent_to(scene, "coord-1", days=0, words=words, locales=locales)

    assert ("Certificates that expire", "Expire within 30 days: 1") == (
        digest.title,
        digest.body.splitlines()[0],
    )


async def test_a_host_s_own_words_for_digests_are_for_whoever_has_no_language(scene):
    """
    The catalogue has the words for the others.
    """
    scene.directory = Directory()
    await scene.run(scene.certificate(1, 30))
    own = {"digests": DigestTexts(title="Vår egen"), "words": WORDS}

    assert "Vår egen" == (await sent_to(scene, "coord-1", days=0, **own)).title


def named(**parts):
    """
    Return words that name a type for all languages, and in English by another name.
    """
    catalogue = MessageCatalogue(labels={"First_Aid": "Førstehjelp"}, **parts)
    return NoticeWords(
        messages=catalogue.with_language(
            "en", attrs.evolve(catalogue.languages["en"], labels={"first_aid": "First aid"})
        )
    )


@pytest.mark.parametrize(
    ("locale", "name"),
    [("nb-NO", "Førstehjelp"), ("nn", "Førstehjelp"), ("en-GB", "First aid"), (None, "Førstehjelp")],
)
@pytest.mark.parametrize("own", [{}, {"digests": DigestTexts(title="Vår egen")}])
async def test_a_digest_names_a_type_as_a_single_notice_does(scene, locale, name, own):
    """
    In its reader's language; also in a host's own words, and by its code where it has no name.
    """
    locales = Directory(**({} if locale is None else {"coord_1": locale}))
    scene.directory, scene.rest = locales, {"messages": named().messages}
    await scene.run(
        scene.certificate(1, 30, certificate_type="FIRST_AID"),
        scene.certificate(2, 30, certificate_type="driving"),
    )

    digest = await sent_to(scene, "coord-1", days=0, words=named(), locales=locales, **own)

    single = {each.mentor_id: each.body for each in await scene.repository.notifications_for("coord-1")}
    first, second = digest.body.splitlines()[1:]
    assert first.endswith(f": {name}, mentor-1")
    assert second.endswith(": driving, mentor-2")
    assert f" {name} " in single["mentor-1"]
    assert " driving " in single["mentor-2"]


async def test_names_that_are_made_when_they_are_read_stand_in_a_digest_too(scene):
    """
    A host's translations are objects that become a text late; an empty one is no name.
    """

    class Lazy:
        def __str__(self):
            return "Førstehjelp"

    catalogue = MessageCatalogue(labels={"first_aid": Lazy()})
    norwegian = attrs.evolve(catalogue.languages["nb"], labels={"first_aid": ""})

    texts = catalogue.with_language("nb", norwegian).digest_texts("nb")

    assert {"first_aid": "Førstehjelp"} == dict(texts.labels)


@pytest.mark.parametrize("answer", [RuntimeError("Kari Canary"), "no texts"])
async def test_a_catalogue_without_usable_words_for_digests_leaves_the_usual_ones(scene, caplog, answer):
    """
    Nobody's digest is held back for it.
    """

    class Strange(MessageCatalogue):
        def digest_texts(self, locale=None):
            if isinstance(answer, Exception):
                raise answer
            return answer

    scene.directory = Directory()
    await scene.run(scene.certificate(1, 30))

    digest = await sent_to(
        scene, "coord-1", days=0, words=NoticeWords(messages=Strange()), locales=Directory(coord_1="en")
    )

    assert "Sertifikater som utløper" == digest.title
    assert "Canary" not in caplog.text


async def test_a_catalogue_of_a_host_s_own_needs_no_words_for_digests(scene):
    """
    `Messages` has one method.
    """
    assert NoticeWords(messages=Odd()).digest_texts("en") is None


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("Kari Canary"),
        "a text",
        NoticeText(" ", "body"),
        NoticeText("title", ""),
        NoticeText("t", "\0"),
    ],
)
async def test_words_that_cannot_be_made_anew_are_those_that_were_written(scene, caplog, answer):
    """
    Told late and with an old number of days is better than not at all; the log has no name.
    """
    catalogue = Odd()
    scene.rest = {"messages": catalogue}
    await scene.run(scene.certificate(1, 60))
    catalogue.answer = answer
    caplog.set_level(logging.DEBUG)

    message = await sent_to(scene, "mentor-1", days=20, words=NoticeWords(messages=catalogue))

    assert ("Written", "on the day") == (message.title, message.body)
    assert "keeps its stored text" in caplog.text
    assert "Canary" not in caplog.text


async def test_a_notice_of_an_earlier_version_keeps_its_words(scene):
    """
    What its words are made of was not stored with it.
    """
    await scene.run(scene.certificate(1, 60))
    old = attrs.evolve(await the_notice(scene), expires=None)

    assert NoticeText(old.title, old.body) == WORDS.as_of(old, NIGHT + timedelta(days=20), locale="en")


@pytest.mark.parametrize(
    ("day", "told"),
    [
        (0, "om 60 dager). Du har god tid"),
        (29, "om 31 dager). Du har god tid"),
        (30, "om 30 dager). Meld deg på"),
        (53, "om 7 dager). Forny det nå"),
        (60, "i dag). Forny det nå"),
        (61, "utløp 2. mars 2026"),
        (400, "utløp 2. mars 2026"),
        (-9, "om 60 dager). Du har god tid"),  # a clock that was set back
    ],
)
async def test_an_open_notice_says_what_is_true_when_it_is_read(scene, day, told):
    """
    The tier's words too: nobody has time to find a course for what has expired.
    """
    await scene.run(scene.certificate(1, 60))

    text = scene.orchestrator().words.as_of(await the_notice(scene), NIGHT + timedelta(days=day))

    assert told in text.body


@pytest.mark.parametrize("status", [NoticeStatus.ACKNOWLEDGED, NoticeStatus.CLEARED])
async def test_what_is_done_with_says_what_it_said_then(scene, status):
    """
    A renewed certificate has not expired, whatever day its old notice is read; the language is the reader's.
    """
    await scene.run(scene.certificate(1, 60))
    done = attrs.evolve(await the_notice(scene), status=status)

    text = WORDS.as_of(done, NIGHT + timedelta(days=90), locale="en")

    assert "expires on 2 March 2026 (in 60 days)" in text.body


async def test_a_notice_never_says_that_an_end_is_further_than_its_tier(scene):
    """
    Daily windows and other thresholds since: urgent stays urgent.
    """
    await scene.run(scene.certificate(1, 7))
    narrower = NoticeWords(policy=ExpiryPolicy(thresholds=(5, 3, 1)))

    assert "Forny det nå" in narrower.as_of(await the_notice(scene), NIGHT).body


async def test_the_day_is_the_policy_s(scene):
    """
    Half an hour before midnight in Greenwich it is tomorrow in Oslo.
    """
    scene.policy = ExpiryPolicy(timezone="Europe/Oslo")
    await scene.run(scene.certificate(1, 60))
    late = datetime(2026, 1, 20, 23, 30, tzinfo=UTC)

    text = scene.orchestrator().words.as_of(await the_notice(scene), late)

    assert "om 40 dager" in text.body


async def test_a_name_is_kept_for_later_words_and_shown_nowhere_else(scene):
    """
    One line that every store can keep; a coordinator's text needs it.
    """
    await scene.run(scene.certificate(1, 60, holder_name="Kari\0\nCanary", locale="\ud800"))
    notice = await the_notice(scene, "coord-1")

    assert ("Kari Canary", date(2026, 3, 2), None) == (notice.holder_name, notice.expires, notice.locale)
    assert "Kari Canary" in WORDS.as_of(notice, NIGHT, locale="en").body
    assert "Canary" not in repr(notice)


@pytest.mark.parametrize("name", [None, 7])
async def test_a_name_that_is_none_is_not_kept(scene, name):
    """
    A host's own words may do without.
    """
    scene.rest = {"messages": Odd()}
    await scene.run(scene.certificate(1, 60, holder_name=name))

    assert not (await the_notice(scene)).holder_name


@pytest.mark.parametrize("answer", [["nb"], None, "nb", 7])
async def test_languages_that_make_no_sense_count_for_none(scene, caplog, answer):
    """
    The run goes on with what is known otherwise.
    """
    scene.directory = Directory()
    scene.directory.locales = answer

    result = await scene.run(scene.certificate(1, 60, locale="en"))

    assert (1, 0) == (result.created, result.failed)
    assert "in 60 days" in (await the_notice(scene)).body
    assert "languages of the recipients: TypeError" in caplog.text


async def test_a_language_that_makes_no_sense_is_one_reader_s_alone(scene, caplog):
    """
    A number, nothing, half a character.
    """
    bad = {"a": 7, "b": " ", "c": "\ud800", "d": "x" * 300, "e": None, "f": "en"}
    locales = Directory()
    locales.locales = bad

    found = await find_locales(locales, [*bad, "absent"], clock=scene.clock, seconds=5)

    assert {"f": "en"} == found
    assert ["locale_unreadable"] == [getattr(record, "code", "") for record in caplog.records]


@pytest.mark.parametrize("locales", [None, Directory()])
async def test_nobody_is_asked_for_nothing(scene, locales):
    """
    Without a directory, or without readers.
    """
    assert {} == await find_locales(locales, [], clock=scene.clock, seconds=5)


async def test_a_directory_that_fails_or_hangs_stops_no_run_and_no_push(scene, caplog):
    """
    What was known when the notice was written counts.
    """

    class Hanging(Directory):
        async def locales_of(self, recipient_ids, /):
            await scene.clock.sleep(10_000)

    class Failing(Directory):
        async def locales_of(self, recipient_ids, /):
            raise RuntimeError(["Kari Canary"])

    scene.directory = Failing()
    assert 1 == (await scene.run(scene.certificate(1, 60, locale="en"))).created
    dispatcher = attrs.evolve(scene.dispatcher(), words=WORDS, locales=Hanging())
    await scene.while_time_passes(dispatcher.drain)

    (message,) = [each for each in scene.sender.sent if each.recipient_id == "mentor-1"]
    assert "in 60 days" in message.body
    assert ["RuntimeError", "TimeoutError"] == [
        record.error for record in caplog.records if getattr(record, "code", "") == "locales_unknown"
    ]
    assert "Canary" not in caplog.text


async def test_a_directory_whose_languages_cannot_be_asked_for_is_refused_at_once(scene):
    """
    Before the night, with what to do.
    """

    class Plain(Directory):
        def locales_of(self, recipient_ids, /):
            return {}

    scene.directory = Plain()
    with pytest.raises(MisconfiguredError, match="locales_of is a plain function"):
        scene.orchestrator()


async def test_the_languages_of_northern_norway_are_told_in_bokmaal():
    """
    Texts and dates; English whatever its region, and everything unknown the default language.
    """
    catalogue = MessageCatalogue()

    assert all(
        LANGUAGES["nb"] is catalogue.language_for(tag) for tag in ("nb", "nn-NO", "no", "se", "se_NO", "xx")
    )
    assert all(LANGUAGES["en"] is catalogue.language_for(tag) for tag in ("en", "en-x-own", "en_ZA", "EN"))
    assert LANGUAGES["en"] is MessageCatalogue(default="en").language_for("xx")


def test_an_orchestrator_hands_out_its_own_words(scene):
    """
    Its catalogue and its policy.
    """
    messages, policy = MessageCatalogue(default="en"), ExpiryPolicy(timezone="Europe/Oslo")
    words = NotificationOrchestrator(
        repository=scene.repository, messages=messages, policy=policy, clock=FakeClock(NIGHT)
    ).words

    assert (messages, policy) == (words.messages, words.policy)


async def test_a_cancellation_leaves_although_the_directory_makes_another_error_of_it(scene):
    """
    Who is stopped while the directory is asked is stopped, and does not go on without languages.
    """
    went_on = []

    class Stubborn(Directory):
        async def locales_of(self, recipient_ids, /):
            scope.cancel()
            try:
                await anyio.sleep_forever()
            finally:
                raise RuntimeError(["Kari Canary"])

    with anyio.CancelScope() as scope:
        went_on.append(await find_locales(Stubborn(), ["a"], clock=scene.clock, seconds=5))

    assert scope.cancelled_caught
    assert [] == went_on
