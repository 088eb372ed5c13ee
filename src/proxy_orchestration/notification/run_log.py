"""
What the log says of a run that ended, in whatever way. Immutable, no I/O.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration.notification.inbox_pages import place_of, text_of
from proxy_orchestration.notification.results import OrchestrationResult, SkipReason


class RunEnding(enum.Enum):
    """
    How a run ended.
    """

    COMPLETED = "completed"  # it read every certificate
    SOURCE_FAILED = "source_failed"  # the source of certificates raised an error; earlier ones were processed
    CANCELLED = "cancelled"  # its task was cancelled
    STOPPED = "stopped"  # the reader of its outcomes stopped reading


@attrs.frozen(kw_only=True)
class RunCounts(PlainModel):
    """
    The counts of certificates in a run; `processed` is the sum of created, skipped and failed.

    Attributes:
        processed, created, skipped, failed: as in the result.
        by_tier: the number of created notices by tier value.
        skipped_by_reason: skipped certificates by reason.
        error_codes: failures by code.
    """

    processed: int = 0
    created: int = 0
    skipped: int = 0
    failed: int = 0
    by_tier: Mapping[str, int] = attrs.field(factory=dict)
    skipped_by_reason: Mapping[str, int] = attrs.field(factory=dict)
    error_codes: Mapping[str, int] = attrs.field(factory=dict)

    @property
    def stopped_by_guard(self) -> int:
        """
        Return how many notices the resend guard deferred, because the last notice was too recent.
        """
        return self.skipped_by_reason.get(SkipReason.DEFERRED.value, 0)


def counts_of(result: OrchestrationResult, error_codes: Mapping[str, int]) -> Mapping[str, object]:
    """
    Return the fields of `RunCounts` for a result.
    """
    return {
        "processed": result.processed,
        "created": result.created,
        "skipped": result.skipped,
        "failed": result.failed,
        "by_tier": {tier.value: count for tier, count in result.by_tier.items()},
        "skipped_by_reason": {reason.value: count for reason, count in result.skipped_by_reason.items()},
        "error_codes": dict(error_codes),
    }


@attrs.frozen(kw_only=True)
class RunRecord(RunCounts):
    """
    One run in the store's log.

    Attributes:
        run_id: the id of the run.
        as_of: the time for which it was made; aware, UTC.
        started_at, duration: when it started (aware, UTC) and how many seconds it took, by the
            orchestrator's clock.
        ending: how it ended.
        error: the type of the exception that ended it early; empty for a completed run.
        shares: its counts by the mentors' organization, without mentors of unknown organization;
            empty when read from the log.
    """

    run_id: str
    as_of: datetime
    started_at: datetime
    duration: float
    ending: RunEnding = RunEnding.COMPLETED
    error: str = ""
    shares: Mapping[str, RunCounts] = attrs.field(factory=dict)

    @property
    def ended_at(self) -> datetime:
        """
        Return when the run ended.
        """
        return self.started_at + timedelta(seconds=self.duration)


class RunPlace(NamedTuple):
    """
    The run after which a page begins; ids order runs of the same time.
    """

    started_at: datetime
    run_id: str


@attrs.frozen(kw_only=True)
class RunPage(PlainModel):
    """
    One page of the log of runs, newest first.

    Attributes:
        runs: at most `limit`.
        next_after: pass it as `after` to get those that follow; `None` on the last page.
    """

    runs: tuple[RunRecord, ...]
    next_after: str | None


def page_of(runs: tuple[RunRecord, ...], *, limit: int) -> RunPage:
    """
    Return a page of so many of these runs, of which there may be one more.
    """
    shown = runs[:limit]
    more = len(runs) > limit
    return RunPage(runs=shown, next_after=text_of(shown[-1].started_at, shown[-1].run_id) if more else None)


def run_place(text: str) -> RunPlace:
    """
    Return the place that a page told.

    Raises:
        InvalidValueError: it is none.
    """
    return RunPlace(*place_of(text))
