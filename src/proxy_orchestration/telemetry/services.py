"""
Wraps a host's service: records a span for each call, calls in progress, and retries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol, TypeVar

import attrs
from opentelemetry.trace import SpanKind, Tracer

from proxy_orchestration.errors import (
    DuplicateActivityError,
    OutcomeUnknownError,
    RegistrationRejected,
    RegistrationUnavailable,
)
from proxy_orchestration.registration.activities import (
    ProxyRegistration,
    RegistrationFailure,
    RegistrationReceipt,
)
from proxy_orchestration.registration.conflicts import Conflict
from proxy_orchestration.registration.execution.attempts import is_receipt
from proxy_orchestration.registration.ports import (
    ProxyRegistrationService,
    SupportsBulk,
    SupportsBulkLookup,
    SupportsConflictCheck,
)
from proxy_orchestration.registration.service_errors import lone
from proxy_orchestration.telemetry.instruments import REASON, Instruments
from proxy_orchestration.telemetry.open_runs import OpenRun, OpenRuns
from proxy_orchestration.telemetry.spans import ITEMS, Attributes, CurrentSpan, Entered

T = TypeVar("T")

METHODS: Final = ("register", "register_many", "find_registration", "find_registrations", "find_conflicts")
"""What is watched of a service, as far as it has it."""

_METHOD: Final = "proxy_orchestration.method"
_ONE: Final[Mapping[str, Attributes]] = {name: {_METHOD: name, ITEMS: 1} for name in METHODS}
_NOTHING: Final = nullcontext()


class AbleService(
    ProxyRegistrationService, SupportsBulk, SupportsBulkLookup, SupportsConflictCheck, Protocol
):
    """
    A service with all its abilities; one that lacks some is never asked for them.
    """


@attrs.define(eq=False, kw_only=True)
class WatchedService:
    """
    Calls a service, and notes what came of it.

    Attributes:
        service: the host's.
        runs: those that are driven here, whose spans the calls are in.
        tracer: `None` where spans are off.
        instruments: `None` where metrics are off.
        in_flight: a mark for each call under way.
    """

    service: AbleService
    runs: OpenRuns
    tracer: Tracer | None
    instruments: Instruments | None
    in_flight: set[object] = attrs.field(factory=set, init=False)

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Register one.
        """
        run = self.runs.find(registration.batch_id)
        if run is not None and run.failed:
            self._count_retries(run, (registration,))
        mark = object()
        self.in_flight.add(mark)
        try:
            # A block that does nothing would be felt here, once for each item.
            if self.tracer is None:
                answer = await self.service.register(registration)
            else:
                with self._calling(run, "register"):
                    answer = await self.service.register(registration)
        except BaseException as error:
            _note_failure(run, (registration,), _reason_of(error))
            raise
        finally:
            self.in_flight.discard(mark)
        if not is_receipt(answer, registration.registration_id):
            _note_failure(run, (registration,), "bad_answer")
        return answer

    async def register_many(
        self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool
    ) -> Sequence[RegistrationReceipt | RegistrationFailure]:
        """
        Register many in one call.
        """
        run = self.runs.find(registrations[0].batch_id) if registrations else None
        if run is not None and run.failed:
            self._count_retries(run, registrations)
        try:
            return await self._called(
                run,
                "register_many",
                len(registrations),
                lambda: self.service.register_many(registrations, atomic=atomic),
            )
        except BaseException as error:
            # Without the one row that may be why, the others are asked for again.
            _note_failure(run, registrations, _reason_of(error) or "refused_together")
            raise

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Look one up.
        """
        run = self._run_of(registration_id)
        return await self._called(
            run, "find_registration", 1, lambda: self.service.find_registration(registration_id)
        )

    async def find_registrations(
        self, registration_ids: Sequence[str], /
    ) -> Mapping[str, RegistrationReceipt]:
        """
        Look many up.
        """
        run = self._run_of(registration_ids[0]) if registration_ids else None
        return await self._called(
            run,
            "find_registrations",
            len(registration_ids),
            lambda: self.service.find_registrations(registration_ids),
        )

    async def find_conflicts(self, registrations: Sequence[ProxyRegistration], /) -> Sequence[Conflict]:
        """
        Find what conflicts, before there is a run.
        """
        return await self._called(
            None,
            "find_conflicts",
            len(registrations),
            lambda: self.service.find_conflicts(registrations),
        )

    async def _called(
        self, run: OpenRun | None, method: str, items: int, call: Callable[[], Awaitable[T]]
    ) -> T:
        mark = object()
        self.in_flight.add(mark)
        try:
            with self._calling(run, method, items):
                return await call()
        finally:
            self.in_flight.discard(mark)

    def _calling(self, run: OpenRun | None, method: str, items: int = 1) -> AbstractContextManager[object]:
        if self.tracer is None:
            return _NOTHING
        if run is None:
            parent = None
        elif not run.is_recorded and run.context is not None:
            # Not recorded means not sampled: the service is told so, and a span would cost for nothing.
            return Entered(run.context)
        else:
            parent = run.context
        said: Attributes = _ONE[method] if items == 1 else {_METHOD: method, ITEMS: items}
        return CurrentSpan(self.tracer, "proxy_orchestration.call", said, parent=parent, kind=SpanKind.CLIENT)

    def _run_of(self, registration_id: str) -> OpenRun | None:
        # A batch's id may have colons in it, and so may an item's key.
        at = registration_id.find(":")
        while at >= 0:
            run = self.runs.find(registration_id[:at])
            if run is not None:
                return run
            at = registration_id.find(":", at + 1)
        return None

    def _count_retries(self, run: OpenRun, registrations: Collection[ProxyRegistration]) -> None:
        reasons = (run.failed.pop(each.registration_id, None) for each in registrations)
        found = Counter(reason for reason in reasons if reason is not None)
        if self.instruments is not None:
            for reason, count in found.items():
                self.instruments.retries.add(count, {REASON: reason})


def _note_failure(
    run: OpenRun | None, registrations: Collection[ProxyRegistration], reason: str | None
) -> None:
    """
    Remember why these may be called again.
    """
    if run is not None and reason is not None:
        run.failed.update(dict.fromkeys((each.registration_id for each in registrations), reason))


def _reason_of(error: BaseException) -> str | None:
    """
    Return why a call that failed so is repeated; `None` for an answer after which it never is.
    """
    match lone(error):
        case RegistrationUnavailable():
            return "unavailable"
        case RegistrationRejected() | DuplicateActivityError():
            return None
        case OSError() | OutcomeUnknownError():
            return "in_doubt"
        case Exception():
            return "unexpected"
        case _:  # cut off, since it took too long or its driver stopped
            return "no_answer"
