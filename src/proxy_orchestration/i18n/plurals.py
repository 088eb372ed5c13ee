"""
A number of days in words, in a language with any number of plural forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Formatter
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.numbers import format_decimal

from proxy_orchestration.errors import InvalidValueError

_OTHER: Final = "other"
"""The form that every language has, for whatever no other form is for."""


def counted_days(
    locale: str, *, today: str, ahead: Mapping[str, str], past: Mapping[str, str]
) -> Callable[[int], str]:
    """
    Return a function for `Language.when` that writes a number of days from today in words.

    Args:
        locale: the locale whose plural rules and digits are used, such as `pl`.
        today: the text for 0 days.
        ahead: the texts for future days, by Unicode's names of plural forms, such as `one`, `few`,
            `many` and `other`; each may have the field `{days}`.
        past: the texts for past days, in the same form.

    Raises:
        InvalidValueError: Babel does not know the locale, a plural form of the language is missing,
            a form does not exist in the language, or a text has another field.
    """
    known = _known(locale)
    forms = {*known.plural_form.tags, _OTHER}
    _check("ahead", ahead, forms)
    _check("past", past, forms)

    def when(days: int) -> str:
        if days == 0:
            return today
        number = abs(days)
        texts = ahead if days > 0 else past
        return texts[known.plural_form(number)].format(days=format_decimal(number, locale=known))

    return when


def _known(locale: str) -> Locale:
    try:
        return Locale.parse(locale, sep="-" if "-" in locale else "_")
    except (ValueError, UnknownLocaleError) as error:
        rule = f"{locale!r} is not a locale that Babel knows; give one such as pl or pl-PL"
        raise InvalidValueError("locale", rule) from error  # noqa: EM101 - an argument's name


def _check(name: str, texts: Mapping[str, str], forms: set[str]) -> None:
    if texts.keys() != forms:
        rule = f"must have exactly these plural forms: {', '.join(sorted(forms))}"
        raise InvalidValueError(name, rule)
    for form, text in texts.items():
        try:
            fields = {field for _, field, _, _ in Formatter().parse(text) if field is not None}
        except ValueError as error:
            rule = f"{form}: is not a valid template: {error}; double a brace that is meant as text"
            raise InvalidValueError(name, rule) from error
        if fields - {"days"}:
            rule = f"{form}: must not have a field other than {{days}}"
            raise InvalidValueError(name, rule)
