"""
Counts calls that fail in a row for the same reason, to pause a run automatically.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import (
    DuplicateActivityError,
    OutcomeUnknownError,
    RegistrationRejected,
    RegistrationUnavailable,
)
from proxy_orchestration.registration.reasons import UNAVAILABLE, UNEXPECTED, UNKNOWN
from proxy_orchestration.registration.settings import BulkSettings


@attrs.define(eq=False, kw_only=True)
class FailureStreak:
    """
    The last calls of one run, as far as they failed alike.

    Attributes:
        after: how many of them are too many.
        window: within how many seconds.
        clock: whose seconds count.
        on_reached: told the code that they failed with, at each further one as well.
    """

    after: int
    window: float
    clock: Clock
    on_reached: Callable[[str], None] = attrs.field(default=lambda _: None)
    _code: str = attrs.field(default="", init=False)
    _failed_at: deque[float] = attrs.field(init=False)

    @classmethod
    def under(cls, settings: BulkSettings, clock: Clock) -> FailureStreak | None:
        """
        Return where failures are counted, `None` if no run pauses itself.
        """
        if settings.pause_after_failures is None:
            return None
        return cls(after=settings.pause_after_failures, window=settings.pause_window, clock=clock)

    def __attrs_post_init__(self) -> None:
        self._failed_at = deque(maxlen=self.after)

    def end(self) -> None:
        """
        Note a call that was answered as it should be.
        """
        self._failed_at.clear()

    def note(self, code: str) -> None:
        """
        Note a call that failed for that reason.
        """
        if code != self._code:
            self._failed_at.clear()
        self._code = code
        self._failed_at.append(self.clock.monotonic())
        is_full = len(self._failed_at) == self.after
        if is_full and self._failed_at[-1] - self._failed_at[0] <= self.window:
            self.on_reached(code)

    def note_error(self, error: BaseException) -> None:
        """
        Note a call that ended with that error; a duplicate is an answer like another.
        """
        match error:
            case DuplicateActivityError():
                self.end()
            case RegistrationRejected():
                self.note(error.code)
            case RegistrationUnavailable():
                self.note(UNAVAILABLE.code)
            case OSError() | OutcomeUnknownError():
                self.note(UNKNOWN.code)
            case _:
                self.note(UNEXPECTED.code)
