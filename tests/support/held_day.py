"""
One day for a whole test: midnight does not strike between what it writes and what it reads.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest

from proxy_orchestration.clock import SystemClock

_LAST_MINUTES = 50
_AHEAD = """
from datetime import UTC, datetime, timedelta
from proxy_orchestration.cli import main
from proxy_orchestration.clock import SystemClock
SystemClock.now = lambda _clock: datetime.now(UTC) + timedelta(seconds={.seconds})
main()
"""


def hold_the_day(monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """
    Let this process's commands run when no day ends soon: near the end of an hour they are in the next one.

    Returns:
        How far they are ahead, for `program`.
    """
    ahead = timedelta(minutes=10) if datetime.now(UTC).minute >= _LAST_MINUTES else timedelta(0)
    monkeypatch.setattr(SystemClock, "now", lambda _clock: datetime.now(UTC) + ahead)
    return ahead


def program(ahead: timedelta) -> list[str]:
    """
    Return how Python starts the command line in a process of its own, as far ahead as this one.
    """
    return ["-c", _AHEAD.format(ahead)] if ahead else ["-m", "proxy_orchestration"]


def dated(text: str, today: date) -> str:
    """
    Write dates for the `today+5` of an example, for processes that read it on two days.
    """
    return re.sub(r"today([+-]\d+)?", lambda found: str(today + timedelta(days=int(found[1] or 0))), text)
