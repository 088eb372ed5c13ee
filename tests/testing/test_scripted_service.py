from __future__ import annotations

from datetime import date

import anyio
import pytest

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.errors import (
    DuplicateActivityError,
    OutcomeUnknownError,
    RegistrationRejected,
    RegistrationUnavailable,
)
from proxy_orchestration.registration.activities import ProxyActivity, ProxyRegistration
from proxy_orchestration.testing import (
    FakeClock,
    LookupRegistrationService,
    Reply,
    ScriptedRegistrationService,
    duplicate,
    fail,
    hang,
    lose_reply,
    not_seen,
    reject,
    slow,
    stubborn,
    succeed,
    unavailable,
)

ACTIVITY = ProxyActivity(activity_type="visit", activity_date=date(2026, 1, 1), duration_minutes=30)


def registration(mentor_id: str = "mentor-1") -> ProxyRegistration:
    """
    Return a registration of the invented batch for this mentor.
    """
    return ProxyRegistration(
        registration_id=f"batch-1:{mentor_id}",
        idempotency_key=f"batch-1:{mentor_id}:0",
        batch_id="batch-1",
        mentor_id=mentor_id,
        activity=ACTIVITY,
        registered_by=Actor(user_id="c-1", roles={Role.COORDINATOR}, organization_id="org-1"),
    )


def service_that(*replies: Reply, clock: FakeClock | None = None) -> ScriptedRegistrationService:
    """
    Return a service that gives these replies to a registration's calls, one after another.
    """
    return ScriptedRegistrationService(lambda _, attempt: replies[attempt - 1], clock=clock or FakeClock())


async def test_every_call_succeeds_without_a_script() -> None:
    """
    The default service writes one record per registration and remembers the calls.
    """
    service = ScriptedRegistrationService()
    receipts = [await service.register(registration(mentor)) for mentor in ("a", "b", "a")]

    assert ["activity-1", "activity-2", "activity-1"] == [receipt.activity_id for receipt in receipts]
    assert ["a", "b", "a"] == [call.mentor_id for call in service.calls]
    assert ["batch-1:a", "batch-1:b"] == list(service.records)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (reject("too_old", "Too long ago."), RegistrationRejected),
        (duplicate("activity-7"), DuplicateActivityError),
        (unavailable(3.0), RegistrationUnavailable),
        (fail(OSError("cable")), OSError),
    ],
)
async def test_a_refusal_writes_nothing(reply: Reply, error: type[Exception]) -> None:
    """
    These replies raise, and leave no record.
    """
    service = service_that(reply)

    with pytest.raises(error):
        await service.register(registration())
    assert {} == service.records


async def test_errors_carry_what_the_script_says() -> None:
    """
    Code, reference and delay arrive at the caller.
    """
    service = service_that(reject("too_old", "Too long ago."), duplicate("activity-7"), unavailable(3.0))

    with pytest.raises(RegistrationRejected) as rejected:
        await service.register(registration())
    with pytest.raises(DuplicateActivityError) as duplicated:
        await service.register(registration())
    with pytest.raises(RegistrationUnavailable) as refused:
        await service.register(registration())
    assert ("too_old", "Too long ago.") == (rejected.value.code, rejected.value.message)
    assert "activity-7" == duplicated.value.existing_activity_id
    assert 3.0 == refused.value.retry_after


@pytest.mark.parametrize(
    ("reply", "error"),
    [(lose_reply(), TimeoutError), (lose_reply(OutcomeUnknownError()), OutcomeUnknownError)],
)
async def test_a_lost_reply_leaves_the_record(reply: Reply, error: type[Exception]) -> None:
    """
    The record is written first, and the repeated call finds it.
    """
    service = service_that(reply, succeed())

    with pytest.raises(error):
        await service.register(registration())
    receipt = await service.register(registration())
    assert "activity-1" == receipt.activity_id
    assert 1 == len(service.records)


@pytest.mark.parametrize("refusal", [reject(), duplicate("activity-7")])
async def test_the_own_record_is_looked_up_before_a_refusal(refusal: Reply) -> None:
    """
    The law of the port: a registration that has its record gets its receipt.
    """
    service = service_that(lose_reply(), refusal)

    with pytest.raises(TimeoutError):
        await service.register(registration())
    assert "activity-1" == (await service.register(registration())).activity_id


async def test_a_slow_reply_takes_the_seconds_of_the_clock() -> None:
    """
    Waits add up, and the record is written after them.
    """
    clock = FakeClock()
    service = service_that(slow(2, slow(3)), clock=clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.register, registration())
        await clock.wait_for_sleepers()
        clock.advance(2)
        await clock.wait_for_sleepers()
        assert {} == service.records
        clock.advance(3)

    assert clock.now() == service.records["batch-1:mentor-1"].recorded_at


async def test_a_slow_reply_may_wait_for_an_event() -> None:
    """
    A test opens the gate, and what follows the wait may be any reply.
    """
    gate = anyio.Event()
    service = service_that(slow(gate, reject()))
    gate.set()

    with pytest.raises(RegistrationRejected):
        await service.register(registration())


async def test_calls_under_way_are_counted() -> None:
    """
    The most at once stays; the present number falls to nothing.
    """
    clock = FakeClock()
    service = ScriptedRegistrationService(lambda _registration, _attempt: slow(1), clock=clock)
    async with anyio.create_task_group() as tasks:
        for mentor in ("a", "b", "c"):
            tasks.start_soon(service.register, registration(mentor))
        await clock.wait_for_sleepers(3)
        assert 3 == service.in_flight
        clock.advance(1)
    await service_that(succeed()).register(registration())

    assert (0, 3) == (service.in_flight, service.most_in_flight)


@pytest.mark.parametrize(("written", "records"), [(False, 0), (True, 1)])
async def test_a_hanging_call_ends_only_by_cancelling(*, written: bool, records: int) -> None:
    """
    It may have written before it hangs.
    """
    service = service_that(hang(written=written))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.register, registration())
        await anyio.wait_all_tasks_blocked()
        assert 1 == service.in_flight
        tasks.cancel_scope.cancel()

    assert records == len(service.records)
    assert 0 == service.in_flight


async def test_a_stubborn_reply_comes_after_the_cancel() -> None:
    """
    The call goes on, writes and answers, though its caller has given up.
    """
    clock = FakeClock()
    service = service_that(stubborn(slow(5)), clock=clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.register, registration())
        await clock.wait_for_sleepers()
        tasks.cancel_scope.cancel()
        clock.advance(5)

    assert 1 == len(service.records)


async def test_a_look_up_tells_the_truth_without_a_script() -> None:
    """
    It finds what was written and nothing else, and is remembered.
    """
    service = LookupRegistrationService()
    receipt = await service.register(registration())

    assert receipt == await service.find_registration("batch-1:mentor-1")
    assert await service.find_registration("batch-1:mentor-2") is None
    assert ["batch-1:mentor-1", "batch-1:mentor-2"] == service.lookups


async def test_a_look_up_does_what_its_script_says() -> None:
    """
    It may overlook a record, fail, or answer truly at the third time.
    """
    replies = [not_seen(), fail(OSError("cable")), succeed()]
    service = LookupRegistrationService(lookup_script=lambda _id, attempt: replies[attempt - 1])
    receipt = await service.register(registration())

    assert await service.find_registration("batch-1:mentor-1") is None
    with pytest.raises(OSError, match="cable"):
        await service.find_registration("batch-1:mentor-1")
    assert receipt == await service.find_registration("batch-1:mentor-1")
