"""
Reads days and moments as people write them in a file: `2026-11-21`, `21.11.2026`, `today-3`.

Another way to write a date is added here, and nowhere else.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Final, TypeAlias

from proxy_orchestration.cli.csv.problems import CellError, quoted

_DAY: Final = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]00:00(?::00(?:\.0{1,6})?)?(?:[Zz]|[+-]00(?::?00)?)?)?"
)
"""A day, also as a program exports it that has moments only: as its midnight."""

_DAY_FIRST: Final = re.compile(r"(?P<day>[0-9]{1,2})\.(?P<month>[0-9]{1,2})\.(?P<year>[0-9]{4})")
_SLASHES: Final = re.compile(r"[0-9]{1,4}/[0-9]{1,2}/[0-9]{1,4}(?: .*)?")
_AMBIGUOUS: Final = (
    "is ambiguous: the day or the month may come first. Format the column as YYYY-MM-DD before saving."
)
_RELATIVE: Final = re.compile(r"today(?: *(?P<sign>[+-]) *(?P<days>[0-9]{1,5}))?", re.IGNORECASE)
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)"
)


NEVER: Final = date.max
"""The end of what has none."""

_NO_END: Final = frozenset({"never", "no end"})

When: TypeAlias = date | timedelta
"""A day or a moment, or how long after today it is."""


def resolved(when: When, today: date) -> date:
    """
    Return the day or the moment that is meant on that day.
    """
    if isinstance(when, date):
        return when
    try:
        return today + when
    except OverflowError:
        msg = f"today{when.days:+} is not a date: it is outside the calendar. Write a nearer date."
        raise CellError(msg) from None


def relative_days(text: str) -> int | None:
    """
    Return how many days after today the text means; `None` where it is not about today.
    """
    found = _RELATIVE.fullmatch(text)
    return None if found is None else int(f"{found['sign'] or ''}{found['days'] or 0}")


def day(text: str, *, advice: str = "is not a date. Write YYYY-MM-DD, today, today-3 or today+5.") -> When:
    """
    Return the day that the text names.
    """
    days = relative_days(text)
    if days is not None:
        return timedelta(days=days)
    try:
        if found := _DAY.fullmatch(text):
            return date.fromisoformat(found["day"])
        if found := _DAY_FIRST.fullmatch(text):
            return date(int(found["year"]), int(found["month"]), int(found["day"]))
    except ValueError:
        pass  # the calendar has no such day
    msg = f"{quoted(text)} {_AMBIGUOUS if _SLASHES.fullmatch(text) else advice}"
    raise CellError(msg)


def day_or_moment(text: str) -> When:
    """
    Return the last day, or the moment, that the text names.
    """
    advice = (
        "is not an end date. Write YYYY-MM-DD, today, today-3, today+5, "
        "a moment with its offset such as 2026-11-21T12:00+01:00, or never."
    )
    if text.casefold() in _NO_END:
        return NEVER
    if _MOMENT.fullmatch(text) is None:
        return day(text, advice=advice)
    try:
        return datetime.fromisoformat(text.upper())  # Python takes no lower-case z
    except ValueError:
        msg = f"{quoted(text)} {advice}"
        raise CellError(msg) from None
