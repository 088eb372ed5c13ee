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
    SKIPPED = "skipped"  # no notice is due or allowed; the reason says why
    FAILED = "failed"  # could not be processed; a later run tries again


class SkipReason(enum.Enum):
    """
    Why a certificate led to no notice.
    """

    DUPLICATE = "duplicate"  # its notice in this window already exists
    DEFERRED = "deferred"  # the last notice was too recent; a later run writes it
    NOT_DUE = "not_due"  # its end is too far away
    SUPERSEDED = "superseded"  # the same mentor has a later certificate of the type
    REVOKED = "revoked"  # the certificate was revoked
    STALE = "stale"  # a later certificate of the type is known; or the time of daily reminders is over


@attrs.frozen(kw_only=True)
class RecordOutcome(PlainModel):
    """
    The outcome of one certificate in a run, without personal data.

    Attributes:
        certificate_id, mentor_id, certificate_type: identify the certificate.
        tier: its tier; `None` if it is in no tier or could not be read.
        state: whether a notice was created, skipped or failed.
        reason: why it was skipped, or `None`.
        code: why it failed, a code in `snake_case`; otherwise empty.
        queued: the number of push messages queued for the mentor.
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
    A failed record, or a problem in the data that a person should fix.

    Attributes:
        mentor_id: the mentor; empty if the record had none.
        code: the problem, a code in `snake_case`.
    """

    mentor_id: str
    code: str


@attrs.frozen(kw_only=True)
class OrchestrationResult(PlainModel):
    """
    The counts of a run; `processed` is the sum of created, skipped and failed.

    Attributes:
        processed: the number of certificates read.
        created: the number of certificates for which a mentor's notice was created.
        skipped: the number of certificates for which no notice was due or allowed.
        queued: the number of queued push messages of created mentor notices.
        failed: the number of certificates that could not be processed; a later run tries again.
        by_tier: created notices by tier, without tiers that have none.
        skipped_by_reason: skipped certificates by reason, without reasons that have none.
        missed_tiers: for created notices, the number of earlier tiers that passed without a notice.
        failures: one entry for each failed certificate, at most
            `NotificationSettings.most_problems`.
        data_quality: problems in the data that a person should fix, at most as many.
        withdrawn: the number of certificates that were withdrawn because a complete feed lacked
            them.
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
    The plan of a run: what it would do; nothing was written.

    Attributes:
        result: the counts as a run would report them.
        notices: the keys of the notices that the run would write, at most
            `NotificationSettings.most_planned`.
    """

    result: OrchestrationResult
    notices: tuple[NoticeKey, ...]


@attrs.frozen(kw_only=True)
class DispatchResult(PlainModel):
    """
    The counts of messages that a dispatcher processed.

    Attributes:
        sent: accepted by the provider.
        retried: put back for another attempt.
        in_doubt: those among `retried` that the provider may have accepted; they are repeated with
            a key by which the second push replaces the first on the device.
        dead: given up.
        cancelled: not sent, because of a renewal, a revocation or an opt-out.
        expired: not sent, because it was too late.
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
