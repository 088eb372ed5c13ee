from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any

import attrs
import pytest

pytest.importorskip("opentelemetry.sdk")

from observed import ANNA, Observed, orchestrator_of, request_for
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from own_records import look_at_its_records

from proxy_orchestration import BulkStatus, MisconfiguredError, SystemClock
from proxy_orchestration.ports import (
    ActivityRepository,
    NotificationRepository,
    ProxyRegistrationService,
    SupportsBulk,
    SupportsBulkLookup,
    SupportsCallLimit,
    SupportsConflictCheck,
    SupportsLookup,
)
from proxy_orchestration.registration.ports import call_limit_of
from proxy_orchestration.storage.memory import MemoryActivityRepository, MemoryNotificationRepository
from proxy_orchestration.telemetry import Telemetry
from proxy_orchestration.telemetry.trace_contexts import context_of, text_of
from proxy_orchestration.testing import (
    BulkRegistrationService,
    CheckingBulkRegistrationService,
    ManyLookupsRegistrationService,
    ScriptedPushSender,
    ScriptedRegistrationService,
    reject,
    succeed,
)
from proxy_orchestration.testing.contracts import (
    Check,
    batch_catalogue,
    bulk_registration,
    conflict_check,
    notice_book,
    push_outbox,
    registration_lookup,
    registration_service,
    run_ledger,
)

ABILITIES = (SupportsBulk, SupportsLookup, SupportsBulkLookup, SupportsConflictCheck, SupportsCallLimit)

OF_CONTEXTS = {"each_lease_has_the_trace_context_of_its_batch", "a_first_lease_tells_the_run"}
"""Checks by which the context is the one that was given, and not that of the accepting itself."""


@asynccontextmanager
async def _ledger() -> AsyncIterator[ActivityRepository]:
    yield Observed().telemetry.repository(MemoryActivityRepository())


@asynccontextmanager
async def _notices() -> AsyncIterator[NotificationRepository]:
    yield Observed().telemetry.notices(MemoryNotificationRepository())


@pytest.mark.parametrize(
    "check", [each for each in (*batch_catalogue, *run_ledger) if str(each) not in OF_CONTEXTS], ids=str
)
async def test_a_watched_store_of_batches_keeps_the_contract(check: Check[ActivityRepository]) -> None:
    """
    Whoever asks it is answered as by the store itself.
    """
    await check(_ledger)


@pytest.mark.parametrize("check", [*notice_book, *push_outbox], ids=str)
async def test_a_watched_store_of_notices_keeps_the_contract(check: Check[NotificationRepository]) -> None:
    """
    Likewise.
    """
    await check(_notices)


@asynccontextmanager
async def _service() -> AsyncIterator[ProxyRegistrationService]:
    oldest = SystemClock().now().date() - timedelta(days=90)
    service = CheckingBulkRegistrationService(
        lambda asked, _: succeed() if asked.activity.activity_date >= oldest else reject("old", "Too old.")
    )
    yield Observed().telemetry.service(look_at_its_records(service))


@pytest.mark.parametrize(
    "check", [*registration_service, *registration_lookup, *bulk_registration, *conflict_check], ids=str
)
async def test_a_watched_service_keeps_the_contract(check: Check[Any]) -> None:
    """
    One by one and many at once, with look-ups and checks for conflicts.
    """
    await check(_service)


async def test_a_question_about_nothing_is_the_service_s_to_answer() -> None:
    """
    It belongs to no run.
    """
    observed = Observed()
    watched = observed.telemetry.service(ManyLookupsRegistrationService())

    assert [] == list(await watched.register_many([], atomic=False))
    assert {} == dict(await watched.find_registrations([]))
    assert [None, None] == [span.parent for span in observed.named("call")]


class _Limited(BulkRegistrationService):
    max_registrations_per_call = 7


@pytest.mark.parametrize(
    "service",
    [
        ScriptedRegistrationService(),
        BulkRegistrationService(),
        ManyLookupsRegistrationService(),
        CheckingBulkRegistrationService(),
        _Limited(),
    ],
    ids=lambda service: type(service).__name__,
)
def test_a_watched_service_has_the_abilities_of_the_service_and_no_other(service: Any) -> None:
    """
    They are found by its methods.
    """
    watched = Observed().telemetry.service(service)

    assert [isinstance(service, each) for each in ABILITIES] == [
        isinstance(watched, each) for each in ABILITIES
    ]
    assert call_limit_of(service) == call_limit_of(watched)


def test_what_is_not_watched_is_the_original_s() -> None:
    """
    Its other methods, and its values as they are now.
    """
    service = ScriptedRegistrationService()
    watched = Observed().telemetry.service(service)
    service.in_flight = 5

    assert 5 == watched.in_flight
    assert service.calls is watched.calls
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = watched.no_such_thing


@pytest.mark.parametrize("kind", [property, cached_property])
def test_a_property_is_asked_when_it_is_wanted(kind: Any) -> None:
    """
    Not when its owner is wrapped: it may not be ready by then.
    """

    @attrs.define(slots=False)
    class Lazy(ScriptedRegistrationService):
        ready: bool = False

        @kind
        def connection(self) -> str:
            if not self.ready:
                raise RuntimeError
            return "open"

    service = Lazy()
    watched = Observed().telemetry.service(service)
    service.ready = True

    assert "open" == watched.connection


@pytest.mark.parametrize("name", ["service", "repository", "notices", "sender"])
def test_what_is_no_such_part_is_refused_when_it_is_wrapped(name: str) -> None:
    """
    As an orchestrator would, which sees only what stands in its place.
    """
    with pytest.raises(MisconfiguredError, match="cannot work with this"):
        getattr(Observed().telemetry, name)(object())


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("service", ScriptedRegistrationService()),
        ("repository", MemoryActivityRepository()),
        ("notices", MemoryNotificationRepository()),
        ("sender", ScriptedPushSender()),
    ],
)
def test_what_is_wrapped_already_is_refused(name: str, part: object) -> None:
    """
    By whichever object: there would be two spans for each call.
    """
    once = getattr(Observed().telemetry, name)(part)

    with pytest.raises(MisconfiguredError, match="already wrapped"):
        getattr(Observed().telemetry, name)(once)


def test_only_an_orchestrator_is_watched() -> None:
    """
    A store has no health of its own.
    """
    with pytest.raises(MisconfiguredError, match="Give a BulkRegistrationOrchestrator"):
        Observed().telemetry.watch(MemoryActivityRepository())  # type: ignore[arg-type]  # what is refused


def test_an_ability_that_cannot_be_called_as_it_is_described_is_refused_too() -> None:
    """
    The orchestrator could not see it any more.
    """

    class Broken(ScriptedRegistrationService):
        async def register_many(self, registrations: object) -> None:
            """
            Lack what says whether it is all or nothing.
            """

    with pytest.raises(MisconfiguredError, match="register_many"):
        Observed().telemetry.service(Broken())


async def test_a_host_that_has_set_up_nothing_loses_nothing() -> None:
    """
    OpenTelemetry's API alone does nothing, and no context is stored.
    """
    telemetry = Telemetry()
    observed = Observed()
    observed.telemetry = telemetry
    repository = MemoryActivityRepository()
    orchestrator = orchestrator_of(observed, ScriptedRegistrationService(), repository)
    waiting = await orchestrator.submit_bulk_registration(request_for(2), actor=ANNA, drive=False)
    lease = await repository.acquire(waiting.batch_id, 1, ttl=0)
    await orchestrator.resume_interrupted()
    ended = await orchestrator.get_bulk_submission_status(waiting.batch_id, actor=ANNA)

    assert BulkStatus.SUCCESS is ended.status
    assert lease.trace_context is None


def _span(state: str = "") -> NonRecordingSpan:
    return NonRecordingSpan(
        SpanContext(
            trace_id=1,
            span_id=2,
            is_remote=False,
            trace_flags=TraceFlags(1),
            trace_state=TraceState.from_header([state]),
        )
    )


@pytest.mark.parametrize("state", ["", "a=1", "a=1,b=2"])
def test_a_context_comes_back_as_it_was_stored(state: str) -> None:
    """
    With the state that samplers and vendors keep there.
    """
    told = text_of(_span(state))
    found = context_of(told)

    assert found is not None
    there = trace.get_current_span(found).get_span_context()
    assert (1, 2, state) == (there.trace_id, there.span_id, there.trace_state.to_header())


def test_a_state_that_is_too_long_is_left_out() -> None:
    """
    The trace itself is continued all the same.
    """
    told = text_of(_span(",".join(f"key{number}={'x' * 100}" for number in range(6))))

    assert told == f"00-{1:032x}-{2:016x}-01"


@pytest.mark.parametrize("text", [None, "", "no context", "00-0-0-00", 900 * "x"])
def test_a_text_that_says_nothing_is_no_context(text: str | None) -> None:
    """
    As one that another kind of telemetry stored.
    """
    assert context_of(text) is None


def test_no_span_is_no_text() -> None:
    """
    Where nothing is traced.
    """
    assert text_of(trace.INVALID_SPAN) is None
