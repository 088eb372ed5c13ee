"""
Reads dates as people write them in a file: `2026-11-21`, `today`, `today-3` or `today+5`.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_RELATIVE: Final = re.compile(r"today(?: *(?P<sign>[+-]) *(?P<days>[0-9]{1,5}))?", re.IGNORECASE)


def relative_days(text: str) -> int | None:
    """
    Return how many days after today the text means; `None` where it is not about today.
    """
    found = _RELATIVE.fullmatch(text)
    return None if found is None else int(f"{found['sign'] or ''}{found['days'] or 0}")


def iso_date(text: str) -> date:
    """
    Return the day that the text names.

    Raises:
        ValueError: it is not written YYYY-MM-DD, or there is no such day.
    """
    if _ISO_DATE.fullmatch(text) is None:
        raise ValueError(text)
    return date.fromisoformat(text)
