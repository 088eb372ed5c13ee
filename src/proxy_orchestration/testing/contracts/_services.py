"""
What a registration service promises.
"""

from __future__ import annotations

from datetime import timedelta

import attrs

from proxy_orchestration.clock import SystemClock
from proxy_orchestration.registration.activities import (
    ProxyActivity,
    ProxyRegistration,
    idempotency_key_of,
    registration_id_of,
)
from proxy_orchestration.registration.ports import ProxyRegistrationService, SupportsLookup
from proxy_orchestration.testing.contracts._checks import Check, at_once, broken, expect, rule_of
from proxy_orchestration.testing.contracts._samples import COORDINATOR

registering: list[Check[ProxyRegistrationService]] = []
looking_up: list[Check[ProxyRegistrationService]] = []


def registration_of(
    mentor_id: str = "mentor-1",
    *,
    batch_id: str = "batch-1",
    epoch: int = 0,
    activity_type: str = "visit",
    days_back: int = 1,
) -> ProxyRegistration:
    """
    Return a registration that a real service accepts: of yesterday, by a coordinator.
    """
    registration_id = registration_id_of(batch_id, mentor_id)
    day = SystemClock().now().date() - timedelta(days=days_back)
    return ProxyRegistration(
        registration_id=registration_id,
        idempotency_key=idempotency_key_of(registration_id, epoch),
        batch_id=batch_id,
        mentor_id=mentor_id,
        activity=ProxyActivity(activity_type=activity_type, activity_date=day, duration_minutes=45),
        registered_by=COORDINATOR,
    )


def refusable(registration: ProxyRegistration) -> ProxyRegistration:
    """
    Return the registration 40 000 days earlier, which a real service refuses unless it has a record.
    """
    activity = registration.activity
    ancient = attrs.evolve(activity, activity_date=activity.activity_date - timedelta(days=40_000))
    return attrs.evolve(registration, activity=ancient)


def _lookup(service: ProxyRegistrationService) -> SupportsLookup:
    if not isinstance(service, SupportsLookup):
        broken("the service has no find_registration; leave this kit out")
    return service


@rule_of(registering)
async def a_receipt_answers_its_own_registration(service: ProxyRegistrationService) -> None:
    receipt = await service.register(registration_of())

    expect("the registration's id", expected="batch-1:mentor-1", actual=receipt.registration_id)


@rule_of(registering)
async def a_call_repeated_under_its_key_is_one_record(service: ProxyRegistrationService) -> None:
    first = await service.register(registration_of())

    expect("the same receipt", expected=first, actual=await service.register(registration_of()))


@rule_of(registering)
async def a_registration_under_a_new_key_is_the_same_record(service: ProxyRegistrationService) -> None:
    first = await service.register(registration_of())

    expect("the same receipt", expected=first, actual=await service.register(registration_of(epoch=1)))


@rule_of(registering)
async def a_registration_with_a_record_is_answered_before_any_other_check(
    service: ProxyRegistrationService,
) -> None:
    registration = registration_of()
    first = await service.register(registration)
    again = await service.register(refusable(registration))

    expect("its receipt, whatever else is asked", expected=first, actual=again)


@rule_of(registering)
async def registrations_of_two_mentors_are_two_records(service: ProxyRegistrationService) -> None:
    first, second = (
        await service.register(registration_of()),
        await service.register(registration_of("mentor-2")),
    )

    expect("two records", expected=True, actual=first.activity_id != second.activity_id)


@rule_of(registering)
async def calls_at_once_under_one_key_are_one_record(service: ProxyRegistrationService) -> None:
    receipts = await at_once(*[lambda: service.register(registration_of())] * 5)

    expect("one receipt for all", expected=1, actual=len({receipt.activity_id for receipt in receipts}))


@rule_of(looking_up)
async def a_record_is_found_once_it_is_written(service: ProxyRegistrationService) -> None:
    lookup = _lookup(service)
    expect("nothing before", expected=None, actual=await lookup.find_registration("batch-1:mentor-1"))
    receipt = await service.register(registration_of())

    expect("its receipt", expected=receipt, actual=await lookup.find_registration("batch-1:mentor-1"))
    expect("not another's", expected=None, actual=await lookup.find_registration("batch-1:mentor-2"))


@rule_of(looking_up)
async def looking_up_writes_nothing(service: ProxyRegistrationService) -> None:
    lookup = _lookup(service)
    for _ in range(2):
        expect("still nothing", expected=None, actual=await lookup.find_registration("batch-1:mentor-1"))
