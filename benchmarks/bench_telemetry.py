"""
The durable batch without telemetry, with metrics, and with a span for each call.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

import anyio
import attrs
from _harness import Case, Story, Table, Target, medians, tell
from _scene import COORDINATOR, PacedService, SilentAuditLogger, new_database, request_for, warm_store
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkSettings,
    ProxyRegistration,
    RegistrationReceipt,
)
from proxy_orchestration.telemetry import Telemetry

ITEMS: Final = 10_000
ITEMS_WITH_LATENCY: Final = 2_000
PAUSE: Final = 0.005
WORKERS: Final = 20
ROUNDS: Final = 5
RARELY: Final = 0.01

WITHOUT: Final = "without telemetry"
METRICS: Final = "metrics"
RARE_SPANS: Final = "metrics, and spans of one trace in a hundred"
SPANS: Final = "metrics, and spans for each call"


@attrs.define(eq=False)
class BulkService(PacedService):
    """
    Registers many in one call, too.
    """

    async def register_many(
        self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool
    ) -> Sequence[RegistrationReceipt]:
        """
        Answer with a receipt each.
        """
        assert not atomic
        return [await self.register(each) for each in registrations]


def _telemetry(*, spans: bool, sampler: Sampler = ALWAYS_ON) -> Telemetry:
    tracer_provider = TracerProvider(sampler=ParentBased(sampler))
    tracer_provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    return Telemetry(
        tracer_provider=tracer_provider,
        meter_provider=MeterProvider(metric_readers=[InMemoryMetricReader()]),
        spans=spans,
    )


KINDS: Final[dict[str, Callable[[], Telemetry] | None]] = {
    WITHOUT: None,
    METRICS: partial(_telemetry, spans=False),
    RARE_SPANS: partial(_telemetry, spans=True, sampler=TraceIdRatioBased(RARELY)),
    SPANS: partial(_telemetry, spans=True),
}


def drive(
    copy: Callable[[], Path], kind: Callable[[], Telemetry] | None, service: PacedService, size: int
) -> float:
    """
    Accept, drive and read the result; return items per second.
    """

    async def timed() -> float:
        async with warm_store(copy()) as repository:
            telemetry = None if kind is None else kind()
            orchestrator = BulkRegistrationOrchestrator(
                registration_service=service if telemetry is None else telemetry.service(service),
                repository=repository if telemetry is None else telemetry.repository(repository),
                audit_logger=SilentAuditLogger(),
                settings=BulkSettings(max_concurrency=WORKERS, max_batch_size=1_000_000),
            )
            begin = perf_counter()
            result = await orchestrator.submit_bulk_registration(request_for(size), actor=COORDINATOR)
            end = perf_counter()
        assert size == len(result.succeeded)
        return size / (end - begin)

    return anyio.run(timed)


def measure() -> Story:
    """
    Let each kind drive the same batches, in turns.
    """
    scenes = {
        "at once": (PacedService(), ITEMS),
        f"after {PAUSE * 1000:.0f} ms": (PacedService(PAUSE), ITEMS_WITH_LATENCY),
        "many in one call": (BulkService(), ITEMS),
    }
    with tempfile.TemporaryDirectory() as folder:
        copy = new_database(Path(folder), "empty")
        cases: dict[str, Case] = {
            f"{scene}: {name}": partial(drive, copy, kind, *what)
            for scene, what in scenes.items()
            for name, kind in KINDS.items()
        }
        speeds = medians(cases, rounds=ROUNDS)
    shares = {
        (scene, name): speeds[f"{scene}: {name}"] / speeds[f"{scene}: {WITHOUT}"]
        for scene in scenes
        for name in KINDS
    }
    rows = [
        (name, *(f"{speeds[f'{scene}: {name}']:,.0f} ({shares[scene, name]:.2f})" for scene in scenes))
        for name in KINDS
    ]
    return Story(
        title=f"Telemetry, durable on SQLite FULL, cap {WORKERS}, in-memory exporters: items per second"
        " and the share of the speed without telemetry, by how the service answers",
        tables=[Table(heading=("", *scenes), rows=rows)],
        targets=[
            Target(
                what=f"{scene}: {name}, share of the speed without telemetry",
                figure=shares[scene, name],
                at_least=limit,
            )
            for scene in scenes
            for name, limit in ((METRICS, 0.95), (SPANS, 0.85))
        ],
    )


if __name__ == "__main__":
    tell(measure)
