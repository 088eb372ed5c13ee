"""
How a host tunes bulk registration.
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
        max_concurrency: calls in flight per batch.
        max_calls_in_flight: calls in flight over all batches of one orchestrator.
        call_timeout: after this long a call is cut and in doubt.
        time_budget: seconds that a run has from its first call on, waiting included;
            `None` for no limit.
        cancel_grace: how long calls in flight may finish after a cancel.
        retry: how refused calls are repeated.
        max_undurable: items claimed and not durable, beyond the calls in flight.
        lease_ttl: after this long without a sign of life another driver may take over.
        poll_interval: how often a cancel request or a log written elsewhere is looked for.
        audit_timeout: how long the audit logger may take.
        max_batch_size: mentors per request.
        max_per_call: registrations per call of a service that is `SupportsBulk`, in
            independent mode; atomic batches always go in one call.
        max_takeovers: how often the process may die while it calls one item alone; then
            that item ends UNKNOWN with code `driver_lost`.
        max_retry_after: how long a service may ask to be left alone.
        calls_per_second: calls that begin in a second over all batches of one
            orchestrator, look-ups included, evenly spread; `None` for no limit.
        max_abandoned: calls that do not end although they were cancelled, over all batches of
            one orchestrator, before no further call begins.
        pause_after_failures: so many calls of one run, one after the other and all for the same
            reason, pause it until somebody resumes it; a call for many counts once. `None`: never.
        pause_window: within how many seconds they have to fail.
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
        Return how many items may be claimed and not yet durable.
        """
        return self.max_undurable + self.max_concurrency
