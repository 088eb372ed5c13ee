"""
The data and parts that all participants in driving one run share.
"""

from __future__ import annotations

from collections.abc import Iterable

import anyio
import attrs

from proxy_orchestration.clock import Clock
from proxy_orchestration.registration.activities import ProxyRegistration
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.execution.attempts import Attempt, StopReason
from proxy_orchestration.registration.execution.failure_streak import FailureStreak
from proxy_orchestration.registration.execution.limits import AbandonedCalls
from proxy_orchestration.registration.execution.look_ahead import Speed
from proxy_orchestration.registration.execution.refusals import Refusals
from proxy_orchestration.registration.execution.waiting import Pace, WaitingItems
from proxy_orchestration.registration.ports import (
    ProxyRegistrationService,
    SupportsBulk,
    SupportsBulkLookup,
    SupportsLookup,
    call_limit_of,
)
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.runs import Lease
from proxy_orchestration.registration.service_errors import ServiceErrors, ServiceHooks
from proxy_orchestration.registration.settings import BulkSettings


@attrs.define(eq=False)
class RunState:
    """
    What changes while a run is driven, and both its driver and its workers look at.

    Attributes:
        stop: why no further call is made; set once.
        first_call_at: when this driver's first call began, by the monotonic clock.
        refusals: calls for many that were refused without a stated reason.
        due_in: seconds until something is due, of a run whose driver gives it up.
    """

    stop: StopReason | None = None
    first_call_at: float | None = None
    due_in: float = 0.0
    refusals: Refusals = attrs.field(factory=Refusals)


def _hear_errors(context: RunContext) -> ServiceErrors:
    return ServiceErrors(batch_id=context.lease.batch_id, run=context.lease.run, hooks=context.hooks)


def _count_abandoned(context: RunContext) -> AbandonedCalls:
    return AbandonedCalls.under(context.settings, context.clock)


def _nothing_seen(context: RunContext) -> Speed:
    return Speed(workers=context.settings.max_concurrency)


@attrs.frozen(kw_only=True)
class ServiceAbilities:
    """
    What a service can do beyond its port.

    Attributes:
        bulk: the service, if it writes many at once.
        lookup: the service, if it can be asked whether a record exists.
        bulk_lookup: the service, if it can be asked about many records at once.
        most_per_call: how many items a call for many may hold.
    """

    bulk: SupportsBulk | None
    lookup: SupportsLookup | None
    bulk_lookup: SupportsBulkLookup | None
    most_per_call: int

    @classmethod
    def of(cls, service: ProxyRegistrationService, settings: BulkSettings) -> ServiceAbilities:
        """
        Ask a service once: the check of a Protocol at run time would be felt for each item, and each run.
        """
        limit = call_limit_of(service)
        return cls(
            bulk=service if isinstance(service, SupportsBulk) else None,
            lookup=service if isinstance(service, SupportsLookup) else None,
            bulk_lookup=service if isinstance(service, SupportsBulkLookup) else None,
            most_per_call=settings.max_per_call if limit is None else min(limit, settings.max_per_call),
        )


def window_of(settings: BulkSettings, *, is_bulk: bool) -> int:
    """
    Return how many items of a run may be claimed and not yet durable, unless all share one result.
    """
    return settings.max_undurable if is_bulk else settings.window


def first_claim(abilities: ServiceAbilities, settings: BulkSettings, speed: Speed) -> tuple[int, int]:
    """
    Return how many items a new run claims at first, and how many of them may be called at once.
    """
    is_bulk = abilities.bulk is not None
    claim = window_of(settings, is_bulk=is_bulk)
    step = abilities.most_per_call if is_bulk else 1
    return claim, int(min(claim, (speed.workers + speed.likely_calls()) * step))


def _find_abilities(context: RunContext) -> ServiceAbilities:
    return ServiceAbilities.of(context.service, context.settings)


def _count_failures(context: RunContext) -> FailureStreak | None:
    return FailureStreak.under(context.settings, context.clock)


def _nobody_waits(context: RunContext) -> WaitingItems:
    settings = context.settings
    longest = max(settings.max_retry_after, settings.retry.max_delay)
    return WaitingItems(clock=context.clock, longest=longest)


@attrs.frozen(eq=False, kw_only=True)
class RunContext:
    """
    One lease on one run, and what driving it takes.

    Attributes:
        lease: which run, as of its acquisition.
        service: the host's.
        clock: where time comes from.
        settings: limits and times.
        limiter: slots for calls, over all runs of one orchestrator.
        abandoned: calls that were left behind, over all runs of one orchestrator.
        tells_ending: whether the host is told that the run settled.
        hooks: what the host says about its service's errors.
        errors: where those errors are heard.
        abilities: what the service can do beyond its port.
        pace: how many calls there may be in a second, over all runs of one orchestrator.
        speed: how fast the service and the ledger were lately, over all runs of one orchestrator.
        state: what changes.
        waiting: items that are asked about again later.
        streak: calls that failed alike; `None` if no run pauses itself.
    """

    lease: Lease
    service: ProxyRegistrationService
    clock: Clock
    settings: BulkSettings
    limiter: anyio.CapacityLimiter
    abandoned: AbandonedCalls = attrs.field(default=attrs.Factory(_count_abandoned, takes_self=True))
    hooks: ServiceHooks = attrs.field(factory=ServiceHooks)
    tells_ending: bool = False
    errors: ServiceErrors = attrs.field(default=attrs.Factory(_hear_errors, takes_self=True), init=False)
    abilities: ServiceAbilities = attrs.field(default=attrs.Factory(_find_abilities, takes_self=True))
    pace: Pace | None = None
    speed: Speed = attrs.field(default=attrs.Factory(_nothing_seen, takes_self=True))
    state: RunState = attrs.field(factory=RunState, init=False)
    waiting: WaitingItems = attrs.field(default=attrs.Factory(_nobody_waits, takes_self=True), init=False)
    streak: FailureStreak | None = attrs.field(
        default=attrs.Factory(_count_failures, takes_self=True), init=False
    )

    @property
    def bulk(self) -> SupportsBulk | None:
        """
        Return the service, if it writes many at once.
        """
        return self.abilities.bulk

    @property
    def lookup(self) -> SupportsLookup | None:
        """
        Return the service, if it can be asked whether a record exists.
        """
        return self.abilities.lookup

    @property
    def is_atomic(self) -> bool:
        """
        Return whether all items share one result.
        """
        return self.lease.mode is SubmissionMode.ATOMIC

    def registrations(self, attempts: Iterable[Attempt]) -> list[ProxyRegistration]:
        """
        Return what the service is asked to register.
        """
        lease = self.lease
        return [each.registration(batch_id=lease.batch_id, actor=lease.actor) for each in attempts]

    def note_call(self) -> None:
        """
        Remember when the first call began: the time budget counts from there.
        """
        if self.state.first_call_at is None:
            self.state.first_call_at = self.clock.monotonic()

    def note_failure(self, reason: Failure) -> None:
        """
        Remember that a call failed for that reason, where a run pauses itself.
        """
        if self.streak is not None:
            self.streak.note(reason.code)
