from __future__ import annotations

import logging
import types
from contextvars import copy_context

import attrs
import pytest
from anyio import CancelScope
from anyio.lowlevel import checkpoint

pytest.importorskip("opentelemetry.sdk")

from observed import ANNA, VISIT, Observed, id_of, orchestrator_of, parent_of, request_for, said_by, trace_of
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanContext

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    DuplicateActivityError,
    IdempotencyKeyReusedError,
    RegistrationRejected,
)
from proxy_orchestration.ports import (
    LeaseLostError,
    ProxyRegistration,
    RegistrationReceipt,
)
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import (
    BulkLookupRegistrationService,
    ScriptedRegistrationService,
    fail,
    hang,
    reject,
    succeed,
)
from proxy_orchestration.testing.contracts.registration.samples import LONG, accepted, batch_of, lease_of


async def test_a_batch_is_one_trace_from_the_request_to_each_call() -> None:
    """
    Accepting is in the request, the run in the accepting, and calls and commits are in the run.
    """
    observed, service = Observed(), ScriptedRegistrationService()
    orchestrator = orchestrator_of(observed, service, MemoryActivityRepository())
    with observed.tracer.start_as_current_span("request"):
        result = await orchestrator.submit_bulk_registration(request_for(3), actor=ANNA)

    request, accept, run = (observed.the(name) for name in ("request", "accept", "run"))
    assert (id_of(request), id_of(accept)) == (parent_of(accept), parent_of(run))
    inside = observed.named("call") + observed.named("commit")
    assert {id_of(run)} == {parent_of(span) for span in inside}
    assert {trace_of(request)} == {trace_of(span) for span in observed.spans}
    assert 3 == len(observed.named("call"))
    assert 3 == sum(int(said_by(span)["items"]) for span in observed.named("commit"))
    expected = {"batch_id": result.batch_id, "run": 1, "items": 3, "fence": 1, "ending": "settled"}
    assert expected | {"items.succeeded": 3} == said_by(run)
    assert () == run.links


async def test_a_run_in_another_process_continues_the_trace_of_who_submitted() -> None:
    """
    The context is stored with the batch; nothing else is shared.
    """
    repository, here, there = MemoryActivityRepository(), Observed(), Observed()
    service = ScriptedRegistrationService()
    await orchestrator_of(here, service, repository).submit_bulk_registration(
        request_for(2), actor=ANNA, drive=False
    )
    await orchestrator_of(there, service, repository).resume_interrupted()

    accept, run = here.the("accept"), there.the("run")
    assert (trace_of(accept), id_of(accept)) == (trace_of(run), parent_of(run))
    assert 2 == len(there.named("call"))


async def test_a_retry_is_linked_to_the_request_that_asked_for_it() -> None:
    """
    It stays in the batch's trace, as another run of it.
    """
    observed = Observed()
    service = ScriptedRegistrationService(lambda _, call: reject() if call == 1 else succeed())
    orchestrator = orchestrator_of(observed, service, MemoryActivityRepository())
    failed = await orchestrator.submit_bulk_registration(request_for(1), actor=ANNA)
    with observed.tracer.start_as_current_span("retry"):
        await orchestrator.retry_failed_items(failed.batch_id, actor=ANNA)

    first, second = observed.named("run")
    assert trace_of(first) == trace_of(second) != trace_of(observed.the("retry"))
    assert [trace_of(observed.the("retry"))] == [link.context.trace_id for link in second.links]
    assert 2 == said_by(second)["run"]


async def test_a_batch_that_was_accepted_without_telemetry_begins_a_trace_with_its_run() -> None:
    """
    As one that an older version of the library accepted.
    """
    repository, observed = MemoryActivityRepository(), Observed()
    service = ScriptedRegistrationService()
    plain = BulkRegistrationOrchestrator(registration_service=service, repository=repository)
    await plain.submit_bulk_registration(request_for(1), actor=ANNA, drive=False)
    await orchestrator_of(observed, service, repository).resume_interrupted()

    assert parent_of(observed.the("run")) is None


class _TracedService:
    """
    A service that has spans of its own, as HTTP clients do.
    """

    def __init__(self, observed: Observed) -> None:
        self.observed = observed
        self.seen: list[SpanContext] = []

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        self.seen.append(trace.get_current_span().get_span_context())
        with self.observed.tracer.start_as_current_span("POST"):
            return RegistrationReceipt(registration_id=registration.registration_id, activity_id="a")


async def test_what_a_service_traces_is_inside_its_call() -> None:
    """
    The call's span is the current one while the service works.
    """
    observed = Observed()
    orchestrator = orchestrator_of(observed, _TracedService(observed), MemoryActivityRepository())
    await orchestrator.submit_bulk_registration(request_for(1), actor=ANNA)

    assert parent_of(observed.the("POST")) == id_of(observed.the("call"))


async def test_what_is_not_sampled_costs_no_span_and_the_service_is_told_so() -> None:
    """
    It hands on the trace, with the flag that says that nobody records it.
    """
    observed = Observed(ALWAYS_OFF)
    service = _TracedService(observed)
    await orchestrator_of(observed, service, MemoryActivityRepository()).submit_bulk_registration(
        request_for(2), actor=ANNA
    )

    assert [] == observed.spans
    assert {(True, False)} == {(seen.is_valid, seen.trace_flags.sampled) for seen in service.seen}
    assert 1 == len({(seen.trace_id, seen.span_id) for seen in service.seen})


async def test_an_error_is_told_by_its_type_and_never_by_its_text() -> None:
    """
    A service's text may hold whatever its record holds.
    """
    observed = Observed()
    service = ScriptedRegistrationService(lambda *_: fail(ExceptionGroup("one", [ValueError("Kari Canary")])))
    await orchestrator_of(observed, service, MemoryActivityRepository()).submit_bulk_registration(
        request_for(1), actor=ANNA
    )

    call = observed.the("call")
    assert ("ERROR", "ValueError") == (call.status.status_code.name, call.status.description)
    assert "ValueError" == said_by(call)["error.type"]
    told = "".join(span.to_json() for span in observed.spans)
    assert "Canary" not in told
    assert "mentor-0" not in told


@pytest.mark.parametrize(
    "refusal",
    [
        RegistrationRejected("no_agreement", "No agreement."),
        DuplicateActivityError("activity-7"),
        ExceptionGroup("one", [RegistrationRejected("no_agreement", "No agreement.")]),
    ],
    ids=repr,
)
async def test_a_refusal_is_an_answer_and_no_error(refusal: Exception) -> None:
    """
    An error rate would alarm on what a coordinator did; who looks finds its type all the same.
    """
    observed = Observed()
    service = ScriptedRegistrationService(lambda *_: fail(refusal))
    await orchestrator_of(observed, service, MemoryActivityRepository()).submit_bulk_registration(
        request_for(1), actor=ANNA
    )

    assert {"UNSET"} == {span.status.status_code.name for span in observed.spans}
    assert said_by(observed.the("call"))["error.type"] in {"RegistrationRejected", "DuplicateActivityError"}


async def test_a_key_that_is_taken_is_an_answer_and_no_error() -> None:
    """
    The store works; the client means another batch.
    """
    observed = Observed()
    orchestrator = orchestrator_of(observed, ScriptedRegistrationService(), MemoryActivityRepository())
    request = attrs.evolve(request_for(1), idempotency_key="key-1")
    other = attrs.evolve(request_for(2), idempotency_key="key-1")
    await orchestrator.submit_bulk_registration(request, actor=ANNA, drive=False)
    with pytest.raises(IdempotencyKeyReusedError):
        await orchestrator.submit_bulk_registration(other, actor=ANNA, drive=False)

    assert {"UNSET"} == {span.status.status_code.name for span in observed.spans}


async def test_a_call_that_is_cut_off_is_ended_and_no_failure() -> None:
    """
    Its driver was cancelled; the run ends as released.
    """
    observed, repository = Observed(), MemoryActivityRepository()
    service = ScriptedRegistrationService(lambda *_: hang())
    with CancelScope() as scope:
        async with orchestrator_of(observed, service, repository).stream_bulk_registration(
            request_for(1), actor=ANNA
        ):
            while not service.calls:
                await checkpoint()
            scope.cancel()

    call, run = observed.the("call"), observed.the("run")
    assert "UNSET" == call.status.status_code.name
    assert "Cancelled" in str(said_by(call)["error.type"])
    assert "released" == said_by(run)["ending"]


async def test_a_call_for_many_and_its_look_ups_are_a_span_each() -> None:
    """
    With how many items they are about; a look-up by its id alone finds its run.
    """
    observed = Observed()
    service = BulkLookupRegistrationService(
        chunk_script=lambda _, call: fail(OSError()) if call == 1 else succeed()
    )
    await orchestrator_of(observed, service, MemoryActivityRepository()).submit_bulk_registration(
        request_for(2), actor=ANNA
    )

    run = observed.the("run")
    calls = [(said_by(span)["method"], said_by(span)["items"]) for span in observed.named("call")]
    assert ("register_many", 2) == calls[0]
    assert ("find_registration", 1) in calls
    assert {id_of(run)} == {parent_of(span) for span in observed.named("call")}


async def test_a_driver_that_was_overtaken_ends_its_run_as_an_error() -> None:
    """
    And the one that took over has a run of its own; a lease broken for its host begins none.
    """
    observed = Observed()
    ledger = observed.telemetry.repository(MemoryActivityRepository())
    batch_id = await accepted(ledger, batch_of(1))
    first = await lease_of(ledger, batch_id)
    await ledger.acquire(batch_id, 1, ttl=LONG, take_over=True)
    with pytest.raises(LeaseLostError):
        await ledger.commit(first, Commit(ttl=LONG))

    run = observed.the("run")
    assert ("lease_lost", 1) == (said_by(run)["ending"], said_by(run)["fence"])
    assert "ERROR" == run.status.status_code.name
    assert {(): 1} == observed.metric("leases.lost")


async def test_a_lease_that_ended_without_a_word_ends_its_run_when_the_next_begins() -> None:
    """
    And the old lease ends no run of the next one.
    """
    observed = Observed()
    ledger = observed.telemetry.repository(MemoryActivityRepository())
    batch_id = await accepted(ledger, batch_of(1))
    first = await lease_of(ledger, batch_id, ttl=0)
    second = await lease_of(ledger, batch_id)
    await ledger.release(first)
    assert ["lease_lost"] == [said_by(run)["ending"] for run in observed.named("run")]

    await ledger.release(second)
    assert ["lease_lost", "released"] == [said_by(run)["ending"] for run in observed.named("run")]


class _ServiceThatWaits:
    async def register(self, _registration: ProxyRegistration, /) -> RegistrationReceipt:
        await _turn()
        raise AssertionError


@types.coroutine
def _turn():
    yield


async def test_a_call_that_is_dropped_is_closed_elsewhere_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    Whoever closes the coroutine is in another context, where the span was never the current one.
    """
    observed = Observed()
    call = observed.telemetry.service(_ServiceThatWaits()).register(
        ProxyRegistration(
            registration_id="b:m",
            idempotency_key="b:m:0",
            batch_id="b",
            mentor_id="m",
            activity=VISIT,
            registered_by=ANNA,
        )
    )
    call.send(None)
    with caplog.at_level(logging.WARNING):
        copy_context().run(call.close)

    assert [] == caplog.records
    assert ["GeneratorExit"] == [said_by(span)["error.type"] for span in observed.named("call")]
