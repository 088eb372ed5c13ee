"""
Stores the W3C trace context of a batch's acceptance as a text, without the baggage.
"""

from __future__ import annotations

from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_W3C: Final = TraceContextTextMapPropagator()
_PARENT: Final = "traceparent"
_STATE: Final = "tracestate"
_LONGEST: Final = 600


def text_of(span: Span) -> str | None:
    """
    Return the span's place in its trace as a text; `None` where nothing is traced.

    A trace state that would make it too long is left out, as W3C Trace Context allows.
    """
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, trace.set_span_in_context(span))
    if _PARENT not in carrier:
        return None
    text = f"{carrier[_PARENT]} {carrier.get(_STATE, '')}".rstrip()
    return text if len(text) <= _LONGEST else carrier[_PARENT]


def context_of(text: str | None) -> Context | None:
    """
    Return the context that continues there; `None` without one, or where the text says nothing.
    """
    parent, _, state = (text or "").partition(" ")
    carrier = {_PARENT: parent, _STATE: state} if state else {_PARENT: parent}
    found = _W3C.extract(carrier, Context())
    return found if trace.get_current_span(found).get_span_context().is_valid else None
