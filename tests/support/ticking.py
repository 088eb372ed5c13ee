"""
A clock of a test's own by which nothing takes long.
"""

from __future__ import annotations

from proxy_orchestration.testing import FakeClock


class Ticking(FakeClock):
    """
    A clock by which the service answers within a few microseconds, however busy the machine is.
    """

    ticks = 0

    def monotonic(self) -> float:
        """
        Return seconds that have no fixed beginning.
        """
        self.ticks += 1
        return super().monotonic() + self.ticks / 1e6
