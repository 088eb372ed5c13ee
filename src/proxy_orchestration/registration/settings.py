"""
The settings of bulk registration.
"""

from __future__ import annotations

import attrs

from proxy_orchestration._backoff import RetryPolicy
from proxy_orchestration._validators import is_a, is_not_negative, is_positive, is_positive_count


@attrs.frozen(kw_only=True)
class BulkSettings:
    """
    Limits and times of bulk registration; all times in seconds.

    Attributes:
        max_concurrency: the most calls in progress at once for one batch.
        max_calls_in_flight: the most calls in progress at once for all batches of one orchestrator.
        call_timeout: the longest time of a call. A longer one is cancelled, and its result is in
            doubt.
        time_budget: the time that a run may take after its first call, waits included; `None`: no
            limit.
        cancel_grace: the time that calls in progress have to finish after a cancel.
        retry: when and how often refused calls are repeated.
        max_undurable: the most claimed items without a stored outcome, in addition to
            `max_concurrency`.
        lease_ttl: the time without a renewal of the lease after which another driver may take over.
        poll_interval: the time between two looks for cancel requests, and for outcomes of other
            processes.
        audit_timeout: the longest time of a call of the audit logger or of `on_run_settled`.
        max_batch_size: the most entries in a request.
        max_per_call: the most registrations in one call of a service that is `SupportsBulk`, in
            independent mode. An atomic batch always goes in one call.
        max_takeovers: how many times the process may die while it calls for one item alone. After
            that the item ends UNKNOWN with code `driver_lost`.
        max_retry_after: the longest `retry_after` of a service that is honoured.
        calls_per_second: the most calls that begin in a second, for all batches of one
            orchestrator, evenly spread and look-ups included; `None`: no limit.
        max_abandoned: the number of cancelled calls that have not ended, for all batches of one
            orchestrator, at which no new call begins.
        pause_after_failures: the number of calls of a run that must fail in a row, for the same
            reason, to pause the run until it is resumed. A call for many counts once. `None`: never
            pause.
        pause_window: the time within which these calls must fail.
    """

    max_concurrency: int = attrs.field(default=5, validator=is_positive_count)
    max_calls_in_flight: int = attrs.field(default=50, validator=is_positive_count)
    call_timeout: float = attrs.field(default=30.0, validator=is_positive)
    time_budget: float | None = attrs.field(default=None, validator=attrs.validators.optional(is_positive))
    cancel_grace: float = attrs.field(default=10.0, validator=is_not_negative)
    retry: RetryPolicy = attrs.field(factory=RetryPolicy, validator=is_a(RetryPolicy))
    max_undurable: int = attrs.field(default=200, validator=is_positive_count)
    lease_ttl: float = attrs.field(default=30.0, validator=is_positive)
    poll_interval: float = attrs.field(default=0.5, validator=is_positive)
    audit_timeout: float = attrs.field(default=2.0, validator=is_positive)
    max_batch_size: int = attrs.field(default=10_000, validator=is_positive_count)
    max_per_call: int = attrs.field(default=200, validator=is_positive_count)
    max_takeovers: int = attrs.field(default=2, validator=is_positive_count)
    max_retry_after: float = attrs.field(default=3600.0, validator=is_not_negative)
    calls_per_second: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(is_positive)
    )
    max_abandoned: int = attrs.field(default=5, validator=is_positive_count)
    pause_after_failures: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(is_positive_count)
    )
    pause_window: float = attrs.field(default=60.0, validator=is_positive)

    @property
    def window(self) -> int:
        """
        Return the most items that may be claimed and not yet have a stored outcome.
        """
        return self.max_undurable + self.max_concurrency
