"""
The languages of the pages: Babel's catalogues of texts, and formats of dates and numbers.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from functools import cache
from importlib import resources
from typing import Final

import attrs
from babel import Locale
from babel.dates import format_date, format_skeleton, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations

LANGUAGES: Final[Mapping[str, str]] = {"en": "English", "nb": "Norsk bokmål"}
"""The languages, each by its own name; the words in the code are English."""

_READS: Final[Mapping[str, str]] = {"en": "en", "nb": "nb", "nn": "nb", "no": "nb", "se": "nb"}


def marked(text: str) -> str:
    """
    Return the text; it stands in the catalogues, and is translated where it is shown.
    """
    return text


@cache
def translations(language: str) -> NullTranslations:
    """
    Return the words of a language, read from the text that translators edit.

    No compiled catalogue is shipped: it would have to be made before a wheel is, and could be older
    than the text; decision 281.
    """
    if language == "en":
        return NullTranslations()
    text = resources.files("proxy_orchestration.console").joinpath(f"locale/{language}.po").read_bytes()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(text), locale=language))
    compiled.seek(0)
    return Translations(compiled)


@attrs.frozen(kw_only=True)
class Words:
    """
    How one visitor is told things.

    Attributes:
        language: a key of `LANGUAGES`.
        timezone: in which moments are shown.
    """

    language: str
    timezone: tzinfo

    def text(self, message: str) -> str:
        """
        Return the message in the language; itself where the catalogue lacks it, as a service's own words.
        """
        # The empty text is the catalogue's own header.
        return translations(self.language).gettext(message) if message else ""

    @property
    def is_english(self) -> bool:
        """
        Tell whether it is the language of the code.
        """
        return self.language == "en"

    def day(self, value: date) -> str:
        """
        Return a calendar day, with the month's name.
        """
        return format_date(value, format="medium", locale=self._locale)

    def short_day(self, value: date) -> str:
        """
        Return a calendar day without its year, for the foot of a plot.
        """
        return format_skeleton("MMMd", value, locale=self._locale)

    def moment(self, value: datetime) -> str:
        """
        Return a moment in the console's zone.
        """
        there = value.astimezone(self.timezone)
        return f"{self.day(there.date())} {format_time(there.time(), format='HH:mm', locale=self._locale)}"

    def number(self, value: int) -> str:
        """
        Return a number with its groups of digits.
        """
        return format_decimal(value, locale=self._locale)

    @property
    def zone_name(self) -> str:
        """
        Return what the zone is called.
        """
        return str(self.timezone)

    @property
    def _locale(self) -> Locale:
        return Locale.parse("en_GB" if self.language == "en" else self.language)


def chosen(cookie: str | None, accepted: str, default: str) -> str:
    """
    Return the language: the chosen one, else the first that the browser asks for and we have.

    Args:
        cookie: what was chosen before, if anything.
        accepted: the header `Accept-Language`.
        default: where neither names a language that there is.
    """
    if cookie is not None and cookie in LANGUAGES:
        return cookie
    for tag in _by_weight(accepted):
        language = _READS.get(tag.partition("-")[0].lower())
        if language is not None:
            return language
    return default


def _by_weight(accepted: str) -> list[str]:
    weighted: list[tuple[float, str]] = []
    for part in accepted.split(","):
        tag, _, rest = part.strip().partition(";")
        weighted.append((-_weight(rest), tag.strip()))
    return [tag for weight, tag in sorted(weighted, key=lambda pair: pair[0]) if weight < 0]


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
