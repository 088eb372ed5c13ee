"""
The time for which a run has been driven, and what is left of its budget.
"""

from __future__ import annotations

import math

import attrs

from proxy_orchestration.registration.execution.run_context import RunContext


def _now(budget: TimeBudget) -> float:
    return budget.context.clock.monotonic()


@attrs.define(eq=False, kw_only=True)
class TimeBudget:
    """
    The time budget of a run, as far as this driver knows it: it counts from the run's first call.
    """

    context: RunContext
    _acquired_at: float = attrs.field(default=attrs.Factory(_now, takes_self=True), init=False)

    def driven(self) -> float:
        """
        Return the seconds since this driver's first call.
        """
        first_call_at = self.context.state.first_call_at
        return 0.0 if first_call_at is None else _now(self) - first_call_at

    def left(self) -> float:
        """
        Return the seconds that are left; infinite without a budget.
        """
        budget, lease = self.context.settings.time_budget, self.context.lease
        if budget is None:
            return math.inf
        if lease.since_first_call is None:
            return budget - lease.driven_for - self.driven()
        return budget - lease.since_first_call - (_now(self) - self._acquired_at)
