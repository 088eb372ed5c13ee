"""
A catalogue that writes dates as the reader's region does.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache, partial
from typing import Final, Literal, TypeAlias

import attrs
from babel import Locale, UnknownLocaleError
from babel.dates import format_date

from proxy_orchestration.notification.languages import Language
from proxy_orchestration.notification.messages import MessageCatalogue, language_tag

DateStyle: TypeAlias = Literal["full", "long", "medium", "short"]
"""
How much a date says, by Unicode's own words: `long` is 24. november 2026.
"""

_STYLES: Final[tuple[DateStyle, ...]] = ("full", "long", "medium", "short")


@attrs.frozen(kw_only=True, eq=False)
class BabelCatalogue(MessageCatalogue):
    """
    A `MessageCatalogue` that writes dates with Babel: in the text's language and the reader's region.

    A date is always in the language of the text around it: a reader of `nn`, `no` or `se` gets
    Bokmål texts with Bokmål dates. A language that Babel does not know keeps its own dates.

    Attributes:
        date_style: Babel's style of dates, such as `long`.
    """

    date_style: DateStyle = attrs.field(default="long", validator=attrs.validators.in_(_STYLES))

    def language_for(self, locale: str | None) -> Language:
        """
        Return the closest language, with the dates of the reader's region.
        """
        tag = self.tag_for(locale)
        found = _region_of(tag, "" if locale is None else language_tag(locale))
        return self.languages[tag] if found is None else _dated(self.languages[tag], found, self.date_style)


@lru_cache(maxsize=512)
def _region_of(tag: str, locale: str) -> Locale | None:
    """
    Return the reader's own locale if it is of that tag's language, else the tag's.
    """
    for name in (locale, tag):
        try:
            found = Locale.parse(name, sep="-")
        except (ValueError, UnknownLocaleError):
            continue
        if found.language == tag.partition("-")[0]:
            return found
    return None


@lru_cache(maxsize=512)
def _dated(language: Language, locale: Locale, style: DateStyle) -> Language:
    write: partial[str] = partial(_write, style, locale)
    return attrs.evolve(language, dates=write)


def _write(style: DateStyle, locale: Locale, day: date) -> str:
    return format_date(day, format=style, locale=locale)
