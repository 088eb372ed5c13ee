from datetime import date

import attrs
import pytest

from proxy_orchestration.notification.languages import ENGLISH, NORWEGIAN, TextTemplate
from proxy_orchestration.notification.notices import Audience
from proxy_orchestration.notification.tiers import NotificationThresholdTier as Tier


@pytest.mark.parametrize(
    ("language", "left", "text"),
    [
        (NORWEGIAN, -1, "for 1 dag siden"),
        (NORWEGIAN, -3, "for 3 dager siden"),
        (ENGLISH, -1, "1 day ago"),
        (ENGLISH, -3, "3 days ago"),
    ],
)
def test_a_language_can_also_say_how_long_ago(language, left, text):
    """
    For hosts whose text of a lapsed certificate says it.
    """
    assert text == language.when(left)


@pytest.mark.parametrize(
    ("month", "nb", "en"),
    [(1, "januar", "January"), (3, "mars", "March"), (5, "mai", "May"), (12, "desember", "December")],
)
def test_months_have_names_of_our_own(month, nb, en):
    """
    Whatever locale the machine has.
    """
    day = date(2027, month, 31)

    assert f"31. {nb} 2027" == NORWEGIAN.write_date(day)
    assert f"31 {en} 2027" == ENGLISH.write_date(day)


def test_a_language_needs_every_text():
    """
    The error names what is missing.
    """
    texts = {key: text for key, text in ENGLISH.texts.items() if key != (Tier.LAPSED, Audience.MENTOR)}

    with pytest.raises(ValueError, match=r"missing: lapsed for mentor$"):
        attrs.evolve(ENGLISH, texts=texts)


def test_a_language_needs_twelve_months():
    """
    Or a notice of December would fail in December.
    """
    with pytest.raises(ValueError, match="months"):
        attrs.evolve(ENGLISH, months=ENGLISH.months[:11])


@pytest.mark.parametrize(
    "text", ["{label", "label}", "{}", "{0}", "{label!r}", "{label:>9}", "{label.__class__}"]
)
def test_a_template_holds_plain_names_only(text):
    """
    A text is data: it cannot reach into the values it is given.
    """
    with pytest.raises(ValueError, match=r"TextTemplate\.body"):
        TextTemplate("fine", text)
