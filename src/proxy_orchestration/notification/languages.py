"""
The languages of notices, as data: texts by tier and audience, dates, days. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from string import Formatter
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs

from proxy_orchestration.notification.digests import DigestTexts
from proxy_orchestration.notification.labels import labels_by_code
from proxy_orchestration.notification.notices import Audience
from proxy_orchestration.notification.tiers import NotificationThresholdTier as Tier

TextKey: TypeAlias = tuple[Tier, Audience]
"""
Which text: how close the end is, and in which capacity the reader is told.
"""


def _is_template(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    name = f"{type(instance).__name__}.{attribute.name}"
    try:
        fields = [part[1:] for part in Formatter().parse(value) if part[1] is not None]
    except ValueError as error:
        msg = f"{name} is not a valid template: {error}; double a brace that is meant as text"
        raise ValueError(msg) from error
    if any(spec or conversion or not str(field).isidentifier() for field, spec, conversion in fields):
        msg = f"{name} must contain only plain fields, such as {{label}}"
        raise ValueError(msg)


@attrs.frozen
class TextTemplate:
    """
    A text with named fields in braces.

    These fields always have a value: `label` (the certificate), `date` (its last valid day), `when`
    (that day relative to today, such as "in 2 days"), `days` (the number of those days),
    `mentor_id`, and `holder` (the mentor's name, or the language's words for a mentor without one).
    These fields have a value if it is known: `holder_name`, `link`.

    Attributes:
        title: one line.
        body: the text.
    """

    title: str = attrs.field(validator=_is_template)
    body: str = attrs.field(validator=_is_template)


def _frozen(texts: Mapping[TextKey, TextTemplate]) -> Mapping[TextKey, TextTemplate]:
    return MappingProxyType(dict(texts))


def _has_all_texts(
    _instance: object, _attribute: attrs.Attribute[Any], value: Mapping[TextKey, object]
) -> None:
    needed = ((tier, reader) for tier in Tier for reader in (Audience.MENTOR, Audience.COORDINATOR))
    missing = [f"{tier.value} for {reader.value}" for tier, reader in needed if (tier, reader) not in value]
    if missing:
        msg = f"a language needs a text for each tier and audience; missing: {', '.join(missing)}"
        raise ValueError(msg)


@attrs.frozen(kw_only=True, eq=False)
class Language:
    """
    The texts and formats of notices in one language.

    Attributes:
        texts: the texts by tier and audience. All are needed for mentors and coordinators. Chapter
            admins without a text of their own get the coordinators' text.
        months: the names of the twelve months, in the form used in a date.
        date_format: a template with the fields `day`, `month` and `year`.
        when: a function that writes a number of days from today in words: 0 is today, positive is
            future, negative is past.
        unnamed: the words for a mentor without a known name.
        labels: names of certificate types by code; they take precedence over the catalogue's.
        digest: the texts of a coordinator's digest.
        dates: a function that writes a day, used instead of `months` and `date_format`; `None`:
            those are used.
    """

    texts: Mapping[TextKey, TextTemplate] = attrs.field(
        converter=_frozen, validator=_has_all_texts, repr=False
    )
    months: tuple[str, ...] = attrs.field(
        validator=[attrs.validators.min_len(12), attrs.validators.max_len(12)], repr=False
    )
    date_format: str = attrs.field(default="{day} {month} {year}", validator=_is_template)
    when: Callable[[int], str]
    unnamed: str
    labels: Mapping[str, str] = attrs.field(factory=dict, converter=labels_by_code)
    digest: DigestTexts
    dates: Callable[[date], str] | None = None

    def text(self, tier: Tier, audience: Audience) -> TextTemplate:
        """
        Return the text for this tier and audience.
        """
        own = self.texts.get((tier, audience))
        return self.texts[tier, Audience.COORDINATOR] if own is None else own

    def write_date(self, day: date) -> str:
        """
        Return the day in words.
        """
        if self.dates is not None:
            return self.dates(day)
        return self.date_format.format(day=day.day, month=self.months[day.month - 1], year=day.year)


def _norwegian_when(days: int) -> str:
    if days == 0:
        return "i dag"
    count = f"{abs(days)} dag" if abs(days) == 1 else f"{abs(days)} dager"
    return f"om {count}" if days > 0 else f"for {count} siden"


def _english_when(days: int) -> str:
    if days == 0:
        return "today"
    count = f"{abs(days)} day" if abs(days) == 1 else f"{abs(days)} days"
    return f"in {count}" if days > 0 else f"{count} ago"


NORWEGIAN: Final = Language(
    months=(
        "januar",
        "februar",
        "mars",
        "april",
        "mai",
        "juni",
        "juli",
        "august",
        "september",
        "oktober",
        "november",
        "desember",
    ),
    date_format="{day}. {month} {year}",
    when=_norwegian_when,
    unnamed="en likeperson",
    texts={
        (Tier.ADVANCE_60, Audience.MENTOR): TextTemplate(
            "{label} utløper {date}",
            "Sertifikatet ditt for {label} utløper {date} ({when}). Du har god tid til å finne et kurs.",
        ),
        (Tier.WARNING_30, Audience.MENTOR): TextTemplate(
            "Husk å fornye {label}",
            "Sertifikatet ditt for {label} utløper {date} ({when}). Meld deg på et kurs, så rekker du det.",
        ),
        (Tier.URGENT_7, Audience.MENTOR): TextTemplate(
            "Det haster: {label} utløper {date}",
            "Sertifikatet ditt for {label} utløper {date} ({when}). Forny det nå.",
        ),
        (Tier.LAPSED, Audience.MENTOR): TextTemplate(
            "{label} har utløpt",
            "Sertifikatet ditt for {label} utløp {date}. Forny det for å fortsette som likeperson.",
        ),
        (Tier.ADVANCE_60, Audience.COORDINATOR): TextTemplate(
            "Et sertifikat utløper {date}",
            "Sertifikatet til {holder} for {label} utløper {date} ({when}).",
        ),
        (Tier.WARNING_30, Audience.COORDINATOR): TextTemplate(
            "Et sertifikat bør fornyes før {date}",
            "Sertifikatet til {holder} for {label} utløper {date} ({when}). Minn gjerne om fornyelsen.",
        ),
        (Tier.URGENT_7, Audience.COORDINATOR): TextTemplate(
            "Det haster: et sertifikat utløper {date}",
            "Sertifikatet til {holder} for {label} utløper {date} ({when}). Ta kontakt og avtal fornyelse.",
        ),
        (Tier.LAPSED, Audience.COORDINATOR): TextTemplate(
            "Et sertifikat har utløpt",
            "Sertifikatet til {holder} for {label} utløp {date}. Ta kontakt og avtal fornyelse.",
        ),
    },
    digest=DigestTexts(),
)
"""
Norwegian Bokmål.
"""

ENGLISH: Final = Language(
    months=(
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
    when=_english_when,
    unnamed="a peer mentor",
    texts={
        (Tier.ADVANCE_60, Audience.MENTOR): TextTemplate(
            "{label} expires on {date}",
            "Your certificate for {label} expires on {date} ({when}). There is time to find a course.",
        ),
        (Tier.WARNING_30, Audience.MENTOR): TextTemplate(
            "Remember to renew {label}",
            "Your certificate for {label} expires on {date} ({when}). Sign up for a course in time.",
        ),
        (Tier.URGENT_7, Audience.MENTOR): TextTemplate(
            "Urgent: {label} expires on {date}",
            "Your certificate for {label} expires on {date} ({when}). Renew it now.",
        ),
        (Tier.LAPSED, Audience.MENTOR): TextTemplate(
            "{label} has expired",
            "Your certificate for {label} expired on {date}. Renew it to go on as a peer mentor.",
        ),
        (Tier.ADVANCE_60, Audience.COORDINATOR): TextTemplate(
            "A certificate expires on {date}",
            "The certificate of {holder} for {label} expires on {date} ({when}).",
        ),
        (Tier.WARNING_30, Audience.COORDINATOR): TextTemplate(
            "A certificate is to be renewed by {date}",
            "The certificate of {holder} for {label} expires on {date} ({when}). Please remind them of it.",
        ),
        (Tier.URGENT_7, Audience.COORDINATOR): TextTemplate(
            "Urgent: a certificate expires on {date}",
            "The certificate of {holder} for {label} expires on {date} ({when}). Get in touch now.",
        ),
        (Tier.LAPSED, Audience.COORDINATOR): TextTemplate(
            "A certificate has expired",
            "The certificate of {holder} for {label} expired on {date}. Get in touch and arrange a renewal.",
        ),
    },
    digest=DigestTexts(
        title="Certificates that expire",
        lines={
            Tier.LAPSED: "Expired: {count}",
            Tier.URGENT_7: "Expire within {days} days: {count}",
            Tier.WARNING_30: "Expire within {days} days: {count}",
            Tier.ADVANCE_60: "Expire within {days} days: {count}",
        },
    ),
)
"""
English.
"""

LANGUAGES: Final[Mapping[str, Language]] = MappingProxyType({"nb": NORWEGIAN, "en": ENGLISH})
"""
The languages that come with the library, by their tags.
"""
