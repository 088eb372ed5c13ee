"""
Counts what a run did; bounded, whatever the number of certificates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs

from proxy_orchestration.notification.results import (
    OrchestrationResult,
    RecordOutcome,
    RecordProblem,
    RecordState,
    SkipReason,
)
from proxy_orchestration.notification.tiers import NotificationThresholdTier


@attrs.define(eq=False, kw_only=True)
class Tally:
    """
    The counts of one run.

    Attributes:
        most_problems: failures and data-quality entries that are kept.
        missed: tiers that passed without a notice, among created ones.
    """

    most_problems: int
    missed: Counter[NotificationThresholdTier] = attrs.field(factory=Counter)
    error_codes: Counter[str] = attrs.field(factory=Counter)
    _states: Counter[RecordState] = attrs.field(factory=Counter)
    _by_tier: Counter[NotificationThresholdTier] = attrs.field(factory=Counter)
    _reasons: Counter[SkipReason] = attrs.field(factory=Counter)
    _queued: int = 0
    _failures: list[RecordProblem] = attrs.field(factory=list)
    _data_quality: dict[RecordProblem, None] = attrs.field(factory=dict)

    def take(self, outcomes: Iterable[RecordOutcome]) -> None:
        """
        Count how certificates ended.
        """
        for outcome in outcomes:
            self._states[outcome.state] += 1
            self._queued += outcome.queued
            if outcome.state is RecordState.CREATED and outcome.tier is not None:
                self._by_tier[outcome.tier] += 1
            elif outcome.reason is not None:
                self._reasons[outcome.reason] += 1
            else:
                self.error_codes[outcome.code] += 1
                if len(self._failures) < self.most_problems:
                    self._failures.append(RecordProblem(outcome.mentor_id, outcome.code))

    def report(self, problems: Iterable[RecordProblem]) -> None:
        """
        Note what somebody should mend, each once.
        """
        for problem in problems:
            if len(self._data_quality) < self.most_problems:
                self._data_quality[problem] = None

    def result(self) -> OrchestrationResult:
        """
        Return the counts as they are now.
        """
        return OrchestrationResult(
            processed=self._states.total(),
            created=self._states[RecordState.CREATED],
            skipped=self._states[RecordState.SKIPPED],
            failed=self._states[RecordState.FAILED],
            queued=self._queued,
            by_tier=dict(self._by_tier),
            skipped_by_reason=dict(self._reasons),
            missed_tiers=dict(self.missed),
            failures=tuple(self._failures),
            data_quality=tuple(self._data_quality),
        )
