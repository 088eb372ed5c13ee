"""
Computes a small plot of nightly runs: numbers in, positions in a drawing out. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta, tzinfo
from typing import Final

import attrs

from proxy_orchestration.notification.run_log import RunRecord

WIDTH: Final = 720
HEIGHT: Final = 160
_FLOOR: Final = 136
_CEILING: Final = 12


@attrs.frozen(kw_only=True)
class Night:
    """
    What the runs of one day did, and where it is drawn.

    Attributes:
        day: the calendar day, in the console's zone.
        runs: how many there were; none is a night that was missed.
        created, failed: certificates, over all runs of the day.
        x, width: of its bars.
        created_top, created_height, failed_top, failed_height: of each bar.
    """

    day: date
    runs: int
    created: int
    failed: int
    x: float
    width: float
    created_top: float
    created_height: float
    failed_top: float
    failed_height: float


def nights_of(runs: Sequence[RunRecord], *, timezone: tzinfo, until: date, days: int) -> Sequence[Night]:
    """
    Return the days up to and with `until`, the oldest first, with the bars of their runs.
    """
    by_day: dict[date, list[RunRecord]] = {}
    for run in runs:
        by_day.setdefault(run.started_at.astimezone(timezone).date(), []).append(run)
    shown = [until - timedelta(days=back) for back in reversed(range(days))]
    sums = [_sums(by_day.get(day, ())) for day in shown]
    highest = max((created + failed for _, created, failed in sums), default=0) or 1
    scale = (_FLOOR - _CEILING) / highest
    step = WIDTH / days
    return [
        _night(day, counts, x=place * step, width=step * 0.7, scale=scale)
        for place, (day, counts) in enumerate(zip(shown, sums, strict=True))
    ]


def _sums(runs: Sequence[RunRecord]) -> tuple[int, int, int]:
    return len(runs), sum(run.created for run in runs), sum(run.failed for run in runs)


def _night(day: date, counts: tuple[int, int, int], *, x: float, width: float, scale: float) -> Night:
    runs, created, failed = counts
    created_height, failed_height = round(created * scale, 1), round(failed * scale, 1)
    return Night(
        day=day,
        runs=runs,
        created=created,
        failed=failed,
        x=round(x, 1),
        width=round(width, 1),
        created_top=round(_FLOOR - created_height, 1),
        created_height=created_height,
        failed_top=round(_FLOOR - created_height - failed_height, 1),
        failed_height=failed_height,
    )


def missed_in(nights: Sequence[Night]) -> int:
    """
    Return how many days between the first run that is shown and the last day had none; that day is not over.
    """
    first = next((place for place, night in enumerate(nights) if night.runs), len(nights))
    return sum(night.runs == 0 for night in nights[first:-1])
