"""
What a registration service promises.
"""

from __future__ import annotations

from proxy_orchestration.registration.ports import ProxyRegistrationService
from proxy_orchestration.testing.contracts.checks import Check, at_once, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import refusable, registration_of

registering: list[Check[ProxyRegistrationService]] = []


@rule_of(registering)
async def a_receipt_answers_its_own_registration(service: ProxyRegistrationService) -> None:
    receipt = await service.register(registration_of())

    expect(
        "the registration's id", expected=registration_of().registration_id, actual=receipt.registration_id
    )


@rule_of(registering)
async def a_call_repeated_under_its_key_is_one_record(service: ProxyRegistrationService) -> None:
    first = await service.register(registration_of())

    expect("the same receipt", expected=first, actual=await service.register(registration_of()))


@rule_of(registering)
async def a_registration_under_a_new_key_is_the_same_record(service: ProxyRegistrationService) -> None:
    # Keys are for services that replay failures; one registration is one record under any of them.
    first = await service.register(registration_of())

    expect("the same receipt", expected=first, actual=await service.register(registration_of(epoch=1)))


@rule_of(registering)
async def a_registration_with_a_record_is_answered_before_any_other_check(
    service: ProxyRegistrationService,
) -> None:
    # A repeated call must get its receipt whatever changed since, or doubt never ends; decision 29.
    registration = registration_of()
    first = await service.register(registration)
    again = await service.register(refusable(registration))

    expect("its receipt, whatever else is asked", expected=first, actual=again)


@rule_of(registering)
async def registrations_of_two_mentors_are_two_records(service: ProxyRegistrationService) -> None:
    first, second = (
        await service.register(registration_of()),
        await service.register(registration_of(2)),
    )

    expect("two records", expected=True, actual=first.activity_id != second.activity_id)


@rule_of(registering)
async def calls_at_once_under_one_key_are_one_record(service: ProxyRegistrationService) -> None:
    receipts = await at_once(*[lambda: service.register(registration_of())] * 5)

    expect("one receipt for all", expected=1, actual=len({receipt.activity_id for receipt in receipts}))
