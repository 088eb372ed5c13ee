"""
Points in time on a store's clock, which may be set back after they were written.
"""

from __future__ import annotations

from typing import Final

CLOCK_SLACK: Final = 1.0
"""Seconds by which a stored moment may lie beyond its own length from now and count all the same."""


def remaining(until: float, length: float, now: float) -> float:
    """
    Return the seconds until a moment that was written as so long from then; 0 when it is over.

    One that is further off than it ever was is over too: it was written by a
    clock that has been set back since.
    """
    left = until - now
    return left if 0 < left <= length + CLOCK_SLACK else 0.0
