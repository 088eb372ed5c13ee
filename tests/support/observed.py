"""
OpenTelemetry with everything kept in memory, one set for each process that a test plays.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import attrs
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import Tracer

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    ProxyActivity,
    RetryPolicy,
    Role,
)
from proxy_orchestration.ports import ActivityRepository, ProxyRegistrationService
from proxy_orchestration.telemetry import Telemetry

_PREFIX = "proxy_orchestration."

ANNA = Actor(user_id="anna", roles={Role.COORDINATOR}, organization_id="oslo")
VISIT = ProxyActivity(activity_type="visit", activity_date=date(2026, 11, 3), duration_minutes=45)


@attrs.define(eq=False)
class Observed:
    """
    What one process told.
    """

    sampler: Sampler = ALWAYS_ON
    with_spans: bool = True
    with_metrics: bool = True
    exporter: InMemorySpanExporter = attrs.field(factory=InMemorySpanExporter, init=False)
    reader: InMemoryMetricReader = attrs.field(factory=InMemoryMetricReader, init=False)
    tracer: Tracer = attrs.field(init=False)
    telemetry: Telemetry = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        traced = TracerProvider(sampler=ParentBased(self.sampler), shutdown_on_exit=False)
        traced.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = traced.get_tracer("host")
        self.telemetry = Telemetry(
            tracer_provider=traced,
            meter_provider=MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False),
            spans=self.with_spans,
            metrics=self.with_metrics,
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        """
        Return the spans that have ended, in that order.
        """
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        """
        Return those of one kind, such as `run`.
        """
        return [span for span in self.spans if span.name in {name, _PREFIX + name}]

    def the(self, name: str) -> ReadableSpan:
        """
        Return the one of its kind.
        """
        (span,) = self.named(name)
        return span

    def metric(self, name: str) -> dict[tuple[str, ...], Any]:
        """
        Return a metric's figures by the values of its attributes; of a histogram count and sum.
        """
        data = self.reader.get_metrics_data()
        found = [
            metric
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == _PREFIX + name
        ]
        return {
            tuple(str(value) for _, value in sorted((point.attributes or {}).items())): _figure_of(point)
            for metric in found
            for point in metric.data.data_points
        }


def said_by(span: ReadableSpan) -> Mapping[str, Any]:
    """
    Return a span's attributes, without the prefix of their names.
    """
    return {name.removeprefix(_PREFIX): value for name, value in (span.attributes or {}).items()}


def parent_of(span: ReadableSpan) -> int | None:
    """
    Return the id of a span's parent.
    """
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    """
    Return a span's own id.
    """
    assert span.context is not None
    return span.context.span_id


def trace_of(span: ReadableSpan) -> int:
    """
    Return the id of a span's trace.
    """
    assert span.context is not None
    return span.context.trace_id


def _figure_of(point: Any) -> Any:
    return point.value if hasattr(point, "value") else (point.count, point.sum)


def orchestrator_of(
    observed: Observed, service: ProxyRegistrationService, repository: ActivityRepository, **rest: Any
) -> BulkRegistrationOrchestrator:
    """
    Return an observed orchestrator, which repeats a call at once.
    """
    return BulkRegistrationOrchestrator(
        registration_service=observed.telemetry.service(service),
        repository=observed.telemetry.repository(repository),
        **{"settings": BulkSettings(retry=RetryPolicy(initial=0.0, jitter=0.0)), **rest},
    )


def request_for(size: int) -> BulkRegistrationRequest:
    """
    Return a request for that many mentors.
    """
    return BulkRegistrationRequest.for_mentors([f"mentor-{number}" for number in range(size)], VISIT)
