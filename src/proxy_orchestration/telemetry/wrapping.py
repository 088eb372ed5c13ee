"""
The public class with which a host wraps its parts.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final, TypeVar, cast

import attrs
from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Tracer, TracerProvider

from proxy_orchestration._wiring import check_abilities, check_parts
from proxy_orchestration.errors import MisconfiguredError
from proxy_orchestration.notification.ports import NotificationRepository, PushSender
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.registration.ports import (
    BatchLedger,
    ProxyRegistrationService,
    SupportsBulk,
    SupportsBulkLookup,
    SupportsConflictCheck,
    call_limit_of,
)
from proxy_orchestration.telemetry import ledger, notices, services
from proxy_orchestration.telemetry.instruments import Instruments
from proxy_orchestration.telemetry.open_runs import OpenRuns
from proxy_orchestration.telemetry.stand_ins import is_stand_in, stand_in_for

ServiceT = TypeVar("ServiceT", bound=ProxyRegistrationService)
LedgerT = TypeVar("LedgerT", bound=BatchLedger)
RepositoryT = TypeVar("RepositoryT", bound=NotificationRepository)
SenderT = TypeVar("SenderT", bound=PushSender)

_NAME: Final = "proxy_orchestration"


@attrs.frozen
class TracedPart:
    """
    What is wrapped, under the name by which a host is told what does not fit.
    """

    part: object


@attrs.define(eq=False, kw_only=True)
class Telemetry:
    """
    Wraps the parts of a host, so that their calls are recorded as spans and metrics.

    Use one object for all parts of a process. Wrap a part as the last step, and give the wrapped
    part to the orchestrator. Wrap a store after it is opened. A wrapped part has the part's
    methods, but is not an instance of its class.

    Args:
        tracer_provider: the provider of the spans; `None`: OpenTelemetry's global one.
        meter_provider: the provider of the metrics; `None`: the global one.
        spans: whether to record spans. Each call has one. If a service answers at once, a span
            costs about as much as the rest of the item; if that matters, use sampling or turn spans
            off.
        metrics: whether to record metrics.
    """

    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    spans: bool = True
    metrics: bool = True
    _tracer: Tracer | None = attrs.field(init=False)
    _instruments: Instruments | None = attrs.field(init=False)
    _runs: OpenRuns = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        own = version("proxy-orchestration")
        self._tracer = trace.get_tracer(_NAME, own, self.tracer_provider) if self.spans else None
        meter = metrics.get_meter(_NAME, own, self.meter_provider) if self.metrics else None
        self._instruments = None if meter is None else Instruments(meter)
        self._runs = OpenRuns(self._tracer)

    def service(self, service: ServiceT, /) -> ServiceT:
        """
        Return the registration service wrapped.

        It records a span for each call, calls in progress, and retries by reason.

        Raises:
            MisconfiguredError: the argument is not a registration service, or is already wrapped.
        """
        _check(service, ProxyRegistrationService)
        check_abilities(TracedPart(service), "part", SupportsBulkLookup, SupportsBulk, SupportsConflictCheck)
        watched = services.WatchedService(
            service=cast("services.AbleService", service),
            runs=self._runs,
            tracer=self._tracer,
            instruments=self._instruments,
        )
        if self._instruments is not None:
            self._instruments.watch(
                watched,
                lambda part: len(part.in_flight),
                name=f"{_NAME}.calls.in_flight",
                unit="{call}",
                meaning="Calls to the service in progress",
            )
        limit = call_limit_of(service)
        values: dict[str, object] = {} if limit is None else {"max_registrations_per_call": limit}
        return stand_in_for(service, _methods(watched, services.METHODS), **values)

    def repository(self, repository: LedgerT, /) -> LedgerT:
        """
        Return the store of batches wrapped: it records spans and metrics of acceptances, runs and commits.

        Raises:
            MisconfiguredError: the argument is not a store of batches, or is already wrapped.
        """
        _check(repository, BatchLedger)
        watched = ledger.WatchedLedger(
            ledger=cast("ledger.AbleLedger", repository),
            runs=self._runs,
            tracer=self._tracer,
            instruments=self._instruments,
        )
        if self._instruments is not None:
            self._instruments.watch(
                watched,
                lambda part: part.undriven,
                name=f"{_NAME}.backlog",
                unit="{run}",
                meaning="Runs without a driver, as of the newest look for waiting runs",
            )
        return stand_in_for(repository, _methods(watched, ledger.METHODS))

    def notices(self, repository: RepositoryT, /) -> RepositoryT:
        """
        Return the store of notices wrapped.

        It records runs, notices by tier and outcome, pushes, and digest lag.

        Give it to the orchestrator and to the dispatcher.

        Raises:
            MisconfiguredError: the argument is not a store of notices, or is already wrapped.
        """
        _check(repository, NotificationRepository)
        watched = notices.WatchedNotices(
            repository=cast("notices.AbleRepository", repository),
            tracer=self._tracer,
            instruments=self._instruments,
        )
        return stand_in_for(repository, _methods(watched, notices.METHODS))

    def sender(self, sender: SenderT, /) -> SenderT:
        """
        Return the sender wrapped: it records a span for each call of `send`.

        Raises:
            MisconfiguredError: the argument is not a sender, or is already wrapped.
        """
        _check(sender, PushSender)
        if self._tracer is None:
            return sender
        watched = notices.WatchedSender(sender=sender, tracer=self._tracer)
        return stand_in_for(sender, {"send": watched.send})

    def watch(self, orchestrator: BulkRegistrationOrchestrator, /) -> None:
        """
        Add a metric for the orchestrator's health: the age of the oldest batch without a driver.

        The value is what `serve` or `check_health` last knew; the store is not asked for it. With
        several orchestrators, the greatest age is reported. A deleted orchestrator is not reported.

        Raises:
            MisconfiguredError: the argument is not an orchestrator.
        """
        check_parts(TracedPart(orchestrator), part=BulkRegistrationOrchestrator)
        if self._instruments is not None:
            self._instruments.watch(
                orchestrator,
                lambda part: part.health().oldest_undriven_age,
                name=f"{_NAME}.backlog.oldest.age",
                unit="s",
                meaning="Age of the oldest batch without a driver",
                together=max,
            )


def _check(part: object, port: type) -> None:
    if is_stand_in(part):
        problem = "it is already wrapped, and each call would be recorded twice. Wrap a part only once."
        raise MisconfiguredError(TracedPart.__name__, "part", problem)
    check_parts(TracedPart(part), part=port)


def _methods(watched: object, names: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    return {name: getattr(watched, name) for name in names}
