"""
A loop that cannot do its work: how long it waits, and how often it logs that. Pure, no I/O.
"""

from __future__ import annotations

from typing import Final

import attrs

_LONGEST_PAUSE: Final = 10.0
_MOST_DOUBLINGS: Final = 20
_FIRST_SILENCE: Final = 60.0
_LONGEST_SILENCE: Final = 3600.0


@attrs.define(eq=False)
class Outage:
    """
    What keeps one loop from its work, from the first failure to the first success.

    Attributes:
        failures: in a row; 0 while all is well.
    """

    failures: int = attrs.field(default=0, init=False)
    _began: float = attrs.field(default=0.0, init=False)
    _said: str = attrs.field(default="", init=False)
    _say_again: float = attrs.field(default=0.0, init=False)
    _silence: float = attrs.field(default=_FIRST_SILENCE, init=False)

    def note(self, error: BaseException, *, now: float) -> bool:
        """
        Note a failure; return whether to say so: at first, when it is another, and ever more rarely.
        """
        if not self.failures:
            self._began, self._silence = now, _FIRST_SILENCE
        kind = type(error).__name__
        is_news = not self.failures or kind != self._said
        self.failures += 1
        if not is_news and now < self._say_again:
            return False
        self._said, self._say_again = kind, now + self._silence
        self._silence = min(2 * self._silence, _LONGEST_SILENCE)
        return True

    def pause(self, usual: float) -> float:
        """
        Return how long to wait: as ever, and after failures twice as long each time, up to ten seconds.
        """
        doublings = min(max(0, self.failures - 1), _MOST_DOUBLINGS)
        return min(usual * 2.0**doublings, max(usual, _LONGEST_PAUSE))

    def end(self, *, now: float) -> float | None:
        """
        Note a success; return how many seconds an outage lasted that ends with it.
        """
        if not self.failures:
            return None
        self.failures = 0
        return now - self._began
