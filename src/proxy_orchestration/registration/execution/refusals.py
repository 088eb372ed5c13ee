"""
Refused calls for many, over all workers of a run: when to pause, and when to give up.
"""

from __future__ import annotations

from typing import Final

import attrs

from proxy_orchestration._backoff import RetryPolicy

_ALIKE: Final = 3
"""Rows that stand alone and fail alike before the others count as failed too; decision 113."""

_MOST_IN_A_ROW: Final = 24
"""Calls for many that are refused one after the other, before all rows are asked alone."""


@attrs.define(eq=False)
class Refusals:
    """
    What was refused without a stated reason since a call for many was last answered.

    Attributes:
        calls: calls for many, one after the other.
    """

    calls: int = 0
    _kind: type[BaseException] | None = None
    _rows: int = 0

    def refused(self) -> None:
        """
        Count a call for many.
        """
        self.calls += 1

    def failed_alone(self, error: BaseException) -> None:
        """
        Count a row that was refused among many and failed alone as well.
        """
        self._rows = self._rows + 1 if type(error) is self._kind else 1
        self._kind = type(error)

    def answered(self) -> None:
        """
        Forget them: the service does answer.
        """
        self.calls = self._rows = 0

    def condemns(self, error: BaseException) -> bool:
        """
        Tell whether rows that are refused for this error need not be asked alone any more.
        """
        return self._rows >= _ALIKE and type(error) is self._kind

    @property
    def is_halving_in_vain(self) -> bool:
        """
        Tell whether calls for many are of no use, so that rows are asked alone.
        """
        return self.calls >= _MOST_IN_A_ROW

    def pause(self, policy: RetryPolicy, *, key: str) -> float:
        """
        Return the seconds before the next piece is asked; it grows as between attempts, and no further.
        """
        return policy.delay_before(max(2, min(self.calls + 1, policy.max_attempts)), key=key)
