"""
What a run, a plan and a dispatch report.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration.notification.notices import NoticeKey
from proxy_orchestration.notification.tiers import NotificationThresholdTier


class RecordState(enum.Enum):
    """
    How one certificate ended in a run.
    """

    CREATED = "created"  # the mentor's notice is new
    SKIPPED = "skipped"  # rightly no notice; the reason says why
    FAILED = "failed"  # could not be dealt with; a later run does


class SkipReason(enum.Enum):
    """
    Why a certificate led to no notice.
    """

    DUPLICATE = "duplicate"  # its notice of this window exists
    DEFERRED = "deferred"  # another notice went out too short a time ago; a later run tells
    NOT_DUE = "not_due"  # far from its end
    SUPERSEDED = "superseded"  # the same mentor has a later one of the type
    REVOKED = "revoked"  # taken away
    STALE = "stale"  # another certificate of the type ends later; or a daily reminder is over


@attrs.frozen(kw_only=True)
class RecordOutcome(PlainModel):
    """
    What one certificate led to; holds no personal data.

    Attributes:
        certificate_id, mentor_id, certificate_type: which one.
        tier: the tier it is in, `None` where it is in none or could not be read.
        state: how it ended.
        reason: why it was skipped.
        code: why it failed, `snake_case`; empty otherwise.
        queued: push messages queued for the mentor with it.
    """

    certificate_id: str = attrs.field(repr=False)
    mentor_id: str
    certificate_type: str
    tier: NotificationThresholdTier | None
    state: RecordState
    reason: SkipReason | None = None
    code: str = ""
    queued: int = 0


@attrs.frozen
class RecordProblem(PlainModel):
    """
    A record that failed, or data that somebody should fix.

    Attributes:
        mentor_id: the mentor; empty where the record had none.
        code: what is wrong, `snake_case`.
    """

    mentor_id: str
    code: str


@attrs.frozen(kw_only=True)
class OrchestrationResult(PlainModel):
    """
    What a run did; `processed` is the sum of created, skipped and failed.

    Attributes:
        processed: certificates read.
        created: those that led to a mentor's notice now.
        skipped: those that rightly led to none.
        queued: push messages of created mentor notices.
        failed: those that could not be dealt with; a later run does.
        by_tier: created by tier; tiers without any are absent.
        skipped_by_reason: skipped by reason; reasons without any are absent.
        missed_tiers: tiers that passed without a notice of theirs, among created ones.
        failures: one for each failed certificate, at most `NotificationSettings.most_problems`.
        data_quality: what somebody should fix, the same bound.
        withdrawn: certificates that a whole feed lacked, and that count no more.
    """

    processed: int
    created: int
    skipped: int
    queued: int
    failed: int
    by_tier: Mapping[NotificationThresholdTier, int]
    skipped_by_reason: Mapping[SkipReason, int]
    missed_tiers: Mapping[NotificationThresholdTier, int]
    failures: tuple[RecordProblem, ...]
    data_quality: tuple[RecordProblem, ...]
    withdrawn: int = 0


@attrs.frozen(kw_only=True)
class NotificationPlan(PlainModel):
    """
    What a run would do; nothing was written.

    Attributes:
        result: the counts as a run would report them.
        notices: the keys of the notices that it would write, at most
            `NotificationSettings.most_planned`.
    """

    result: OrchestrationResult
    notices: tuple[NoticeKey, ...]


@attrs.frozen(kw_only=True)
class DispatchResult(PlainModel):
    """
    What a dispatcher did with the outbox.

    Attributes:
        sent: taken by the provider.
        retried: put back for another attempt.
        in_doubt: those of them that may have been taken all the same; they are repeated
            under a key by which the second replaces the first on the device.
        dead: given up.
        cancelled: renewed, revoked or opted out since.
        expired: too late to be sent.
    """

    sent: int = 0
    retried: int = 0
    in_doubt: int = 0
    dead: int = 0
    cancelled: int = 0
    expired: int = 0


@attrs.define(eq=False, kw_only=True)
class RunCounters:
    """
    What one run has counted so far.

    Attributes:
        most_problems: failures and data-quality entries that are kept.
        missed: tiers that passed without a notice, among created ones.
        error_codes: failures by code.
        withdrawn: certificates that a whole feed lacked.
    """

    most_problems: int
    missed: Counter[NotificationThresholdTier] = attrs.field(factory=Counter)
    error_codes: Counter[str] = attrs.field(factory=Counter)
    withdrawn: int = 0
    _states: Counter[RecordState] = attrs.field(factory=Counter)
    _by_tier: Counter[NotificationThresholdTier] = attrs.field(factory=Counter)
    _reasons: Counter[SkipReason] = attrs.field(factory=Counter)
    _queued: int = 0
    _failures: list[RecordProblem] = attrs.field(factory=list)
    _data_quality: dict[RecordProblem, None] = attrs.field(factory=dict)

    def count(self, outcomes: Iterable[RecordOutcome]) -> None:
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

    def note(self, problems: Iterable[RecordProblem]) -> None:
        """
        Note what somebody should fix, each once.
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
            withdrawn=self.withdrawn,
        )
