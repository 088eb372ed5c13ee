from datetime import date

import attrs
import pytest

from proxy_orchestration.errors import OrchestrationError
from proxy_orchestration.notification.digests import DigestTexts
from proxy_orchestration.notification.languages import ENGLISH, LANGUAGES, NORWEGIAN, Language, TextTemplate
from proxy_orchestration.notification.messages import (
    MessageCatalogue,
    MissingMessageFieldError,
    NoticeContext,
    NoticeText,
)
from proxy_orchestration.notification.notices import Audience
from proxy_orchestration.notification.tiers import ExpiryPolicy
from proxy_orchestration.notification.tiers import NotificationThresholdTier as Tier

CATALOGUE = MessageCatalogue(labels={"First_Aid": "førstehjelp"})
NAME = "Kari Canary"


def notice(**changes):
    """
    Return what is known about a notice, with these fields changed.
    """
    fields = {
        "mentor_id": "m1",
        "holder_name": NAME,
        "certificate_type": "FIRST_AID ",
        "tier": Tier.URGENT_7,
        "expires": date(2026, 11, 2),
        "days_left": 2,
        **changes,
    }
    return NoticeContext(**fields)


def body(**changes):
    """
    Return the body of that notice.
    """
    return CATALOGUE.render(notice(**changes)).body


@pytest.mark.parametrize(
    ("tier", "left", "text"),
    [
        (Tier.ADVANCE_60, 58, "utløper 2. november 2026 (om 58 dager)"),
        (Tier.WARNING_30, 8, "utløper 2. november 2026 (om 8 dager)"),
        (Tier.URGENT_7, 2, "utløper 2. november 2026 (om 2 dager)"),
        (Tier.URGENT_7, 1, "utløper 2. november 2026 (om 1 dag)"),
        (Tier.URGENT_7, 0, "utløper 2. november 2026 (i dag)"),
        (Tier.LAPSED, -1, "utløp 2. november 2026."),
    ],
)
@pytest.mark.parametrize("audience", Audience)
def test_norwegian_names_the_date_first_and_then_the_days(tier, left, text, audience):
    """
    One day is one "dag", the last day is "i dag", and what is over is told as past.
    """
    assert f"førstehjelp {text}" in body(tier=tier, days_left=left, audience=audience)


@pytest.mark.parametrize(
    ("tier", "left", "text"),
    [
        (Tier.ADVANCE_60, 58, "expires on 2 November 2026 (in 58 days)"),
        (Tier.WARNING_30, 8, "expires on 2 November 2026 (in 8 days)"),
        (Tier.URGENT_7, 2, "expires on 2 November 2026 (in 2 days)"),
        (Tier.URGENT_7, 1, "expires on 2 November 2026 (in 1 day)"),
        (Tier.URGENT_7, 0, "expires on 2 November 2026 (today)"),
        (Tier.LAPSED, -1, "expired on 2 November 2026."),
    ],
)
@pytest.mark.parametrize("audience", Audience)
def test_english_names_the_date_first_and_then_the_days(tier, left, text, audience):
    """
    The same in English.
    """
    assert text in body(tier=tier, days_left=left, audience=audience, locale="en")


@pytest.mark.parametrize("tag", LANGUAGES)
def test_the_texts_of_a_language_are_all_different(tag):
    """
    Four tiers for mentors and four for those who answer for them, titles and bodies.
    """
    told = [
        CATALOGUE.render(notice(tier=tier, audience=audience, locale=tag))
        for tier in Tier
        for audience in (Audience.MENTOR, Audience.COORDINATOR)
    ]

    assert 8 == len({text.title for text in told}) == len({text.body for text in told})


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("nb-NO", NORWEGIAN),
        ("nb_NO.UTF-8", NORWEGIAN),
        ("NB", NORWEGIAN),
        ("no", NORWEGIAN),
        ("nn-NO", NORWEGIAN),
        ("en-GB", ENGLISH),
        ("en_US@euro", ENGLISH),
        (None, NORWEGIAN),
        ("", NORWEGIAN),
        ("fr-CA", NORWEGIAN),
        ("-", NORWEGIAN),
        ("?", NORWEGIAN),
    ],
)
def test_a_locale_falls_back_to_the_closest_language(locale, language):
    """
    Region, language, a language that the reader understands, the catalogue's default.
    """
    assert language is CATALOGUE.language_for(locale)


def test_norwegian_falls_back_to_no_and_then_to_english():
    """
    `nb-NO → nb → no → en`, as far as the catalogue has them; the default comes last.
    """
    others = {tag: attrs.evolve(ENGLISH, unnamed=tag) for tag in ("no", "en", "de")}
    without_no = {tag: others[tag] for tag in ("en", "de")}

    assert others["no"] is MessageCatalogue(languages=others, default="de").language_for("nb-NO")
    assert others["en"] is MessageCatalogue(languages=without_no, default="de").language_for("nb-NO")
    assert others["en"] is MessageCatalogue(languages=without_no, default="de").language_for("nn")
    assert others["de"] is MessageCatalogue(languages=without_no, default="de").language_for("sv")


def test_a_default_must_be_there():
    """
    Found out before the night.
    """
    with pytest.raises(ValueError, match="'sv' is not one of the catalogue's languages: nb, en"):
        MessageCatalogue(default="sv")


def test_a_host_adds_a_language():
    """
    The catalogue it started from stays as it was.
    """
    danish = attrs.evolve(NORWEGIAN, unnamed="en frivillig")
    extended = CATALOGUE.with_language("da", danish)

    assert danish is extended.language_for("da-DK")
    assert NORWEGIAN is CATALOGUE.language_for("da-DK")
    assert "nb, en, da" in repr(extended)


def test_a_host_replaces_one_text_and_chapter_admins_read_it_too():
    """
    Chapter admins read what coordinators do, unless they have a text of their own.
    """
    changed = CATALOGUE.with_text(
        "nb", Tier.LAPSED, Audience.COORDINATOR, TextTemplate("Over", "{label}: {days}")
    )
    own = changed.with_text(
        "nb", Tier.LAPSED, Audience.CHAPTER_ADMIN, TextTemplate("For dere", "{mentor_id}")
    )
    lapsed = notice(tier=Tier.LAPSED, days_left=-4, audience=Audience.CHAPTER_ADMIN)

    assert "førstehjelp: 4" == changed.render(lapsed).body
    assert ("For dere", "m1") == (own.render(lapsed).title, own.render(lapsed).body)
    assert CATALOGUE.render(notice()).body == changed.render(notice()).body


@pytest.mark.parametrize(
    ("text", "changes", "field"),
    [
        ("{course}", {}, "course"),
        ("{link}", {}, "link"),
        ("{holder_name}", {"holder_name": ""}, "holder_name"),
        ("{holder_name}", {"holder_name": " \n"}, "holder_name"),
    ],
)
def test_a_text_that_needs_what_is_not_there_fails_and_names_it(text, changes, field):
    """
    A typed error, so that one record fails and no other; it holds no value.
    """
    strict = CATALOGUE.with_text("nb", Tier.URGENT_7, Audience.MENTOR, TextTemplate("{label}", text))

    with pytest.raises(MissingMessageFieldError, match=f"needs {{{field}}}") as failed:
        strict.render(notice(**changes))

    assert field == failed.value.field
    assert isinstance(failed.value, OrchestrationError)
    assert NAME not in str(failed.value)


def test_a_date_format_that_needs_what_is_not_there_fails_alike():
    """
    It is a template like any other.
    """
    odd = CATALOGUE.with_language("nb", attrs.evolve(NORWEGIAN, date_format="{weekday} {day}"))

    with pytest.raises(MissingMessageFieldError, match="weekday"):
        odd.render(notice())


def test_what_is_known_can_stand_in_a_text():
    """
    The link and the name as they are.
    """
    full = CATALOGUE.with_text(
        "nb", Tier.URGENT_7, Audience.MENTOR, TextTemplate("{{{holder_name}}}", "{link}")
    )
    text = full.render(notice(link="https://courses.example.org/?sig=1"))

    assert ("{Kari Canary}", "https://courses.example.org/?sig=1") == (text.title, text.body)


def test_only_who_answers_for_a_mentor_reads_the_name():
    """
    A mentor knows; and no title holds it, which shows on a locked screen.
    """
    texts = [CATALOGUE.render(notice(audience=audience, tier=tier)) for tier in Tier for audience in Audience]

    assert all(NAME not in text.title for text in texts)
    assert NAME not in body(audience=Audience.MENTOR)
    assert NAME in body(audience=Audience.COORDINATOR)
    assert NAME in body(audience=Audience.CHAPTER_ADMIN)


def test_a_mentor_without_a_name_is_told_of_all_the_same():
    """
    In the language's own words.
    """
    assert "til en likeperson for" in body(holder_name="", audience=Audience.COORDINATOR)
    assert "of a peer mentor for" in body(holder_name="", audience=Audience.COORDINATOR, locale="en")


def test_a_name_is_one_short_line_that_every_store_can_keep():
    """
    Braces in it are text; line breaks, zeros and broken characters are not kept.
    """
    named = body(holder_name="{label}\n\0Ola\ud800 Ågot" + "x" * 200, audience=Audience.COORDINATOR)

    assert "Sertifikatet til {label} Ola? Ågotxxx" in named
    assert "x" * 101 not in named


def test_a_type_is_told_by_its_label_or_else_by_its_code():
    """
    A language's own label goes before the catalogue's.
    """
    english = CATALOGUE.with_language("en", attrs.evolve(ENGLISH, labels={"first_AID": "first aid"}))

    assert "for first aid expires" in english.render(notice(locale="en")).body
    assert "for førstehjelp utløper" in english.render(notice()).body
    assert "for Samtale_2 utløper" in english.render(notice(certificate_type=" Samtale_2")).body


@pytest.mark.parametrize(
    ("locale", "lines"),
    [
        ("nb-NO", ["Utløpt: 3", "Utløper innen 60 dager: 1"]),
        ("en", ["Expired: 3", "Expire within 60 days: 1"]),
    ],
)
def test_a_digest_counts_by_tier_the_closest_first(locale, lines):
    """
    Tiers without any are left out.
    """
    text = CATALOGUE.digest({Tier.ADVANCE_60: 1, Tier.LAPSED: 3, Tier.URGENT_7: 0}, locale=locale)

    assert lines == text.body.splitlines()
    assert text.title
    assert isinstance(CATALOGUE.digest_texts(locale), DigestTexts)


def test_a_digest_says_the_days_of_its_policy():
    """
    A host with other thresholds is not told of 30 days.
    """
    texts = CATALOGUE.digest_texts("en").for_policy(ExpiryPolicy(thresholds=(90, 45, 10)))

    body = texts.body({Tier.ADVANCE_60: 3, Tier.WARNING_30: 2, Tier.URGENT_7: 1, Tier.LAPSED: 4})

    told = ["Expired: 4"] + [f"Expire within {days} days: {n}" for days, n in ((10, 1), (45, 2), (90, 3))]
    assert told == body.splitlines()


@pytest.mark.parametrize("line", ["{name}", "{0}", "{count", "{count:x y}"])
def test_a_digest_s_line_that_cannot_be_filled_is_refused_at_once(line):
    """
    Not in the night, by the dispatcher.
    """
    with pytest.raises(ValueError, match="urgent_7"):
        DigestTexts(lines={Tier.URGENT_7: line})


def test_no_repr_shows_a_name_a_text_or_a_link():
    """
    Any of them may end in a log.
    """
    link = "https://courses.example.org/?sig=canary"
    told = notice(link=link)
    shown = repr((told, CATALOGUE.render(told), NoticeText(NAME, link)))

    assert NAME not in shown
    assert "canary" not in shown


@pytest.mark.parametrize("words", [(None, "body"), ("title", 7)])
def test_words_are_texts(words):
    """
    A host's catalogue that forgets one fails that notice's record.
    """
    with pytest.raises(TypeError, match="str"):
        NoticeText(*words)


def test_a_language_can_be_written_from_nothing():
    """
    Data alone; days in any number of forms.
    """
    text = TextTemplate("{label}", "{date}, {when}")
    language = Language(
        texts={(tier, audience): text for tier in Tier for audience in Audience},
        months=tuple(str(month) for month in range(1, 13)),
        date_format="{year}/{month}/{day}",
        when=lambda days: ("dziś", "1 dzień", "2 dni")[days],
        unnamed="ktoś",
        digest=DigestTexts(),
    )
    catalogue = MessageCatalogue(languages={"PL": language}, default="pl")

    assert "2026/11/2, 2 dni" == catalogue.render(notice()).body
