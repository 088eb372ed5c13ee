"""
Days from today, in languages with more forms than one and many.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest

pytest.importorskip("babel")

from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.i18n import BabelCatalogue, counted_days
from proxy_orchestration.notification.digests import DigestTexts
from proxy_orchestration.notification.languages import ENGLISH, TextTemplate
from proxy_orchestration.notification.messages import NoticeContext
from proxy_orchestration.notification.notices import Audience
from proxy_orchestration.notification.records import CertificateEnd
from proxy_orchestration.notification.tiers import NotificationThresholdTier

AHEAD = {
    "one": "za {days} dzień",
    "few": "za {days} dni",
    "many": "za {days} dni!",
    "other": "za {days} dnia",
}
PAST = {form: text.replace("za ", "") + " temu" for form, text in AHEAD.items()}


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (0, "dziś"),
        (1, "za 1 dzień"),
        (2, "za 2 dni"),
        (5, "za 5 dni!"),
        (12, "za 12 dni!"),
        (22, "za 22 dni"),
        (25, "za 25 dni!"),
        (-1, "1 dzień temu"),
        (-3, "3 dni temu"),
        (-12_345, "12\xa0345 dni! temu"),
    ],
)
def test_polish_has_its_own_forms_and_digits(days: int, told: str) -> None:
    """
    Two are few, twelve are many, twenty-two are few again.
    """
    when = counted_days("pl-PL", today="dziś", ahead=AHEAD, past=PAST)

    assert told == when(days)
    assert told == attrs.evolve(ENGLISH, when=when).when(days)


def test_a_language_without_forms_has_the_one_that_every_language_has() -> None:
    """
    Japanese counts all days alike.
    """
    when = counted_days("ja", today="今日", ahead={"other": "{days}日後"}, past={"other": "{days}日前"})

    assert ["1日後", "40日後", "2日前"] == [when(days) for days in (1, 40, -2)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"locale": "xx-YY"}, "not a locale that Babel knows"),
        ({"locale": ""}, "not a locale that Babel knows"),
        ({"ahead": {"one": "1", "other": "2"}}, "few, many, one, other"),
        ({"past": {**PAST, "two": "dwa"}}, "few, many, one, other"),
        ({"past": {**PAST, "few": "{count}"}}, r"few: must not have a field other than \{days\}"),
        ({"ahead": {**AHEAD, "many": "{days"}}, "many: is not a valid template"),
    ],
)
def test_what_would_fail_in_the_night_is_refused_at_once(changes: dict[str, Any], said: str) -> None:
    """
    A form that only comes with five days left, too.
    """
    given: dict[str, Any] = {"locale": "pl", "today": "dziś", "ahead": AHEAD, "past": PAST, **changes}

    with pytest.raises(InvalidValueError, match=said):
        counted_days(given.pop("locale"), **given)


@pytest.mark.parametrize(("count", "days"), [(1, 1), (2, 3), (5, 12), (22, 22)])
def test_a_digest_names_types_in_a_language_of_any_number_of_forms(count: int, days: int) -> None:
    """
    As the notices of that language do, however many certificates it is about and however many days are left.
    """
    texts = {
        (tier, audience): TextTemplate("{label}", "{label} {when}")
        for tier in NotificationThresholdTier
        for audience in Audience
    }
    polish = attrs.evolve(
        ENGLISH,
        texts=texts,
        when=counted_days("pl", today="dziś", ahead=AHEAD, past=PAST),
        labels={"first_aid": "pierwsza pomoc"},
        digest=DigestTexts(title="Certyfikaty"),
    )
    catalogue = BabelCatalogue(labels={"first_aid": "First aid"}).with_language("pl", polish)
    notice = NoticeContext(
        mentor_id="m-1",
        certificate_type="first_aid",
        tier=NotificationThresholdTier.WARNING_30,
        expires=date(2026, 3, 4),
        days_left=days,
        locale="pl-PL",
    )
    ends = [
        CertificateEnd(mentor_id="m-1", certificate_type=each, ends_at=datetime(2026, 3, 5, tzinfo=UTC))
        for each in ("first_aid", "driving")
    ]

    body = catalogue.digest_texts("pl-PL").body({NotificationThresholdTier.WARNING_30: count}, ends)

    assert catalogue.render(notice).body.startswith(f"pierwsza pomoc za {days} ")
    assert body.splitlines()[1:] == ["2026-03-04: pierwsza pomoc, m-1", "2026-03-04: driving, m-1"]
    assert "First aid" in catalogue.digest_texts("en-GB").body({}, ends)
