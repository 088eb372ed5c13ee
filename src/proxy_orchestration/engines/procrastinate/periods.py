"""
Converts periods to cron lines as Procrastinate reads them, with five fields or six.
"""

from __future__ import annotations

from typing import Final

from proxy_orchestration.errors import InvalidValueError

_SIXTY: Final = 60


def every(name: str, seconds: float) -> str:
    """
    Return the line of cron for a period.

    Args:
        name: the argument, for the error.
        seconds: a divisor of a minute, or minutes that are one of an hour.

    Raises:
        InvalidValueError: it is neither; a line of cron cannot say it.
    """
    minutes = seconds / _SIXTY
    if _divides_sixty(seconds):
        return f"* * * * * */{int(seconds)}"
    if _divides_sixty(minutes):
        return f"*/{int(minutes)} * * * *"
    raise InvalidValueError(
        name, "must divide a minute or an hour evenly: give for example 5, 10, 60 or 300 seconds"
    )


def _divides_sixty(number: float) -> bool:
    return number == int(number) and 1 <= number < _SIXTY and _SIXTY % number == 0
