"""
One day for a whole test: midnight does not strike between what it writes and what it reads.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest

from proxy_orchestration.clock import SystemClock

_LAST_MINUTES = 50


def hold_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let this process's commands run when no day ends soon: near the end of an hour they are in the next one.

    Ahead, not back: what another process wrote before is earlier for them too. What they write
    may be later than the time of another process, so that such a process has to write it itself.
    """
    ahead = timedelta(minutes=10) if datetime.now(UTC).minute >= _LAST_MINUTES else timedelta(0)
    monkeypatch.setattr(SystemClock, "now", lambda _clock: datetime.now(UTC) + ahead)


def dated(text: str, today: date) -> str:
    """
    Write dates for the `today+5` of an example, for processes that read it on two days.
    """
    return re.sub(r"today([+-]\d+)?", lambda found: str(today + timedelta(days=int(found[1] or 0))), text)
