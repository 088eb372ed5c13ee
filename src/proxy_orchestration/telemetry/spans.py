"""
Opens spans around awaited calls, and records errors in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from types import TracebackType
from typing import Final, TypeAlias

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from proxy_orchestration.errors import (
    DuplicateActivityError,
    IdempotencyKeyReusedError,
    RegistrationRejected,
)
from proxy_orchestration.registration.service_errors import lone

Attributes: TypeAlias = Mapping[str, AttributeValue]
"""What a span says; never a text of a person, and no mentor's id (decision 357)."""

BATCH_ID: Final = "proxy_orchestration.batch_id"
RUN: Final = "proxy_orchestration.run"
ITEMS: Final = "proxy_orchestration.items"
ERROR_TYPE: Final = "error.type"

_REFUSALS: Final = (RegistrationRejected, DuplicateActivityError, IdempotencyKeyReusedError)
"""What a service or a store answers when all is well with it."""


class Entered:
    """
    A block in which a context is the current one; nobody may yield to another's code from inside it.
    """

    __slots__ = ("_context", "_token")

    def __init__(self, entered: Context) -> None:
        self._context = entered

    def __enter__(self) -> None:
        self._token: Token[Context] = context.attach(self._context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Who closes a coroutine that was dropped does so elsewhere, where nothing is to be put back.
        if kind is not GeneratorExit:
            context.detach(self._token)


class CurrentSpan:
    """
    A block that is one span, the current one inside it; it notes the type of an error, never its text.

    A class, since a generator's block costs as much again as the span.
    """

    __slots__ = ("_entered", "_parent", "_tracer", "_what")

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        attributes: Attributes,
        *,
        parent: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        self._tracer = tracer
        self._what = (name, kind, attributes)
        self._parent = parent

    def __enter__(self) -> Span:
        name, kind, attributes = self._what
        span = self._tracer.start_span(name, self._parent, kind, attributes)
        self._entered = (span, Entered(trace.set_span_in_context(span, self._parent)))
        self._entered[1].__enter__()
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        span, entered = self._entered
        entered.__exit__(kind, error, trace)
        if error is not None:
            note_error(span, error)
        span.end()


def note_error(span: Span, error: BaseException) -> None:
    """
    Note the type of an error; its text may hold what no trace may hold.

    What cancels a task is no failure of what it did, and only noted. Nor is an answer of no.
    """
    told = lone(error)
    name = type(told).__name__
    span.set_attribute(ERROR_TYPE, name)
    if isinstance(error, Exception) and not isinstance(told, _REFUSALS):
        span.set_status(Status(StatusCode.ERROR, name))
