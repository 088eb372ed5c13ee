"""
One process accepts a batch, another one drives it: it is one trace, and the figures say how it went.

Needs the extra `otel` and the package `opentelemetry-sdk`, whose exporters keep all in
memory here. Run it with `python examples/trace_a_batch.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import anyio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    ProxyActivity,
    Role,
)
from proxy_orchestration.ports import (
    ProxyRegistration,
    RegistrationReceipt,
    RegistrationRejected,
    RegistrationUnavailable,
)
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.telemetry import Telemetry

EXPORTER = InMemorySpanExporter()
READER = InMemoryMetricReader()
METERS = MeterProvider(metric_readers=[READER])
STORE = MemoryActivityRepository()
ANNA = Actor(user_id="anna", roles={Role.COORDINATOR}, organization_id="oslo")


class RegistrationService:
    """
    Is busy at the first call, and knows no mentor 3.
    """

    def __init__(self) -> None:
        self.calls = 0

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Answer with a receipt, or say why not.
        """
        self.calls += 1
        if self.calls == 1:
            raise RegistrationUnavailable(retry_after=0.01)
        if registration.mentor_id == "mentor-3":
            code = "unknown_mentor"
            raise RegistrationRejected(code, "Nobody has this number.")
        return RegistrationReceipt(
            registration_id=registration.registration_id, activity_id=f"activity-{self.calls}"
        )


def process() -> tuple[BulkRegistrationOrchestrator, TracerProvider]:
    """
    Return what one process sets up: its providers, and an orchestrator whose parts are wrapped.
    """
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(EXPORTER))
    telemetry = Telemetry(tracer_provider=traces, meter_provider=METERS)
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=telemetry.service(RegistrationService()),
        repository=telemetry.repository(STORE),
    )
    return orchestrator, traces


def tree(spans: list[ReadableSpan], parent: int | None = None, depth: int = 0) -> Iterator[str]:
    """
    Yield the spans, each below the one that it is in.
    """
    for span in sorted(spans, key=lambda each: each.start_time or 0):
        if (span.parent.span_id if span.parent else None) == parent and span.context is not None:
            failed = "" if span.status.is_ok else f" ({span.status.description})"
            yield f"{'  ' * depth}{span.name.removeprefix('proxy_orchestration.')}{failed}"
            yield from tree(spans, span.context.span_id, depth + 1)


def figures(name: str) -> dict[str, float]:
    """
    Return a counter's figures by what they are about.
    """
    data = READER.get_metrics_data()
    metrics: list[Metric] = [
        metric
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    (points,) = (metric.data.data_points for metric in metrics if metric.name == name)
    return {
        str(*(point.attributes or {}).values()): point.value
        for point in points
        if isinstance(point, NumberDataPoint)
    }


async def main() -> None:
    """
    Accept in one process, drive in another.
    """
    web, traces = process()
    meeting = ProxyActivity(
        activity_type="group_meeting", activity_date=date(2026, 11, 3), duration_minutes=90
    )
    request = BulkRegistrationRequest.for_mentors([f"mentor-{number}" for number in range(1, 5)], meeting)
    with traces.get_tracer("web").start_as_current_span("POST /api/v1/bulk-registrations"):
        await web.submit_bulk_registration(request, actor=ANNA, drive=False)

    worker, _ = process()
    await worker.resume_interrupted()

    spans = list(EXPORTER.get_finished_spans())
    print(*tree(spans), sep="\n")
    print("items", figures("proxy_orchestration.items"))
    print("retries", figures("proxy_orchestration.retries"))
    print(f"{len({span.context.trace_id for span in spans if span.context})} trace")


if __name__ == "__main__":
    anyio.run(main)
