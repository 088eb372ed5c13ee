"""
Dates as the reader's region writes them, in the language of the text around them.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import attrs
import pytest

pytest.importorskip("babel")

from proxy_orchestration.i18n import BabelCatalogue
from proxy_orchestration.notification.languages import ENGLISH, NORWEGIAN
from proxy_orchestration.notification.messages import MessageCatalogue, NoticeContext
from proxy_orchestration.notification.tiers import NotificationThresholdTier as Tier

DAY = date(2026, 11, 24)
CATALOGUE = BabelCatalogue()


def body(catalogue: MessageCatalogue, locale: str | None, **changes: Any) -> str:
    """
    Return the body of a mentor's notice.
    """
    fields: dict[str, Any] = {
        "mentor_id": "m1",
        "certificate_type": "first_aid",
        "tier": Tier.WARNING_30,
        "expires": DAY,
        "days_left": 12,
        **changes,
    }
    return catalogue.render(NoticeContext(locale=locale, **fields)).body


@pytest.mark.parametrize(
    "locale", ["nb", "nb-NO", "nb_NO.UTF-8", "nn", "nn_NO", "no", "no-NO", "se", "se-NO"]
)
def test_bokmaal_texts_have_bokmaal_dates_whoever_of_norway_reads_them(locale: str) -> None:
    """
    Babel itself finds no language for `nn_NO`, and Northern Sami dates for `se`.
    """
    assert "first_aid utløper 24. november 2026 (om 12 dager)" in body(CATALOGUE, locale)


@pytest.mark.parametrize(
    ("locale", "written"),
    [
        ("en", "November 24, 2026"),
        ("en-US", "November 24, 2026"),
        ("en_GB", "24 November 2026"),
        ("EN-gb", "24 November 2026"),
        ("en-NO", "24 November 2026"),
        ("en-ZZ", "November 24, 2026"),
        ("en-x-own", "November 24, 2026"),
        ("en_US_POSIX", "November 24, 2026"),
    ],
)
def test_english_dates_are_those_of_the_reader_s_region(locale: str, written: str) -> None:
    """
    And English for whatever region Babel does not know.
    """
    assert f"expires on {written} (in 12 days)" in body(CATALOGUE, locale)


@pytest.mark.parametrize("locale", [None, "", "fr-CA", "xx", "?", "-", "ar", "日本語", "\ud800", "x" * 300])
def test_everything_unknown_is_told_in_the_default_language_dates_included(locale: str | None) -> None:
    """
    Babel knows French; a French date in a Bokmål sentence helps nobody.
    """
    assert "24. november 2026 (om" in body(CATALOGUE, locale)
    assert "November 24, 2026 (in" in body(BabelCatalogue(default="en"), locale)


def test_a_host_s_language_has_its_dates_without_a_list_of_months() -> None:
    """
    Added as to any catalogue, which stays a catalogue with Babel's dates.
    """
    german = CATALOGUE.with_language("de", attrs.evolve(ENGLISH, months=("",) * 12))

    assert isinstance(german, BabelCatalogue)
    assert "24. November 2026" in body(german, "de-CH")


def test_a_language_that_babel_does_not_know_keeps_its_own_dates() -> None:
    """
    A tag of a host's own invention.
    """
    plain = CATALOGUE.with_language("x-plain", attrs.evolve(ENGLISH, date_format="{year}/{month}/{day}"))

    assert "expires on 2026/November/24" in body(plain, "x-plain")


def test_a_date_says_as_much_as_the_catalogue_says() -> None:
    """
    By Unicode's own words for it.
    """
    assert "utløper tirsdag 24. november 2026" in body(BabelCatalogue(date_style="full"), "nb")
    assert "expires on 24/11/2026" in body(BabelCatalogue(date_style="short"), "en-GB")


def test_a_style_that_there_is_not_is_refused_at_once() -> None:
    """
    Before the night.
    """
    style: Any = "tiny"
    with pytest.raises(ValueError, match="date_style"):
        BabelCatalogue(date_style=style)


def test_without_babel_s_dates_everything_is_as_before() -> None:
    """
    The core needs no extra.
    """
    assert NORWEGIAN is MessageCatalogue().language_for("nb")
    assert "24 November 2026" in body(MessageCatalogue(), "en")
    assert NORWEGIAN.dates is None
