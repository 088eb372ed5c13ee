from __future__ import annotations

import gc
import weakref
from functools import partial

import attrs
import pytest
from anyio import create_task_group, wait_all_tasks_blocked

pytest.importorskip("opentelemetry.sdk")

from observed import ANNA, Observed, orchestrator_of, request_for

from proxy_orchestration import BulkSettings, ConflictKind, ConflictPolicy, RetryPolicy
from proxy_orchestration.ports import (
    Conflict,
    ProxyRegistration,
    RegistrationReceipt,
    SupportsBulk,
)
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import (
    BulkRegistrationService,
    CheckingRegistrationService,
    FakeClock,
    ScriptedRegistrationService,
    fail,
    hang,
    lose_reply,
    reject,
    succeed,
    unavailable,
)


async def test_items_are_counted_by_the_state_in_which_a_commit_stored_them() -> None:
    """
    Each once, with the sizes and times of the commits.
    """
    observed = Observed(with_spans=False)
    service = ScriptedRegistrationService(
        lambda asked, _: reject() if asked.mentor_id == "mentor-0" else succeed()
    )
    await orchestrator_of(observed, service, MemoryActivityRepository()).submit_bulk_registration(
        request_for(4), actor=ANNA
    )

    assert {("succeeded",): 3, ("failed",): 1} == observed.metric("items")
    commits, stored = observed.metric("commit.items")[()]
    timed, seconds = observed.metric("commit.duration")[()]
    assert (4, commits) == (stored, timed)
    assert seconds > 0
    assert [] == observed.spans


async def test_items_that_are_never_sent_are_counted_when_their_batch_is_accepted() -> None:
    """
    Skipped for a conflict, here; who submits it again under its key counts nothing twice.
    """
    observed = Observed()
    service = CheckingRegistrationService()
    service.conflict_script = lambda asked: Conflict(
        mentor_id=asked.mentor_id, kind=ConflictKind.DUPLICATE, existing_activity_id="a"
    )
    orchestrator = orchestrator_of(observed, service, MemoryActivityRepository())
    request = attrs.evolve(request_for(2), idempotency_key="k", on_conflict=ConflictPolicy.SKIP)
    for _ in range(2):
        await orchestrator.submit_bulk_registration(request, actor=ANNA)

    assert {("skipped",): 2} == observed.metric("items")
    checks = [span for span in observed.named("call") if "find_conflicts" in span.to_json()]
    assert len(checks) >= 1


async def test_a_call_that_is_repeated_is_counted_by_what_went_wrong_before() -> None:
    """
    Once for each repetition.
    """
    observed = Observed()
    replies = [lose_reply(), fail(ValueError()), unavailable(), succeed()]
    service = ScriptedRegistrationService(lambda _, call: replies[call - 1])
    patient = BulkSettings(retry=RetryPolicy(max_attempts=4, initial=0.0, jitter=0.0))
    orchestrator = orchestrator_of(observed, service, MemoryActivityRepository(), settings=patient)
    await orchestrator.submit_bulk_registration(request_for(2), actor=ANNA)

    assert {("in_doubt",): 2, ("unexpected",): 2, ("unavailable",): 2} == observed.metric("retries")


async def test_a_call_that_was_cut_off_for_its_time_is_repeated_for_want_of_an_answer() -> None:
    """
    Which is not what a service says by itself.
    """
    observed, clock = Observed(), FakeClock()
    service = ScriptedRegistrationService(lambda _, call: hang() if call == 1 else succeed())
    orchestrator = orchestrator_of(observed, service, MemoryActivityRepository(clock), clock=clock)
    async with create_task_group() as tasks:
        tasks.start_soon(partial(orchestrator.submit_bulk_registration, request_for(1), actor=ANNA))
        await wait_all_tasks_blocked()
        while len(service.calls) == 1:
            clock.advance(clock.next_alarm or 0.0)
            await wait_all_tasks_blocked()  # or the clock would move over a time limit that was just set

    assert {("no_answer",): 1} == observed.metric("retries")


class _Muddled(ScriptedRegistrationService):
    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        receipt = await super().register(registration)
        return (
            RegistrationReceipt(registration_id="b:x", activity_id="a") if len(self.calls) == 1 else receipt
        )


async def test_an_answer_that_answers_nothing_is_a_reason_too() -> None:
    """
    It is the receipt of another registration.
    """
    observed = Observed()
    await orchestrator_of(observed, _Muddled(), MemoryActivityRepository()).submit_bulk_registration(
        request_for(1), actor=ANNA
    )

    assert {("bad_answer",): 1} == observed.metric("retries")


async def test_rows_that_were_refused_together_are_counted_when_they_are_asked_for_again() -> None:
    """
    The halves of what was refused, down to the bad row.
    """
    observed = Observed()
    service = BulkRegistrationService(
        chunk_script=lambda rows, _: reject() if "mentor-0" in {row.mentor_id for row in rows} else succeed()
    )
    assert isinstance(observed.telemetry.service(service), SupportsBulk)
    await orchestrator_of(observed, service, MemoryActivityRepository()).submit_bulk_registration(
        request_for(4), actor=ANNA
    )

    retries = observed.metric("retries")
    assert {("refused_together",)} == set(retries)
    assert retries["refused_together",] >= 4


async def test_a_refusal_is_no_reason_for_a_retry() -> None:
    """
    It is an answer; and so is a failure of whoever closes the process.
    """
    observed = Observed()
    service = ScriptedRegistrationService(lambda _, call: reject() if call == 1 else succeed())
    orchestrator = orchestrator_of(observed, service, MemoryActivityRepository())
    result = await orchestrator.submit_bulk_registration(request_for(1), actor=ANNA)
    await orchestrator.retry_failed_items(result.batch_id, actor=ANNA)

    assert {} == observed.metric("retries")


class _Counting:
    """
    A service that looks at the metrics while it is called.
    """

    def __init__(self, observed: Observed) -> None:
        self.observed = observed
        self.seen: list[object] = []

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        self.seen.append(self.observed.metric("calls.in_flight")[()])
        return RegistrationReceipt(registration_id=registration.registration_id, activity_id="a")


async def test_calls_under_way_are_counted_while_they_are() -> None:
    """
    And no longer.
    """
    observed = Observed(with_spans=False)
    service = _Counting(observed)
    await orchestrator_of(observed, service, MemoryActivityRepository()).submit_bulk_registration(
        request_for(1), actor=ANNA
    )

    assert [1] == service.seen
    assert {(): 0} == observed.metric("calls.in_flight")


async def test_what_has_no_driver_is_counted_at_each_look_and_has_an_age() -> None:
    """
    The age is that of the health; an orchestrator that is gone has none.
    """
    observed, clock = Observed(), FakeClock()
    repository = MemoryActivityRepository(clock)
    orchestrator = orchestrator_of(observed, ScriptedRegistrationService(), repository, clock=clock)
    observed.telemetry.watch(orchestrator)
    assert {} == observed.metric("backlog")
    for _ in range(3):
        await orchestrator.submit_bulk_registration(request_for(1), actor=ANNA, drive=False)
    clock.advance(90.0)
    await orchestrator.check_health()
    assert {(): 1} == observed.metric("backlog")  # as far as it looked

    await orchestrator.repository.find_drivable(limit=10)
    await orchestrator.check_health()
    assert {(): 3} == observed.metric("backlog")
    assert {(): 90.0} == observed.metric("backlog.oldest.age")

    await orchestrator.resume_interrupted()
    assert {(): 0} == observed.metric("backlog")
    del orchestrator
    gc.collect()
    assert {} == observed.metric("backlog.oldest.age")


async def test_of_several_parts_in_one_process_no_figure_hides_another() -> None:
    """
    Stores add up, and the oldest batch is the oldest of all; what a host let go of is kept by nobody.
    """
    observed, clock = Observed(), FakeClock()
    stores = [MemoryActivityRepository(clock) for _ in range(2)]
    orchestrators = [
        orchestrator_of(observed, ScriptedRegistrationService(), store, clock=clock) for store in stores
    ]
    for each in orchestrators:
        observed.telemetry.watch(each)
        await each.submit_bulk_registration(request_for(1), actor=ANNA, drive=False)
        clock.advance(90.0)
    for each in orchestrators:
        await each.check_health()

    assert {(): 2} == observed.metric("backlog")
    assert {(): 180.0} == observed.metric("backlog.oldest.age")

    held = [weakref.ref(each.repository) for each in orchestrators]
    del each, orchestrators[0]
    gc.collect()
    assert [True, False] == [one() is None for one in held]
    assert {(): 1} == observed.metric("backlog")
    assert {(): 90.0} == observed.metric("backlog.oldest.age")


async def test_calls_of_two_services_are_counted_together() -> None:
    """
    A process may have a service for each kind of activity.
    """
    observed = Observed(with_spans=False)
    service = _Counting(observed)
    idle = [observed.telemetry.service(ScriptedRegistrationService())]
    orchestrator = orchestrator_of(observed, service, MemoryActivityRepository())
    idle.append(observed.telemetry.service(ScriptedRegistrationService()))
    await orchestrator.submit_bulk_registration(request_for(1), actor=ANNA)

    assert [1] == service.seen
    assert 2 == len(idle)


async def test_without_metrics_nothing_is_counted() -> None:
    """
    Spans are there all the same.
    """
    observed = Observed(with_metrics=False)
    service = ScriptedRegistrationService(lambda _, call: unavailable() if call == 1 else fail(ValueError()))
    await orchestrator_of(observed, service, MemoryActivityRepository()).submit_bulk_registration(
        request_for(1), actor=ANNA
    )

    assert observed.reader.get_metrics_data() is None
    assert 1 == len(observed.named("run"))
