"""
The spans of the runs that are driven in this process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, Status, StatusCode, Tracer

from proxy_orchestration.registration.runs import Lease
from proxy_orchestration.telemetry.spans import BATCH_ID, ITEMS, RUN
from proxy_orchestration.telemetry.trace_contexts import context_of

ENDING: Final = "proxy_orchestration.ending"
SETTLED: Final = "settled"
RELEASED: Final = "released"
LOST: Final = "lease_lost"


@attrs.define(eq=False)
class OpenRun:
    """
    One lease on one run.

    Attributes:
        fence: of the lease.
        span: the run's; `None` where spans are off.
        context: in which the run's span is the current one; `None` where spans are off.
        is_recorded: whether the span is; where it is not, none beneath it would be.
        failed: why the newest call of a registration failed, by its id, where it may be repeated.
    """

    fence: int
    span: Span | None
    context: Context | None
    is_recorded: bool
    failed: dict[str, str] = attrs.field(factory=dict, init=False)


@attrs.define(eq=False)
class OpenRuns:
    """
    By their batches, of which each has one driver at a time.
    """

    tracer: Tracer | None
    _runs: dict[str, OpenRun] = attrs.field(factory=dict, init=False)

    def find(self, batch_id: str) -> OpenRun | None:
        """
        Return the run of that batch that is driven here, or `None`.
        """
        return self._runs.get(batch_id)

    def open(self, lease: Lease) -> None:
        """
        Begin the span of a run whose lease was taken here.

        It continues the trace in which the batch was accepted, in whatever
        process, and is linked to what is traced here now, if that is another.
        """
        self._end(lease.batch_id, LOST, {})  # a lease that ended without a word
        span, inside = (None, None) if self.tracer is None else self._begin(self.tracer, lease)
        self._runs[lease.batch_id] = OpenRun(
            lease.fence, span, inside, is_recorded=span is not None and span.is_recording()
        )

    def _begin(self, tracer: Tracer, lease: Lease) -> tuple[Span, Context]:
        here, parent = trace.get_current_span().get_span_context(), context_of(lease.trace_context)
        there = trace.get_current_span(parent).get_span_context()
        links = [Link(here)] if here.is_valid and here.trace_id != there.trace_id else []
        span = tracer.start_span(
            "proxy_orchestration.run",
            parent,
            attributes={
                BATCH_ID: lease.batch_id,
                RUN: lease.run,
                ITEMS: lease.run_items,
                "proxy_orchestration.fence": lease.fence,
            },
            links=links,
        )
        return span, trace.set_span_in_context(span, parent)

    def end(self, lease: Lease, ending: str, counts: Mapping[str, int] | None = None) -> None:
        """
        End the span of a run that is not driven here any more; a lease that was passed over has none.
        """
        run = self._runs.get(lease.batch_id)
        if run is not None and run.fence == lease.fence:
            self._end(lease.batch_id, ending, counts or {})

    def _end(self, batch_id: str, ending: str, counts: Mapping[str, int]) -> None:
        run = self._runs.pop(batch_id, None)
        if run is None or run.span is None:
            return
        run.span.set_attribute(ENDING, ending)
        for state, count in counts.items():
            run.span.set_attribute(f"{ITEMS}.{state}", count)
        if ending == LOST:
            run.span.set_status(Status(StatusCode.ERROR, ending))
        run.span.end()
